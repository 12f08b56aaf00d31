/* The request that the engine got, as text for Kibana's Console. */
import { $, el } from "./dom.js";
import { openDrawer } from "./drawer.js";
import { explained, session } from "./session.js";
import { say } from "./words.js";

const COPIED_MS = 1500;
const LONG = 12; // from so many numbers on, a list is a vector
const SHOWN = 3;

/** The requests in the order in which they are sent: [what it is for, { method, path, body }]. */
function requests({ words, counts, ...search }) {
  return [
    ["console_words", words],
    ["console_search", search],
    ["console_counts", counts],
  ].filter(([, request]) => request);
}

/** Text that Kibana's Console runs as it is; replacer: as of JSON.stringify. */
const consoleText = (explain, replacer) =>
  requests(explain)
    .map(
      ([name, { method, path, body }]) => `# ${say(name)}\n${method} ${path}\n${JSON.stringify(body, replacer, 2)}\n`,
    )
    .join("\n");

/** Vectors are shortened on the screen. */
const abridged = (_, value) =>
  Array.isArray(value) && value.length > LONG && value.every((x) => typeof x === "number")
    ? [...value.slice(0, SHOWN).map((x) => Number(x.toFixed(4))), say("elided", { n: value.length - SHOWN })]
    : value;

function copyButton(text, words) {
  const button = el("button", { type: "button", class: "button", "data-testid": "copy" }, words);
  const told = el("span", { class: "told", role: "status" });
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      told.textContent = say("copied");
      setTimeout(() => {
        told.textContent = "";
      }, COPIED_MS);
    } catch {
      /* the text can still be selected */
    }
  });
  return el("p", { class: "copy" }, button, told);
}

function shown(explain) {
  const embedded = !["GET", "POST"].includes(explain.method); // the embedded store sends nothing
  const whole = embedded ? JSON.stringify(explain, null, 2) : consoleText(explain);
  const brief = embedded ? JSON.stringify(explain, abridged, 2) : consoleText(explain, abridged);
  return [
    // Without https there is no clipboard, and what is selected by hand has to be whole.
    navigator.clipboard ? copyButton(whole, say(embedded ? "copy" : "console_copy")) : "",
    navigator.clipboard ? el("p", { class: "told" }, say("console_note")) : "",
    el(
      "pre",
      { tabindex: "0", "data-testid": "engine-text", "aria-label": say("engine_query") },
      navigator.clipboard ? brief : whole,
    ),
  ].filter(Boolean);
}

async function open() {
  const body = el("div", { class: "engine" }, say("loading"));
  openDrawer(say("engine_query"), body);
  try {
    const { explain } = await explained();
    if (!["GET", "POST"].includes(explain.method)) $("drawer-title").textContent = say("engine_embedded");
    body.replaceChildren(...shown(explain));
  } catch (error) {
    body.replaceChildren([error.body?.title, error.body?.detail ?? error.message].filter(Boolean).join(". "));
  }
}

export const startEngine = () =>
  $("engine").addEventListener("click", () => {
    if (session.view) open();
  });
