// Dead letters: what could not be accepted or delivered, why, and once more.
// Invariant: bodies are shown as text and in part; newest first, a page at a time.

import { get } from "../api.js";
import { fill, h, keep, setText } from "../dom.js";
import { plural } from "../format.js";
import { copyButton, failure, loading, long, time } from "../parts.js";
import { Refresh } from "../refresh.js";
import { address, jobAddress, replace } from "../router.js";

const PAGE = 25;
const BODY = 2000;

export function showDeadLetters(root, { command, onTrouble }, route) {
  document.title = "Dead letters · Ferryman";
  let after = route.search.get("after");
  const found = h("p", { class: "found", role: "status" });
  const list = h("ol", { class: "letters" });
  const pager = h("nav", { class: "pager", "aria-label": "Pages of the list" });
  const all = h("button", { type: "button", hidden: true }, "Requeue all on this page");
  const none = h("button", { type: "button", hidden: true }, "Discard all on this page");
  const results = h("div", {}, loading("dead letters"));
  let ids = [];
  let shown = [];
  all.addEventListener("click", () => command.letters(ids));
  none.addEventListener("click", () => command.discard(shown));

  function go(cursor) {
    after = cursor;
    replace(address("deadletters", [], cursor ? { after: cursor } : {}));
    refresh.now();
    root.focus();
    window.scrollTo(0, 0);
  }

  async function load(signal) {
    const { items, next } = await get("/v1/deadletters", { newest: true, limit: PAGE, after }, { signal });
    onTrouble(null);
    ids = items.filter(({ what }) => what === "document").map(({ id }) => id);
    all.hidden = ids.length < 2;
    shown = items.map(({ id }) => id);
    none.hidden = shown.length < 2;
    setText(found, items.length ? `${plural(items.length, "dead letter")}, newest first${next ? "; more follow" : ""}.` : "");
    if (!items.length) fill(results, nothing());
    else if (list.parentNode !== results) fill(results, list);
    keep(list, items, ({ id }) => id, (letter) => entry(letter, command), () => "");
    fill(pager, h("button", { type: "button", disabled: !after, onclick: () => go(null) }, "Newest"), h("button", { type: "button", disabled: !next, onclick: () => go(next) }, "Older"));
    pager.hidden = !after && !next;
  }

  const refresh = new Refresh(load, {
    gap: 3000,
    every: 15000,
    onError: (error) => {
      if (list.isConnected) onTrouble(error);
      else fill(results, failure(error, () => refresh.now()));
    },
  });
  fill(root, h("div", { class: "heading" }, h("h1", {}, "Dead letters"), h("div", { class: "buttons" }, all, none)), h("p", { class: "quiet" }, "Documents that were rejected, and events that no sink took. A document can be sent once more: after the settings or the permissions were mended, or after an upgrade. What is dealt with can be discarded."), found, results, pager);
  refresh.now();
  return { onEvents: (events) => events.some((event) => event.includes("ferryman.document.")) && refresh.poke(), changed: () => refresh.now(), stop: () => refresh.stop() };
}

function nothing() {
  return h("div", { class: "panel" }, h("h2", {}, "No dead letters"), h("p", {}, "Every document was accepted, and every event was delivered or is on its way."));
}

function entry(letter, command) {
  const [scope, kind, ...name] = letter.subject.split("/");
  const isJob = name.length === 1 && scope && kind && name[0];
  const title = h("h2", { id: `letter-${letter.id}` }, `${letter.what === "event" ? "Event" : "Document"} ${letter.id}`);
  const requeue = letter.what === "document" ? h("button", { type: "button", "aria-label": `Requeue document ${letter.id}`, onclick: () => command.letters([letter.id]) }, "Requeue") : null;
  const discard = h("button", { type: "button", "aria-label": `Discard ${letter.what} ${letter.id}`, onclick: () => command.discard([letter.id]) }, "Discard");
  return h(
    "li",
    {},
    h(
      "article",
      { class: "panel letter", "aria-labelledby": `letter-${letter.id}` },
      h("header", {}, title, time(letter.at), h("div", { class: "buttons" }, requeue, discard)),
      h("p", { class: "message" }, letter.reason),
      h("p", { class: "quiet" }, `from ${letter.source}`, letter.subject ? [" · about ", isJob ? h("a", { href: jobAddress({ scope, kind, name: name[0] }) }, letter.subject) : letter.subject] : null),
      h("details", {}, h("summary", {}, "Body"), h("div", { class: "code" }, long(pretty(letter.body), BODY), copyButton(letter.body, "the body"))),
    ),
  );
}

// JSON reads better with line breaks; anything else stays as it came.
function pretty(body) {
  try {
    return JSON.stringify(JSON.parse(body), null, 2);
  } catch {
    return body;
  }
}
