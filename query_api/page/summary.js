/* What is said about an answer as a whole: how much was found and how, what was left out, and what went wrong. */
import { $, el } from "./dom.js";
import { openKeyForm } from "./keyform.js";
import { asks, config, nameOf, session, watch } from "./session.js";
import { known, language, listed, modalityName, number, say } from "./words.js";

const whole = (x) => number(Math.round(x));

function count({ answer, hits }) {
  if (!hits.length) return say("none");
  const { value = hits.length, relation, of } = answer.total ?? {};
  if (value === 1) return say("results_one");
  // The total is of what the filter leaves, which is more than anybody would call results.
  return say(of === "matching" ? "results_match" : "results_of", {
    total: number(value) + (relation === "gte" ? "+" : ""),
  });
}

function time({ took_ms: took, engine_ms: engine }) {
  if (took == null) return "";
  return engine == null
    ? say("took", { ms: whole(took) })
    : say("engine_took", { ms: whole(took), engine: whole(engine) });
}

function showStatus() {
  const { view, query, failure } = session;
  $("engine").hidden = !view;
  if (!view) {
    $("status").textContent = asks(query) && !failure ? say("searching") : "";
    $("plan").textContent = "";
    $("note").hidden = true;
    return;
  }
  const { plan, degraded = [], partial } = view.answer;
  $("status").textContent = listed([count(view), time(view.answer)]);
  const kind = known(`plan_${plan.kind}`) ?? plan.kind;
  $("plan").textContent = [
    say("plan", { kind }),
    plan.candidates != null && say("candidates", { n: number(plan.candidates) }),
  ]
    .filter(Boolean)
    .join(" · ");
  $("plan").title = plan.reason ?? "";
  const notes = [
    degraded.length && say("degraded", { list: listed(degraded.map(modalityName)) }),
    partial && say("partial", { reason: partial.reason }),
  ].filter(Boolean);
  $("note").hidden = !notes.length;
  $("note").textContent = notes.join(" ");
}

function showFailure() {
  const { failure } = session;
  $("error").hidden = !failure;
  if (!failure) return $("error").replaceChildren();
  const { body, retry, wantsKey } = failure;
  const faults = (Array.isArray(body.errors) ? body.errors : []).map((e) =>
    el("li", {}, [e.field, e.message].filter(Boolean).join(": ")),
  );
  $("error").replaceChildren(
    el("h2", {}, String(body.title || say("failed"))),
    body.detail && !faults.length ? el("p", {}, String(body.detail)) : "",
    faults.length ? el("ul", {}, ...faults) : "",
    body.request_id ? el("p", { class: "ref" }, say("reference", { id: body.request_id })) : "",
    wantsKey
      ? el(
          "button",
          { type: "button", class: "button", "data-testid": "key-enter", onclick: openKeyForm },
          say("key_enter"),
        )
      : retry
        ? el("button", { type: "button", class: "button", "data-testid": "retry", onclick: retry }, say("retry"))
        : "",
  );
}

function showTitle() {
  const { q, terms } = session.query;
  const what = [
    q,
    ...terms.filter((t) => t.weight > 0).map((t) => (t.kind === "image" ? say("chip_image") : nameOf(t))),
  ].filter(Boolean);
  document.title = [what.join(" + "), config.title].filter(Boolean).join(" · ");
}

export function startSummary() {
  let alerted = null; // an alert that is written again is read out again
  let spoken = language;
  watch(() => {
    showStatus();
    if (session.failure !== alerted || language !== spoken) showFailure();
    [alerted, spoken] = [session.failure, language];
    showTitle();
  });
}
