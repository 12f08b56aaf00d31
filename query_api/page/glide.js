/* Results that stay keep their picture and glide to their new place, so that an eye can follow a ranking that changes. */

const GLIDE_MS = 220;
const still = matchMedia("(prefers-reduced-motion: reduce)");

const cards = (list) => [...list.querySelectorAll(".card")];

/** Put other cards into the list. */
export function replaceCards(list, items) {
  const before = new Map(
    cards(list).map((card) => [
      card.dataset.id,
      { place: card.getBoundingClientRect(), picture: card.querySelector(".pic img") },
    ]),
  );
  list.replaceChildren(...items);
  for (const card of cards(list)) {
    const old = before.get(card.dataset.id);
    if (!old) continue;
    const drawn = card.querySelector(".pic img");
    if (old.picture?.complete && drawn) drawn.replaceWith(old.picture);
    if (!still.matches) glide(card, old.place);
  }
}

function glide(card, from) {
  const to = card.getBoundingClientRect();
  const [x, y] = [from.left - to.left, from.top - to.top];
  if (x || y)
    card.animate([{ transform: `translate(${x}px, ${y}px)` }, { transform: "none" }], {
      duration: GLIDE_MS,
      easing: "ease-out",
    });
}
