// Draws series over time, with a legend that tells the values and, below, the same as a table.
// Invariant: the plotting library is loaded after the page has shown its numbers; what the plot shows can be read
// without seeing it. Colours come from the style sheet.

import { fill, h, keep, setText } from "./dom.js";
import { whole } from "./format.js";

const HEIGHT = 220;
const ROWS = 12;

export class Plot {
  // `series`: [{label, colour: "--phase-running"}]; `shown(row, place)` is the text of a value; `filled`: areas, drawn in
  // the order given, so that a later one covers an earlier one. `onToggle(label)` makes the legend switch series.
  constructor({ title, series, shown, filled = false, hidden = new Set(), onToggle = null }) {
    Object.assign(this, { title, series, shown, filled, hidden, onToggle });
    this.host = h("div", { class: "plot" });
    this.legend = h("ul", { class: "legend" });
    this.moment = h("p", { class: "quiet moment" });
    this.rows = h("tbody");
    this.table = h(
      "details",
      { class: "as-table", ontoggle: () => this.tabulate() },
      h("summary", {}, "As a table"),
      h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${title}, as a table` }, h("table", { class: "plain" }, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Time"), ...series.map(({ label }) => h("th", { scope: "col", class: "number" }, label)))), this.rows)),
    );
    this.node = h("div", { class: "figure" }, this.host, h("div", { class: "below" }, this.legend, this.moment), this.table);
    this.data = [[]];
    this.resized = new ResizeObserver(() => this.resize());
    this.resized.observe(this.host);
    this.onTheme = () => this.rebuild();
    document.addEventListener("ferryman:theme", this.onTheme);
  }

  destroy() {
    this.drawn?.destroy();
    this.resized.disconnect();
    document.removeEventListener("ferryman:theme", this.onTheme);
  }

  async draw(data) {
    this.data = data;
    this.tell(null);
    this.tabulate();
    this.library ??= import("../vendor/uPlot.esm.js");
    const { default: Library } = await this.library;
    this.Library = Library;
    if (this.drawn) this.drawn.setData(this.data);
    else this.build();
  }

  rebuild() {
    this.drawn?.destroy();
    this.drawn = null;
    if (this.Library) this.build();
  }

  build() {
    if (!this.host.isConnected || !this.host.clientWidth) return;
    const text = colour(this.host, "--quiet");
    const grid = { stroke: colour(this.host, "--line"), width: 1 };
    const axis = { stroke: text, grid, ticks: grid, font: "12px system-ui, sans-serif" };
    const options = {
      width: this.host.clientWidth,
      height: HEIGHT,
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { show: !this.filled } },
      scales: { y: { range: (_plot, _low, high) => [0, Math.max(1, high * 1.05)] } },
      axes: [{ ...axis, space: 80, values: (_plot, values) => clocks(values) }, { ...axis, size: 56, values: (_plot, values) => values.map((value) => (Number.isInteger(value) ? value.toLocaleString("en") : value)) }],
      series: [{}, ...this.series.map((series) => this.style(series))],
      hooks: { setCursor: [(plot) => this.tell(plot.cursor.idx)] },
    };
    fill(this.host);
    this.drawn = new this.Library(options, this.data, this.host);
    this.drawn.root.setAttribute("role", "img");
    this.drawn.root.setAttribute("aria-label", `${this.title}, a plot; its values are in the table below`);
  }

  style(series) {
    const stroke = colour(this.host, series.colour);
    return { label: series.label, stroke, width: this.filled ? 1 : 2, fill: this.filled ? stroke : undefined, points: { show: false } };
  }

  resize() {
    if (!this.drawn) this.rebuild();
    else if (this.drawn.width !== this.host.clientWidth && this.host.clientWidth) this.drawn.setSize({ width: this.host.clientWidth, height: HEIGHT });
  }

  // The values at one place, or the last ones.
  tell(place) {
    const last = this.data[0].length - 1;
    const at = place ?? last;
    setText(this.moment, last < 0 ? "" : place === null || place === undefined ? "now" : whole(this.data[0][at] * 1000));
    const items = this.series.map((series) => ({ ...series, value: last < 0 ? "" : this.shown(series.label, at), off: this.hidden.has(series.label) }));
    keep(this.legend, items, ({ label }) => label, (item) => h("li", {}, this.entry(item)));
  }

  entry({ label, colour: name, value, off }) {
    const parts = [swatch(name), h("span", {}, label), h("strong", {}, value)];
    if (!this.onToggle) return h("span", { class: "entry" }, ...parts);
    return h("button", { type: "button", class: "entry", "aria-pressed": String(!off), onclick: () => this.onToggle(label) }, ...parts);
  }

  tabulate() {
    if (!this.table.open) return;
    const step = Math.max(1, Math.ceil(this.data[0].length / ROWS));
    const places = [...this.data[0].keys()].reverse().filter((_, place) => place % step === 0);
    fill(this.rows, ...places.map((at) => h("tr", {}, h("th", { scope: "row" }, whole(this.data[0][at] * 1000)), ...this.series.map(({ label }) => h("td", { class: "number" }, this.shown(label, at))))));
  }
}

function swatch(name) {
  const made = h("span", { class: "swatch", "aria-hidden": "true" });
  made.style.background = `var(${name})`;
  return made;
}

// Times of an axis: with seconds where the span is short, with the day where that changes.
function clocks(seconds) {
  const short = seconds.length > 1 && seconds[1] - seconds[0] < 60;
  const format = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: short ? "2-digit" : undefined, hour12: false });
  return seconds.map((second) => format.format(new Date(second * 1000)));
}

// A colour of the style sheet, as a canvas understands it.
function colour(host, name) {
  const probe = h("span", { hidden: true });
  probe.style.color = `var(${name})`;
  host.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}
