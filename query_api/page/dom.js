/* Making and finding nodes. Data reaches the document as text nodes and attributes only, never as markup. */

export const $ = (id) => document.getElementById(id);

/** A node with attributes and children; a name that begins with "on" is an event's; null and false are left out. */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value == null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child != null && child !== ""));
  return node;
}

/** Said to those who do not see what it stands beside. */
export const unseen = (text) => el("span", { class: "vh" }, text);

const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0" };
const decoded = (text) =>
  text.replace(/&(?:#x([0-9a-f]+)|#(\d+)|([a-z]+));/gi, (all, hex, dec, name) => {
    const code = hex ? parseInt(hex, 16) : dec ? parseInt(dec, 10) : null;
    if (code != null) return code <= 0x10ffff ? String.fromCodePoint(code) : all;
    return ENTITIES[name.toLowerCase()] ?? all;
  });

/** The whole text as nodes, with the engine's fragments marked wherever they occur in it. */
export function marked(text, fragments) {
  let rest = text;
  const nodes = [];
  for (const fragment of Array.isArray(fragments) ? fragments : []) {
    const pieces = String(fragment)
      .split(/<em>([\s\S]*?)<\/em>/)
      .map(decoded);
    const at = rest.indexOf(pieces.join(""));
    if (at < 0) continue;
    nodes.push(rest.slice(0, at), ...pieces.map((piece, i) => (i % 2 ? el("mark", {}, piece) : piece)));
    rest = rest.slice(at + pieces.join("").length);
  }
  return [...nodes, rest].filter((node) => node !== "");
}

const touch = matchMedia("(pointer: coarse)").matches; // there, focus in the box would raise the keyboard

/** Where the focus rests after what had it is gone. */
export const settle = (node) => (touch ? $("main") : node).focus({ preventScroll: true });
export const putAway = (node) => {
  if (touch) node.blur();
};
