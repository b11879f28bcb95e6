// What a person must do, or should look at, most pressing first.
// Invariant: pure; what mends itself is not in it.

import { plural } from "../format.js";
import { address } from "../router.js";
import { FAIL_REASONS } from "../words.js";

const PATIENCE_MS = 300000; // a sink that fails for a moment mends itself

// [{text, href, link}], or [{text, sink}] where a sink must be let go on by hand
export function attention(summary, lanes, now = Date.now()) {
  const points = [];
  const { Uncertain, Failed } = summary.phases;
  for (const lane of lanes.filter(({ unavailable }) => unavailable)) {
    points.push({ text: `${lane.lane} cannot be used: ${lane.unavailable}.`, href: address("jobs", [], { scope: lane.scope, kind: lane.kind }), link: "Its jobs" });
  }
  if (Uncertain) {
    points.push({ text: `${plural(Uncertain, "create")} without a known outcome: look at AWS, then say what became of ${Uncertain === 1 ? "it" : "them"}.`, href: address("jobs", [], { phase: "Uncertain" }), link: "Uncertain jobs" });
  }
  if (summary.reasons.AccessDenied) {
    points.push({ text: `${plural(summary.reasons.AccessDenied, "job waits or has failed", "jobs wait or have failed")} for lack of permission.`, href: address("jobs", [], { reason: "AccessDenied" }), link: "See which" });
  }
  if (Failed) {
    const rest = Failed - FAIL_REASONS.reduce((sum, reason) => sum + (reason === "AccessDenied" ? 0 : (summary.reasons[reason] ?? 0)), 0);
    const reasons = FAIL_REASONS.filter((reason) => reason !== "AccessDenied" && summary.reasons[reason]).map((reason) => `${reason} ${summary.reasons[reason].toLocaleString("en")}`);
    if (rest > 0) reasons.push(`AccessDenied ${rest.toLocaleString("en")}`); // the sum of that reason counts those that wait, too
    points.push({ text: `${plural(Failed, "job has", "jobs have")} failed (${reasons.join(", ")}).`, href: address("jobs", [], { phase: "Failed" }), link: "Failed jobs" });
  }
  for (const lane of lanes.filter(({ paused }) => paused)) {
    points.push({ text: `${lane.lane} is paused${lane.pauseReason ? ` (${lane.pauseReason})` : ""}: nothing new is created.`, href: "#/", link: "Resume it below" });
  }
  for (const sink of summary.sinks) {
    const waiting = `${plural(sink.depth, "event waits", "events wait")}`;
    if (sink.disabled) points.push({ text: `The sink ${sink.name} is disabled: ${sink.problem}. ${waiting} until its receiver is mended or replaced.`, sink });
    else if (sink.failures && sink.oldestAt && now - Date.parse(sink.oldestAt) > PATIENCE_MS) points.push({ text: `The sink ${sink.name} takes nothing: ${sink.problem}. ${waiting} and are tried again.` });
  }
  if (summary.deadLetters) {
    points.push({ text: `${plural(summary.deadLetters, "dead letter")}: rejected documents, or events that could not be delivered.`, href: "#/deadletters", link: "Read them" });
  }
  return points;
}
