/* One hit: its picture, what it is called, what each modality gave, and what can be done with it. */
import { $, el, marked, settle, unseen } from "./dom.js";
import { openDrawer } from "./drawer.js";
import { itemPicture } from "./item-picture.js";
import { links } from "./links.js";
import { DISLIKE, term, withTerm } from "./query.js";
import { config, go, ordered, session } from "./session.js";
import { explanation } from "./why.js";
import { language, listed, modalityName, say, short } from "./words.js";

function bar(m, part, won) {
  const name = modalityName(m);
  const lexical = m === "lexical";
  const value = part ? (lexical ? part.saturated : part.calibrated) : null;
  const words = part
    ? listed([
        say(lexical ? "bar_lexical" : "bar", { m: name, v: short(lexical ? value : part.cosine) }),
        part.calibrated != null && say("calibrated", { v: short(part.calibrated) }),
        part.weight != null && say("weight", { v: short(part.weight) }),
      ])
    : say("bar_none", { m: name });
  const fill = el("span", { class: "fill" });
  fill.style.setProperty("--v", String(Math.min(1, Math.max(0, value || 0))));
  return el(
    "div",
    {
      class: "m",
      role: "img",
      "aria-label": words,
      title: words,
      "data-modality": m,
      "data-testid": "bar",
      "data-won": won,
    },
    el("span", {}, name),
    el("span", { class: "track" }, fill),
    el("span", { class: "val" }, part ? short(value) : "–"),
  );
}

/** The item's names, the one in the page's language first: { text, parts, lang }. */
function namesOf(hit) {
  const field = config.fields?.title ?? "title";
  const translated = `${field}_zh`;
  const names = [field, translated]
    .filter((f) => hit.source?.[f])
    .map((f) => ({
      text: String(hit.source[f]),
      parts: marked(String(hit.source[f]), hit.highlight?.[f]),
      lang: f === translated ? "zh" : null,
    }));
  if (!names.length) names.push({ text: String(hit.id), parts: [String(hit.id)], lang: null });
  return language === "zh" ? names.sort((a, b) => (b.lang === "zh") - (a.lang === "zh")) : names;
}

/** More of this, or less: one more term of the query. */
function judge(hit, weight) {
  go({ terms: withTerm(session.query.terms, term("item", hit.id, weight)) });
  settle($("main"));
}

function button(name, testid, title, act) {
  return el(
    "button",
    {
      type: "button",
      class: "like",
      "data-testid": testid,
      "aria-label": say(`${name}_title`, { title }),
      title: say(`${name}_title`, { title }),
      onclick: act,
    },
    el("span", { class: "long" }, say(name)),
    el("span", { class: "brief" }, say(`${name}_short`)),
  );
}

function badge(modality) {
  return el(
    "span",
    {
      class: "badge",
      "data-testid": "badge",
      "data-modality": modality,
      title: say("matched", { m: modalityName(modality) }),
    },
    unseen(say("matched", { m: "" })),
    modalityName(modality),
  );
}

/** query: the one that found it. withPictures: whether an item without a picture is an exception. */
export function card(hit, query, withPictures) {
  const source = hit.source ?? {};
  const [main, alt] = namesOf(hit);
  const field = config.facets[0] ?? "category";
  const kind = (language === "zh" && source[`${field}_zh`]) || source[field];
  const parts = hit.contributions ?? {};
  const none = withPictures && !source[config.fields.image];
  return el(
    "li",
    {},
    el(
      "article",
      { class: "card", "data-testid": "card", "data-id": hit.id, "data-modality": hit.modality ?? "" },
      el("div", { class: "pic" }, itemPicture(hit.id, main.text, "", none), hit.modality ? badge(hit.modality) : ""),
      el(
        "div",
        { class: "body" },
        el("h3", { tabindex: "-1", lang: main.lang }, ...main.parts),
        alt && alt.text !== main.text ? el("p", { class: "alt", lang: alt.lang }, ...alt.parts) : "",
        kind != null ? el("p", { class: "cat" }, [].concat(kind).join(", ")) : "",
        links(hit.paths),
        el("div", { class: "bars" }, ...ordered(parts).map((m) => bar(m, parts[m], m === hit.modality))),
        el(
          "div",
          { class: "foot" },
          el(
            "p",
            { class: "score" },
            `${say("score")} `,
            el("b", { "data-testid": "score" }, Number.isFinite(hit.score) ? hit.score.toFixed(3) : "–"),
          ),
          el(
            "button",
            {
              type: "button",
              class: "quiet",
              "data-testid": "why",
              "aria-label": say("why_title", { title: main.text }),
              onclick: () => openDrawer(say("why_title", { title: main.text }), explanation(hit, main.text, query)),
            },
            say("why"),
          ),
        ),
        el(
          "div",
          { class: "judge" },
          button("like", "like", main.text, () => judge(hit, 1)),
          button("less", "less", main.text, () => judge(hit, DISLIKE)),
        ),
      ),
    ),
  );
}
