// What happened to a job, newest first.
// Invariant: an event is shown as it was sent, in its own words; nothing is made up between two of them.

import { h, keep } from "../dom.js";
import { whole } from "../format.js";

const JOB = "ferryman.job.";

export function timeline(root, events) {
  keep(root, [...events].reverse(), ({ id }) => id, entry, () => "");
}

function entry({ type, time, data }) {
  const word = type.startsWith(JOB) ? type.slice(JOB.length) : type.replace(/^ferryman\./, "");
  const moved = data.previousPhase && data.previousPhase !== data.phase ? `${data.previousPhase} → ${data.phase}` : null;
  const records = data.records?.total ? `${data.records.processed.toLocaleString("en")} of ${data.records.total.toLocaleString("en")} records` : null;
  const details = [moved, data.reason, data.remoteStatus && `AWS says ${data.remoteStatus}`, records].filter(Boolean).join(" · ");
  return h(
    "li",
    { "data-phase": data.phase },
    h("p", {}, h("strong", {}, word.replaceAll("_", " ")), " ", h("time", { datetime: time, class: "quiet" }, whole(time))),
    details ? h("p", { class: "quiet" }, details) : null,
    data.message ? h("p", { class: "message" }, data.message) : null,
  );
}
