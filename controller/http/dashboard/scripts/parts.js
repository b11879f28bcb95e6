// Small pieces that several pages show.
// Invariant: what a colour says, a word says too.

import { fill, h } from "./dom.js";
import { ago, bounded, count, percent, whole } from "./format.js";

export const phaseChip = (phase) => h("span", { class: "phase", "data-phase": phase }, phase);

// A time as people say it, with the whole of it behind.
export function time(text) {
  return text ? h("time", { datetime: text, title: whole(text) }, ago(text)) : "";
}

// A bar with words for those who do not see it. `tone` colours it.
export function bar({ value, max, label, role = "progressbar", tone = "run" }) {
  const inner = h("span", { class: "filled" });
  inner.style.width = `${percent(value, max)}%`;
  return h(
    "span",
    { class: "bar", role, "aria-valuemin": 0, "aria-valuemax": max, "aria-valuenow": Math.min(value, max), "aria-label": label, "data-tone": tone },
    inner,
  );
}

// How far a job's records are; nothing where AWS gives no counts.
export function progress({ records, phase }) {
  if (!records.total) return null;
  const text = `${count(records.processed)} of ${count(records.total)} records`;
  const failed = records.failed ? `, ${count(records.failed)} failed` : "";
  return h(
    "span",
    { class: "progress" },
    bar({ value: records.processed, max: records.total, label: text + failed, tone: phase === "Running" ? "run" : "still" }),
    h("span", { class: "quiet" }, text, failed ? h("span", { class: "bad" }, failed) : null),
  );
}

// Text that may be long: its beginning, and a button for the rest.
export function long(text, most = 4000) {
  const [begin, cut] = bounded(text, most);
  const pre = h("pre", { tabindex: "0" }, begin);
  if (!cut) return pre;
  const more = h("button", { type: "button", class: "plain" }, `Show all ${count(text.length)} characters`);
  more.addEventListener("click", () => {
    fill(pre, text);
    more.remove();
    pre.focus();
  });
  return h("div", {}, pre, more);
}

export function copyButton(text, what) {
  if (!navigator.clipboard) return null; // only where the page is served securely, or from this machine
  const button = h("button", { type: "button", class: "plain small", "aria-label": `Copy ${what}` }, "Copy");
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text).catch(() => null);
    fill(button, "Copied");
    setTimeout(() => fill(button, "Copy"), 1500);
  });
  return button;
}

// Terms and what they are; entries without a value are left out, those with code have a line of their own.
export function facts(entries) {
  const shown = entries.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return h("dl", { class: "facts" }, ...shown.map(([term, ...value]) => h("div", { class: value[0]?.localName === "code" ? "wide" : null }, h("dt", {}, term), h("dd", {}, ...value))));
}

export const loading = (what) => h("p", { class: "panel quiet" }, `Loading ${what}`);

export function failure(error, again) {
  return h(
    "div",
    { class: "panel", role: "alert" },
    h("h2", {}, error.isMissing ? "Not found" : "This could not be loaded"),
    h("p", {}, error.message),
    h("p", {}, h("button", { type: "button", onclick: again }, "Try again"), " ", h("a", { href: "#/jobs" }, "All jobs")),
  );
}
