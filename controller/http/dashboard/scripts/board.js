// What every page needs to know: the summary, and on the overview the lanes and how the numbers came to be.
// Invariant: read once for all who look; what it holds is at most as old as the last refresh, and says when that was.

import { get } from "./api.js";
import { Trend } from "./trend.js";

// Creates that AWS has accepted, as the daemon counts them in its samples.
const created = (lanes) => lanes.reduce((sum, { rates: { create } }) => sum + (create ? create.calls - create.throttles - create.errors : 0), 0);

export class Board {
  constructor() {
    this.summary = null;
    this.lanes = null;
    this.trend = new Trend();
    this.at = 0;
    this.detailed = false; // whether somebody looks at lanes and trend
    this.watchers = new Set();
  }

  watch(show) {
    this.watchers.add(show);
    if (this.summary) show(this);
    return () => this.watchers.delete(show);
  }

  async load(signal) {
    const [summary, lanes, trend] = await Promise.all([
      get("/v1/summary", {}, { signal }),
      this.detailed ? get("/v1/lanes", {}, { signal }) : null,
      this.detailed && this.trend.due() ? get("/v1/history", { after: this.trend.reached }, { signal }) : null,
    ]);
    this.summary = summary;
    this.lanes = lanes?.items ?? this.lanes;
    if (trend) this.trend.take(trend);
    if (lanes) this.trend.see(summary.phases, created(lanes.items));
    this.at = Date.now();
    for (const show of [...this.watchers]) show(this);
  }
}
