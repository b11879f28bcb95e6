// Which page the address names, filters included.
// Invariant: the address alone decides what is shown: a reload, a bookmark and the back button all work.

// `#/jobs/default/kind/name?x=1` as {page: "jobs", rest: ["default", "kind", "name"], search: URLSearchParams}.
export function read(hash = location.hash) {
  const [path, search = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const [page = "", ...rest] = path.split("/").map(decode);
  return { page, rest, search: new URLSearchParams(search) };
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // typed by hand
  }
}

export function address(page, rest = [], search = {}) {
  const asked = search instanceof URLSearchParams ? search : new URLSearchParams(search);
  const path = [page, ...rest].map(encodeURIComponent).join("/");
  return `#/${path}${asked.size ? `?${asked}` : ""}`;
}

export const jobAddress = (job) => address("jobs", [job.scope, job.kind, job.name]);

// Put an address in the place of the present one, without showing it anew.
export const replace = (hash) => history.replaceState(null, "", hash);
