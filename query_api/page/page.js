/* The search page. No framework, no build step, nothing from another host.

   The address is the state (query.js says how it is written), session.js goes from one query to the next, and every other
   module shows its part of the session whenever that changes. */
import { get } from "./api.js";
import { plain, showWords, startBox } from "./box.js";
import { startChips } from "./chips.js";
import { $, el } from "./dom.js";
import { closeDrawer, startDrawer } from "./drawer.js";
import { startEngine } from "./engine.js";
import { startFacets } from "./facets.js";
import { openKeyForm, startKeys } from "./keyform.js";
import { startMixer } from "./mixer.js";
import { EMPTY, fromAddress } from "./query.js";
import { startResults } from "./results.js";
import { asks, config, enter, fail, go, session, tell, untouched, watch } from "./session.js";
import { startSummary } from "./summary.js";
import { language, say, switchLanguage } from "./words.js";

const EXAMPLES = ["sofa", "椅子", "a place to sleep", "植物", "lamp"];

function example(q) {
  return el(
    "li",
    {},
    el(
      "a",
      {
        href: `?${new URLSearchParams({ q })}`,
        "data-testid": "example",
        onclick: (event) => {
          if (!plain(event)) return;
          event.preventDefault();
          go({ ...EMPTY, q });
          showWords();
        },
      },
      q,
    ),
  );
}

/** The fixed words of the page in its language. */
function write() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const node of document.querySelectorAll("[data-i18n]")) node.textContent = say(node.dataset.i18n);
  for (const node of document.querySelectorAll("[data-i18n-attr]")) {
    for (const pair of node.dataset.i18nAttr.split(";")) {
      const [name, key] = pair.split(":");
      node.setAttribute(name, say(key));
    }
  }
  $("lang").textContent = language === "zh" ? "English" : "中文";
  $("lang").lang = language === "zh" ? "en" : "zh";
  $("brand").textContent = config.title;
  $("examples").replaceChildren(...EXAMPLES.map(example));
}

async function start() {
  write();
  watch(() => {
    document.body.dataset.view = asks(session.query) || session.failure ? "results" : "start";
  });
  for (const begin of [
    startBox,
    startChips,
    startMixer,
    startFacets,
    startSummary,
    startResults,
    startDrawer,
    startEngine,
    startKeys,
  ])
    begin();
  $("lang").addEventListener("click", () => {
    switchLanguage();
    write();
    tell();
  });
  addEventListener("popstate", (event) => {
    if ($("drawer").open) closeDrawer();
    enter(event.state);
    showWords();
  });
  session.query = fromAddress(location.search, config.facets);
  showWords();
  tell();
  try {
    const told = await get("/v1/config");
    for (const [name, value] of Object.entries(told)) if (value != null) config[name] = value;
  } catch (error) {
    if (error.wantsKey) {
      fail(error);
      return openKeyForm();
    }
    // else the defaults serve
  }
  $("brand").textContent = config.title;
  if (untouched()) enter(history.state);
  else tell(); // somebody was quicker than the settings
}

start();
