// Jobs: a page of them, by filters that live in the address.
// Invariant: the server pages and filters, the browser holds one page; while the user types, only the last question
// counts. Refreshes change what is different, and leave the focus where it is.

import { get } from "../api.js";
import { fill, h, keep, setText } from "../dom.js";
import { duration, plural, shortKind } from "../format.js";
import { failure, loading, phaseChip, progress, time } from "../parts.js";
import { Refresh } from "../refresh.js";
import { address, jobAddress, replace } from "../router.js";
import { bulkButtons, offer } from "./bulk.js";
import { noJobs } from "./empty.js";
import { Filters, filtersIn } from "./filters.js";

const PAGE = 100;
const ENOUGH = 25;
const READS_MAX = 5; // a page can be short, or empty, and still have a next
const COLUMNS = ["Job", "Phase", "Why, and what is said", "Progress", "Place", "Accepted"];

const trails = new Map(); // filters to the cursors of the pages before

export function showJobs(root, { board, onTrouble }, route) {
  document.title = "Jobs · Ferryman";
  const found = h("p", { class: "found", role: "status" });
  const rows = h("tbody", { role: "rowgroup" });
  const table = h("table", { class: "jobs", role: "table", "aria-label": "Jobs" }, h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, ...COLUMNS.map((name) => h("th", { scope: "col", role: "columnheader" }, name)))), rows);
  const pager = h("nav", { class: "pager", "aria-label": "Pages of the list" });
  const results = h("div", { class: "results" }, loading("jobs"));
  const filters = new Filters(filtersIn(route.search), (search) => go(search, null));
  let asked = route.search;
  const bulk = bulkButtons(() => filtersIn(asked), () => refresh.now());
  bulk.hidden = true;

  function go(search, after, page = 1) {
    asked = new URLSearchParams(search);
    asked.delete("after");
    asked.delete("page");
    if (after) {
      asked.set("after", after);
      asked.set("page", page);
    }
    replace(address("jobs", [], asked));
    results.setAttribute("aria-busy", "true");
    refresh.now();
  }

  async function load(signal) {
    const began = performance.now();
    const { items, next } = await pageOf(asked, signal);
    show(items, next);
    performance.measure("ferryman:jobs", { start: began, end: performance.now() });
  }

  function show(items, next) {
    onTrouble(null);
    results.removeAttribute("aria-busy");
    const filtered = filtersIn(asked).toString() !== "";
    if (!items.length && !next && !asked.get("after")) {
      bulk.hidden = true;
      setText(found, filtered ? "No job matches these filters." : "");
      fill(results, filtered ? nothingFound() : noJobs());
      fill(pager);
      return;
    }
    offer(bulk, filtersIn(asked));
    bulk.hidden = !filtered; // every job there is, is never meant by accident
    if (!items.length) fill(results, nothingYet());
    else if (table.parentNode !== results) fill(results, table);
    keep(rows, items, ({ uid }) => uid, row, (job) => JSON.stringify([job, Math.floor(Date.now() / 30000)]));
    const page = Number(asked.get("page") ?? 1);
    if (!items.length) setText(found, next ? "None so far; there is more to look through." : "No more jobs.");
    else setText(found, `${plural(items.length, "job")} on ${page > 1 ? `page ${page}` : "this page"}, newest first${next ? "; more follow" : ""}.`);
    fill(pager, ...pages(page, next));
  }

  function pages(page, next) {
    const key = filtersIn(asked).toString();
    const trail = trails.get(key) ?? [];
    const back = () => {
      trails.set(key, trail.slice(0, -1));
      go(filtersIn(asked), trail.at(-1) ?? null, page - 1);
    };
    const onward = () => {
      trails.set(key, page > 1 ? [...trail, asked.get("after")] : [null]);
      go(filtersIn(asked), next, page + 1);
      root.focus();
      window.scrollTo(0, 0);
    };
    return [
      h("button", { type: "button", disabled: page === 1, onclick: () => go(filtersIn(asked), null) }, "Newest"),
      h("button", { type: "button", disabled: page === 1 || !trail.length, onclick: back }, "Newer"),
      h("span", { class: "quiet" }, `Page ${page}`),
      h("button", { type: "button", disabled: !next, onclick: onward }, "Older"),
    ];
  }

  const refresh = new Refresh(load, {
    gap: 2000,
    every: 15000,
    onError: (error) => {
      if (table.isConnected) onTrouble(error);
      else fill(results, failure(error, () => refresh.now()));
    },
  });
  fill(root, h("h1", {}, "Jobs"), filters.node, h("div", { class: "heading" }, found, bulk), results, pager);
  const unwatch = board.watch(({ summary }) => filters.offer(summary));
  refresh.now();
  return {
    onEvents: () => refresh.poke(),
    changed: () => refresh.now(),
    focusFilter: () => filters.focus(),
    stop() {
      unwatch();
      filters.stop();
      refresh.stop();
    },
  };
}

// A page of the API; with a filter by a reason that is derived, pages can be short: then some more are read.
async function pageOf(asked, signal) {
  const parameters = { limit: PAGE, after: asked.get("after") };
  for (const name of new Set(filtersIn(asked).keys())) parameters[name] = asked.getAll(name);
  const { items, next } = await get("/v1/jobs", parameters, { signal });
  let cursor = next;
  for (let reads = 1; cursor && items.length < ENOUGH && reads < READS_MAX; reads += 1) {
    const more = await get("/v1/jobs", { ...parameters, after: cursor }, { signal });
    items.push(...more.items);
    cursor = more.next;
  }
  return { items, next: cursor };
}

function row(job) {
  const labels = Object.entries(job.labels).map(([key, value]) => `${key}=${value}`);
  const cells = [
    [h("a", { href: jobAddress(job), class: "job-name" }, job.name), h("span", { class: "quiet line" }, `${job.scope} · ${shortKind(job.kind)}`), job.group || labels.length ? h("span", { class: "quiet line labels" }, ...[job.group && `group ${job.group}`, ...labels].filter(Boolean).map((text) => h("span", {}, text))) : null],
    [phaseChip(job.phase), job.remoteStatus ? h("span", { class: "quiet line" }, job.remoteStatus) : null],
    [job.reason ? h("span", { class: "reason" }, job.reason) : null, job.message ? h("span", { class: "line message" }, job.message) : null],
    [progress(job)],
    [place(job)],
    [time(job.acceptedAt)],
  ];
  return h("tr", { role: "row" }, ...cells.map((content, column) => h(column ? "td" : "th", { role: column ? "cell" : "rowheader", scope: column ? null : "row", "data-label": COLUMNS[column], class: content.some(Boolean) ? null : "blank" }, ...content)));
}

function place({ queue }) {
  if (queue.position === null) return null;
  const eta = queue.etaSeconds === null ? "no estimate" : `in about ${duration(queue.etaSeconds)}`;
  return h("span", {}, queue.position.toLocaleString("en"), h("span", { class: "quiet line" }, eta));
}

function nothingYet() {
  return h("div", { class: "panel" }, h("h2", {}, "None so far"), h("p", {}, "None of the jobs looked through on this page is in this state now. Older looks further; a filter by kind or scope makes it quicker."));
}

function nothingFound() {
  return h("div", { class: "panel" }, h("h2", {}, "No job matches"), h("p", {}, "Take a filter away, or ", h("a", { href: "#/jobs" }, "show all jobs"), ". A job that ended long ago may have been pruned."));
}
