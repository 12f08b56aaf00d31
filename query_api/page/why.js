/* Why one hit is there: tinted words and a tinted picture, asked for when somebody wants to know. */
import { el, unseen } from "./dom.js";
import { itemPicture } from "./item-picture.js";
import { pictures } from "./pictures.js";
import { ordered, why } from "./session.js";
import { modalityName, say, short } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const LEAST = 0.005; // what rounds to 0.00 is not worth a colour

const asked = new WeakMap(); // hit -> the answer that was asked for

function answerFor(hit, query) {
  if (!asked.has(hit))
    asked.set(
      hit,
      why(query, hit.id).catch((error) => {
        asked.delete(hit);
        throw error;
      }),
    );
  return asked.get(hit);
}

/** A node that fills itself. query: the one that found the hit. */
export function explanation(hit, title, query) {
  const body = el("div", { class: "why-body", "aria-live": "polite", "data-testid": "why-body" }, say("loading"));
  answerFor(hit, query).then(
    (answer) => body.replaceChildren(...shown(hit.id, title, query, answer)),
    (error) =>
      body.replaceChildren(say("why_failed", { reason: error.body?.detail ?? error.body?.title ?? error.message })),
  );
  return body;
}

function shown(id, title, query, answer) {
  const there = ordered(answer.modalities).filter((m) => answer.modalities[m]);
  const parts = there.map((m) => {
    const told = answer.modalities[m];
    const wanted = answer.query.flatMap((term) => term.pieces.map((p) => ({ text: p.text, drop: p.drops[m] })));
    const written = (told.fields ?? []).flatMap((f, n) =>
      f.pieces.map((p, i) => ({ ...p, before: n && !i ? " · " : "" })),
    );
    const own = answer.query.find((term) => term.picture?.[m])?.picture[m];
    return el(
      "section",
      { class: "why-part", "data-modality": m, "data-testid": "why-part" },
      el("h3", {}, say("why_cosine", { m: modalityName(m), v: short(told.cosine) })),
      wanted.length ? line(say("why_query"), wanted) : "",
      written.length ? line(say("why_item"), written) : "",
      own || told.picture
        ? el(
            "div",
            { class: "heats" },
            own ? heat(ownPicture(query), own, "why_own") : "",
            told.picture ? heat(itemPicture(id, title, "seen"), told.picture, "why_picture") : "",
          )
        : "",
      told.error ? el("p", {}, say("why_failed", { reason: told.error })) : "",
    );
  });
  return parts.length ? [...parts, el("p", { class: "told" }, say("why_note"))] : [say("why_none")];
}

const strongest = (drops) => {
  const most = Math.max(...drops);
  return most >= LEAST ? most : 0;
};

/** Words, each the darker the more the cosine loses without it; for the ear the strongest of them. */
function line(name, pieces) {
  const most = strongest(pieces.map((p) => p.drop ?? 0));
  const words = pieces.map((p) => {
    const text = p.text.trimEnd();
    const word = el(
      "span",
      { class: p.match ? "w hit" : "w", "data-testid": "why-word", title: p.drop == null ? null : short(p.drop) },
      text,
    );
    word.style.setProperty("--v", (most ? Math.max(0, p.drop ?? 0) / most : 0).toFixed(3));
    return [p.before ?? "", word, p.text.slice(text.length)];
  });
  const strong = pieces
    .filter((p) => most && p.drop >= most / 2)
    .sort((a, b) => b.drop - a.drop)
    .slice(0, 3);
  const list = strong.map((p) => say("why_word", { w: p.text.trim(), v: short(p.drop) })).join(", ");
  return el(
    "p",
    { class: "why-line" },
    el("span", { class: "why-name" }, name),
    " ",
    el("span", { "aria-hidden": "true" }, ...words.flat().filter(Boolean)),
    unseen(list ? say("why_most", { list }) : say("why_none")),
  );
}

function svg(tag, attributes) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

/** The first picture that was searched with: the service explains no other. */
function ownPicture({ terms }) {
  const sent = terms.find((t) => t.kind === "image" && pictures.has(t.value));
  return el("img", { class: "seen", alt: "", src: pictures.get(sent.value).url, draggable: "false" });
}

/** A picture under its grid; the frame is around the strongest region. told: which words say where that is. */
function heat(picture, { drops, box }, told) {
  const [down, across] = [drops.length, drops[0].length];
  const most = strongest(drops.flat());
  const caption = most
    ? say(told, { where: say("where").split("|")[placeOf(box)], v: short(most) })
    : say(`${told}_none`);
  const grid = svg("svg", {
    viewBox: `0 0 ${across} ${down}`,
    preserveAspectRatio: "none",
    "aria-hidden": "true",
    "data-testid": "why-grid",
  });
  drops.forEach((row, y) =>
    row.forEach((drop, x) => {
      const share = most ? Math.max(0, drop) / most : 0;
      grid.append(svg("rect", { class: "cell", x, y, width: 1, height: 1, "fill-opacity": (0.75 * share).toFixed(3) }));
    }),
  );
  if (most) {
    const [left, top, right, bottom] = box;
    grid.append(
      svg("rect", {
        class: "frame",
        x: left * across,
        y: top * down,
        width: (right - left) * across,
        height: (bottom - top) * down,
      }),
    );
  }
  return el(
    "figure",
    { class: "heat", "data-testid": told.replace("_", "-") },
    el("div", {}, picture, grid),
    el("figcaption", {}, caption),
  );
}

/** In which ninth of the picture the middle of the box lies, from the top left, row by row. */
function placeOf([left, top, right, bottom]) {
  const third = (x) => Math.min(2, Math.floor(x * 3));
  return 3 * third((top + bottom) / 2) + third((left + right) / 2);
}
