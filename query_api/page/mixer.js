/* How the results are ranked: a weight for each modality, the fusion, and what a modality's value is. Results follow at once. */
import { $, el } from "./dom.js";
import { EMPTY } from "./query.js";
import { config, go, session, watch } from "./session.js";
import { language, modalityName, say } from "./words.js";

const MOST = 2;
const METHODS = ["hybrid", "max"];
const VALUES = ["fitted", "raw"];
const DEFAULT_LEXICAL = 0.3; // of hybrid

const ranking = () => session.query.ranking;
const rank = (change, options = {}) => go({ ranking: { ...ranking(), ...change } }, { stay: true, ...options });

/** What somebody chose, else what the last answer was ranked by. */
const weightOf = (m) =>
  ranking().weights[m] ?? session.view?.answer.plan.fusion.weights[m] ?? (m === "lexical" ? DEFAULT_LEXICAL : 1);

function slider(m) {
  const range = el("input", {
    type: "range",
    min: 0,
    step: 0.1,
    "aria-label": say("modality_weight", { m: modalityName(m) }),
    "data-testid": "weight",
  });
  range.addEventListener("input", () =>
    rank({ weights: { ...ranking().weights, [m]: Number(range.value) } }, { draft: `weight ${m}` }),
  );
  const hint = `legend_${m}`;
  return el(
    "li",
    { "data-modality": m, title: say(hint) === hint ? null : say(hint) },
    el("span", { class: "name" }, el("span", { class: "dot", "aria-hidden": "true" }), modalityName(m)),
    range,
    el("span", { class: "amount", "aria-hidden": "true" }),
  );
}

/** One of a few, as radio buttons that look like one switch. */
function choice(name, legend, values, choose) {
  return el(
    "fieldset",
    { class: "choice", "data-testid": name },
    el("legend", { class: "vh" }, say(legend)),
    ...values.map((value) =>
      el(
        "label",
        { title: say(`${value}_hint`) },
        el("input", { class: "vh", type: "radio", name, value, onchange: () => choose(value) }),
        el("span", {}, say(value)),
      ),
    ),
  );
}

function build() {
  $("mixer-choices").replaceChildren(
    choice("method", "method", METHODS, (method) => rank({ method: method === METHODS[0] ? undefined : method })),
    choice("values", "calibration", VALUES, (value) => rank({ calibration: value === "raw" ? value : undefined })),
    el(
      "button",
      {
        type: "button",
        id: "mixer-reset",
        class: "quiet",
        "data-testid": "reset",
        onclick: () => {
          $("mixer-title").focus({ preventScroll: true });
          go({ ranking: EMPTY.ranking }, { stay: true });
        },
      },
      say("reset"),
    ),
  );
  $("weights").replaceChildren(...config.modalities.map(slider), slider("lexical"));
}

const check = (name, value) =>
  document.querySelectorAll(`#mixer [name=${name}]`).forEach((radio) => {
    radio.checked = radio.value === value;
  });

function update() {
  const { method = METHODS[0], calibration, weights } = ranking();
  check("method", method);
  check("values", calibration ?? VALUES[0]);
  // An index that was never calibrated answers with raw values when nobody asks for them.
  const fitted = session.view?.answer.plan.fusion.calibration === "fitted" || calibration !== undefined;
  document.querySelector("#mixer [data-testid=values]").hidden = !fitted;
  $("mixer-reset").hidden = !(ranking().method || calibration || Object.keys(weights).length);
  for (const line of $("weights").children) {
    const [, range, amount] = line.children;
    const m = line.dataset.modality;
    range.max = Math.max(MOST, weightOf(m) || 0);
    range.value = weightOf(m);
    range.disabled = m === "lexical" && method === "max";
    range.style.setProperty("--v", String(range.value / range.max));
    amount.textContent = Number(range.value).toFixed(1);
  }
}

export function startMixer() {
  let built = "";
  $("mixer").open = matchMedia("(min-width: 861px)").matches;
  watch(() => {
    const signature = JSON.stringify([language, config.modalities]);
    if (signature !== built) build();
    built = signature;
    update();
  });
}
