// Asks the API.
// Invariant: every request has a deadline and brings the token that the user gave, kept for this tab alone; whatever
// goes wrong is an `ApiError` whose message is one sentence for people.

const TOKEN = "ferryman.token";
const WITHIN_MS = 30000;
const COMMAND_WITHIN_MS = 75000;
const UNAUTHORIZED = 401;

export class ApiError extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }

  get needsToken() {
    return this.status === UNAUTHORIZED;
  }

  get isMissing() {
    return this.status === 404;
  }
}

let token = sessionStorage.getItem(TOKEN) ?? "";

export function setToken(given) {
  token = given;
  if (given) sessionStorage.setItem(TOKEN, given);
  else sessionStorage.removeItem(TOKEN);
}

export const hasToken = () => token !== "";

export function query(parameters) {
  const asked = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    for (const item of Array.isArray(value) ? value : [value]) {
      if (item !== "" && item !== null && item !== undefined && item !== false) asked.append(name, item);
    }
  }
  const text = asked.toString();
  return text ? `?${text}` : "";
}

// The answer itself, of a success; `signal` ends the request early.
export async function ask(path, { signal, withinMs = WITHIN_MS, headers = {}, ...options } = {}) {
  const signals = [signal, withinMs ? AbortSignal.timeout(withinMs) : null].filter(Boolean);
  let answer;
  try {
    answer = await fetch(path, {
      ...options,
      headers: { accept: "application/json", ...headers, ...(token ? { authorization: `Bearer ${token}` } : {}) },
      signal: signals.length ? AbortSignal.any(signals) : undefined,
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(error.name === "TimeoutError" ? "The daemon does not answer." : "The daemon cannot be reached.");
  }
  if (!answer.ok) throw new ApiError(await detail(answer), answer.status);
  return answer;
}

async function detail(answer) {
  try {
    const problem = await answer.json();
    if (typeof problem.detail === "string") return sentence(problem.detail);
  } catch {
    // not a problem of ours: a proxy's page, or an answer cut off
  }
  return `The daemon answers with HTTP ${answer.status}.`;
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?`]$/.test(text) ? "" : ".");

export async function get(path, parameters = {}, options = {}) {
  const answer = await ask(path + query(parameters), options);
  try {
    return await answer.json();
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new ApiError("The daemon's answer was cut off.");
  }
}

export async function post(path, body = undefined, parameters = {}) {
  const answer = await ask(path + query(parameters), {
    method: "POST",
    withinMs: COMMAND_WITHIN_MS,
    headers: body === undefined ? {} : { "content-type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  return answer.json();
}

export const jobPath = (job) => `/v1/jobs/${[job.scope, job.kind, job.name].map(encodeURIComponent).join("/")}`;
export const lanePath = (lane) => `/v1/lanes/${lane.split("/").map(encodeURIComponent).join("/")}`;
