"""A simulated AWS: an HTTP endpoint that speaks the wire protocols of every operation Ferryman uses.

It serves the demo, every test (its ledger is the judge of what was created) and anyone with an AWS SDK. Requests and
answers are driven by botocore's service models, so any SDK can talk to it. Invariant: it knows nothing of Ferryman.

Not simulated: signatures are not verified, IAM policies not evaluated, and no data is read from or written to S3.
"""

from controller.simulator.faults import (
    Delay,
    DropConnection,
    EmptyPage,
    ExpiredPageToken,
    Fault,
    Faults,
    Hang,
    LoseReply,
    Missed,
    Refuse,
    RefuseCredentials,
    RepeatedPageToken,
    Reshape,
    SeenTwice,
    StaleList,
    Throttle,
)
from controller.simulator.ledger import Entry, Ledger, LedgerError
from controller.simulator.options import OutcomeRule, Rate, Refusal, SimulatorOptions
from controller.simulator.server import run, serve
from controller.simulator.simulator import Simulator
from controller.simulator.transport import IN_PROCESS_ENDPOINT, in_process_session

__all__ = [
    "IN_PROCESS_ENDPOINT",
    "Delay",
    "DropConnection",
    "EmptyPage",
    "Entry",
    "ExpiredPageToken",
    "Fault",
    "Faults",
    "Hang",
    "Ledger",
    "LedgerError",
    "LoseReply",
    "Missed",
    "OutcomeRule",
    "Rate",
    "Refusal",
    "Refuse",
    "RefuseCredentials",
    "RepeatedPageToken",
    "Reshape",
    "SeenTwice",
    "Simulator",
    "SimulatorOptions",
    "StaleList",
    "Throttle",
    "in_process_session",
    "run",
    "serve",
]
