// How numbers, durations and times read.
// Invariant: pure functions; an unknown value reads as such and never as zero.

const COUNT = new Intl.NumberFormat("en");
const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const DAY = new Intl.DateTimeFormat(undefined, { weekday: "short", hour: "2-digit", minute: "2-digit" });
const WHOLE = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const DAY_S = 86400;

export const count = (number) => COUNT.format(number);

export function rate(perSecond) {
  if (perSecond === 0) return "0";
  return perSecond < 0.1 ? perSecond.toPrecision(1) : perSecond < 10 ? perSecond.toFixed(1) : count(Math.round(perSecond));
}

export function plural(number, one, many = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : many}`;
}

// Seconds as "40 s", "12 min", "3 h 20 min", "2 d 4 h".
export function duration(seconds) {
  if (seconds === null || seconds === undefined || Number.isNaN(seconds)) return "unknown";
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 90) return `${whole} s`;
  const minutes = Math.round(whole / 60);
  if (minutes < 90) return `${minutes} min`;
  if (minutes < 48 * 60) return join(Math.floor(minutes / 60), "h", minutes % 60, "min");
  const hours = Math.round(minutes / 60);
  return join(Math.floor(hours / 24), "d", hours % 24, "h");
}

function join(large, largeUnit, small, smallUnit) {
  return small ? `${large} ${largeUnit} ${small} ${smallUnit}` : `${large} ${largeUnit}`;
}

// The clock time `seconds` from now, with the day where that is not today.
export function clockIn(seconds, now = Date.now()) {
  return (seconds < DAY_S / 2 ? CLOCK : DAY).format(new Date(now + seconds * 1000));
}

export function whole(text) {
  return text ? WHOLE.format(new Date(text)) : "";
}

// RFC 3339 as "3 min ago", in the largest unit alone.
export function ago(text, now = Date.now()) {
  if (!text) return "";
  const seconds = (now - Date.parse(text)) / 1000;
  if (seconds < 5) return "just now";
  if (seconds < 90 * 60) return `${duration(seconds)} ago`;
  const hours = Math.round(seconds / 3600);
  return hours < 48 ? `${hours} h ago` : `${Math.round(hours / 24)} d ago`;
}

// How long from one time to another, or to now.
export function between(from, to, now = Date.now()) {
  if (!from) return "";
  return duration(((to ? Date.parse(to) : now) - Date.parse(from)) / 1000);
}

export function percent(part, of) {
  if (!of) return 0;
  return Math.max(0, Math.min(100, (100 * part) / of));
}

// `bedrock.ModelInvocationJob` as `ModelInvocationJob`.
export const shortKind = (kind) => kind.slice(kind.indexOf(".") + 1);

// The text up to `most` characters, and whether something was left out.
export function bounded(text, most) {
  return text.length > most ? [text.slice(0, most), true] : [text, false];
}
