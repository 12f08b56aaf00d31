/* The hits, and the way to more of them. */
import { card } from "./card.js";
import { $, el } from "./dom.js";
import { replaceCards } from "./glide.js";
import { config, go, ordered, search, session, watch } from "./session.js";
import { known, language, modalityName, number, say } from "./words.js";

const BY_ITSELF = 120; // so many hits come as the page is scrolled; then by the button, so that the page has an end

/** before: the view whose cards stay; null: all are new. */
function showHits(before) {
  const { view } = session;
  const hits = view?.hits ?? [];
  const withPictures =
    Boolean(config.fields?.image) && hits.some((hit) => Object.hasOwn(hit.source ?? {}, config.fields.image));
  const cards = hits.slice(before?.hits.length ?? 0).map((hit) => card(hit, view.query, withPictures));
  if (before) $("results").append(...cards);
  else replaceCards($("results"), cards);
}

function showPager() {
  const { view, busy } = session;
  $("more").hidden = !view || view.last;
  $("more").disabled = busy;
  $("shown").textContent = view?.hits.length ? say("shown", { n: number(view.hits.length) }) : "";
}

function showNone() {
  const none = Boolean(session.view) && !session.view.hits.length;
  const filtered = Object.keys(session.query.filters).length > 0;
  $("empty").hidden = !none;
  $("empty").replaceChildren(
    ...(none
      ? [
          el("h3", {}, say("none")),
          el("p", {}, say(filtered ? "none_filter" : "none_hint")),
          filtered
            ? el("button", { type: "button", class: "button", onclick: () => go({ filters: {} }) }, say("clear"))
            : "",
        ].filter(Boolean)
      : []),
  );
}

function showLegend() {
  const present = Object.assign({}, ...(session.view?.hits ?? []).map((hit) => hit.contributions));
  const there = ordered(present);
  $("legend").hidden = !there.length;
  $("legend-list").replaceChildren(
    ...there.map((m) =>
      el(
        "div",
        { "data-modality": m },
        el("dt", {}, modalityName(m)),
        known(`legend_${m}`) ? el("dd", {}, say(`legend_${m}`)) : "",
        m === "graph" ? el("dd", {}, say("legend_path")) : "",
      ),
    ),
  );
}

async function more({ byKeyboard = false } = {}) {
  const before = session.view.hits.length;
  await search({ more: true });
  if (byKeyboard) $("results").children[before]?.querySelector("h3").focus();
}

export function startResults() {
  let shown = null; // the view whose cards stand there
  let spoken = language;
  watch(() => {
    const { view } = session;
    if (view !== shown || language !== spoken) {
      // More of the same query is added to what stands there.
      showHits(view && language === spoken && view.query === shown?.query && view.asked > shown.asked ? shown : null);
      showLegend();
    }
    [shown, spoken] = [view, language];
    showPager();
    showNone();
    document.body.dataset.busy = String(session.busy);
    $("found").setAttribute("aria-busy", String(session.busy));
  });
  $("more").addEventListener("click", (event) => more({ byKeyboard: event.detail === 0 }));
  new IntersectionObserver(
    ([end]) => {
      const { view, busy, failure } = session;
      if (end.isIntersecting && view && !view.last && !busy && !failure && view.hits.length < BY_ITSELF) more();
    },
    { rootMargin: "500px" },
  ).observe($("more"));
}
