// Asks before something is done.
// Invariant: nothing is sent before the user confirms; what fails is said in the dialog, which then stays open. The
// platform's own dialog keeps the focus, closes on Escape, and gives the focus back.

import { fill, h } from "./dom.js";

// `content`: nodes above the buttons. `act()` does the thing; the dialog closes when it is done. `danger` colours the button.
export function confirm({ title, verb, content, act, danger = false }) {
  const opener = document.activeElement;
  const trouble = h("p", { class: "trouble", role: "alert" });
  const go = h("button", { class: danger ? "danger" : "primary", value: "go" }, verb);
  const cancel = h("button", { type: "button", onclick: () => dialog.close() }, "Cancel");
  const form = h("form", { method: "dialog" }, h("h2", { id: "dialog-title" }, title), ...content, trouble, h("div", { class: "buttons" }, cancel, go));
  const dialog = h("dialog", { "aria-labelledby": "dialog-title" }, form);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (go.disabled) return;
    go.disabled = true;
    fill(trouble);
    try {
      await act(new FormData(form));
      dialog.close();
    } catch (error) {
      fill(trouble, error.message);
      go.disabled = false;
    }
  });
  dialog.addEventListener("close", () => {
    dialog.remove();
    opener?.isConnected && opener.focus();
  });
  document.body.append(dialog);
  dialog.showModal();
  cancel.focus();
  return dialog;
}
