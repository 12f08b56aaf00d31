/* Why one hit is there: asked for when its disclosure is opened, and drawn as tinted words and a tinted picture. */
"use strict";
const maxcosWhy = (() => {
  const SVG = "http://www.w3.org/2000/svg";
  const LEAST = 0.005;   // what rounds to 0.00 is not worth a colour

  const strings = {
    en: {
      why: "Why this hit", why_query: "Your words", why_item: "Its words", why_failed: "This could not be found out: {reason}",
      why_cosine: "{m}: cosine {v}", why_most: "Most of it by {list}", why_word: "{w} ({v})", why_none: "No part stands out.",
      why_picture: "Its picture counts most at the {where}: hidden, the cosine loses {v}",
      why_note: "The darker, the more is lost without it. Underlined words were matched by the engine.",
      where: "top left|top|top right|left|centre|right|bottom left|bottom|bottom right",
    },
    zh: {
      why: "为何命中", why_query: "您的词语", why_item: "它的文字", why_failed: "无法得知：{reason}",
      why_cosine: "{m}：余弦相似度 {v}", why_most: "主要来自 {list}", why_word: "{w}（{v}）", why_none: "没有突出的部分。",
      why_picture: "图片最重要的部分在{where}：遮住后余弦相似度下降 {v}",
      why_note: "颜色越深，去掉后损失越大；带下划线的字词由引擎匹配。",
      where: "左上|上方|右上|左侧|中央|右侧|左下|下方|右下",
    },
  };

  /** page: what the search page lends: el, say, short, modalityName, orderOf, pictureOf. ask: (hit's id) => the answer. */
  function disclosure(page, hit, title, ask) {
    const { el, say } = page;
    const body = el("div", { class: "why-body", "aria-live": "polite" });
    const box = el("details", { class: "why", "data-testid": "why" }, el("summary", {}, say("why")), body);
    let asked = false;
    box.addEventListener("toggle", async () => {
      if (!box.open || asked) return;
      asked = true;
      body.replaceChildren(say("loading"));
      try {
        body.replaceChildren(...shown(page, hit.id, title, await ask(hit.id)));
      } catch (error) {
        asked = false;   // opened again, it asks again
        body.replaceChildren(say("why_failed", { reason: error.body?.detail ?? error.body?.title ?? error.message }));
      }
    });
    return box;
  }

  function shown(page, id, title, answer) {
    const { el, say, short, modalityName, orderOf } = page;
    const there = orderOf(answer.modalities).filter((m) => answer.modalities[m]);
    const parts = there.map((m) => {
      const told = answer.modalities[m];
      const asked = answer.query.flatMap((term) => term.pieces.map((p) => ({ text: p.text, drop: p.drops[m] })));
      const written = (told.fields ?? []).flatMap((f, n) => f.pieces.map((p, i) => ({ ...p, before: n && !i ? " · " : "" })));
      return el("section", { class: "why-part", "data-modality": m, "data-testid": "why-part" },
        el("h4", {}, say("why_cosine", { m: modalityName(m), v: short(told.cosine) })),
        asked.length ? line(page, say("why_query"), asked) : "",
        written.length ? line(page, say("why_item"), written) : "",
        told.picture ? picture(page, id, title, told.picture) : "",
        told.error ? el("p", {}, say("why_failed", { reason: told.error })) : "");
    });
    return parts.length ? [...parts, el("p", { class: "why-note" }, say("why_note"))] : [say("why_none")];
  }

  const strongest = (drops) => { const most = Math.max(...drops); return most >= LEAST ? most : 0; };

  /** Words, each the darker the more the cosine loses without it; for the ear the strongest of them. */
  function line({ el, say, short }, name, pieces) {
    const most = strongest(pieces.map((p) => p.drop ?? 0));
    const words = pieces.map((p) => {
      const word = el("span", { class: p.match ? "w hit" : "w", "data-testid": "why-word", title: p.drop == null ? null : short(p.drop) }, p.text.trimEnd());
      const share = most ? Math.max(0, p.drop ?? 0) / most : 0;
      word.style.setProperty("--v", share.toFixed(3));
      return [p.before ?? "", word, p.text.slice(p.text.trimEnd().length)];
    });
    const strong = pieces.filter((p) => most && p.drop >= most / 2).sort((a, b) => b.drop - a.drop).slice(0, 3);
    const spoken = strong.length ? say("why_most", { list: strong.map((p) => say("why_word", { w: p.text.trim(), v: short(p.drop) })).join(", ") }) : say("why_none");
    return el("p", { class: "why-line" }, el("span", { class: "why-name" }, name), " ",
      el("span", { "aria-hidden": "true" }, ...words.flat().filter(Boolean)), el("span", { class: "vh" }, spoken));
  }

  /** The picture under its grid; the frame is around the strongest region. */
  function picture({ el, say, short, pictureOf }, id, title, { drops, box }) {
    const [down, across] = [drops.length, drops[0].length];
    const most = strongest(drops.flat());
    const caption = most ? say("why_picture", { where: say("where").split("|")[placeOf(box)], v: short(most) }) : say("why_none");
    const svg = (tag, attributes) => {
      const node = document.createElementNS(SVG, tag);
      for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
      return node;
    };
    const grid = svg("svg", { viewBox: `0 0 ${across} ${down}`, preserveAspectRatio: "none", "aria-hidden": "true", "data-testid": "why-grid" });
    drops.forEach((row, y) => row.forEach((drop, x) => {
      const share = most ? Math.max(0, drop) / most : 0;
      grid.append(svg("rect", { class: "cell", x, y, width: 1, height: 1, "fill-opacity": (0.75 * share).toFixed(3) }));
    }));
    if (most) {
      const [left, top, right, bottom] = box;
      grid.append(svg("rect", { class: "frame", x: left * across, y: top * down, width: (right - left) * across, height: (bottom - top) * down }));
    }
    return el("figure", { class: "heat" }, el("div", {}, pictureOf(id, title, "seen"), grid), el("figcaption", {}, caption));
  }

  /** In which ninth of the picture the middle of the box lies, from the top left, row by row. */
  function placeOf([left, top, right, bottom]) {
    const third = (x) => Math.min(2, Math.floor(x * 3));
    return 3 * third((top + bottom) / 2) + third((left + right) / 2);
  }

  return { strings, disclosure };
})();
