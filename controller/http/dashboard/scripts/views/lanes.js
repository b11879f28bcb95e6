// Lanes: what each is doing, what holds it up, pause and resume.
// Invariant: a card says in words why the head of its queue waits. Keys of one slot (one resource that takes one job at
// a time) are told by their number: there may be thousands.

import { h, keep } from "../dom.js";
import { count, duration, plural, rate, shortKind } from "../format.js";
import { bar, time } from "../parts.js";
import { address } from "../router.js";
import { waits } from "../words.js";

const KEYS_MAX = 6;
const COUNTED = [
  ["Pending", "waiting"],
  ["Running", "running"],
  ["Failed", "failed"],
  ["Uncertain", "uncertain"],
];

export function laneCards(root, lanes, command) {
  keep(root, lanes, ({ lane }) => lane, (lane) => card(lane, command), shape);
}

// What a card shows; the counters of calls move all the time and are rounded by what is visible.
const shape = (lane) => JSON.stringify([lane, lane.lastCompletePassAt && Math.floor(Date.now() / 15000)]);

function card(lane, command) {
  const id = `lane-${lane.lane.replace(/[^A-Za-z0-9]/g, "-")}`;
  const [state, tone] = stateOf(lane);
  return h(
    "article",
    { class: "lane", "aria-labelledby": id },
    h("header", {}, h("h3", { id }, shortKind(lane.kind)), h("span", { class: "quiet" }, `${lane.scope} · ${lane.kind.split(".")[0]}`), h("span", { class: "chip", "data-tone": tone }, state)),
    lane.paused || lane.unavailable ? h("p", { class: "why" }, lane.unavailable || lane.pauseReason || "by command") : null,
    h("ul", { class: "counts" }, ...COUNTED.filter(([phase]) => phase !== "Uncertain" || lane.phases.Uncertain).map(([phase, word]) => jobsOf(lane, phase, word))),
    slots(lane),
    speed(lane),
    queues(lane),
    h("footer", {}, h("span", { class: "quiet" }, lane.lastCompletePassAt ? ["Compared with AWS ", time(lane.lastCompletePassAt)] : "Nothing to compare with AWS yet"), toggle(lane, command)),
  );
}

function stateOf(lane) {
  if (lane.unavailable) return ["Not available", "bad"];
  if (lane.paused) return ["Paused", "warn"];
  if (lane.queues.length) return ["Working", "run"];
  return lane.phases.Running || lane.phases.Creating || lane.phases.Stopping ? ["Nothing waits", "run"] : ["Idle", "still"];
}

function jobsOf(lane, phase, word) {
  const href = address("jobs", [], { scope: lane.scope, kind: lane.kind, phase });
  const jobs = lane.phases[phase] ?? 0;
  return h("li", { "data-phase": phase, class: jobs ? "" : "none" }, h("a", { href }, h("strong", {}, count(jobs)), ` ${word}`));
}

function slots(lane) {
  const all = Object.entries(lane.slots);
  const shared = all.filter(([, slot]) => slot.configured > 1);
  const single = all.length - shared.length;
  const rows = shared.slice(0, KEYS_MAX).map(([key, slot]) => meter(keyName(key), slot.used, slot.ceiling, slotNote(slot)));
  const rest = shared.length - KEYS_MAX;
  if (rest > 0) rows.push(h("p", { class: "quiet" }, `and ${plural(rest, "more quota")}`));
  if (single) {
    const taken = all.filter(([, slot]) => slot.configured <= 1 && slot.used).length;
    rows.push(h("p", { class: "quiet note" }, `${plural(single, "resource")} of one job at a time, ${count(taken)} taken`));
  }
  if (lane.phases.Uncertain && rows.length) {
    const href = address("jobs", [], { scope: lane.scope, kind: lane.kind, phase: "Uncertain" });
    rows.push(h("p", { class: "note" }, h("a", { href }, `${plural(lane.phases.Uncertain, "uncertain create")}`), ` ${lane.phases.Uncertain === 1 ? "holds a slot until it is" : "hold slots until they are"} resolved`));
  }
  return h("div", { class: "meters" }, h("h4", {}, "Slots"), ...(rows.length ? rows : [h("p", { class: "quiet" }, "none taken yet")]));
}

// A quota's key as people read it: an ARN by its last part.
function keyName(key) {
  if (key === "*") return "all jobs";
  return key.includes("arn:") ? key.slice(key.lastIndexOf(":") + 1) : key;
}

function slotNote(slot) {
  const notes = [];
  if (slot.used > slot.ours) notes.push(`${count(slot.used - slot.ours)} of somebody else`);
  if (slot.ceiling < slot.configured) notes.push(`learned; ${count(slot.configured)} configured`);
  if (slot.parked) notes.push("AWS refuses more for now");
  return notes.join(", ");
}

function meter(name, used, most, note, unit = "") {
  const text = `${count(used)} of ${count(most)}${unit}`;
  const tone = used >= most ? "full" : "run";
  return h("div", { class: "meter" }, h("span", { class: "name" }, name), h("span", { class: "value" }, text), bar({ value: used, max: Math.max(1, most), label: `${name}: ${text}`, role: "meter", tone }), note ? h("span", { class: "quiet note" }, note) : null);
}

function speed(lane) {
  const create = lane.rates.create;
  if (!create) return null;
  const text = `${rate(create.rate)} of ${rate(create.ceiling)} a second`;
  const throttles = Object.values(lane.rates).reduce((sum, { throttles: seen }) => sum + seen, 0);
  const note = throttles ? `${plural(throttles, "call")} throttled since the start` : "no call throttled since the start";
  const slowed = create.rate < create.ceiling;
  const idle = stateOf(lane)[0] === "Idle"; // a full bar would look as if it were at work
  const meterOf = slowed || !idle ? bar({ value: create.rate, max: create.ceiling, label: `Create rate: ${text}`, role: "meter", tone: slowed ? "warn" : "still" }) : null;
  return h("div", { class: "meters" }, h("h4", {}, "Create rate"), h("div", { class: "meter" }, h("span", { class: "name" }, slowed ? "slowed by throttles" : idle ? "allowed" : "at its ceiling"), h("span", { class: "value" }, text), meterOf, h("span", { class: "quiet note" }, note)));
}

function queues(lane) {
  if (!lane.queues.length) return null;
  const most = [...lane.queues].sort((one, other) => other.waiting - one.waiting);
  const items = most.slice(0, KEYS_MAX).map((queue) => h("li", {}, h("strong", {}, count(queue.waiting)), ` for ${keyName(queue.key)}: `, h("span", { class: "reason" }, queue.reason ?? "Queued"), `. ${waits(queue.reason)} `, h("span", { class: "quiet" }, queue.etaSeconds === null ? "No estimate." : `All created in about ${duration(queue.etaSeconds)}.`)));
  const rest = most.length - KEYS_MAX;
  if (rest > 0) items.push(h("li", { class: "quiet" }, `and ${plural(rest, "more queue")}`));
  return h("div", { class: "queues" }, h("h4", {}, "Queue, and why its head waits"), h("ul", {}, ...items));
}

function toggle(lane, command) {
  const verb = lane.paused ? "resume" : "pause";
  const label = lane.paused ? "Resume" : "Pause";
  return h("button", { type: "button", class: lane.paused ? "primary" : "", "aria-label": `${label} ${lane.lane}`, onclick: () => command.lane(verb, lane) }, label);
}
