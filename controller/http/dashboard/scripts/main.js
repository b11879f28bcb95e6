// Starts the dashboard: the frame of the page, which page is shown, and what every page shares.
// Invariant: one stream, one board, one page at a time; leaving a page stops everything that it began.

import { setToken } from "./api.js";
import { Board } from "./board.js";
import { fill, h, setAttribute, setText } from "./dom.js";
import { count, duration } from "./format.js";
import { trouble } from "./notices.js";
import { Refresh } from "./refresh.js";
import { read } from "./router.js";
import { Stream } from "./stream.js";
import { followTheme } from "./colours.js";
import { Commands } from "./views/commands.js";
import { showDeadLetters } from "./views/deadletters.js";
import { showJob } from "./views/job.js";
import { showJobs } from "./views/jobs.js";
import { askForToken } from "./views/login.js";
import { showOverview } from "./views/overview.js";

const element = (id) => document.getElementById(id);
const main = element("main");
const board = new Board();
const command = new Commands(() => {
  shown?.changed?.();
  boardRefresh.now();
});
let shown = null;
let lockedOut = false;
let toFilter = false; // the next page is opened to type into its filter

const boardRefresh = new Refresh((signal) => board.load(signal), {
  onError: (error) => meet(error, "board"),
  onDone: () => trouble("board", null),
});
const stream = new Stream({
  onEvents(events) {
    boardRefresh.poke();
    shown?.onEvents?.(events);
  },
  onState: showConnection,
  onRefused: lockOut,
});

function meet(error, from) {
  if (error?.needsToken) lockOut();
  else trouble(from, error ? `${error.message} What is shown is from ${board.at ? new Date(board.at).toLocaleTimeString() : "before"}.` : null);
}

function lockOut() {
  if (lockedOut) return;
  lockedOut = true;
  shown?.stop();
  shown = null;
  stream.stop();
  boardRefresh.wanted = false;
  setToken("");
  trouble("stream", null);
  trouble("board", null);
  trouble("page", null);
  showConnection("off");
  askForToken(main, () => {
    lockedOut = false;
    start();
  });
}

let wasLive = false;

function showConnection(state) {
  const words = { connecting: "Connecting", live: "Live", lost: "Not connected", off: "Locked" };
  setAttribute(element("live"), "data-state", state);
  setText(element("live-text"), words[state]);
  if (state === "live") {
    trouble("stream", null);
    if (wasLive) boardRefresh.poke();
    wasLive = true;
  }
  if (state === "lost") trouble("stream", "The connection to the daemon is lost, and is tried again. This page may be out of date.");
}

function show() {
  if (lockedOut) return;
  shown?.stop();
  trouble("page", null);
  const route = read();
  for (const link of element("pages").querySelectorAll("a")) {
    setAttribute(link, "aria-current", read(link.hash).page === route.page ? "page" : null);
  }
  const shared = { board, command, onTrouble: (error) => meet(error, "page") };
  shown = pageOf(route)(main, shared, route);
  boardRefresh.poke();
}

function pageOf({ page, rest }) {
  if (page === "") return showOverview;
  if (page === "jobs") return rest.length === 3 ? showJob : showJobs;
  if (page === "deadletters") return showDeadLetters;
  return (root) => {
    document.title = "Not found · Ferryman";
    fill(root, h("div", { class: "panel" }, h("h1", {}, "There is no such page"), h("p", {}, h("a", { href: "#/" }, "Overview"))));
    return { stop() {} };
  };
}

function showFrame({ summary }) {
  const state = summary.stopping ? " · stopping" : summary.ready ? "" : " · starting";
  setText(element("which"), `${summary.instance} · ${summary.version} · up ${duration(summary.uptimeSeconds)}${state}`);
  element("world").hidden = !summary.simulated;
  setText(element("letters"), summary.deadLetters ? count(summary.deadLetters) : "");
  element("letters").hidden = !summary.deadLetters;
}

function onKey(event) {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, select, textarea, dialog, [contenteditable]") || lockedOut) return;
  event.preventDefault();
  if (shown?.focusFilter) shown.focusFilter();
  else {
    toFilter = true;
    location.hash = "#/jobs";
  }
}

function start() {
  board.watch(showFrame);
  boardRefresh.now();
  stream.begin();
  show();
}

window.addEventListener("hashchange", () => {
  show();
  if (toFilter && shown?.focusFilter) shown.focusFilter();
  else main.focus();
  toFilter = false;
  window.scrollTo(0, 0);
});
element("skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address names the page, not a place on it
  main.focus();
});
element("banner-again").addEventListener("click", () => {
  stream.again();
  boardRefresh.now();
  shown?.changed?.();
});
document.addEventListener("keydown", onKey);
followTheme(element("theme"));
start();
