"""Examples of answers, for OpenAPI.

Invariant: a test holds each to the schema of its answer.
"""

from typing import Final

from pydantic import JsonValue

KIND: Final = "bedrock.ModelInvocationJob"
NAME: Final = "nightly-20261121-0001"
LANE: Final = f"default/{KIND}"
UID: Final = "mfzwizltoq2gk43u"
ARN: Final = "arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/abc123def456"
JOB: Final[dict[str, JsonValue]] = {"scope": "default", "kind": KIND, "name": NAME}
SPEC: Final[dict[str, JsonValue]] = {
    "roleArn": "arn:aws:iam::123456789012:role/batch",
    "modelId": "amazon.nova-lite-v1:0",
    "inputDataConfig": {"s3InputDataConfig": {"s3Uri": "s3://bucket/in/0001.jsonl"}},
    "outputDataConfig": {"s3OutputDataConfig": {"s3Uri": "s3://bucket/out/"}},
}
DOCUMENT: Final[dict[str, JsonValue]] = {"kind": KIND, "name": NAME, "labels": {"run": "nightly"}, "spec": SPEC}
DOCUMENT_YAML: Final = f"""\
kind: {KIND}
name: {NAME}
labels: {{run: nightly}}
spec:
  roleArn: arn:aws:iam::123456789012:role/batch
  modelId: amazon.nova-lite-v1:0
  inputDataConfig: {{s3InputDataConfig: {{s3Uri: s3://bucket/in/0001.jsonl}}}}
  outputDataConfig: {{s3OutputDataConfig: {{s3Uri: s3://bucket/out/}}}}
"""
SMALL_DOCUMENT: Final = f'{{"kind":"{KIND}","name":"{NAME}","desired":"Stopped"}}'
WAITING_JOB: Final[dict[str, JsonValue]] = {
    "uid": UID,
    **JOB,
    "generation": None,
    "incarnation": 1,
    "desired": "Completed",
    "phase": "Pending",
    "reason": "QuotaFull",
    "message": None,
    "remoteStatus": None,
    "remoteId": None,
    "remoteName": None,
    "attempt": 0,
    "attempts": [],
    "records": {"total": 0, "processed": 0, "succeeded": 0, "failed": 0},
    "partial": False,
    "deadlineExceeded": False,
    "output": {"uri": "s3://bucket/out/", "manifest": None},
    "queue": {"position": 3, "etaSeconds": 840.0},
    "labels": {"run": "nightly"},
    "group": "",
    "priority": 0,
    "spec": SPEC,
    "acceptedAt": "2026-11-21T03:40:00.000Z",
    "startedAt": None,
    "endedAt": None,
}
JOB_PAGE: Final[dict[str, JsonValue]] = {"items": [WAITING_JOB], "next": "41da484f40c00000-1042"}
DOCUMENT_RESULTS: Final[dict[str, JsonValue]] = {
    "items": [
        {
            "index": 0,
            "answer": "accepted",
            "message": "accepted",
            "problems": [],
            "inboxId": 17,
            "uid": UID,
            "job": JOB,
        }
    ],
    "dryRun": False,
}
COMMAND_RESULT: Final[dict[str, JsonValue]] = {
    "job": JOB,
    "inboxId": 18,
    "answer": "accepted",
    "message": "stopping",
    "uid": UID,
}
BULK_RESULT: Final[dict[str, JsonValue]] = {
    "items": [COMMAND_RESULT],
    "counts": {"accepted": 1},
    "dryRun": False,
    "next": None,
}
EVENT: Final[dict[str, JsonValue]] = {
    "specversion": "1.0",
    "id": f"{UID}-4",
    "source": "ferryman/prod",
    "type": "ferryman.job.succeeded",
    "subject": f"{LANE}/{NAME}",
    "time": "2026-11-21T04:10:00.000Z",
    "datacontenttype": "application/json",
    "sequence": "00000000000000000004",
    "data": {**JOB, "uid": UID, "phase": "Succeeded", "previousPhase": "Running"},
}
EVENT_PAGE: Final[dict[str, JsonValue]] = {"items": [EVENT], "next": "eyJ4IjoxfQ"}
EVENT_STREAM: Final = f'retry: 2000\nid: eyJ4IjoxfQ\n\nid: eyJ4IjoyfQ\ndata: {{"specversion":"1.0","id":"{UID}-4"}}\n\n'
_PHASES: Final[dict[str, JsonValue]] = {
    "Pending": 12,
    "Creating": 0,
    "Running": 20,
    "Stopping": 0,
    "Uncertain": 0,
    "Succeeded": 968,
    "Failed": 0,
    "Stopped": 0,
    "Deleted": 0,
}
_LANE_BRIEF: Final[dict[str, JsonValue]] = {
    "lane": LANE,
    "paused": False,
    "unavailable": "",
    "phases": _PHASES,
    "reasons": {"QuotaFull": 12},
    "etaSeconds": 840.0,
}
LANE_VIEW: Final[dict[str, JsonValue]] = {
    **_LANE_BRIEF,
    "scope": "default",
    "kind": KIND,
    "pauseReason": "",
    "queues": [{"key": "amazon.nova-lite-v1:0", "waiting": 12, "reason": "QuotaFull", "etaSeconds": 840.0}],
    "rates": {"create": {"rate": 2.0, "ceiling": 2.0, "calls": 988, "throttles": 0, "errors": 0}},
    "slots": {"amazon.nova-lite-v1:0": {"used": 20, "ours": 20, "ceiling": 20, "configured": 20, "parked": False}},
    "medianSeconds": {"amazon.nova-lite-v1:0": 1260.5},
    "lastCompletePassAt": "2026-11-21T04:09:48.000Z",
    "passes": 311,
}
LANE_PAGE: Final[dict[str, JsonValue]] = {"items": [LANE_VIEW], "next": None}
LANE_RESULT: Final[dict[str, JsonValue]] = {"lane": LANE, "inboxId": 19, "answer": "accepted", "message": "paused"}
LANE_RESULTS: Final[dict[str, JsonValue]] = {"items": [LANE_RESULT], "next": None}
SUMMARY: Final[dict[str, JsonValue]] = {
    "instance": "prod",
    "version": "0.1.0",
    "uptimeSeconds": 86400.5,
    "ready": True,
    "stopping": False,
    "simulated": False,
    "phases": _PHASES,
    "reasons": {"QuotaFull": 12},
    "lanes": [_LANE_BRIEF],
    "waiting": 12,
    "etaSeconds": 840.0,
    "selection": {"waiting": 4, "running": 2, "etaSeconds": 300.0, "endSeconds": 2100.0},
    "inbox": 0,
    "deadLetters": 1,
    "sinks": [
        {
            "name": "sqs:https://sqs.us-east-1.amazonaws.com/123456789012/job-events",
            "depth": 0,
            "oldestAt": None,
            "delivered": 2964,
            "deadLettered": 0,
            "failures": 0,
            "problem": "",
            "disabled": False,
        }
    ],
}
SINK: Final = "webhook:https://hooks.example.com#1f2e3d4c"
SINK_RESULT: Final[dict[str, JsonValue]] = {
    "sink": SINK,
    "answer": "accepted",
    "message": "goes on where it stopped",
}
DEAD_LETTERS: Final[dict[str, JsonValue]] = {
    "items": [
        {
            "id": 3,
            "what": "document",
            "source": "sqs:https://sqs.us-east-1.amazonaws.com/123456789012/jobs#5f1c",
            "subject": f"{LANE}/{NAME}",
            "reason": "spec.timeoutDurationInHours: 12 is below the minimum 24",
            "body": SMALL_DOCUMENT,
            "at": "2026-11-21T03:40:00.000Z",
        }
    ],
    "next": None,
}
REQUEUED: Final[dict[str, JsonValue]] = {
    "items": [{"id": 3, "answer": "accepted", "message": "durable in the inbox"}],
    "next": None,
}
STOPPING: Final[dict[str, JsonValue]] = {"message": "stopping"}
METRICS: Final = """\
# HELP ferryman_jobs Jobs known.
# TYPE ferryman_jobs gauge
ferryman_jobs{lane="default/bedrock.ModelInvocationJob",phase="Running"} 20.0
"""
PROBLEMS: Final[dict[int, str]] = {
    400: "the body is not JSON",
    401: "a bearer token is needed: `Authorization: Bearer ...`",
    403: "requests from other web pages are not answered",
    404: f"there is no job {LANE}/{NAME}",
    408: "the body did not arrive within 30 s",
    409: "the job has ended already",
    413: "the body is longer than 4194304 bytes (queue.message_bytes_max): send it in parts",
    415: "'text/html' is not read: send JSON, YAML or JSON Lines",
    421: "the Host header is not one of this daemon's: use its address, or name the host in http.allowed_hosts",
    422: "query.limit: Input should be less than or equal to 1000",
    503: "the store cannot be reached just now: send it again in a while",
}
"""What `detail` says, by status."""
