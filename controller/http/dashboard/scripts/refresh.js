// Loads again, seldom enough.
// Invariant: one load at a time; however many reasons there are to load again, they become one; a load that is slow is
// repeated less often, and a hidden page loads nothing.

const SHARE = 5; // a load takes at most one part of so many of the time

export class Refresh {
  // `load(signal)` is awaited; what it throws goes to `onError`. Times in ms: at least `gap` between loads, at most `every`.
  constructor(load, { gap = 1500, every = 15000, onError, onDone }) {
    Object.assign(this, { load, gap, every, onError, onDone });
    this.wanted = false;
    this.loading = null;
    this.stopped = false;
    this.quietUntil = 0;
    this.visible = () => document.hidden || this.poke();
    document.addEventListener("visibilitychange", this.visible);
  }

  // Something has changed: load soon.
  poke() {
    this.wanted = true;
    this.plan();
  }

  // Load at once, whatever was loaded lately or is being loaded.
  now() {
    this.loading?.abort();
    this.loading = null;
    this.quietUntil = 0;
    this.poke();
  }

  stop() {
    this.stopped = true;
    clearTimeout(this.timer);
    this.loading?.abort();
    document.removeEventListener("visibilitychange", this.visible);
  }

  plan() {
    if (this.stopped || this.loading || document.hidden) return;
    clearTimeout(this.timer);
    const now = performance.now();
    const dueIn = this.wanted ? this.quietUntil - now : this.lastAt + this.every - now;
    this.timer = setTimeout(() => this.run(), Math.max(0, dueIn));
  }

  async run() {
    const loading = new AbortController();
    this.loading = loading;
    this.wanted = false;
    const began = performance.now();
    try {
      await this.load(loading.signal);
      if (this.loading === loading) this.onDone?.();
    } catch (error) {
      if (loading.signal.aborted) return;
      this.onError(error);
    } finally {
      if (this.loading === loading) {
        this.loading = null;
        this.lastAt = performance.now();
        this.quietUntil = this.lastAt + Math.max(this.gap, SHARE * (this.lastAt - began));
        this.plan();
      }
    }
  }
}
