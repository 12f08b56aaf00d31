/* Where somebody enters the API key that a service asks for. */
import { key } from "./api.js";
import { $, el } from "./dom.js";
import { openDrawer } from "./drawer.js";
import { watch } from "./session.js";
import { say } from "./words.js";

/** Everything that was refused is asked again by loading the page again; the key outlives that. */
const again = () => location.reload();

export function openKeyForm() {
  const input = el("input", {
    id: "key-input",
    type: "password",
    autocomplete: "off",
    spellcheck: "false",
    required: true,
    "data-testid": "key-input",
  });
  const keep = (event) => {
    event.preventDefault();
    key.set(input.value.trim());
    again();
  };
  openDrawer(
    say("key"),
    el(
      "form",
      { class: "key", onsubmit: keep },
      el("label", { for: "key-input" }, say("key_enter")),
      input,
      el("p", { class: "told" }, say("key_note")),
      el(
        "p",
        {},
        el("button", { type: "submit", class: "button", "data-testid": "key-use" }, say("key_use")),
        " ",
        key.get()
          ? el(
              "button",
              {
                type: "button",
                class: "button plain",
                "data-testid": "key-forget",
                onclick: () => {
                  key.forget();
                  again();
                },
              },
              say("key_forget"),
            )
          : "",
      ),
    ),
  );
  input.focus();
}

export function startKeys() {
  $("key").addEventListener("click", openKeyForm);
  watch(() => {
    $("key").hidden = !key.get();
  });
}
