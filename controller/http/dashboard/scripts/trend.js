// The numbers over time, as the daemon sampled them, and the series that the plots draw.
// Invariant: samples are kept in order of time, each once, at most `KEPT_MAX`; where nobody sampled, the series have a
// gap. Rates are never negative: a counter that falls back (a restart, pruned jobs) counts as nothing.

import { TERMINAL } from "./words.js";

const KEPT_MAX = 2000;
const DUE_MS = 9000;
const GAP_S = 700; // the coarse samples are 300 s apart

export class Trend {
  constructor() {
    this.samples = [];
    this.reached = null;
    this.askedAt = 0;
    this.present = null;
  }

  due() {
    return Date.now() - this.askedAt > DUE_MS;
  }

  take({ times, phases, created }) {
    this.askedAt = Date.now();
    times.forEach((time, place) => {
      const counts = Object.fromEntries(Object.entries(phases).map(([phase, values]) => [phase, values[place]]));
      this.samples.push({ at: Date.parse(time) / 1000, counts, created: created[place] });
    });
    this.samples.splice(0, Math.max(0, this.samples.length - KEPT_MAX));
    this.reached = times.at(-1) ?? this.reached;
  }

  // How things stand between two samples; `created` where it is known.
  see(counts, created) {
    this.present = { at: Date.now() / 1000, counts, created };
  }

  // Samples of the last `seconds`, the one before them included, and how things stand now.
  since(seconds, now = Date.now() / 1000) {
    const first = this.samples.findIndex((sample) => sample.at >= now - seconds);
    const found = first < 0 ? [] : this.samples.slice(Math.max(0, first - 1));
    const isLater = this.present && this.present.at > (found.at(-1)?.at ?? 0) + 1;
    return isLater ? [...found, this.present] : found;
  }

  // [times, counts of phases[0], of phases[0] + phases[1], ...]
  stacked(seconds, phases) {
    const rows = withGaps(this.since(seconds));
    const series = phases.map(() => []);
    for (const sample of rows) {
      let sum = 0;
      phases.forEach((phase, place) => {
        sum += sample.counts?.[phase] ?? 0;
        series[place].push(sample.counts ? sum : null);
      });
    }
    return [rows.map((sample) => sample.at), ...series];
  }

  // [times, created per minute, ended per minute] over so many equal spans.
  throughput(seconds, spans) {
    const samples = this.since(seconds);
    if (samples.length < 2) return [[], [], []];
    const width = Math.max(10, (samples.at(-1).at - samples[0].at) / spans);
    const times = [];
    const created = [];
    const done = [];
    let from = samples[0];
    for (const sample of samples.slice(1)) {
      const took = sample.at - from.at;
      if (took < width - 1) continue;
      times.push(sample.at);
      created.push(took > GAP_S ? null : (60 * Math.max(0, sample.created - from.created)) / took);
      done.push(took > GAP_S ? null : (60 * Math.max(0, ended(sample) - ended(from))) / took);
      from = sample;
    }
    return [times, created, done];
  }
}

const ended = (sample) => [...TERMINAL].reduce((sum, phase) => sum + (sample.counts[phase] ?? 0), 0);

function withGaps(samples) {
  return samples.flatMap((sample, place) => {
    const before = samples[place - 1];
    return before && sample.at - before.at > GAP_S ? [{ at: before.at + 1, counts: null }, sample] : [sample];
  });
}
