// Shows the summary, the lanes and the newest jobs, and follows events to know when to look again.
// Everything from the API goes into the page as text, never as markup.

const LOOK_MS = 2000;
const LOOK_LATEST_MS = 15000;
const JOBS = 50;
const TOKEN = "ferryman.token";

const element = (id) => document.getElementById(id);

class Refused extends Error {}

async function ask(path, options = {}) {
  const token = sessionStorage.getItem(TOKEN);
  const headers = { accept: "application/json", ...options.headers };
  if (token) headers.authorization = `Bearer ${token}`;
  const answer = await fetch(path, { ...options, headers });
  if (answer.status === 401) throw new Refused("This daemon needs its API token.");
  if (!answer.ok) throw new Error(`The daemon answers with HTTP ${answer.status}.`);
  return answer;
}

const read = async (path) => (await ask(path)).json();

function cell(content, name = "td") {
  const made = document.createElement(name);
  if (content instanceof Node) made.append(content);
  else made.textContent = content ?? "";
  return made;
}

function row(...contents) {
  const made = document.createElement("tr");
  made.append(...contents.map((content) => cell(content)));
  return made;
}

function duration(seconds) {
  if (seconds === null || seconds === undefined) return "unknown";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

function progress(records) {
  if (!records.total) return "";
  const bar = document.createElement("progress");
  bar.max = records.total;
  bar.value = records.processed;
  bar.setAttribute("aria-label", `${records.processed} of ${records.total} records`);
  bar.title = `${records.processed} of ${records.total}, ${records.failed} failed`;
  return bar;
}

function showSummary(summary) {
  element("which").textContent =
    `${summary.instance} · version ${summary.version} · up ${duration(summary.uptimeSeconds)}` +
    (summary.stopping ? " · stopping" : summary.ready ? "" : " · starting");
  element("phases").replaceChildren(
    ...Object.entries(summary.phases).map(([phase, jobs]) => {
      const box = document.createElement("div");
      box.append(cell(phase, "dt"), cell(jobs.toLocaleString(), "dd"));
      return box;
    }),
  );
  const parts = [];
  if (summary.waiting) {
    parts.push(`${summary.waiting.toLocaleString()} wait; the last is created in: ${duration(summary.etaSeconds)}.`);
  }
  if (summary.inbox) parts.push(`${summary.inbox.toLocaleString()} in the inbox.`);
  if (summary.deadLetters) parts.push(`${summary.deadLetters.toLocaleString()} dead letters.`);
  element("outlook").textContent = parts.join(" ");
}

function laneState(lane) {
  if (lane.unavailable) return `scope unavailable: ${lane.unavailable}`;
  if (lane.paused) return `paused: ${lane.pauseReason}`;
  const keysOf = new Map();
  for (const { key, reason } of lane.queues) keysOf.set(reason, [...(keysOf.get(reason) ?? []), key]);
  const reasons = [...keysOf].map(([reason, keys]) => (lane.queues.length === keys.length ? reason : `${reason}: ${keys.join(", ")}`));
  return reasons.join("; ") || "idle";
}

function laneRow(lane) {
  // A key of one slot is one resource that takes one job at a time; there may be thousands.
  const shared = Object.entries(lane.slots).filter(([, slot]) => slot.configured > 1);
  const slots = shared.map(([key, slot]) => `${key === "*" ? "" : `${key} `}${slot.used}/${slot.ceiling}`);
  const create = lane.rates.create;
  const rate = create ? `${create.rate.toFixed(2)} of ${create.ceiling} /s, ${create.throttles} throttled` : "";
  const { Pending, Running, Failed } = lane.phases;
  return row(lane.lane.replace(/\/[^.]*\./, "/"), laneState(lane), slots.join(", "), rate, Pending, Running, Failed);
}

function jobRow(job) {
  const why = [job.reason, job.message].filter(Boolean).join(": ");
  const place = job.queue.position === null ? "" : `${job.queue.position}, in ${duration(job.queue.etaSeconds)}`;
  return row(`${job.scope}/${job.kind}/${job.name}`, job.phase, why, progress(job.records), place);
}

function say(text) {
  element("banner").textContent = text;
  element("banner").hidden = !text;
}

async function look() {
  const [summary, lanes, jobs] = await Promise.all([
    read("/v1/summary"),
    read("/v1/lanes"),
    read(`/v1/jobs?limit=${JOBS}`),
  ]);
  showSummary(summary);
  element("lanes").replaceChildren(...lanes.items.map(laneRow));
  element("jobs").replaceChildren(...jobs.items.map(jobRow));
  say("");
}

let changed = true;

// EventSource cannot send a token, so the stream is read by hand; what it says is only that something has changed.
async function follow() {
  for (;;) {
    try {
      const answer = await ask("/v1/events", { headers: { accept: "text/event-stream" } });
      const reader = answer.body.getReader();
      for (;;) {
        const { done } = await reader.read();
        if (done) break;
        changed = true;
      }
    } catch (error) {
      if (error instanceof Refused) return;
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

async function run() {
  let looked = 0;
  follow();
  for (;;) {
    if (changed || Date.now() - looked > LOOK_LATEST_MS) {
      changed = false;
      looked = Date.now();
      try {
        await look();
      } catch (error) {
        if (error instanceof Refused) return askForToken(error.message);
        say(`Not connected: ${error.message} What is shown is old.`);
        changed = true;
      }
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

function askForToken(why) {
  sessionStorage.removeItem(TOKEN);
  say(why);
  element("login").hidden = false;
  element("token").focus();
}

element("login").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(TOKEN, element("token").value);
  element("token").value = "";
  element("login").hidden = true;
  changed = true;
  run();
});

run();
