/* One drawer for what is told beside the results. It is a modal dialog: Escape closes it, and the focus goes back. */
import { $ } from "./dom.js";

export function openDrawer(title, ...content) {
  $("drawer-title").textContent = title;
  $("drawer-body").replaceChildren(...content);
  if (!$("drawer").open) $("drawer").showModal();
  $("drawer-body").scrollTop = 0;
}

export const closeDrawer = () => $("drawer").close();

export function startDrawer() {
  $("drawer-close").addEventListener("click", closeDrawer);
  // A click beside it is one on the dialog itself, which has no padding.
  $("drawer").addEventListener("click", (event) => {
    if (event.target === $("drawer")) closeDrawer();
  });
}
