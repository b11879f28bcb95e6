// One job: where it is and why, what was wanted, what was tried, what happened, and what can be done.
// Invariant: everything on it is of one answer of the API and its events; the parts a user has opened stay open.

import { get, jobPath } from "../api.js";
import { fill, h, keep } from "../dom.js";
import { between, duration, whole } from "../format.js";
import { copyButton, facts, failure, loading, long, phaseChip, progress, time } from "../parts.js";
import { Refresh } from "../refresh.js";
import { address } from "../router.js";
import { COMMANDS, meaning } from "../words.js";
import { possible } from "./commands.js";
import { timeline } from "./timeline.js";

const EVENTS = 100;

export function showJob(root, { command, onTrouble }, route) {
  const [scope, kind, name] = route.rest;
  document.title = `${name} · Ferryman`;
  const subject = `"${scope}/${kind}/${name}"`;
  const parts = {
    state: h("section", { class: "panel state-of-job", "aria-labelledby": "title-state" }),
    actions: h("div", { class: "buttons", role: "group", "aria-label": "Commands" }),
    attempts: h("tbody"),
    about: h("div"),
    spec: h("div"),
    events: h("ol", { class: "timeline" }),
    eventsNote: h("p", { class: "quiet" }),
  };
  let shown = false;

  async function load(signal) {
    const [job, events] = await Promise.all([
      get(jobPath({ scope, kind, name }), {}, { signal }),
      get("/v1/events", { subject: `${scope}/${kind}/${name}`, latest: true, limit: EVENTS }, { signal }),
    ]);
    onTrouble(null);
    if (!shown) fill(root, ...page(job, parts));
    shown = true;
    show(job, parts, command);
    timeline(parts.events, events.items);
    fill(parts.eventsNote, events.items.length === 0 ? "No event of it is kept." : events.items.length === EVENTS ? `The newest ${EVENTS}; ferryman events shows them all.` : null);
  }

  const refresh = new Refresh(load, {
    gap: 1000,
    every: 10000,
    onError: (error) => {
      if (shown && !error.isMissing) onTrouble(error);
      else fill(root, h("h1", {}, name), failure(error, () => refresh.now()));
      if (error.isMissing) shown = false;
    },
  });
  fill(root, h("h1", {}, name), loading("the job"));
  refresh.now();
  return {
    onEvents: (events) => events.some((event) => event.includes(subject)) && refresh.poke(),
    changed: () => refresh.now(),
    stop: () => refresh.stop(),
  };
}

function page(job, parts) {
  const attempts = h("table", {}, h("thead", {}, h("tr", {}, ...["Attempt", "Phase", "Remote id", "Created", "Took"].map((text) => h("th", { scope: "col" }, text)))), parts.attempts);
  return [
    h("nav", { "aria-label": "Where this page is", class: "crumbs" }, h("a", { href: "#/jobs" }, "Jobs"), " / ", h("a", { href: address("jobs", [], { scope: job.scope }) }, job.scope), " / ", h("a", { href: address("jobs", [], { scope: job.scope, kind: job.kind }) }, job.kind)),
    h("div", { class: "heading" }, h("h1", {}, job.name), parts.actions),
    parts.state,
    h("div", { class: "columns" },
      h("div", {},
        h("section", { "aria-labelledby": "title-attempts" }, h("h2", { id: "title-attempts" }, "Attempts"), h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Attempts" }, attempts)),
        h("section", { "aria-labelledby": "title-about" }, h("h2", { id: "title-about" }, "Details"), parts.about),
        h("section", { "aria-labelledby": "title-document" }, h("h2", { id: "title-document" }, "Document"), parts.spec),
      ),
      h("section", { "aria-labelledby": "title-events" }, h("h2", { id: "title-events" }, "What happened"), parts.events, parts.eventsNote),
    ),
  ];
}

function show(job, parts, command) {
  keep(parts.actions, possible(job), (verb) => verb, (verb) => h("button", { type: "button", class: verb === "resolve" || verb === "retry" ? "primary" : "", onclick: () => command.job(verb, parts.job) }, COMMANDS[verb].verb));
  parts.job = job;
  parts.state.dataset.phase = job.phase;
  changed(parts.state, [job.phase, job.reason, job.message, job.remoteStatus, job.queue, job.records, job.output, job.partial, job.desired, minute()], () => state(job));
  const attempts = job.attempts.length ? [...job.attempts].reverse() : [null];
  keep(parts.attempts, attempts, (attempt) => attempt?.token ?? "none", attempt, (item) => JSON.stringify([item, minute()]));
  changed(parts.about, [job, minute()], () => [about(job)]);
  const document = wanted(job);
  changed(parts.spec, document, () => [h("div", { class: "code" }, long(document, 20000), copyButton(document, "the document"))]);
}

const minute = () => Math.floor(Date.now() / 30000);

function changed(node, value, make) {
  const shape = JSON.stringify(value);
  if (node.keptShape !== shape) fill(node, ...make());
  node.keptShape = shape;
}

function state(job) {
  const waits = job.phase === "Pending";
  return [
    h("h2", { id: "title-state", class: "visually-hidden" }, "Where it is, and why"),
    h("p", { class: "headline" }, phaseChip(job.phase), job.reason ? h("span", { class: "reason" }, job.reason) : null, job.partial ? h("span", { class: "chip", "data-tone": "warn" }, "partial") : null, job.remoteStatus ? h("span", { class: "quiet" }, `AWS says ${job.remoteStatus}`) : null),
    h("p", {}, meaning(job), job.reason === "QuotaFull" && waits ? [" ", h("a", { href: holders(job) }, "What holds them")] : null),
    job.message ? h("p", { class: "message" }, job.message) : null,
    job.desired !== "Completed" ? h("p", {}, `It is wanted ${job.desired}.`) : null,
    waits && job.queue.position !== null ? h("p", {}, h("strong", {}, `Place ${job.queue.position.toLocaleString("en")}`), " in its lane", job.queue.etaSeconds === null ? "; there is no estimate yet." : `; created in about ${duration(job.queue.etaSeconds)}.`) : null,
    progress(job),
    job.output.uri ? facts([["Output", h("code", {}, job.output.uri), copyButton(job.output.uri, "the output's place")], ["Manifest", job.output.manifest ? h("code", {}, job.output.manifest) : null]]) : null,
  ];
}

const HOLDING = ["Creating", "Running", "Stopping", "Uncertain"];

// The jobs of its lane that take slots; others of the account may as well.
const holders = ({ scope, kind }) => address("jobs", [], new URLSearchParams([...HOLDING.map((phase) => ["phase", phase]), ["kind", kind], ["scope", scope]]));

function attempt(item) {
  if (item === null) return h("tr", {}, h("td", { colspan: 5, class: "quiet" }, "None yet: nothing was sent to AWS."));
  return h("tr", {}, h("th", { scope: "row" }, `${item.number}`), h("td", {}, phaseChip(item.phase), item.reason ? h("span", { class: "reason line" }, item.reason) : null), h("td", {}, item.remoteId ? h("code", {}, item.remoteId) : h("span", { class: "quiet" }, "not known")), h("td", {}, time(item.createdAt)), h("td", {}, between(item.createdAt, item.endedAt)));
}

function about(job) {
  const labels = Object.entries(job.labels).map(([key, value]) => h("a", { class: "chip", href: address("jobs", [], { label: `${key}=${value}` }) }, `${key}=${value}`));
  return facts([
    ["Remote name", job.remoteName && h("code", {}, job.remoteName)],
    ["Group", job.group && h("a", { href: address("jobs", [], { group: job.group }) }, job.group)],
    ["Labels", ...(labels.length ? labels : [null])],
    ["Priority", String(job.priority)],
    ["Wanted", job.desired],
    ["Generation", job.generation === null ? null : String(job.generation)],
    ["Incarnation", String(job.incarnation)],
    ["Uid", h("span", {}, h("code", {}, job.uid))],
    ["Accepted", whole(job.acceptedAt)],
    ["Started", whole(job.startedAt)],
    ["Ended", whole(job.endedAt)],
    ["Ran for", job.startedAt ? between(job.startedAt, job.endedAt) : null],
  ]);
}

// The document as it could be handed over again, as far as the daemon keeps it.
function wanted(job) {
  const { kind, name, scope, desired, priority, group, labels, generation, spec } = job;
  return JSON.stringify({ kind, name, scope, desired, ...(generation === null ? {} : { generation }), priority, ...(group ? { group } : {}), labels, ...(spec ? { spec } : {}) }, null, 2);
}
