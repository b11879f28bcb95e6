// Commands to jobs and lanes, each confirmed in a dialog that says what will happen.
// Invariant: before a job is commanded, the daemon is asked what it would answer (a dry run), and that is shown; nothing
// is sent twice.

import { ApiError, jobPath, lanePath, post } from "../api.js";
import { confirm } from "../dialog.js";
import { fill, h } from "../dom.js";
import { plural, whole } from "../format.js";
import { say } from "../notices.js";
import { facts } from "../parts.js";
import { COMMANDS } from "../words.js";

const DANGEROUS = new Set(["stop", "delete"]);

// Which commands make sense for a job now.
export function possible(job) {
  const ended = ["Succeeded", "Failed", "Stopped", "Deleted"].includes(job.phase);
  return [
    job.phase === "Uncertain" && "resolve",
    (["Failed", "Stopped"].includes(job.phase) || (job.phase === "Pending" && ["Backoff", "AccessDenied"].includes(job.reason))) && "retry",
    !ended && job.desired === "Completed" && "stop",
    job.phase !== "Deleted" && job.desired !== "Absent" && "delete",
  ].filter(Boolean);
}

export class Commands {
  // `changed()` is called once something was done.
  constructor(changed) {
    this.changed = changed;
  }

  job(verb, job) {
    const words = COMMANDS[verb];
    const verdict = h("p", { class: "quiet", role: "status" });
    const content = [h("p", { class: "subject" }, `${job.scope}/${job.kind}/${job.name}`), h("p", {}, words.text)];
    if (verb === "resolve") content.push(facts([["Remote name", h("code", {}, job.remoteName)], ["Sent", whole(job.attempts.at(-1)?.createdAt)]]), resolution());
    else {
      content.push(verdict);
      foresee(verb, job, verdict);
    }
    confirm({
      title: words.title,
      verb: words.verb,
      content,
      danger: DANGEROUS.has(verb),
      act: async (form) => {
        const body = verb === "resolve" ? chosen(form) : undefined;
        const result = await post(`${jobPath(job)}:${verb}`, body);
        this.done(`${words.verb}: ${result.message}.`);
      },
    });
  }

  lane(verb, lane) {
    const pausing = verb === "pause";
    const text = pausing
      ? "Nothing new is created in this lane until it is resumed. What runs goes on and is followed to its end; documents are still accepted."
      : `${plural(lane.phases.Pending ?? 0, "job waits", "jobs wait")} here; they are created as quota and rate allow.`;
    const reason = pausing ? [h("label", { for: "reason" }, "Reason, for others to read (optional)"), h("input", { id: "reason", name: "reason", maxlength: 500, autocomplete: "off" })] : [];
    confirm({
      title: pausing ? "Pause this lane?" : "Resume this lane?",
      verb: pausing ? "Pause" : "Resume",
      content: [h("p", { class: "subject" }, lane.lane), h("p", {}, text), ...reason],
      act: async (form) => {
        const result = await post(`${lanePath(lane.lane)}:${verb}`, { reason: form.get("reason") ?? "" });
        this.done(`${lane.lane}: ${result.message}.`);
      },
    });
  }

  sink(sink) {
    confirm({
      title: "Send events to this sink again?",
      verb: "Resume",
      content: [h("p", { class: "subject" }, sink.name), h("p", {}, `${plural(sink.depth, "event waits", "events wait")} for it. They are sent from where it stopped; if its receiver is still gone, it is disabled again.`)],
      act: async () => {
        const result = await post("/v1/sinks:resume", { sink: sink.name });
        this.done(`${sink.name}: ${result.message}.`);
      },
    });
  }

  letters(ids) {
    confirm({
      title: ids.length === 1 ? "Send this document once more?" : `Send ${ids.length} documents once more?`,
      verb: "Requeue",
      content: [h("p", {}, "They are judged again as if they had just arrived. What is valid now leaves the dead letters and runs, and is billed; what is still invalid stays here.")],
      act: async () => {
        const { items } = await post("/v1/deadletters:requeue", { ids });
        const kept = items.filter(({ answer }) => answer === "rejected");
        if (kept.length === items.length) throw new ApiError(`Nothing was sent: ${kept[0].message}`);
        this.done(`${plural(items.length - kept.length, "document is", "documents are")} in the inbox again${kept.length ? `, ${kept.length} stay: ${kept[0].message}` : ""}.`);
      },
    });
  }

  discard(ids) {
    confirm({
      title: ids.length === 1 ? "Discard this dead letter?" : `Discard ${ids.length} dead letters?`,
      verb: "Discard",
      danger: true,
      content: [h("p", {}, "They are removed for good, body and all: for what was mended and sent again, or is not wanted any more.")],
      act: async () => {
        const { items } = await post("/v1/deadletters:discard", { ids });
        this.done(`${plural(items.filter(({ answer }) => answer === "accepted").length, "dead letter")} discarded.`);
      },
    });
  }

  done(text) {
    say(text.replace(/\.\.$/, "."));
    this.changed();
  }
}

// What the daemon would answer, by what it knows now.
async function foresee(verb, job, shown) {
  try {
    const { scope, kind, name } = job;
    const { items } = await post(`/v1/jobs:${verb}`, { dryRun: true }, { scope, kind, name });
    if (items.length) fill(shown, `The daemon would answer now: ${items[0].answer} (${items[0].message}).`);
  } catch (error) {
    fill(shown, error.message);
  }
}

function resolution() {
  const choice = (value, text, note, checked) => h("label", { class: "choice" }, h("input", { type: "radio", name: "outcome", value, required: true, checked }), h("span", {}, h("strong", {}, text), h("span", { class: "quiet" }, ` ${note}`)));
  const remote = h("input", { name: "remoteId", id: "remote-id", placeholder: "arn:aws:bedrock:…", autocomplete: "off", spellcheck: "false", maxlength: 2048 });
  remote.addEventListener("input", () => {
    remote.form.elements.outcome.value = "remoteId";
  });
  return h(
    "fieldset",
    { class: "choices" },
    h("legend", {}, "In the AWS console I see"),
    choice("remoteId", "a job of this name.", "It is adopted, and followed to its end."),
    h("label", { for: "remote-id", class: "indented" }, "Its ARN"),
    h("div", { class: "indented" }, remote),
    choice("retry", "no such job: create it again.", "If it exists after all, it runs and is billed twice."),
    choice("fail", "no such job: give it up.", "The job ends as Failed (Lost)."),
  );
}

function chosen(form) {
  const outcome = form.get("outcome");
  if (outcome !== "remoteId") return { [outcome]: true };
  const remoteId = String(form.get("remoteId")).trim();
  if (!/^[!-~]+$/.test(remoteId)) throw new ApiError("Give the ARN of the remote job, without spaces.");
  return { remoteId };
}
