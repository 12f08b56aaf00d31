/* The box, and the pictures beside it. */
import { $, putAway, settle } from "./dom.js";
import { closeOffers, offerSoon, steer } from "./offers.js";
import { keep, takePictures } from "./pictures.js";
import { EMPTY, term } from "./query.js";
import { Problem } from "./api.js";
import { asks, fail, go, session, watch } from "./session.js";
import { say } from "./words.js";

const TYPING_MS = 350;
/** Where a "/" is a letter, or none of the page's business. */
const WRITTEN = "input:not([type=file], [type=range], [type=radio]), select, dialog";
let typing = 0;

const words = () => $("q").value.trim();

/** New words begin anew within all items; the same words keep the filter. */
function ask(q, settled) {
  clearTimeout(typing);
  if (settled) closeOffers();
  go({ q, filters: q === session.query.q ? session.query.filters : {} }, { draft: "words", settled });
}

async function takePicture(file) {
  let name;
  try {
    name = await keep(file);
  } catch {
    return fail(
      new Problem({ title: say("unreadable"), detail: [file.name, say("unreadable_hint")].filter(Boolean).join(". ") }),
    );
  }
  clearTimeout(typing);
  closeOffers();
  const others = session.query.terms.filter((t) => t.kind !== "image");
  go({ q: words(), terms: [...others, term("image", name)], filters: {} });
}

/** A plain click stays on this page; other clicks (new tab…) are the browser's. */
export const plain = (event) => !(event.ctrlKey || event.metaKey || event.shiftKey || event.button);

export function startBox() {
  $("form").addEventListener("submit", (event) => {
    event.preventDefault();
    ask(words(), true);
    putAway($("q"));
  });
  $("q").addEventListener("input", (event) => {
    clearTimeout(typing);
    if (event.isComposing) return;
    offerSoon();
    const q = words();
    if (document.body.dataset.view === "start" || q === session.query.q || !asks({ ...session.query, q })) return;
    typing = setTimeout(() => ask(q, false), TYPING_MS);
  });
  $("q").addEventListener("compositionend", () => $("q").dispatchEvent(new Event("input")));
  $("q").addEventListener("blur", closeOffers);
  $("q").addEventListener("keydown", (event) => {
    if (event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (steer(event.key)) event.preventDefault();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || !plain(event) || event.altKey || event.target.closest(WRITTEN)) return;
    event.preventDefault();
    $("q").focus();
  });
  $("home").addEventListener("click", (event) => {
    if (!plain(event)) return;
    event.preventDefault();
    closeOffers();
    $("q").value = "";
    go(EMPTY);
    settle($("q"));
  });
  takePictures([$("image"), $("camera")], takePicture);
  watch(() => {
    $("q").placeholder = say(session.query.terms.length ? "placeholder_more" : "placeholder");
  });
}

/** The box shows the words of a query that came otherwise than by typing. */
export function showWords() {
  clearTimeout(typing);
  closeOffers();
  $("q").value = session.query.q;
}
