/* An item's picture, or its initial where it has none. */
import { show } from "./api.js";
import { el } from "./dom.js";
import { config } from "./session.js";

export function itemPicture(id, title, name = "", none = false) {
  const blank = () =>
    el("span", { class: `initial ${name}`.trim(), "aria-hidden": "true" }, [...title.trim()][0]?.toUpperCase() ?? "?");
  if (none || !config.image_url) return blank();
  const image = el("img", {
    class: name || null,
    alt: "",
    width: 128,
    height: 128,
    loading: name ? "eager" : "lazy",
    decoding: "async",
    draggable: "false",
  });
  image.addEventListener("error", () => image.replaceWith(blank()), { once: true });
  show(image, config.image_url.replace("{id}", encodeURIComponent(id)));
  return image;
}
