/* What the page holds, and the way from one query to the next: the history, the search, and telling who shows it. */
import { Problem, get, post } from "./api.js";
import { pictures } from "./pictures.js";
import { EMPTY, bodyOf, fromAddress, termsOf, toAddress } from "./query.js";
import { entityName, say } from "./words.js";

const PAGE_SIZE = 24;
const DRAFT_MS = 3000;
const REST_MS = 90; // a slider that moves is asked for when it rests so long
const KEPT_ANSWERS = 20;
const MAX_WINDOW = 10000; // how deep /v1/search pages

/** What /v1/config told, with what serves until it has. */
export const config = {
  title: "maxcos",
  fields: { title: "title", image: "image" },
  modalities: ["text", "image", "graph"],
  facets: ["category"],
  filters: {},
  languages: ["en", "zh"],
  image_url: "/v1/items/{id}/image",
};

/** query: the one shown or asked. view: the last answer, { answer, query, hits, asked, last }. failure: { body, retry }. */
export const session = { query: EMPTY, view: null, failure: null, busy: false };

/** The modalities of an answer in the order of the settings, words last. */
export const ordered = (parts) =>
  [...new Set([...config.modalities, "lexical", ...Object.keys(parts)])].filter((m) => Object.hasOwn(parts, m));

/** names of what terms stand for, as far as answers told them */
const titles = new Map();
const entities = new Map();
export const titleOf = (hit) => String(hit.source?.[config.fields?.title ?? "title"] ?? hit.id);
export const nameOf = ({ kind, value }) =>
  kind === "item"
    ? (titles.get(value) ?? value)
    : kind === "entity"
      ? entityName(entities.get(value) ?? { id: value })
      : value;
export const nameEntity = (entity) => entities.set(entity.id, entity);

const watchers = [];
/** Call this whenever something of the session changes. */
export const watch = (show) => watchers.push(show);
export const tell = () => watchers.forEach((show) => show());

/** Whether there is anything to look for. */
export const asks = (query) => termsOf(query, pictures).length > 0;

const run = Date.now().toString(36);
const answers = new Map(); // history entry -> view, so that Back is instant
let entry = ""; // the history entry that is shown
let entries = 0;
let draft = { kind: null, until: 0 };
let sequence = 0;
let running = null;
let resting = 0;

/** Go to another query. draft: of what kind this step is; those that follow it soon replace it in the history.
    settled: whether the draft ends with this step. stay: leave the page where it is scrolled to. */
export function go(change, { draft: kind = null, settled = false, stay = false } = {}) {
  session.query = { ...session.query, ...change };
  const address = location.pathname + toAddress(session.query);
  const replace =
    address === location.pathname + location.search ||
    (kind !== null && kind === draft.kind && Date.now() < draft.until);
  draft = kind && !settled ? { kind, until: Date.now() + DRAFT_MS } : { kind: null, until: 0 };
  entry = `${run}.${++entries}`;
  history[replace ? "replaceState" : "pushState"]({ entry }, "", address);
  if (!replace && !stay) scrollTo(0, 0);
  if (!stay) return void search();
  giveUp();
  resting = setTimeout(search, REST_MS);
  session.busy = true;
  tell();
}

/** Nobody waits any more for what was asked before. */
function giveUp() {
  clearTimeout(resting);
  running?.abort();
  sequence += 1;
}

/** Ask for the session's query; more: for what follows the hits that are there. What ran before is given up. */
export async function search({ more = false } = {}) {
  giveUp();
  const mine = sequence;
  const { query } = session;
  session.failure = null;
  if (!asks(query)) {
    Object.assign(session, { view: null, busy: false });
    return tell();
  }
  running = new AbortController();
  session.busy = true;
  tell();
  const from = more ? session.view.asked : 0;
  try {
    const answer = await post("/v1/search", bodyOf(query, pictures, config, { size: PAGE_SIZE, from }), running.signal);
    if (mine !== sequence) return;
    remember(query, answer, from);
  } catch (error) {
    if (error.name === "AbortError" || mine !== sequence) return;
    fail(error, () => search({ more }));
  } finally {
    if (mine === sequence) {
      session.busy = false;
      tell();
    }
  }
}

function remember(query, answer, from) {
  const before = from ? session.view.hits : [];
  const seen = new Set(before.map((hit) => hit.id));
  const fresh = answer.hits.filter((hit) => !seen.has(hit.id));
  for (const hit of fresh) {
    titles.set(hit.id, titleOf(hit));
    for (const path of hit.paths ?? []) nameEntity(path.from);
  }
  const asked = from + PAGE_SIZE;
  const open = answer.total?.relation === "gte" || asked < (answer.total?.value ?? 0);
  const last = answer.hits.length < PAGE_SIZE || !open || asked + PAGE_SIZE > MAX_WINDOW;
  session.view = { answer, query, hits: [...before, ...fresh], asked, last };
  answers.set(entry, session.view);
  if (answers.size > KEPT_ANSWERS) answers.delete(answers.keys().next().value);
}

/** Show that something went wrong; what was found before stays if it is of this query. */
export function fail(error, retry = null) {
  const known = error instanceof Problem;
  if (!known) console.error(error);
  session.failure = {
    body: known ? error.body : { title: say("failed"), detail: error.message },
    retry,
    wantsKey: known && error.wantsKey,
  };
  if (session.view?.query !== session.query) session.view = null;
  tell();
}

/** The very request that the engine got for what is shown. */
export const explained = () =>
  post("/v1/search", bodyOf(session.view.query, pictures, config, { size: PAGE_SIZE, explain: "engine" }));

/** Why a hit of a view is one. */
export const why = (query, id) => post("/v1/why", { query: termsOf(query, pictures), id });

/** The title of an item that stands in an address alone. */
export async function learnTitle(id) {
  if (titles.has(id)) return;
  titles.set(id, id);
  try {
    titles.set(id, titleOf({ id, source: (await get(`/v1/items/${encodeURIComponent(id)}`)).source }));
    tell();
  } catch {
    /* the id is name enough */
  }
}

/** Show what the address says: from memory where this entry was shown before, else by asking. */
export function enter(state) {
  giveUp();
  draft = { kind: null, until: 0 };
  const kept = answers.get(state?.entry) ?? null;
  entry = state?.entry?.startsWith(`${run}.`) ? state.entry : `${run}.${++entries}`;
  if (state?.entry !== entry) history.replaceState({ entry }, "");
  Object.assign(session, {
    query: kept?.query ?? fromAddress(location.search, config.facets),
    view: kept,
    failure: null,
    busy: false,
  });
  if (kept) tell();
  else search();
}

export const untouched = () => entries === 0;
