// Says what is wrong (the banner) and what was done (a line that goes away).
// Invariant: both are live regions that are in the page from the start, so that a screen reader hears of a change; the
// banner shows every trouble that lasts, and goes when the last one is over.

import { h, setText } from "./dom.js";

const SAID_MS = 8000;
const element = (id) => document.getElementById(id);
const troubles = new Map();
let silence = null;

export function trouble(name, text) {
  if (text) troubles.set(name, text);
  else troubles.delete(name);
  setText(element("banner-text"), [...new Set(troubles.values())].join(" "));
  element("banner").hidden = troubles.size === 0;
}

export function say(text) {
  const said = element("said");
  clearTimeout(silence);
  said.replaceChildren(h("span", {}, text));
  silence = setTimeout(() => said.replaceChildren(), SAID_MS);
}
