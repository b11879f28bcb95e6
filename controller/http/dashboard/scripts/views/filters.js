// The filters of the list of jobs.
// Invariant: what the form shows and what the address says are the same; a change is told once the user pauses.

import { fill, h, setText } from "../dom.js";
import { count, shortKind } from "../format.js";
import { FAIL_REASONS, PHASES, WAIT_REASONS } from "../words.js";

const TYPING_MS = 250;
const NAMES = ["search", "phase", "kind", "scope", "reason", "group", "label"];

// The filters alone, in the order of the form, of whatever an address says.
export function filtersIn(search) {
  const found = new URLSearchParams();
  for (const name of NAMES) for (const value of search.getAll(name)) found.append(name, value);
  return found;
}

export class Filters {
  // `onChange(search)` is told of the filters as they are now.
  constructor(search, onChange) {
    this.onChange = onChange;
    this.counts = new Map();
    this.search = h("input", { id: "search", name: "search", type: "search", placeholder: "Name, remote id or label value", maxlength: 256, autocomplete: "off", value: search.get("search"), "aria-keyshortcuts": "/" });
    this.kind = select("kind", search.get("kind"));
    this.scope = select("scope", search.get("scope"));
    this.reason = select("reason", search.get("reason"));
    fill(this.reason, h("option", { value: "" }, "any"), group("Waits for", WAIT_REASONS), group("Failed for", FAIL_REASONS.filter((reason) => !WAIT_REASONS.includes(reason))));
    this.reason.value = search.get("reason") ?? "";
    this.node = h(
      "form",
      { class: "filters", role: "search", "aria-label": "Filters of the list" },
      h("div", { class: "field wide" }, h("label", { for: "search" }, "Find ", h("kbd", { "aria-hidden": "true" }, "/")), this.search),
      this.more(search),
      this.field("Kind", this.kind),
      this.field("Scope", this.scope),
      this.field("Reason", this.reason),
      this.field("Group", h("input", { id: "group", name: "group", maxlength: 256, autocomplete: "off", value: search.get("group") })),
      this.field("Label", h("input", { id: "label", name: "label", maxlength: 600, autocomplete: "off", placeholder: "key=value, key=value", value: search.getAll("label").join(", ") })),
      h("fieldset", { class: "phases" }, h("legend", {}, "Phase"), ...PHASES.map((phase) => this.phase(phase, search.getAll("phase").includes(phase)))),
      h("p", { class: "trouble", role: "alert", id: "label-trouble" }),
      h("div", { class: "buttons" }, h("button", { type: "button", class: "plain", onclick: () => this.clear() }, "Clear filters")),
    );
    this.node.addEventListener("submit", (event) => {
      event.preventDefault();
      this.tell();
    });
    this.node.addEventListener("input", () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.tell(), TYPING_MS);
    });
    this.wanted = { kind: search.get("kind") ?? "", scope: search.get("scope") ?? "" };
    this.offer(null);
  }

  // On a narrow screen the other filters are folded away until they are asked for.
  more(search) {
    const chosen = [...filtersIn(search).keys()].filter((name) => name !== "search").length;
    const button = h("button", { type: "button", class: "more", "aria-expanded": "false" }, chosen ? `More filters, ${chosen} chosen` : "More filters");
    button.addEventListener("click", () => button.setAttribute("aria-expanded", String(button.getAttribute("aria-expanded") === "false")));
    return button;
  }

  field(label, control) {
    return h("div", { class: "field" }, h("label", { for: control.id }, label), control);
  }

  phase(phase, checked) {
    const number = h("span", { class: "quiet" });
    this.counts.set(phase, number);
    return h("label", { class: "phase toggle", "data-phase": phase }, h("input", { type: "checkbox", name: "phase", value: phase, checked }), h("span", {}, phase), number);
  }

  // What there is to choose, as the daemon knows it.
  offer(summary) {
    for (const [phase, node] of this.counts) setText(node, summary?.phases[phase] ? count(summary.phases[phase]) : "");
    const lanes = (summary?.lanes ?? []).map(({ lane }) => lane.split("/"));
    choices(this.kind, lanes.map(([, kind]) => kind), this.wanted.kind, shortKind);
    choices(this.scope, lanes.map(([scope]) => scope), this.wanted.scope);
  }

  focus() {
    this.search.focus();
    this.search.select();
  }

  clear() {
    this.search.value = "";
    for (const name of ["kind", "scope", "reason", "group", "label"]) this.node.elements[name].value = "";
    for (const box of this.node.querySelectorAll("input[type=checkbox]")) box.checked = false;
    this.tell();
    this.search.focus();
  }

  tell() {
    clearTimeout(this.timer);
    const form = new FormData(this.node);
    const labels = String(form.get("label")).split(",").map((text) => text.trim()).filter(Boolean);
    const wrong = labels.find((text) => !/^[^=]+=/.test(text));
    setText(this.node.querySelector("#label-trouble"), wrong ? `A label is written key=value, not ${wrong}.` : "");
    const asked = new URLSearchParams();
    for (const name of NAMES) {
      const values = name === "label" ? labels.filter((text) => text !== wrong) : form.getAll(name).map((value) => String(value).trim());
      for (const value of values) if (value) asked.append(name, value);
    }
    this.wanted = { kind: form.get("kind"), scope: form.get("scope") };
    if (this.told !== asked.toString()) this.onChange(asked);
    this.told = asked.toString();
  }

  stop() {
    clearTimeout(this.timer);
  }
}

const select = (name) => h("select", { id: name, name });

const group = (label, reasons) => h("optgroup", { label }, ...reasons.map((reason) => h("option", { value: reason }, reason)));

function choices(node, values, chosen, shown = (value) => value) {
  const all = [...new Set([...values, chosen])].filter(Boolean).sort();
  if (node.known === all.join() && node.value === chosen) return;
  node.known = all.join();
  fill(node, h("option", { value: "" }, "any"), ...all.map((value) => h("option", { value }, shown(value))));
  node.value = chosen;
}
