/* The page's language: what it says, and how it writes numbers and lists. */
import { en } from "./words-en.js";
import { zh } from "./words-zh.js";

const TEXTS = { en, zh };
const KEPT = "lang";

/** What somebody chose, if this browser remembers it: a private window may refuse to. */
function chosen() {
  try {
    return localStorage.getItem(KEPT);
  } catch {
    return null;
  }
}

export let language = (chosen() || navigator.language || "en").toLowerCase().startsWith("zh") ? "zh" : "en";

export function switchLanguage() {
  language = language === "zh" ? "en" : "zh";
  try {
    localStorage.setItem(KEPT, language);
  } catch {
    /* then it is for this page alone */
  }
}

/** The text of a key, or null where this language has none. */
export const known = (key) => (Object.hasOwn(TEXTS[language], key) ? TEXTS[language][key] : null);

export const say = (key, values = {}) =>
  (known(key) ?? TEXTS.en[key] ?? key).replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all);

export const listed = (parts) => parts.filter(Boolean).join(language === "zh" ? "，" : ", ");
export const number = (n) => Number(n).toLocaleString(language);
export const short = (x) => (Number.isFinite(x) ? x.toFixed(2) : "–");

export const modalityName = (m) => known(m) ?? m;
export const relationName = (r) => known(`relation_${r}`) ?? r.replaceAll("_", " ");
const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
export const fieldName = (field) => known(`facet_${field}`) ?? capital(field.replaceAll("_", " "));

/** An entity that nobody named is called by the end of its id: "very large" of "size:very-large". */
export const entityName = ({ id, name, names }) =>
  names?.[language] ??
  (name && name !== id ? name : id.split(/[:/#]/).filter(Boolean).pop()?.replace(/[-_]/g, " ")) ??
  id;
