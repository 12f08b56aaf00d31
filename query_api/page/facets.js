/* The filters: values of fields with how many items each would add. */
import { $, el } from "./dom.js";
import { config, go, session, watch } from "./session.js";
import { fieldName, language, number } from "./words.js";

function rowsOf(field) {
  // The counts leave out what is chosen of their own field: they say what one more choice adds.
  const rows = session.view?.answer.facets?.[field] ?? [];
  const chosen = session.query.filters[field] ?? [];
  const missing = chosen.filter((value) => !rows.some((row) => String(row.value) === value));
  return [...missing.map((value) => ({ value })), ...rows];
}

function toggle(field, value) {
  const { filters } = session.query;
  const chosen = filters[field] ?? [];
  const next = { ...filters, [field]: chosen.includes(value) ? chosen.filter((v) => v !== value) : [...chosen, value] };
  if (!next[field].length) delete next[field];
  go({ filters: next });
}

function button(field, { value, count }) {
  const text = String(value);
  const on = (session.query.filters[field] ?? []).includes(text);
  return el(
    "li",
    {},
    el(
      "button",
      {
        type: "button",
        class: "facet",
        "aria-pressed": String(on),
        "data-testid": "facet",
        "data-field": field,
        "data-value": text,
        onclick: () => toggle(field, text),
      },
      el("span", {}, text),
      count == null ? "" : el("span", { class: "count" }, number(count)),
    ),
  );
}

/** What is chosen stays in sight where the list is a row that scrolls, as on a phone. */
function reveal(list, scroll) {
  list.scrollLeft = scroll;
  const on = list.querySelector("[aria-pressed=true]")?.parentNode;
  if (on && (on.offsetLeft < list.scrollLeft || on.offsetLeft + on.offsetWidth > list.scrollLeft + list.clientWidth))
    list.scrollLeft = on.offsetLeft - 16;
}

function draw() {
  const groups = config.facets.map((field) => [field, rowsOf(field)]).filter(([, rows]) => rows.length);
  const held = document.activeElement?.classList.contains("facet") ? document.activeElement.dataset : null;
  const scrolls = [...$("facets").querySelectorAll("ul")].map((list) => list.scrollLeft);
  $("facets").replaceChildren(
    ...groups.flatMap(([field, rows], n) => [
      el("h2", { id: `facet-${n}` }, fieldName(field)),
      el("ul", { "aria-labelledby": `facet-${n}` }, ...rows.map((row) => button(field, row))),
    ]),
  );
  [...$("facets").querySelectorAll("ul")].forEach((list, n) => reveal(list, scrolls[n] ?? 0));
  if (held)
    [...$("facets").querySelectorAll(".facet")]
      .find((b) => b.dataset.field === held.field && b.dataset.value === held.value)
      ?.focus({ preventScroll: true });
}

export function startFacets() {
  let shown = "";
  watch(() => {
    const signature = JSON.stringify([language, config.facets, session.query.filters, session.view?.answer.facets]);
    if (signature !== shown) draw();
    shown = signature;
  });
}
