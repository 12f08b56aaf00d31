/* How the graph links a search to an item. */
import { el, unseen } from "./dom.js";
import { entityName, language, relationName, say } from "./words.js";

/** A path from what the search names to the item, which stands at its end and is not named again.
    For the ear its triples, each as it is meant. */
function line({ from, steps }) {
  const names = [entityName(from), ...steps.slice(0, -1).map((step) => entityName(step.to)), say("this_item")];
  const spoken = steps
    .map(({ direction, relation }, i) => {
      const [a, b] = direction === "out" ? [names[i], names[i + 1]] : [names[i + 1], names[i]];
      return say("triple", { a, r: relationName(relation), b });
    })
    .join(language === "zh" ? "；" : "; ");
  const shown = steps.flatMap(({ direction, relation }, i) => {
    const arrow = direction === "out" ? "→" : "←";
    return [el("b", {}, names[i]), ` ${arrow} ${relationName(relation)}${i < steps.length - 1 ? ` ${arrow} ` : ""}`];
  });
  return el(
    "p",
    { class: "path", "data-testid": "path", title: spoken },
    unseen(spoken),
    el("span", { "aria-hidden": "true" }, ...shown),
  );
}

export function links(paths) {
  const [first, ...others] = paths ?? [];
  if (!first) return "";
  return el(
    "div",
    { class: "links", role: "group", "aria-label": say("linked") },
    line(first),
    others.length
      ? el("details", {}, el("summary", {}, say("more_links", { n: others.length })), ...others.map(line))
      : "",
  );
}
