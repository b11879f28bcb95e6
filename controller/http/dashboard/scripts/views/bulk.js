// Commands to every job that the filters of the list mean, not only to those of the page.
// Invariant: nothing is sent before the daemon was asked what it would answer for each job (a dry run), and the user has
// confirmed with the number in sight; what is refused is counted by its reason and named, and stays in sight.

import { post } from "../api.js";
import { confirm } from "../dialog.js";
import { fill, h } from "../dom.js";
import { count, plural } from "../format.js";
import { say } from "../notices.js";
import { jobAddress } from "../router.js";
import { COMMANDS, TERMINAL } from "../words.js";

const AT_ONCE = 500;
const FORESEEN_MAX = 10000;
const SHOWN_MAX = 10;
const VERBS = ["retry", "stop", "delete"];
const DONE = { retry: "retried", stop: "stopped", delete: "deleted" };

// The buttons; `filters()` gives the filters as they are now, `changed()` is called once something was done.
export function bulkButtons(filters, changed) {
  const buttons = VERBS.map((verb) => h("button", { type: "button", "data-verb": verb, onclick: () => new Bulk(verb, filters(), changed).ask() }, `${COMMANDS[verb].verb} all`));
  return h("div", { class: "buttons bulk", role: "group", "aria-label": "With all jobs that match" }, h("span", { class: "quiet" }, "With all that match:"), ...buttons);
}

// Offer what can be done to jobs that these filters mean: what has ended cannot be stopped.
export function offer(buttons, filters) {
  const phases = filters.getAll("phase");
  buttons.querySelector('[data-verb="stop"]').hidden = phases.length > 0 && phases.every((phase) => TERMINAL.has(phase));
}

class Bulk {
  constructor(verb, filters, changed) {
    this.verb = verb;
    this.changed = changed;
    this.parameters = { limit: AT_ONCE };
    for (const name of new Set(filters.keys())) this.parameters[name] = filters.getAll(name);
    this.words = [...filters].map(([name, value]) => `${name}: ${value}`).join(", ");
    this.told = h("div", { role: "status", class: "outcome" });
  }

  ask() {
    const { verb, text } = COMMANDS[this.verb];
    this.dialog = confirm({
      title: `${verb} all jobs that match?`,
      verb,
      content: [h("p", { class: "subject" }, this.words), h("p", {}, text), this.told],
      danger: this.verb !== "retry",
      ready: this.foresee(),
      act: () => this.act(),
    });
  }

  // What the daemon would answer now; the dialog cannot be confirmed before. Gives the words of its button.
  async foresee() {
    const tally = new Tally();
    fill(this.told, h("p", { class: "quiet" }, "Counting the jobs"));
    const more = await this.go(tally, { dryRun: true }, () => tally.all >= FORESEEN_MAX || !this.dialog.open);
    const willing = tally.counts.accepted;
    const others = tally.groups(this.verb, "would be");
    const most = more ? " at least" : "";
    fill(this.told, h("p", {}, h("strong", {}, `${plural(tally.all, "job matches", "jobs match")}${more ? " or more" : ""}; ${count(willing)}${most} of them would be ${DONE[this.verb]}.`)), ...others, h("p", { class: "quiet" }, "What matches is looked up again when you confirm."));
    return willing || more ? `${COMMANDS[this.verb].verb} ${more ? `${count(willing)} or more jobs` : plural(willing, "job")}` : null;
  }

  // Gives whether the dialog has said everything and may close.
  async act() {
    const tally = new Tally();
    try {
      const more = await this.go(tally, {}, () => !this.dialog.open);
      const sum = `${COMMANDS[this.verb].verb}: accepted for ${plural(tally.counts.accepted, "job")}, refused for ${count(tally.refused)}${tally.counts.pending ? `, not yet decided for ${count(tally.counts.pending)}` : ""}${more ? "; ended there, the rest is as it was" : ""}.`;
      fill(this.told, h("p", {}, h("strong", {}, sum)), ...tally.groups(this.verb, "was"));
      if (!tally.refused || !this.dialog.open) say(sum);
      return !tally.refused;
    } catch (error) {
      if (tally.all) error.message = `${error.message} ${plural(tally.all, "job")} had their answer before; confirm again to go on.`;
      throw error;
    } finally {
      this.changed();
    }
  }

  // Page by page until nothing is left or `enough()`; gives whether something is left.
  async go(tally, body, enough) {
    for (let after = null; ; ) {
      const { items, next } = await post(`/v1/jobs:${this.verb}`, body, { ...this.parameters, after });
      tally.add(items);
      if (!next || next === after || enough()) return Boolean(next);
      after = next;
      fill(this.told, h("p", { class: "quiet" }, `${plural(tally.all, "job")} so far`));
    }
  }
}

class Tally {
  constructor() {
    this.all = 0;
    this.counts = { accepted: 0, unchanged: 0, ignored: 0, rejected: 0, pending: 0 };
    this.messages = new Map(); // of each answer that is not a plain yes: how many, and the first jobs
  }

  get refused() {
    return this.counts.rejected;
  }

  add(items) {
    for (const { job, answer, message } of items) {
      this.all += 1;
      this.counts[answer] = (this.counts[answer] ?? 0) + 1;
      if (answer === "accepted") continue;
      const known = this.messages.get(`${answer} ${message}`) ?? { answer, message, jobs: 0, named: [] };
      known.jobs += 1;
      if (known.named.length < SHOWN_MAX) known.named.push(job);
      this.messages.set(`${answer} ${message}`, known);
    }
  }

  groups(verb, would) {
    const words = { rejected: `${would} refused`, unchanged: "need nothing", ignored: `${would} left alone`, pending: "are in the inbox, and have no verdict yet" };
    const groups = [...this.messages.values()].sort((one, other) => other.jobs - one.jobs);
    const shown = groups.slice(0, SHOWN_MAX).map(({ answer, message, jobs, named }) =>
      h(
        "details",
        { class: answer === "rejected" ? "bad" : "quiet" },
        h("summary", {}, `${count(jobs)} ${(words[answer] ?? answer).replace(/^was/, jobs === 1 ? "was" : "were")}: ${message}`),
        h("ul", {}, ...named.map((job) => h("li", {}, h("a", { href: jobAddress(job), target: "_blank" }, `${job.scope}/${job.kind}/${job.name}`))), jobs > named.length ? h("li", { class: "quiet" }, `and ${count(jobs - named.length)} more`) : null),
      ),
    );
    if (groups.length > SHOWN_MAX) shown.push(h("p", { class: "quiet" }, `and ${plural(groups.length - SHOWN_MAX, "other answer")}`));
    return shown;
  }
}
