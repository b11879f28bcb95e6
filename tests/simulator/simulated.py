"""A simulator on a real socket with a clock the test turns, and boto3 clients that talk to it."""

import functools
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from anyio.from_thread import start_blocking_portal
from botocore.config import Config
from botocore.exceptions import ClientError

from controller.simulator import Fault, Simulator, SimulatorOptions, serve

REGION = "us-west-2"
ACCOUNT = "123456789012"
ROLE = "arn:aws:iam::123456789012:role/batch"
NOON = 1_800_000_000.0

BATCH: dict[str, Any] = {
    "roleArn": ROLE,
    "modelId": "amazon.nova-lite-v1:0",
    "inputDataConfig": {"s3InputDataConfig": {"s3Uri": "s3://bucket/in/0001.jsonl"}},
    "outputDataConfig": {"s3OutputDataConfig": {"s3Uri": "s3://bucket/out/"}},
}
PROMPTS: dict[str, Any] = {
    "inputConfig": {"s3Uri": "s3://bucket/in.jsonl"},
    "outputConfig": {"s3Uri": "s3://bucket/out/"},
    "modelConfigurations": [{"modelId": "amazon.nova-lite-v1:0", "inferenceConfig": {"temperature": 0.5}}],
}
BLUEPRINT: dict[str, Any] = {
    "blueprint": {"blueprintArn": f"arn:aws:bedrock:{REGION}:{ACCOUNT}:blueprint/abcdefghijkl", "stage": "LIVE"},
    "samples": [{"assetS3Object": {"s3Uri": "s3://bucket/a"}, "groundTruthS3Object": {"s3Uri": "s3://bucket/b"}}],
    "outputConfiguration": {"s3Object": {"s3Uri": "s3://bucket/out"}},
    "dataAutomationProfileArn": f"arn:aws:bedrock:{REGION}:{ACCOUNT}:data-automation-profile/us.data-automation-v1",
}
SOLUTION = f"arn:aws:personalize:{REGION}:{ACCOUNT}:solution/movies/1a2b3c4d"
RECOMMENDATIONS: dict[str, Any] = {
    "solutionVersionArn": SOLUTION,
    "jobInput": {"s3DataSource": {"path": "s3://bucket/users.json"}},
    "jobOutput": {"s3DataDestination": {"path": "s3://bucket/out/"}},
    "roleArn": ROLE,
}
DURATIONS = {
    "bedrock.ModelInvocationJob": {
        "Submitted": (10, 10),
        "Validating": (20, 20),
        "Scheduled": (30, 30),
        "InProgress": (100, 100),
        "Stopping": (5, 5),
    },
    "bedrock.AdvancedPromptOptimizationJob": {"InProgress": (100, 100), "Stopping": (5, 5), "Deleting": (3, 3)},
    "bedrock-data-automation.BlueprintOptimization": {"Created": (10, 10), "InProgress": (100, 100)},
    "personalize.BatchInferenceJob": {"CREATE PENDING": (10, 10), "CREATE IN_PROGRESS": (100, 100)},
}


@dataclass
class TurnedClock:
    at: float = NOON

    def now(self) -> float:
        return self.at


@dataclass
class Rig:
    """One served simulator. `clock.at` is its time; lives have the exact durations of `DURATIONS`."""

    simulator: Simulator
    clock: TurnedClock
    url: str

    def client(self, service: str, *, region: str = REGION, key: str = "AKIDEXAMPLE", token: str | None = None) -> Any:
        return _session().client(
            service,
            endpoint_url=self.url,
            region_name=region,
            aws_access_key_id=key,
            aws_secret_access_key="secret",
            aws_session_token=token,
            config=Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=5),
        )

    @functools.cached_property
    def bedrock(self) -> Any:
        return self.client("bedrock")

    @functools.cached_property
    def automation(self) -> Any:
        return self.client("bedrock-data-automation")

    @functools.cached_property
    def personalize(self) -> Any:
        return self.client("personalize")

    def create(self, name: str = "job", token: str | None = None, **parameters: Any) -> str:
        """A model invocation job; gives its ARN."""
        made = self.bedrock.create_model_invocation_job(
            **{**BATCH, "jobName": name, "clientRequestToken": token or f"token-{name}", **parameters}
        )
        return str(made["jobArn"])

    def status(self, arn: str) -> str:
        return str(self.bedrock.get_model_invocation_job(jobIdentifier=arn)["status"])

    def listed(self, **query: Any) -> list[str]:
        """Names on one page of model invocation jobs."""
        page = self.bedrock.list_model_invocation_jobs(**query)
        return [summary["jobName"] for summary in page["invocationJobSummaries"]]

    def fault(self, effect: Any, **match: Any) -> int:
        return self.simulator.faults.add(Fault(effect=effect, **match), now=self.clock.at)


@functools.cache
def _session() -> Any:
    return boto3.session.Session()


@contextmanager
def served(ledger_path: Path | None = None, clock: TurnedClock | None = None, **options: Any) -> Iterator[Rig]:
    clock = clock or TurnedClock()
    chosen = SimulatorOptions.model_validate({"durations": DURATIONS, **options})
    with (
        Simulator(chosen, now=clock.now, random=random.Random(7), ledger_path=ledger_path) as simulator,
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(serve(simulator)) as url,
    ):
        yield Rig(simulator, clock, url)


def refusal(error: ClientError) -> tuple[str, int]:
    """The code and the HTTP status of an error answer."""
    return error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
