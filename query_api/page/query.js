/* A query: what the page holds, what its address says and what the service is asked. Pure functions.

   A query is { q, terms, filters, ranking }:
     q        the words in the box; they weigh 1
     terms    [{ kind: "text" | "item" | "entity" | "image", value, weight, within }]   within: modalities, or [] for all
     filters  { field: [values as the address has them] }
     ranking  { method, calibration, weights: { modality: number } }   only what somebody chose

   Its address:  ?q=sofa&text=leather&w=-0.5&item=ID&in=image&fusion=max&calibration=raw&weight.image=2&category=Office
   `w` and `in` belong to the term before them. A picture is a number that only this page's memory understands. */

export const EMPTY = { q: "", terms: [], filters: {}, ranking: { weights: {} } };
export const DISLIKE = -0.5; // what "less like this" weighs: at -1 it would outweigh the words it was found by

const KINDS = ["text", "item", "entity", "image"];
const WEIGHT = "weight.";
const RESERVED = ["q", "w", "in", "fusion", "calibration", ...KINDS];

export const term = (kind, value, weight = 1, within = []) => ({ kind, value, weight, within });
export const same = (a, b) => a.kind === b.kind && a.value === b.value;

/** The terms with one more, which takes the place of one that is about the same. */
export const withTerm = (terms, added) => [...terms.filter((t) => !same(t, added)), added];

/** A field of the index may bear a name that the address uses otherwise. */
const parameterOf = (field) =>
  RESERVED.includes(field) || field.startsWith(WEIGHT) || field.startsWith("f.") ? `f.${field}` : field;

export function fromAddress(search, facets) {
  const given = new URLSearchParams(search);
  const query = { q: (given.get("q") ?? "").trim(), terms: [], filters: {}, ranking: { weights: {} } };
  for (const [name, value] of given) {
    const last = query.terms.at(-1);
    if (KINDS.includes(name) && value) query.terms.push(term(name, value));
    else if (name === "w" && last) last.weight = Number(value);
    else if (name === "in" && last) last.within = value.split(",").filter(Boolean);
    else if (name === "fusion") query.ranking.method = value;
    else if (name === "calibration") query.ranking.calibration = value;
    else if (name.startsWith(WEIGHT)) query.ranking.weights[name.slice(WEIGHT.length)] = Number(value);
  }
  for (const field of facets) {
    const values = [...new Set(given.getAll(parameterOf(field)).filter(Boolean))];
    if (values.length) query.filters[field] = values;
  }
  return query;
}

/** "" or "?…". Facets come last, so that the address ends with what narrows. */
export function toAddress({ q, terms, filters, ranking }) {
  const said = new URLSearchParams();
  if (q) said.append("q", q);
  for (const { kind, value, weight, within } of terms) {
    said.append(kind, value);
    if (weight !== 1) said.append("w", String(weight));
    if (within.length) said.append("in", within.join(","));
  }
  if (ranking.method) said.append("fusion", ranking.method);
  if (ranking.calibration) said.append("calibration", ranking.calibration);
  for (const [modality, weight] of Object.entries(ranking.weights)) said.append(WEIGHT + modality, String(weight));
  if (q || terms.length) {
    for (const [field, values] of Object.entries(filters))
      for (const value of values) said.append(parameterOf(field), value);
  }
  const text = said.toString();
  return text && `?${text}`;
}

/** The query's terms as the service takes them. pictures: number -> { base64 }; one that is gone is left out. */
export function termsOf({ q, terms }, pictures) {
  const asked = q ? [{ text: q }] : [];
  for (const { kind, value, weight, within } of terms) {
    const told = kind === "image" ? pictures.get(value)?.base64 : value;
    if (told)
      asked.push({ [kind]: told, ...(weight !== 1 && { weight }), ...(within.length && { modalities: within }) });
  }
  return asked;
}

/** The body of POST /v1/search. config: what /v1/config told. */
export function bodyOf(query, pictures, config, extra = {}) {
  const body = { query: termsOf(query, pictures), highlight: true, paths: true, ...extra };
  if (config.facets.length) body.facets = config.facets;
  const { method, calibration, weights } = query.ranking;
  const heard = Object.entries(weights).filter(([m]) => m !== "lexical" || method !== "max");
  const fusion = {
    ...(method && { method }),
    ...(calibration && { calibration }),
    ...(heard.length && { weights: Object.fromEntries(heard) }),
  };
  if (Object.keys(fusion).length) body.fusion = fusion;
  const chosen = Object.entries(query.filters).map(([field, values]) => [
    field,
    values.map((v) => typed(config.filters[field], v)),
  ]);
  if (chosen.length) body.filter = Object.fromEntries(chosen);
  return body;
}

/** A value of the address as the field's type. */
const typed = (type, text) => (({ number: Number, boolean: (v) => v === "true" })[type] ?? String)(text);
