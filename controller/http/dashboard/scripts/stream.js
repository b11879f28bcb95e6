// Follows what happens, by server-sent events.
// Invariant: nothing is missed: after a drop the stream goes on behind the last event that was read. A stream that says
// nothing for longer than its heartbeat is dead. Reconnects back off, with chance in them. A hidden page holds no stream.
//
// EventSource cannot send a token, so the stream is read by hand.

import { ask } from "./api.js";

const SILENT_MS = 40000; // the daemon says something every 15 s
const FIRST_MS = 1000;
const LATEST_MS = 30000;
const UNSENT = "";

export class Stream {
  // `onEvents(events)` is told of events, parsed; `onState(state)` of "connecting", "live" and "lost".
  constructor({ onEvents, onState, onRefused }) {
    this.onEvents = onEvents;
    this.onState = onState;
    this.onRefused = onRefused;
    this.last = UNSENT;
    this.failures = 0;
    this.running = null;
    this.timer = null;
    document.addEventListener("visibilitychange", () => (document.hidden ? this.pause() : this.wanted && this.begin()));
    window.addEventListener("online", () => this.again());
  }

  begin() {
    if (this.wanted && (this.running || this.timer)) return;
    this.wanted = true;
    if (document.hidden) return;
    this.connect();
  }

  // Try now rather than later.
  again() {
    if (!this.wanted || this.running) return;
    clearTimeout(this.timer);
    this.timer = null;
    this.connect();
  }

  stop() {
    this.wanted = false;
    this.pause();
  }

  pause() {
    clearTimeout(this.timer);
    this.timer = null;
    this.running?.abort();
    this.running = null;
  }

  async connect() {
    this.timer = null;
    const running = new AbortController();
    this.running = running;
    if (!this.failures) this.onState("connecting");
    try {
      await this.read(running);
    } catch (error) {
      if (this.running !== running) return; // paused on purpose
      if (error.needsToken) {
        this.stop();
        this.onRefused(error);
        return;
      }
      if (error.status === 422) this.last = UNSENT; // the daemon is another one now, and does not know this cursor
    }
    if (this.running !== running) return;
    this.running = null;
    running.abort();
    const waitMs = Math.min(LATEST_MS, FIRST_MS * 2 ** this.failures) * (0.5 + Math.random() / 2);
    this.failures += 1;
    this.onState("lost");
    this.timer = setTimeout(() => this.connect(), waitMs);
  }

  async read(running) {
    const headers = { accept: "text/event-stream", ...(this.last ? { "last-event-id": this.last } : {}) };
    const answer = await ask("/v1/events", { signal: running.signal, withinMs: 0, headers });
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    let heard = false;
    for (;;) {
      const silent = setTimeout(() => running.abort(), SILENT_MS);
      const { done, value } = await reader.read().finally(() => clearTimeout(silent));
      if (done) return;
      if (!heard) this.onState("live");
      heard = true;
      this.failures = 0;
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop();
      this.take(blocks);
    }
  }

  take(blocks) {
    const events = [];
    for (const block of blocks) {
      for (const line of block.split("\n")) {
        if (line.startsWith("id: ")) this.last = line.slice(4);
        else if (line.startsWith("data: ")) events.push(line.slice(6));
      }
    }
    if (events.length) this.onEvents(events);
  }
}
