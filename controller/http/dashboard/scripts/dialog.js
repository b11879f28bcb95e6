// Asks before something is done.
// Invariant: nothing is sent before the user confirms; what fails is said in the dialog, which then stays open. The
// platform's own dialog keeps the focus, closes on Escape, and gives the focus back.

import { fill, h } from "./dom.js";

// `content`: nodes above the buttons. `act(form)` does the thing; the dialog closes when it is done, unless it gives
// false: then what it has said is to be read. `danger` colours the button. `ready`: a promise before which nothing can
// be confirmed; it gives the words of the button, or null where there is nothing to do.
export function confirm({ title, verb, content, act, danger = false, ready = null }) {
  const opener = document.activeElement;
  const trouble = h("p", { class: "trouble", role: "alert" });
  const go = h("button", { class: danger ? "danger" : "primary", value: "go", disabled: ready !== null }, verb);
  const cancel = h("button", { type: "button", onclick: () => dialog.close() }, "Cancel");
  const form = h("form", { method: "dialog" }, h("h2", { id: "dialog-title" }, title), ...content, trouble, h("div", { class: "buttons" }, cancel, go));
  const dialog = h("dialog", { "aria-labelledby": "dialog-title" }, form);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (go.disabled) return;
    go.disabled = true;
    fill(trouble);
    try {
      if ((await act(new FormData(form))) === false) said();
      else dialog.close();
    } catch (error) {
      fill(trouble, error.message);
      go.disabled = false;
    }
  });
  dialog.addEventListener("close", () => {
    dialog.remove();
    opener?.isConnected && opener.focus();
  });
  ready?.then(
    (words) => {
      if (words === null) said();
      else fill(go, words).disabled = false;
    },
    (error) => {
      fill(trouble, error.message);
      said();
    },
  );
  document.body.append(dialog);
  dialog.showModal();
  cancel.focus();
  return dialog;

  function said() {
    go.remove();
    fill(cancel, "Close").focus();
  }
}
