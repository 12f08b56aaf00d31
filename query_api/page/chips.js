/* One chip for each term of the query but the words in the box: its sign, its weight, how it counts, and away with it. */
import { $, el, settle } from "./dom.js";
import { showWords } from "./box.js";
import { itemPicture } from "./item-picture.js";
import { pictures } from "./pictures.js";
import { DISLIKE, same, term, withTerm } from "./query.js";
import { config, go, learnTitle, nameOf, session, watch } from "./session.js";
import { language, modalityName, say } from "./words.js";

const [LEAST, MOST] = [0.1, 2];

const lost = ({ kind, value }) => kind === "image" && !pictures.has(value);

const titleOf = (t) => (t.kind === "image" ? say(lost(t) ? "chip_lost" : "chip_image") : nameOf(t));

/** The query with one of its terms changed; null: without it. */
const changed = (old, change) =>
  session.query.terms.flatMap((t) => (same(t, old) ? (change ? [{ ...t, ...change }] : []) : [t]));
const now = (old) => session.query.terms.find((t) => same(t, old)) ?? old;

function thumb(t) {
  if (t.kind === "image")
    return lost(t)
      ? el("span", { class: "thumb initial", "aria-hidden": "true" }, "?")
      : el("img", { class: "thumb", src: pictures.get(t.value).url, alt: "" });
  if (t.kind === "item") return itemPicture(t.value, nameOf(t), "thumb");
  return t.kind === "entity" ? el("span", { class: "dot", "data-modality": "graph", "aria-hidden": "true" }) : "";
}

function sign(t, title) {
  const minus = t.weight < 0;
  return el(
    "button",
    {
      type: "button",
      class: "sign",
      "aria-pressed": String(minus),
      "aria-label": say("unlike", { title }),
      title: say("unlike", { title }),
      "data-testid": "chip-sign",
      onclick: () => go({ terms: changed(t, { weight: -now(t).weight }) }),
    },
    say(minus ? "minus" : "plus"),
  );
}

function slider(t, title) {
  const range = el("input", {
    type: "range",
    min: LEAST,
    step: 0.1,
    "aria-label": say("weight_of", { title }),
    "data-testid": "chip-weight",
  });
  range.addEventListener("input", () => {
    const weight = Math.sign(now(t).weight || 1) * Number(range.value);
    go({ terms: changed(t, { weight }) }, { draft: `weight ${t.value}`, stay: true });
  });
  return el("span", { class: "weight" }, range, el("span", { class: "amount", "aria-hidden": "true" }));
}

/** Move the sliders to the terms' weights; where somebody moves one, it is there already. */
function weigh(terms) {
  terms.forEach((t, i) => {
    const [range, amount] = $("chips").children[i].querySelector(".weight").children;
    const weight = Math.abs(t.weight) || 1; // an address may say what is no number; the service refuses it
    range.max = Math.max(MOST, weight);
    range.value = weight;
    range.style.setProperty("--v", String((range.value - LEAST) / (range.max - LEAST)));
    amount.textContent = Number(range.value).toFixed(1);
  });
}

/** By which modalities the term counts: all of them, one, or the several that an address named. */
function within(t, title) {
  if (config.modalities.length < 2) return "";
  const choices = [[], ...config.modalities.map((m) => [m])];
  if (t.within.length > 1) choices.push(t.within);
  return el(
    "select",
    {
      class: "within",
      "aria-label": say("within", { title }),
      "data-testid": "chip-within",
      onchange: ({ target }) => go({ terms: changed(t, { within: target.value.split(",").filter(Boolean) }) }),
    },
    ...choices.map((names) =>
      el(
        "option",
        { value: names.join(","), selected: names.join() === t.within.join() },
        names.length ? names.map(modalityName).join(" + ") : say("within_all"),
      ),
    ),
  );
}

function chip(t) {
  const title = titleOf(t);
  if (t.kind === "item") learnTitle(t.value);
  return el(
    "li",
    {
      class: "chip",
      "data-testid": "chip",
      "data-kind": t.kind,
      "data-sign": t.weight < 0 ? "minus" : "plus",
      "data-lost": lost(t),
    },
    sign(t, title),
    thumb(t),
    el("span", { class: "name", title }, title),
    slider(t, title),
    within(t, title),
    el(
      "button",
      {
        type: "button",
        class: "remove",
        "aria-label": say("remove", { title }),
        "data-testid": "chip-remove",
        onclick: () => {
          go({ terms: changed(t, null) });
          settle($("q"));
        },
      },
      "×",
    ),
  );
}

/** Make a term of the words in the box, so that others can stand beside them. */
function fromWords(weight) {
  const { q, terms } = session.query;
  go({ q: "", terms: withTerm(terms, term("text", q, weight)) });
  showWords();
  $("q").focus({ preventScroll: true });
}

function offers() {
  const { q, terms } = session.query;
  if (!q) return [];
  const button = (testid, mark, words, weight) =>
    el(
      "li",
      {},
      el(
        "button",
        { type: "button", class: "add", "data-testid": testid, onclick: () => fromWords(weight) },
        el("span", { "aria-hidden": "true" }, mark),
        ` ${words}`,
      ),
    );
  return [
    button("add-term", "+", say("add_term"), 1),
    terms.some((t) => t.weight > 0) ? button("less-term", "−", say("less_of", { q }), DISLIKE) : "",
  ].filter(Boolean);
}

export function startChips() {
  let shown = "";
  watch(() => {
    const { q, terms } = session.query;
    const gone = terms.some(lost);
    $("picture-note").hidden = !terms.some((t) => t.kind === "image");
    $("picture-note").textContent = say(gone ? "picture_lost" : "picture_note");
    const signature = JSON.stringify([
      language,
      config.modalities,
      q,
      terms.map((t) => [t.kind, t.value, titleOf(t), t.within, t.weight < 0]),
    ]);
    if (signature !== shown) {
      shown = signature;
      const chips = [...$("chips").children];
      const { activeElement: held } = document;
      const at = chips.findIndex((node) => node.contains(held));
      $("chips").replaceChildren(...terms.map(chip), ...offers());
      if (at >= 0)
        $("chips")
          .children[at]?.querySelector(`[data-testid="${held.dataset.testid}"]`)
          ?.focus({ preventScroll: true });
    }
    weigh(terms);
  });
}
