// What phases and reasons mean, and what to do about them.
// Invariant: the words of the API stay as they are; here stands only what is said beside them.

export const PHASES = ["Pending", "Creating", "Running", "Stopping", "Uncertain", "Succeeded", "Failed", "Stopped", "Deleted"];
export const TERMINAL = new Set(["Succeeded", "Failed", "Stopped", "Deleted"]);

const WAITS = {
  Queued: "Its turn comes as soon as the dispatcher reaches it.",
  RateLimited: "The create rate of its lane is used up; the next create goes out when the rate allows.",
  QuotaFull: "All job slots of its quota are taken. It is created when a running job ends.",
  Backoff: "An attempt was refused or failed; the next one begins after a pause. Retry ends the pause.",
  Paused: "Its lane is paused. Resume the lane to go on.",
  AccessDenied: "AWS refuses the create for lack of permission. It is tried again from time to time: mend the role or policy.",
  ScopeUnavailable: "The account or region cannot be used now, most often for credentials. `ferryman doctor` says more.",
};

const FAILED = {
  JobFailed: "The remote job ended as failed. The message is AWS's own.",
  Expired: "The remote job did not finish within the time AWS gives it.",
  ServiceError: "AWS failed, not the job. A retry usually helps.",
  ClientError: "AWS ended the job for what it was given. Mend the document, then retry.",
  Partial: "Some records failed, and the document counts that as a failure.",
  CreateRefused: "AWS refused the create for good. Mend the document: it is never retried by itself.",
  NameTaken: "The remote name or id belongs to another job. It is never retried by itself.",
  Lost: "AWS no longer shows the remote job. Look for its output before you retry.",
  DeadlineExceeded: "The deadline of the document has passed.",
  AccessDenied: "AWS refused for lack of permission. Mend the role or policy, then retry.",
};

export const WAIT_REASONS = Object.keys(WAITS);
export const FAIL_REASONS = Object.keys(FAILED);

const OF_PHASE = {
  Pending: "It waits to be created.",
  Creating: "The create is on its way; its outcome is not known yet.",
  Running: "The remote job exists at AWS.",
  Stopping: "AWS was asked to stop it.",
  Uncertain: "Nobody knows whether AWS has created this job. Look in the AWS console, then resolve it here.",
  Succeeded: "It has ended well.",
  Failed: "It has ended badly.",
  Stopped: "It was stopped.",
  Deleted: "It was deleted.",
};

// Why a job is where it is, in a sentence or two.
export function meaning(job) {
  if (job.phase === "Pending" && job.reason) return WAITS[job.reason] ?? OF_PHASE.Pending;
  if (job.phase === "Failed" && job.reason) return FAILED[job.reason] ?? OF_PHASE.Failed;
  return OF_PHASE[job.phase] ?? "";
}

export const waits = (reason) => WAITS[reason] ?? "";
export const failed = (reason) => FAILED[reason] ?? "";

// What a command does, before it is confirmed.
export const COMMANDS = {
  stop: {
    title: "Stop this job?",
    verb: "Stop",
    text: "A waiting job ends as Stopped at once. A running one is stopped at AWS, where its API can stop; work done so far may be lost, and may be billed.",
  },
  delete: {
    title: "Delete this job?",
    verb: "Delete",
    text: "What runs is stopped, then the remote record is deleted at AWS where the API can delete. What was written to S3 stays.",
  },
  retry: {
    title: "Run this job again?",
    verb: "Retry",
    text: "A failed or stopped job begins a new life with a new remote job, which is billed anew. A job in a backoff goes on now.",
  },
  resolve: {
    title: "What became of the create?",
    verb: "Resolve",
    text: "The create got no answer. A wrong answer here can run and bill the job twice, so look in the AWS console first, for the remote name below.",
  },
};
