// What is shown where there is nothing to show, and how to change that.
// Invariant: every command here works as it stands against the daemon that serves the page.

import { h } from "../dom.js";
import { hasToken } from "../api.js";
import { copyButton } from "../parts.js";

const DOCUMENT = `kind: bedrock.ModelInvocationJob
name: first-job
spec:
  roleArn: arn:aws:iam::123456789012:role/batch
  modelId: amazon.nova-lite-v1:0
  inputDataConfig:  {s3InputDataConfig: {s3Uri: s3://bucket/in/0001.jsonl}}
  outputDataConfig: {s3OutputDataConfig: {s3Uri: s3://bucket/out/}}`;

export function noJobs() {
  const token = hasToken() ? ' -H "Authorization: Bearer $FERRYMAN_HTTP__TOKEN"' : "";
  const apply = `ferryman apply -f first-job.yaml --server ${location.origin}`;
  const curl = `curl${token} -H 'content-type: application/yaml' --data-binary @first-job.yaml '${location.origin}/v1/documents?wait=10'`;
  return h(
    "section",
    { class: "panel", "aria-labelledby": "empty-title" },
    h("h2", { id: "empty-title" }, "No jobs yet"),
    h("p", {}, "Hand one over: write what you want of it into a file, say ", h("code", {}, "first-job.yaml"), ","),
    code(DOCUMENT, "the document"),
    h("p", {}, "and give it to this daemon, at a terminal or over HTTP:"),
    code(apply, "the command"),
    code(curl, "the request"),
    h("p", { class: "quiet" }, "The spec is the request of AWS's own create operation. ", h("code", {}, "ferryman explain bedrock.ModelInvocationJob"), " describes each member. The job appears here within a second."),
  );
}

const code = (text, what) => h("div", { class: "code" }, h("pre", { tabindex: "0" }, text), copyButton(text, what));
