"""Events for sinks."""

import orjson

from controller.store import OutboxEvent


def outbox_event(
    seq: int,
    *,
    subject: str = "",
    lane: str = "default/k",
    size: int = 0,
    at: float = 1_763_000_000.0,
    type_: str = "ferryman.job.created",
) -> OutboxEvent:
    subject = subject or f"{lane}/job-{seq}"
    id_ = f"uid-{subject}-{seq}"
    body = orjson.dumps(
        {
            "specversion": "1.0",
            "id": id_,
            "type": type_,
            "subject": subject,
            "sequence": str(seq),
            "data": {"pad": "x" * size},
        }
    )
    return OutboxEvent(lane=lane, seq=seq, id=id_, type=type_, subject=subject, at=at, body=body)
