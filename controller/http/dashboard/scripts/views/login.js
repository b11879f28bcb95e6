// Asks for the API token.
// Invariant: the token stays in this tab (sessionStorage), is sent to this origin alone, and is never put into an address.

import { get, setToken } from "../api.js";
import { fill, h } from "../dom.js";

// Shows the form in `root`; `onOpen` is called once a token was accepted.
export function askForToken(root, onOpen) {
  document.title = "Token · Ferryman";
  const input = h("input", { id: "token", name: "token", type: "password", autocomplete: "off", required: true, spellcheck: "false", "aria-describedby": "token-help" });
  const trouble = h("p", { class: "trouble", role: "alert" });
  const form = h(
    "form",
    { class: "panel narrow" },
    h("h1", {}, "This daemon asks for a token"),
    h("label", { for: "token" }, "API token"),
    input,
    h("p", { id: "token-help", class: "quiet" }, "It is the value of ", h("code", {}, "http.token"), " or the content of ", h("code", {}, "http.token_file"), " in the daemon's settings (", h("code", {}, "FERRYMAN_HTTP__TOKEN"), "). It is kept in this tab only."),
    trouble,
    h("div", { class: "buttons" }, h("button", { class: "primary" }, "Open")),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    fill(trouble);
    const token = input.value.trim();
    if (!/^[\x21-\x7e]+$/.test(token)) return fill(trouble, "A token has no spaces and no letters beyond ASCII.");
    setToken(token);
    try {
      await get("/v1/summary");
    } catch (error) {
      setToken("");
      input.select();
      return fill(trouble, error.needsToken ? "The daemon does not accept this token." : error.message);
    }
    return onOpen();
  });
  fill(root, form);
  input.focus();
}
