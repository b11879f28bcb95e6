// The page one looks at for ten seconds: what runs, what waits and why, what failed, and what to do.
// Invariant: made once, then only changed; every number leads to the jobs behind it.

import { fill, h, keep, setText } from "../dom.js";
import { clockIn, count, duration, plural } from "../format.js";
import { loading } from "../parts.js";
import { address } from "../router.js";
import { WAIT_REASONS, waits } from "../words.js";
import { attention } from "./attention.js";
import { noJobs } from "./empty.js";
import { laneCards } from "./lanes.js";
import { Charts } from "./charts.js";

const TILES = [
  { label: "Waiting", phases: ["Pending"], tone: "Pending" },
  { label: "Running", phases: ["Creating", "Running", "Stopping"], tone: "Running" },
  { label: "Uncertain", phases: ["Uncertain"], tone: "Uncertain" },
  { label: "Failed", phases: ["Failed"], tone: "Failed" },
  { label: "Succeeded", phases: ["Succeeded"], tone: "Succeeded" },
  { label: "Stopped, deleted", phases: ["Stopped", "Deleted"], tone: "Stopped" },
];

export function showOverview(root, { board, command }) {
  document.title = "Overview · Ferryman";
  const tiles = h("ul", { class: "tiles", "aria-label": "Jobs by phase" });
  const outlook = h("p", { class: "outlook" });
  const needs = h("ul", { class: "needs" });
  const reasons = h("tbody");
  const waiting = section("Why jobs wait", h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Why jobs wait" }, reasonTable(reasons)));
  const attentionSection = section("Needs you", needs);
  const charts = new Charts(board.trend);
  const lanes = h("div", { class: "lanes" });
  const idle = h("div", { class: "lanes" });
  const idleTitle = h("summary");
  const idleLanes = h("details", { class: "idle" }, idleTitle, idle);
  const page = [
    h("h1", {}, "Overview"),
    tiles,
    outlook,
    attentionSection,
    charts.node,
    waiting,
    section("Lanes", h("p", { class: "quiet" }, "A lane is a kind of job in a scope (account and region); each has its own quota and rate."), lanes, idleLanes),
  ];
  fill(root, h("h1", {}, "Overview"), loading("how things stand"));
  let state = "loading";

  function show({ summary, lanes: all }) {
    const empty = !Object.values(summary.phases).some(Boolean);
    const wanted = empty ? "empty" : "full";
    if (state !== wanted) fill(root, ...(empty ? [h("h1", {}, "Overview"), noJobs(), ...page.slice(3, 4), ...page.slice(-1)] : page));
    if (state === "loading") performance.mark("ferryman:overview");
    state = wanted;
    keep(tiles, TILES, ({ label }) => label, (tile) => makeTile(tile, summary), (tile) => tile.phases.map((phase) => summary.phases[phase]).join());
    setText(outlook, outlookText(summary, all ?? []));
    const points = attention(summary, all ?? []);
    attentionSection.hidden = points.length === 0;
    keep(needs, points, ({ text }) => text, (point) => need(point, command));
    const known = WAIT_REASONS.filter((reason) => summary.reasons[reason]);
    waiting.hidden = known.length === 0;
    keep(reasons, known, (reason) => reason, (reason) => reasonRow(reason, summary.reasons[reason]), (reason) => summary.reasons[reason]);
    const busy = (all ?? []).filter(isBusy);
    const rest = (all ?? []).filter((lane) => !isBusy(lane));
    laneCards(lanes, busy, command);
    laneCards(idle, rest, command);
    idleLanes.hidden = rest.length === 0;
    setText(idleTitle, `${plural(rest.length, "lane")} without jobs`);
    if (!empty) charts.show();
  }

  board.detailed = true;
  const unwatch = board.watch(show);
  return {
    stop() {
      board.detailed = false;
      unwatch();
      charts.destroy();
    },
  };
}

function need({ text, href, link, sink }, command) {
  const resume = sink && h("button", { type: "button", class: "small", "aria-label": `Resume ${sink.name}`, onclick: () => command.sink(sink) }, "Resume");
  return h("li", {}, `${text} `, href && h("a", { href }, link), resume);
}

const isBusy = (lane) => lane.paused || lane.unavailable !== "" || Object.values(lane.phases).some(Boolean);

function section(title, ...content) {
  const id = `title-${title.toLowerCase().replaceAll(" ", "-")}`;
  return h("section", { "aria-labelledby": id }, h("h2", { id }, title), ...content);
}

function makeTile({ label, phases, tone }, summary) {
  const jobs = phases.reduce((sum, phase) => sum + (summary.phases[phase] ?? 0), 0);
  const search = new URLSearchParams(phases.map((phase) => ["phase", phase]));
  return h("li", { "data-phase": tone, class: jobs ? "" : "none" }, h("a", { href: address("jobs", [], search) }, h("span", { class: "label" }, label), h("strong", {}, count(jobs))));
}

function outlookText(summary, lanes) {
  const inbox = summary.inbox ? ` ${plural(summary.inbox, "document or command", "documents and commands")} in the inbox.` : "";
  const pausing = Math.max(0, summary.phases.Pending - summary.waiting);
  const more = pausing ? ` ${plural(pausing, "more job waits", "more jobs wait")} until a pause is over.` : "";
  if (!summary.waiting) return pausing ? `${more.trim().replace(" more", "")}${inbox}` : `Nothing waits to be created.${inbox}`;
  const jobs = `${plural(summary.waiting, "job waits", "jobs wait")} to be created`;
  if (summary.etaSeconds !== null) {
    return `${jobs}; the last of them in about ${duration(summary.etaSeconds)}, at ${clockIn(summary.etaSeconds)}.${more}${inbox}`;
  }
  return `${jobs}. When the queue will be empty cannot be told yet: ${whyUnknown(summary.lanes)}.${more}${inbox}`;
}

// Of the lanes without an estimate, how many are so for which cause.
function whyUnknown(lanes) {
  const unknown = lanes.filter((lane) => lane.etaSeconds === null);
  const paused = unknown.filter((lane) => lane.paused).length;
  const away = unknown.filter((lane) => !lane.paused && lane.unavailable).length;
  const young = unknown.length - paused - away;
  return [
    paused && `${plural(paused, "lane is", "lanes are")} paused`,
    away && `${plural(away, "lane is", "lanes are")} not available`,
    young && `${plural(young, "lane has", "lanes have")} not seen enough jobs end to know how long they take`,
  ].filter(Boolean).join(", ");
}

function reasonTable(rows) {
  return h("table", {}, h("thead", {}, h("tr", {}, ...["Reason", "Jobs", "What it means"].map((name) => h("th", { scope: "col", class: name === "Jobs" ? "number" : null }, name)))), rows);
}

function reasonRow(reason, jobs) {
  const href = address("jobs", [], { phase: "Pending", reason });
  return h("tr", {}, h("th", { scope: "row" }, h("a", { href }, reason)), h("td", { class: "number" }, count(jobs)), h("td", {}, waits(reason)));
}
