/* Suggestions: a combobox whose list never takes the focus. Titles come first, then entities of the knowledge graph. */
import { get } from "./api.js";
import { $, el, putAway } from "./dom.js";
import { term, withTerm } from "./query.js";
import { go, nameEntity, session } from "./session.js";
import { entityName, number, relationName, say } from "./words.js";

const OFFER_MS = 150;
const OFFERS = 8;
const ENTITIES = 3;
const MAX_OFFERED = 100; // characters that the service takes

let timer = 0;
let asking = null;
let offers = []; // { text, count } or { entity }
let at = -1;
let graph = true; // until the service says that this index has none

export function closeOffers() {
  clearTimeout(timer);
  asking?.abort();
  show([]);
}

function show(found) {
  offers = found;
  $("offers").replaceChildren(
    ...found.map((offer, i) =>
      el(
        "li",
        {
          id: `offer-${i}`,
          role: "option",
          "aria-selected": "false",
          "data-testid": "offer",
          "data-kind": offer.entity ? "entity" : "text",
          onmousedown: (event) => event.preventDefault(),
          onclick: () => takeOffer(i),
        },
        ...(offer.entity ? entityLine(offer.entity) : titleLine(offer)),
      ),
    ),
  );
  $("offers").hidden = !found.length;
  $("q").setAttribute("aria-expanded", String(found.length > 0));
  pointAt(-1);
}

const titleLine = ({ text, count }) => [
  el("span", {}, text),
  count > 1 ? el("span", { class: "count", "aria-hidden": "true" }, number(count)) : "",
];

const entityLine = (entity) => [
  el(
    "span",
    {},
    el("span", { class: "dot", "aria-hidden": "true", "data-modality": entity.modality }),
    entityName(entity),
  ),
  el(
    "span",
    { class: "count" },
    say("offer_entity", { relation: relationName(entity.relations[0]?.relation ?? ""), n: number(entity.items) }),
  ),
];

function pointAt(i) {
  at = i;
  [...$("offers").children].forEach((option, n) => option.setAttribute("aria-selected", String(n === i)));
  if (i < 0) return $("q").removeAttribute("aria-activedescendant");
  $("q").setAttribute("aria-activedescendant", `offer-${i}`);
  $(`offer-${i}`).scrollIntoView({ block: "nearest" });
}

function takeOffer(i) {
  const { text, entity } = offers[i];
  closeOffers();
  const { q, terms, filters } = session.query;
  if (entity) nameEntity(entity);
  $("q").value = text ?? "";
  go(
    entity
      ? { q: "", terms: withTerm(terms, term("entity", entity.id)) }
      : { q: text, filters: text === q ? filters : {} },
    { draft: "words", settled: true },
  );
  putAway($("q"));
}

async function offer() {
  clearTimeout(timer);
  asking?.abort();
  const q = $("q").value.trim();
  if (!q || q.length > MAX_OFFERED) return show([]);
  const { signal } = (asking = new AbortController());
  const [titles, entities] = await Promise.all([
    get("/v1/suggest", { q, size: OFFERS }, signal).then(
      (answer) => answer.suggestions,
      () => [],
    ),
    graph ? get("/v1/entities", { q, size: 4 * ENTITIES }, signal).then((answer) => answer.entities, noEntities) : [],
  ]);
  if (signal.aborted || document.activeElement !== $("q")) return;
  const linked = entities.filter((e) => e.items > 0).slice(0, ENTITIES);
  show([...titles.filter((s) => s.text !== q), ...linked.map((entity) => ({ entity }))]);
}

function noEntities(error) {
  if (error.body?.status >= 400 && error.body.status < 500) graph = false;
  return [];
}

/** Wait until the typing pauses. */
export function offerSoon() {
  clearTimeout(timer);
  timer = setTimeout(offer, OFFER_MS);
}

/** What a key of the box does to the list; whether it did. */
export function steer(key) {
  const { length } = offers;
  const step = { ArrowDown: 1, ArrowUp: -1 }[key];
  if (step && length)
    pointAt(((at + 1 + step + length + 1) % (length + 1)) - 1); // -1 is the box itself
  else if (step) offer();
  else if (key === "Enter" && at >= 0) takeOffer(at);
  else if (key === "Escape" && length) closeOffers();
  else return false;
  return true;
}
