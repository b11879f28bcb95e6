// The two plots of the overview: jobs by phase, and how many are created and end.
// Invariant: what is drawn is what was sampled; before there are two samples it says so.

import { fill, h } from "../dom.js";
import { count } from "../format.js";
import { Plot } from "../plot.js";

const STACK = ["Succeeded", "Stopped", "Deleted", "Failed", "Uncertain", "Stopping", "Running", "Creating", "Pending"];
const SPANS = [
  ["15 min", 900],
  ["1 hour", 3600],
  ["24 hours", 86400],
];
const BUCKETS = 60;

export class Charts {
  constructor(trend) {
    this.trend = trend;
    this.seconds = 3600;
    this.hidden = new Set();
    this.note = h("p", { class: "quiet" });
    this.stack = new Plot({
      title: "Jobs by phase",
      // Drawn from the whole down to the first part, each over the one before.
      series: STACK.map((phase) => ({ label: phase, colour: `--phase-${phase.toLowerCase()}` })).reverse(),
      filled: true,
      hidden: this.hidden,
      onToggle: (phase) => this.toggle(phase),
      shown: (phase, place) => count(this.samples[place]?.counts?.[phase] ?? 0),
    });
    this.flow = new Plot({
      title: "Jobs a minute",
      series: [
        { label: "Created", colour: "--phase-running" },
        { label: "Ended", colour: "--phase-succeeded" },
      ],
      shown: (label, place) => perMinute(this.rates[label === "Created" ? 1 : 2][place]),
    });
    this.samples = [];
    this.rates = [[], [], []];
    this.node = h(
      "div",
      { class: "charts" },
      h("section", { "aria-labelledby": "title-phases" }, h("div", { class: "heading" }, h("h2", { id: "title-phases" }, "Jobs by phase"), this.choice()), this.note, this.stack.node),
      h("section", { "aria-labelledby": "title-flow" }, h("h2", { id: "title-flow" }, "Jobs a minute"), this.flow.node),
    );
  }

  choice() {
    const select = h("select", { id: "span" }, ...SPANS.map(([label, seconds]) => h("option", { value: seconds, selected: seconds === this.seconds }, label)));
    select.addEventListener("change", () => {
      this.seconds = Number(select.value);
      this.show();
    });
    return h("label", { class: "inline" }, "Last ", select);
  }

  toggle(phase) {
    if (!this.hidden.delete(phase)) this.hidden.add(phase);
    this.show();
  }

  show() {
    const shown = STACK.filter((phase) => !this.hidden.has(phase));
    const [times, ...sums] = this.trend.stacked(this.seconds, shown);
    this.samples = this.trend.since(this.seconds);
    this.samples = times.map((at) => this.samples.find((sample) => sample.at === at) ?? null);
    const of = new Map(shown.map((phase, place) => [phase, sums[place]]));
    const nothing = times.map(() => null);
    this.rates = this.trend.throughput(this.seconds, BUCKETS);
    const few = times.length < 2;
    fill(this.note, few ? "The daemon takes a sample every ten seconds; the plots begin with the second one." : null);
    this.note.hidden = !few;
    this.stack.draw([times, ...[...STACK].reverse().map((phase) => of.get(phase) ?? nothing)]);
    this.flow.draw(this.rates);
  }

  destroy() {
    this.stack.destroy();
    this.flow.destroy();
  }
}

function perMinute(value) {
  if (value === null || value === undefined) return "unknown";
  return value < 10 ? String(Math.round(value * 10) / 10) : count(Math.round(value));
}
