/* The search page. No framework, no build step, nothing from another host.
   The address bar is the state: ?q=words&item=ID&<facet field>=value, once for each chosen value. A picture cannot live in an address: it stays in
   memory, and the history entry holds its number. Data reaches the document as text nodes only. */
"use strict";
(() => {
  const PAGE_SIZE = 24;
  const TYPING_MS = 350;
  const DRAFT_MS = 3000;
  const OFFER_MS = 150;
  const OFFERS = 8;
  const MAX_OFFERED = 100;      // characters that /v1/suggest takes
  const MAX_WINDOW = 10000;     // how deep /v1/search pages
  const EXAMPLES = ["sofa", "椅子", "a place to sleep", "植物", "lamp"];
  const SENT_AS_IS = ["image/jpeg", "image/png", "image/webp"];
  const MAX_BYTES = 2e6;
  const MAX_SIDE = 1280;

  const STRINGS = {
    en: {
      skip: "Skip to results", hero: "Search by words, picture or example", label: "Search", search: "Search",
      placeholder: "Search in any language", pick: "Search with a picture", examples: "Example searches",
      lead: "Search the catalogue in any of its languages, or show it a picture. Try one of these:",
      lead_count: "{n} items, in any of their languages, or by picture. Try one of these:",
      drop_hint: "Drop a picture anywhere on this page, or paste one.", drop_here: "Drop the picture to search with it",
      filters: "Filters", facet_category: "Category", results: "Results", more: "Show more", shown: "{n} shown", offers: "Suggestions",
      searching: "Searching…", results_one: "1 result", results_match: "{total} results", results_of: "Best results of {total} items",
      took: "{ms} ms", engine_took: "{ms} ms (engine {engine} ms)", plan: "Plan: {kind}", candidates: "{n} scored", partial: "Not the whole answer: {reason}.",
      none: "Nothing found", none_hint: "Try other words, or a picture.", none_filter: "Nothing matches within this filter.",
      clear: "Remove the filter", failed: "The search did not work", offline: "The service cannot be reached.", retry: "Try again",
      reference: "Reference: {id}", unreadable: "This picture cannot be read",
      unreadable_hint: "Use a JPEG, PNG or WebP file.",
      like: "More like this", like_title: "More like this: {title}", chip_item: "Like “{title}”", chip_image: "Your picture",
      remove: "Remove: {title}", score: "Score", matched: "Best match: {m}",
      text: "text", image: "image", graph: "graph", lexical: "words", video: "video",
      bar: "{m}: cosine {v}", bar_lexical: "{m}: keyword score {v}", calibrated: "calibrated {v}", weight: "weight {v}",
      bar_none: "{m}: this item has none", degraded: "Searched without: {list}. That part of the service is not available now.",
      legend: "Why an item is here",
      legend_text: "meaning of its text", legend_image: "how it looks", legend_graph: "what it is connected to",
      legend_lexical: "the exact words (BM25)", legend_note: "The badge names the way that counted most. Bars show what each counts for, from 0 to 1.",
      linked: "How it is linked to your search", more_links: "{n} more", this_item: "this item", triple: "{a}: {r} {b}",
      legend_path: "“Couch ← has tag” reads: the item has the tag that your search names.",
      engine_request: "Request sent to the engine", copy: "Copy", copied: "Copied", loading: "Loading…", elided: "… {n} numbers",
    },
    zh: {
      skip: "跳到结果", hero: "用文字、图片或示例搜索", label: "搜索", search: "搜索",
      placeholder: "可用任何语言搜索", pick: "用图片搜索", examples: "搜索示例",
      lead: "可用任何语言搜索目录，也可以用图片。试试：", lead_count: "共 {n} 件，可用任何语言或图片搜索。试试：",
      drop_hint: "可将图片拖放到页面任意位置，或直接粘贴。", drop_here: "松开即可用这张图片搜索",
      filters: "筛选", facet_category: "类别", results: "结果", more: "显示更多", shown: "已显示 {n} 条", offers: "搜索建议",
      searching: "正在搜索…", results_one: "1 条结果", results_match: "{total} 条结果", results_of: "{total} 件中的最佳结果",
      took: "{ms} 毫秒", engine_took: "{ms} 毫秒（引擎 {engine} 毫秒）", plan: "执行方式：{kind}", candidates: "评分 {n} 件", partial: "结果不完整：{reason}。",
      none: "没有找到结果", none_hint: "换个说法，或用图片试试。", none_filter: "当前筛选条件下没有结果。",
      clear: "取消筛选", failed: "搜索失败", offline: "无法连接到服务。", retry: "重试",
      reference: "请求编号：{id}", unreadable: "无法读取这张图片", unreadable_hint: "请使用 JPEG、PNG 或 WebP 文件。",
      like: "找相似", like_title: "找相似：{title}", chip_item: "与“{title}”相似", chip_image: "您的图片",
      remove: "移除：{title}", score: "得分", matched: "最佳匹配：{m}",
      text: "文本", image: "图像", graph: "图谱", lexical: "关键词", video: "视频",
      bar: "{m}：余弦相似度 {v}", bar_lexical: "{m}：关键词得分 {v}", calibrated: "校准后 {v}", weight: "权重 {v}",
      bar_none: "{m}：该条目没有此项", degraded: "本次搜索未使用：{list}。服务的这一部分暂不可用。",
      legend: "为什么出现在这里",
      legend_text: "文字含义相近", legend_image: "外观相似", legend_graph: "在知识图谱中相关",
      legend_lexical: "字词完全匹配（BM25）", legend_note: "徽标表示起决定作用的方式；横条表示各项所占的分值（0 到 1）。",
      linked: "与搜索内容的关联", more_links: "另有 {n} 条", this_item: "该条目", triple: "{a}：{r}{b}",
      legend_path: "“沙发 ← 标签”表示：该条目带有搜索内容所指的标签。",
      relation_has_tag: "标签", relation_in_category: "类别", relation_made_by: "作者", relation_has_size: "尺寸", relation_of_kind: "种类",
      engine_request: "发送给引擎的请求", copy: "复制", copied: "已复制", loading: "正在加载…", elided: "… {n} 个数字",
    },
  };

  for (const language of Object.keys(STRINGS)) Object.assign(STRINGS[language], maxcosWhy.strings[language]);

  const touch = matchMedia("(pointer: coarse)").matches;   // there, focus in the box would raise the keyboard

  const $ = (id) => document.getElementById(id);
  const own = (object, key) => object != null && Object.prototype.hasOwnProperty.call(object, key);

  const settle = (node) => (touch ? $("main") : node).focus({ preventScroll: true });

  // -- words ---------------------------------------------------------------------------------------------------
  const remembered = { get: () => { try { return localStorage.getItem("lang"); } catch { return null; } },
                       set: (v) => { try { localStorage.setItem("lang", v); } catch { /* private window */ } } };
  const preferred = remembered.get() || navigator.language || "en";
  let lang = preferred.toLowerCase().startsWith("zh") ? "zh" : "en";
  const say = (key, values = {}) => (STRINGS[lang][key] ?? key).replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all);
  const modalityName = (m) => (own(STRINGS.en, m) ? say(m) : m);
  const number = (n) => Number(n).toLocaleString(lang);
  const short = (x) => (Number.isFinite(x) ? x.toFixed(2) : "–");

  // -- document ------------------------------------------------------------------------------------------------
  function el(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value == null || value === false) continue;
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...children.filter((c) => c != null && c !== ""));
    return node;
  }

  const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0" };
  const decoded = (s) => s.replace(/&(?:#x([0-9a-f]+)|#(\d+)|([a-z]+));/gi, (all, hex, dec, name) => {
    const code = hex ? parseInt(hex, 16) : dec ? parseInt(dec, 10) : null;
    if (code != null) return code <= 0x10ffff ? String.fromCodePoint(code) : all;
    return ENTITIES[name.toLowerCase()] ?? all;
  });

  /** The whole text as nodes, with the engine's fragments marked wherever they occur in it. */
  function marked(text, fragments) {
    let rest = text;
    const nodes = [];
    for (const fragment of Array.isArray(fragments) ? fragments : []) {
      const pieces = String(fragment).split(/<em>([\s\S]*?)<\/em>/).map(decoded);
      const at = rest.indexOf(pieces.join(""));
      if (at < 0) continue;
      nodes.push(rest.slice(0, at), ...pieces.map((piece, i) => (i % 2 ? el("mark", {}, piece) : piece)));
      rest = rest.slice(at + pieces.join("").length);
    }
    return [...nodes, rest].filter((n) => n !== "");
  }

  // -- state ---------------------------------------------------------------------------------------------------
  const config = { title: "maxcos", fields: { title: "title", image: "image" }, modalities: ["text", "image", "graph"],
                   facets: ["category"], filters: {}, languages: ["en", "zh"], image_url: "/v1/items/{id}/image", count: null };
  let state = { q: "", item: "", image: null, filters: {} };
  let view = null;              // what the last answer left on the screen
  let failure = null;           // what the alert region shows
  let key = "";                 // the history entry we are on
  let draftUntil = 0;           // the entry came from typing: until then, further words replace it
  let sequence = 0;
  let running = null;
  let typing = 0;
  let counter = 0;
  const run = Date.now().toString(36);
  const pictures = new Map();   // number -> File
  const answers = new Map();    // history entry -> view, so that Back is instant and needs no picture
  const titles = new Map();     // item id -> title

  const titleOf = (hit) => String(hit.source?.[config.fields?.title ?? "title"] ?? hit.id);
  const hasQuery = (s) => Boolean(s.q || s.item || pictures.has(s.image));
  const paramOf = (field) => (["q", "item"].includes(field) ? `f.${field}` : field);

  function readAddress(entry) {
    const p = new URLSearchParams(location.search);
    const filters = {};
    for (const field of config.facets) {
      const values = [...new Set(p.getAll(paramOf(field)).filter(Boolean))];
      if (values.length) filters[field] = values;
    }
    return { q: (p.get("q") ?? "").trim(), item: p.get("item") ?? "", image: entry?.run === run ? entry.image ?? null : null, filters };
  }

  function addressOf(s) {
    const p = new URLSearchParams();
    if (s.q) p.set("q", s.q);
    if (s.item) p.set("item", s.item);
    if (hasQuery(s)) for (const [field, values] of Object.entries(s.filters)) for (const value of values) p.append(paramOf(field), value);
    const query = p.toString();
    return location.pathname + (query ? `?${query}` : "");
  }

  function go(next, { words = false, typed = false } = {}) {
    clearTimeout(typing);
    if (!typed) closeOffers();
    state = { ...state, ...next };
    const address = addressOf(state);
    const same = address === location.pathname + location.search && state.image === (history.state?.image ?? null);
    const replace = same || (words && Date.now() < draftUntil);
    draftUntil = typed ? Date.now() + DRAFT_MS : 0;
    key = `${run}.${++counter}`;
    history[replace ? "replaceState" : "pushState"]({ run, key, image: state.image }, "", address);
    if (!replace) scrollTo(0, 0);
    search();
  }

  // -- asking --------------------------------------------------------------------------------------------------
  class Problem extends Error {
    constructor(body) { super(body.title); this.body = body; }
  }

  /** A value of the address as the field's type. */
  const asType = (field, text) => ({ number: Number, boolean: (v) => v === "true" }[config.filters[field]] ?? String)(text);

  /** What is looked for, but for a picture, which travels beside it. */
  function queryOf(s) {
    const terms = [];
    if (s.q) terms.push({ text: s.q });
    if (s.item) terms.push({ item: s.item });
    return terms.length ? { query: terms.length === 1 && s.q ? s.q : terms } : {};
  }

  function requestBody(s, extra = {}) {
    const body = { facets: config.facets, size: PAGE_SIZE, from: 0, highlight: true, paths: true, ...queryOf(s), ...extra };
    const chosen = Object.entries(s.filters).map(([field, values]) => [field, values.map((v) => asType(field, v))]);
    if (chosen.length) body.filter = Object.fromEntries(chosen);
    if (!body.facets.length) delete body.facets;
    return body;
  }

  const ask = (s, extra, signal) => post("/v1/search", s, requestBody(s, extra), signal);

  async function post(url, s, body, signal) {
    const json = JSON.stringify(body);
    const picture = pictures.get(s.image);
    let options = { headers: { "Content-Type": "application/json" }, body: json };
    if (picture) {
      const form = new FormData();
      form.append("request", json);
      form.append("image", picture, picture.name || "picture");
      options = { body: form };
    }
    return fetchJson(url, { method: "POST", ...options, signal });
  }

  async function fetchJson(url, { headers, ...options } = {}) {
    let response;
    try {
      response = await fetch(url, { ...options, headers: { Accept: "application/json, application/problem+json", ...headers } });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Problem({ title: say("offline") });
    }
    const body = await response.json().catch((error) => { if (error.name === "AbortError") throw error; return null; });
    if (!response.ok || body === null) {
      throw new Problem({ title: say("failed"), detail: `HTTP ${response.status} ${response.statusText}`.trim(), ...(body ?? {}) });
    }
    return body;
  }

  async function search({ from = 0, focusFirst = false } = {}) {
    running?.abort();
    const mine = ++sequence;
    const now = state;
    if (!hasQuery(now)) {
      view = failure = null;
      busy(false);
      return render();
    }
    running = new AbortController();
    const { signal } = running;
    failure = null;
    if (!view) $("status").textContent = say("searching");
    renderQuery();
    renderFailure();
    busy(true);
    try {
      const answer = await ask(now, { from }, signal);
      if (mine !== sequence) return;
      const before = from && view ? view.hits : [];
      const seen = new Set(before.map((h) => h.id));
      const fresh = (answer.hits ?? []).filter((h) => !seen.has(h.id));
      view = { answer, state: now, hits: [...before, ...fresh], from, asked: from + PAGE_SIZE,
               last: (answer.hits ?? []).length < PAGE_SIZE };
      for (const hit of fresh) titles.set(hit.id, titleOf(hit));
      answers.set(key, view);
      if (answers.size > 20) answers.delete(answers.keys().next().value);
      render(from ? before.length : 0);
      if (focusFirst) $("results").children[before.length]?.querySelector("h3")?.focus();
    } catch (error) {
      if (error.name === "AbortError" || mine !== sequence) return;
      fail(error, () => search({ from }));
    } finally {
      if (mine === sequence) busy(false);
    }
  }

  function fail(error, retry) {
    const body = error instanceof Problem ? error.body : { title: say("failed"), detail: error.message };
    if (!(error instanceof Problem)) console.error(error);
    failure = { body, retry };
    if (!view || view.state !== state) view = null;
    render();
  }

  const busy = (on) => { document.body.dataset.busy = String(on); $("found").setAttribute("aria-busy", String(on)); };

  // -- showing -------------------------------------------------------------------------------------------------
  function render(keep = 0) {
    document.body.dataset.view = hasQuery(state) || failure ? "results" : "start";
    renderWords();
    renderQuery();
    renderFailure();
    renderSummary();
    renderFacets();
    renderHits(keep);
    renderLegend();
  }

  function renderWords() {
    document.documentElement.lang = lang === "zh" ? "zh-CN" : "en";
    for (const node of document.querySelectorAll("[data-i18n]")) node.textContent = say(node.dataset.i18n);
    for (const node of document.querySelectorAll("[data-i18n-attr]")) {
      for (const pair of node.dataset.i18nAttr.split(";")) {
        const [name, word] = pair.split(":");
        node.setAttribute(name, say(word));
      }
    }
    $("lang").textContent = lang === "zh" ? "English" : "中文";
    $("lang").lang = lang === "zh" ? "en" : "zh";
    $("brand").textContent = config.title;
    $("lead").textContent = config.count == null ? say("lead") : say("lead_count", { n: number(config.count) });
    $("examples").replaceChildren(...EXAMPLES.map((q) => el("li", {},
      el("a", { href: `?${new URLSearchParams({ q })}`, "data-testid": "example", onclick: follow({ q, item: "", image: null, filters: {} }) }, q))));
  }

  /** A link that a plain click follows without loading the page; other clicks (new tab…) are the browser's. */
  const follow = (next) => (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    if (own(next, "q")) $("q").value = next.q;
    go(next);
  };

  function renderQuery() {
    if (document.body.dataset.view === "start" && hasQuery(state)) document.body.dataset.view = "results";
    const what = [state.q, state.item && (titles.get(state.item) ?? state.item), pictures.has(state.image) && say("chip_image")].filter(Boolean);
    document.title = [what.join(" + "), config.title].filter(Boolean).join(" · ");
    const chips = [];
    const picture = pictures.get(state.image);
    if (picture) {
      const url = URL.createObjectURL(picture);
      const done = () => URL.revokeObjectURL(url);
      chips.push(chip("image", say("chip_image"), el("img", { class: "thumb", src: url, alt: "", onload: done, onerror: done }), { image: null }));
    }
    if (state.item) {
      const title = titles.get(state.item) ?? state.item;
      chips.push(chip("item", say("chip_item", { title }), pictureOf(state.item, title, "thumb"), { item: "" }));
      if (!titles.has(state.item)) nameItem(state.item);
    }
    const signature = JSON.stringify([lang, state.item, titles.get(state.item), state.image]);
    if ($("chips").dataset.shows !== signature) {
      $("chips").dataset.shows = signature;
      $("chips").replaceChildren(...chips);
    }
  }

  function chip(kind, words, thumb, without) {
    return el("div", { class: "chip", "data-testid": "chip", "data-kind": kind }, thumb, el("span", { title: words }, words),
      el("button", { type: "button", "aria-label": say("remove", { title: words }), "data-testid": "chip-remove",
                     onclick: () => { go({ ...without, filters: {} }); settle($("q")); } }, "×"));
  }

  async function nameItem(id) {
    titles.set(id, id);
    try {
      const item = await fetchJson(`/v1/items/${encodeURIComponent(id)}`);
      titles.set(id, titleOf({ id, source: item.source ?? item }));
      renderQuery();
    } catch { /* the id is name enough */ }
  }

  /** The item's picture, or its initial when it has none. */
  function pictureOf(id, title, name = "", none = false) {
    const blank = () => el("span", { class: `initial ${name}`.trim(), "aria-hidden": "true" }, [...title.trim()][0]?.toUpperCase() ?? "?");
    if (none || !config.image_url) return blank();
    const img = el("img", { class: name || null, alt: "", width: 128, height: 128, loading: name ? "eager" : "lazy", decoding: "async", draggable: "false" });
    img.addEventListener("error", () => img.replaceWith(blank()), { once: true });
    img.src = config.image_url.replace("{id}", encodeURIComponent(id));
    return img;
  }

  function renderFailure() {
    const box = $("error");
    box.hidden = !failure;
    if (!failure) return box.replaceChildren();
    const { body, retry } = failure;
    const faults = (Array.isArray(body.errors) ? body.errors : []).map((e) => el("li", {}, [e.field, e.message].filter(Boolean).join(": ")));
    box.replaceChildren(
      el("h2", {}, String(body.title || say("failed"))),
      body.detail ? el("p", {}, String(body.detail)) : "",
      faults.length ? el("ul", {}, ...faults) : "",
      body.request_id ? el("p", { class: "ref" }, say("reference", { id: body.request_id })) : "",
      retry ? el("button", { type: "button", class: "button", "data-testid": "retry", onclick: retry }, say("retry")) : "");
  }

  function totalOf(answer) {
    const n = answer.total?.value ?? answer.hits?.length ?? 0;
    return { n, text: number(n) + (answer.total?.relation === "gte" ? "+" : "") };
  }

  function renderSummary() {
    if (!view) {
      if (failure || !hasQuery(state)) $("status").textContent = "";
      $("plan").textContent = "";
      $("note").hidden = true;
      return;
    }
    const { answer } = view;
    const total = totalOf(answer);
    const ms = (x) => number(Math.round(x));
    const took = answer.took_ms == null ? "" : answer.engine_ms == null ? say("took", { ms: ms(answer.took_ms) })
      : say("engine_took", { ms: ms(answer.took_ms), engine: ms(answer.engine_ms) });
    // The total is of what the filter leaves, which is more than anybody would call results.
    const found = answer.total?.of === "matching" ? "results_match" : "results_of";
    const count = !view.hits.length ? say("none") : total.n === 1 ? say("results_one") : say(found, { total: total.text });
    $("status").textContent = [count, took].filter(Boolean).join(lang === "zh" ? "，" : ", ");
    const plan = answer.plan ?? {};
    $("plan").textContent = [plan.kind && say("plan", { kind: plan.kind }), plan.candidates != null && say("candidates", { n: number(plan.candidates) })].filter(Boolean).join(" · ");
    $("plan").title = plan.reason ?? "";
    const lost = Array.isArray(answer.degraded) ? answer.degraded.map((d) => d?.modality ?? d) : Object.keys(answer.degraded ?? {});
    const notes = lost.length ? [say("degraded", { list: lost.map((m) => modalityName(String(m))).join(", ") })] : [];
    if (answer.partial) notes.push(say("partial", { reason: answer.partial.reason }));
    $("note").hidden = !notes.length;
    $("note").textContent = notes.join(" ");
  }

  function renderFacets() {
    const groups = [];
    for (const field of config.facets) {
      // The counts leave out what is chosen of their own field: they say what one more choice adds.
      const rows = [...(view?.answer.facets?.[field] ?? [])];
      const chosen = state.filters[field] ?? [];
      rows.unshift(...chosen.filter((v) => !rows.some((r) => String(r.value) === v)).map((value) => ({ value })));
      if (!rows.length) continue;
      const heading = `facet-${groups.length}`;
      groups.push(el("h2", { id: heading }, own(STRINGS.en, `facet_${field}`) ? say(`facet_${field}`) : field.charAt(0).toUpperCase() + field.slice(1).replaceAll("_", " ")),
        el("ul", { "aria-labelledby": heading }, ...rows.map(({ value, count }) => {
          const text = String(value);
          const on = chosen.includes(text);
          const filters = { ...state.filters, [field]: on ? chosen.filter((v) => v !== text) : [...chosen, text] };
          if (!filters[field].length) delete filters[field];
          return el("li", {}, el("button", { type: "button", class: "facet", "aria-pressed": String(on), "data-testid": "facet", "data-field": field, "data-value": text,
            onclick: () => go({ filters }) }, el("span", {}, text), count == null ? "" : el("span", { class: "count" }, number(count))));
        })));
    }
    const held = document.activeElement?.classList.contains("facet") ? document.activeElement.dataset : null;
    const scroll = $("facets").querySelector("ul")?.scrollLeft ?? 0;
    $("facets").replaceChildren(...groups);
    for (const list of $("facets").querySelectorAll("ul")) {   // a row that scrolls, on a phone
      list.scrollLeft = scroll;
      const on = list.querySelector("[aria-pressed=true]")?.parentNode;
      if (on && (on.offsetLeft < list.scrollLeft || on.offsetLeft + on.offsetWidth > list.scrollLeft + list.clientWidth)) list.scrollLeft = on.offsetLeft - 16;
    }
    if (held) [...$("facets").querySelectorAll(".facet")].find((b) => b.dataset.field === held.field && b.dataset.value === held.value)?.focus({ preventScroll: true });
  }

  const orderOf = (contributions) => [...new Set([...config.modalities, "lexical", ...Object.keys(contributions)])].filter((m) => own(contributions, m));

  function bar(m, part, won) {
    const name = modalityName(m);
    const value = part ? (m === "lexical" ? part.saturated : part.calibrated) : null;
    const words = part
      ? [say(m === "lexical" ? "bar_lexical" : "bar", { m: name, v: short(m === "lexical" ? value : part.cosine) }),
         part.calibrated != null && say("calibrated", { v: short(part.calibrated) }), part.weight != null && say("weight", { v: short(part.weight) })].filter(Boolean).join(lang === "zh" ? "，" : ", ")
      : say("bar_none", { m: name });
    const fill = el("span", { class: "fill" });
    fill.style.setProperty("--v", String(Math.min(1, Math.max(0, value || 0))));
    return el("div", { class: "m", role: "img", "aria-label": words, title: words, "data-modality": m, "data-testid": "bar", "data-won": won },
      el("span", {}, name), el("span", { class: "track" }, fill), el("span", { class: "val" }, part ? short(value) : "–"));
  }

  const relationName = (r) => STRINGS[lang][`relation_${r}`] ?? r.replaceAll("_", " ");
  /** An entity that nobody named is called by the end of its id: "very large" of "size:very-large". */
  const entityName = (e) => e.names?.[lang] ?? (e.name === e.id ? e.id.split(/[:/#]/).filter(Boolean).pop()?.replace(/[-_]/g, " ") : e.name) ?? e.id;

  /** A path from what the search names to the item, which stands at its end and is not named again. For the ear its triples, each as it is meant. */
  function pathLine({ from, steps }) {
    const names = [entityName(from), ...steps.slice(0, -1).map((s) => entityName(s.to)), say("this_item")];
    const spoken = steps.map((s, i) => {
      const [a, b] = s.direction === "out" ? [names[i], names[i + 1]] : [names[i + 1], names[i]];
      return say("triple", { a, r: relationName(s.relation), b });
    });
    const shown = steps.flatMap((s, i) => [el("b", {}, names[i]), ` ${s.direction === "out" ? "→" : "←"} ${relationName(s.relation)}${i < steps.length - 1 ? (s.direction === "out" ? " → " : " ← ") : ""}`]);
    return el("p", { class: "path", "data-testid": "path", title: spoken.join(lang === "zh" ? "；" : "; ") },
      el("span", { class: "vh" }, spoken.join(lang === "zh" ? "；" : "; ")), el("span", { "aria-hidden": "true" }, ...shown));
  }

  function links(paths) {
    const [first, ...others] = paths ?? [];
    if (!first) return "";
    return el("div", { class: "links", role: "group", "aria-label": say("linked") }, pathLine(first),
      others.length ? el("details", {}, el("summary", {}, say("more_links", { n: others.length })), ...others.map(pathLine)) : "");
  }

  function card(hit, hasPictures, asked) {
    const field = config.fields?.title ?? "title";
    const source = hit.source ?? {};
    const translated = `${field}_zh`;
    const names = [field, translated].filter((f) => source[f]).map((f) => ({ text: String(source[f]), parts: marked(String(source[f]), hit.highlight?.[f]), lang: f === translated ? "zh" : null }));
    if (!names.length) names.push({ text: String(hit.id), parts: [String(hit.id)], lang: null });
    if (lang === "zh") names.sort((a, b) => (b.lang === "zh") - (a.lang === "zh"));
    const [main, alt] = names;
    const kind = source[config.facets[0] ?? "category"] ?? source.category;
    const parts = hit.contributions ?? {};
    return el("li", {}, el("article", { class: "card", "data-testid": "card", "data-id": hit.id, "data-modality": hit.modality ?? "" },
      el("div", { class: "pic" }, pictureOf(hit.id, main.text, "", hasPictures && !source[config.fields.image]),
        hit.modality ? el("span", { class: "badge", "data-testid": "badge", "data-modality": hit.modality, title: say("matched", { m: modalityName(hit.modality) }) },
          el("span", { class: "vh" }, say("matched", { m: "" })), modalityName(hit.modality)) : ""),
      el("div", { class: "body" },
        el("h3", { tabindex: "-1", lang: main.lang }, ...main.parts),
        alt && alt.text !== main.text ? el("p", { class: "alt", lang: alt.lang }, ...alt.parts) : "",
        kind != null ? el("p", { class: "cat" }, [].concat(kind).join(", ")) : "",
        links(hit.paths),
        el("div", { class: "bars" }, ...orderOf(parts).map((m) => bar(m, parts[m], m === hit.modality))),
        maxcosWhy.disclosure({ el, say, short, modalityName, orderOf, pictureOf }, hit, main.text, (id) => post("/v1/why", asked, { ...queryOf(asked), id })),
        el("div", { class: "foot" },
          el("p", { class: "score" }, `${say("score")} `, el("b", {}, Number.isFinite(hit.score) ? hit.score.toFixed(3) : "–")),
          el("button", { type: "button", class: "like", "data-testid": "like", "aria-label": say("like_title", { title: main.text }),
                         onclick: () => { $("q").value = ""; go({ q: "", item: hit.id, image: null, filters: {} }); settle($("main")); } }, say("like"))))));
  }

  function renderHits(keep = 0) {
    const list = $("results");
    const hits = view?.hits ?? [];
    const hasPictures = Boolean(config.fields?.image) && hits.some((h) => own(h.source, config.fields.image));
    while (list.children.length > keep) list.lastChild.remove();
    list.append(...hits.slice(list.children.length).map((h) => card(h, hasPictures, view.state)));
    const total = view ? totalOf(view.answer).n : 0;
    $("more").hidden = !view || view.last || view.asked + PAGE_SIZE > MAX_WINDOW || view.asked >= total && view.answer.total?.relation !== "gte";
    $("shown").textContent = hits.length ? say("shown", { n: number(hits.length) }) : "";
    const none = Boolean(view) && !hits.length;
    $("empty").hidden = !none;
    const filtered = Object.keys(state.filters).length > 0;
    $("empty").replaceChildren(...(none ? [
      el("h3", {}, say("none")), el("p", {}, say(filtered ? "none_filter" : "none_hint")),
      filtered ? el("button", { type: "button", class: "button", onclick: () => go({ filters: {} }) }, say("clear")) : "",
    ].filter(Boolean) : []));
    $("engine").hidden = !view;
    if (!keep) closeEngine();
  }

  function renderLegend() {
    const present = new Set((view?.hits ?? []).flatMap((h) => Object.keys(h.contributions ?? {})));
    const shown = orderOf(Object.fromEntries([...present].map((m) => [m, true])));
    $("legend").hidden = !shown.length;
    $("legend-list").replaceChildren(...shown.map((m) => el("div", { "data-modality": m }, el("dt", {}, modalityName(m)),
      own(STRINGS.en, `legend_${m}`) ? el("dd", {}, say(`legend_${m}`)) : "", m === "graph" ? el("dd", {}, say("legend_path")) : "")));
  }

  // -- suggestions: a combobox whose list never takes the focus ------------------------------------------------------
  const offers = { timer: 0, asking: null, texts: [], at: -1 };

  function closeOffers() {
    clearTimeout(offers.timer);
    offers.asking?.abort();
    showOffers([]);
  }

  function showOffers(found) {
    offers.texts = found.map((s) => s.text);
    $("offers").replaceChildren(...found.map(({ text, count }, i) => el("li",
      { id: `offer-${i}`, role: "option", "aria-selected": "false", "data-testid": "offer", onmousedown: (event) => event.preventDefault(), onclick: () => takeOffer(i) },
      el("span", {}, text), count > 1 ? el("span", { class: "count", "aria-hidden": "true" }, number(count)) : "")));
    $("offers").hidden = !found.length;
    $("q").setAttribute("aria-expanded", String(found.length > 0));
    pointAt(-1);
  }

  function pointAt(i) {
    offers.at = i;
    [...$("offers").children].forEach((option, n) => option.setAttribute("aria-selected", String(n === i)));
    if (i < 0) return $("q").removeAttribute("aria-activedescendant");
    $("q").setAttribute("aria-activedescendant", `offer-${i}`);
    $(`offer-${i}`).scrollIntoView({ block: "nearest" });
  }

  function takeOffer(i) {
    const q = offers.texts[i];
    $("q").value = q;
    go({ q, filters: q === state.q ? state.filters : {} }, { words: true });
    if (touch) $("q").blur();
  }

  async function offer() {
    clearTimeout(offers.timer);
    offers.asking?.abort();
    const q = $("q").value.trim();
    if (!q || q.length > MAX_OFFERED) return showOffers([]);
    const asking = offers.asking = new AbortController();
    try {
      const { suggestions } = await fetchJson(`/v1/suggest?${new URLSearchParams({ q, size: OFFERS })}`, { signal: asking.signal });
      if (asking.signal.aborted || document.activeElement !== $("q")) return;
      showOffers(suggestions.filter((s) => s.text !== q));
    } catch {
      if (!asking.signal.aborted) showOffers([]);   // words can be searched without suggestions
    }
  }

  // -- the request, for Kibana's Console -------------------------------------------------------------------------
  let engineText = "";
  function closeEngine() {
    engineText = "";
    $("engine").open = false;
    $("engine-text").textContent = "";
    $("copy").hidden = true;
  }

  /** Long vectors are shortened on the screen; Copy takes the whole. */
  const abridged = (value) => JSON.stringify(value, (_, v) => (Array.isArray(v) && v.length > 12 && v.every((x) => typeof x === "number")
    ? [...v.slice(0, 3).map((x) => Number(x.toFixed(4))), say("elided", { n: v.length - 3 })] : v), 2);

  async function showEngine() {
    if (!$("engine").open || engineText || !view) return;
    const asked = view;
    $("engine-text").textContent = say("loading");
    try {
      const { explain } = await ask(asked.state, { explain: "engine" });
      if (asked !== view) return;
      engineText = typeof explain === "string" ? explain : JSON.stringify(explain ?? null, null, 2);
      $("engine-text").textContent = typeof explain === "string" ? explain : abridged(explain ?? null);
      $("copy").hidden = !navigator.clipboard;
    } catch (error) {
      if (asked === view) $("engine-text").textContent = [error.body?.title ?? error.message, error.body?.detail].filter(Boolean).join(". ");
    }
  }

  // -- pictures --------------------------------------------------------------------------------------------------
  async function useFile(file) {
    if (!file) return;
    let ready;
    try {
      ready = await prepared(file);
    } catch {
      failure = { body: { title: say("unreadable"), detail: [file.name, say("unreadable_hint")].filter(Boolean).join(". ") }, retry: null };
      return render();
    }
    pictures.set(++counter, ready);
    go({ image: counter, item: "", filters: {}, q: $("q").value.trim() });
  }

  /** Large pictures are made smaller here: less to send, and the camera's place and time stay at home. */
  async function prepared(file) {
    const bitmap = await createImageBitmap(file);
    const scale = Math.min(1, MAX_SIDE / Math.max(bitmap.width, bitmap.height));
    if (scale === 1 && file.size <= MAX_BYTES && SENT_AS_IS.includes(file.type)) { bitmap.close(); return file; }
    const canvas = el("canvas", { width: Math.max(1, Math.round(bitmap.width * scale)), height: Math.max(1, Math.round(bitmap.height * scale)) });
    const pen = canvas.getContext("2d");
    pen.fillStyle = "#fff";
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    bitmap.close();
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.9));
    return new File([blob], "picture.jpg", { type: "image/jpeg" });
  }

  const pictureIn = (transfer) => [...(transfer?.files ?? [])].find((f) => f.type.startsWith("image/")) ?? null;
  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");

  // -- events ----------------------------------------------------------------------------------------------------
  $("form").addEventListener("submit", (event) => {
    event.preventDefault();
    const q = $("q").value.trim();
    go({ q, filters: q === state.q ? state.filters : {} }, { words: true });
    if (touch) $("q").blur();
  });
  $("q").addEventListener("input", (event) => {
    clearTimeout(typing);
    if (event.isComposing || document.body.dataset.view === "start") return;
    const q = $("q").value.trim();
    if (q === state.q || !hasQuery({ ...state, q })) return;
    typing = setTimeout(() => go({ q, filters: {} }, { words: true, typed: true }), TYPING_MS);
  });
  $("q").addEventListener("input", (event) => {
    clearTimeout(offers.timer);
    if (!event.isComposing) offers.timer = setTimeout(offer, OFFER_MS);
  });
  $("q").addEventListener("blur", closeOffers);
  $("q").addEventListener("keydown", (event) => {
    const { length } = offers.texts;
    if (event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && length) pointAt((offers.at + 1 + step + length + 1) % (length + 1) - 1);   // -1 is the box itself
    else if (step) offer();
    else if (event.key === "Enter" && offers.at >= 0) takeOffer(offers.at);
    else if (event.key === "Escape" && length) closeOffers();
    else return;
    event.preventDefault();
  });
  $("q").addEventListener("compositionend", () => $("q").dispatchEvent(new Event("input")));
  $("image").addEventListener("change", (event) => {
    const [file] = event.target.files;
    useFile(file).finally(() => { event.target.value = ""; });
  });
  document.addEventListener("paste", (event) => {
    const file = pictureIn(event.clipboardData);
    if (!file) return;
    event.preventDefault();
    useFile(file);
  });
  document.addEventListener("dragover", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
    document.body.dataset.drag = "";
  });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) delete document.body.dataset.drag; });
  document.addEventListener("drop", (event) => {
    delete document.body.dataset.drag;
    if (!carriesFiles(event)) return;
    event.preventDefault();
    useFile(pictureIn(event.dataTransfer) ?? event.dataTransfer.files[0]);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select")) return;
    event.preventDefault();
    $("q").focus();
  });
  $("home").addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    $("q").value = "";
    go({ q: "", item: "", image: null, filters: {} });
    $("q").focus();
  });
  $("lang").addEventListener("click", () => {
    lang = lang === "zh" ? "en" : "zh";
    remembered.set(lang);
    render();
  });
  $("more").addEventListener("click", (event) => search({ from: view.asked, focusFirst: event.detail === 0 }));
  $("engine").addEventListener("toggle", showEngine);
  $("copy").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(engineText);
      $("copy").textContent = say("copied");
      setTimeout(() => { $("copy").textContent = say("copy"); }, 1500);
    } catch { /* the text can still be selected */ }
  });
  addEventListener("popstate", (event) => {
    clearTimeout(typing);
    closeOffers();
    running?.abort();
    enter(event.state);
    $("q").value = state.q;
  });

  /** Show what the address says: from memory when this entry was shown before, else by asking. */
  function enter(entry) {
    state = readAddress(entry);
    draftUntil = 0;
    key = entry?.run === run ? entry.key : `${run}.${++counter}`;
    if (entry?.run !== run) history.replaceState({ run, key, image: null }, "");
    failure = null;
    const kept = answers.get(key);
    view = kept ?? null;
    if (kept) { sequence += 1; state = kept.state; busy(false); }
    render();
    if (!kept) search();
  }

  async function start() {
    const asked = readAddress(null);
    $("q").value = asked.q;
    if (asked.q || asked.item) document.body.dataset.view = "results";
    renderWords();
    try {
      const known = await fetchJson("/v1/config");
      for (const [name, value] of Object.entries(known)) if (value != null) config[name] = value;
    } catch { /* the defaults serve */ }
    if (counter) render();   // somebody was quicker than the settings
    else enter(history.state);
  }

  start();
})();
