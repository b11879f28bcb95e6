"""Valid documents of every kind, for the demo and the tests."""

from collections.abc import Iterator
from typing import Any

ACCOUNT = "123456789012"
REGION = "us-east-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/batch"
MODELS = (
    "amazon.nova-lite-v1:0",
    "amazon.nova-micro-v1:0",
    "amazon.nova-pro-v1:0",
    "anthropic.claude-3-haiku-20240307-v1:0",
    "meta.llama3-1-8b-instruct-v1:0",
)

BATCH = "bedrock.ModelInvocationJob"
PROMPT = "bedrock.AdvancedPromptOptimizationJob"
BLUEPRINT = "bedrock-data-automation.BlueprintOptimization"
RECOMMENDATION = "personalize.BatchInferenceJob"
KINDS = (BATCH, PROMPT, BLUEPRINT, RECOMMENDATION)


def spec_of(kind: str, number: int = 0) -> dict[str, Any]:
    """A valid spec; `number` varies the model and the places."""
    if kind == BATCH:
        return {
            "roleArn": ROLE,
            "modelId": MODELS[number % len(MODELS)],
            "inputDataConfig": {"s3InputDataConfig": {"s3Uri": f"s3://bucket/in/{number:05d}.jsonl"}},
            "outputDataConfig": {"s3OutputDataConfig": {"s3Uri": "s3://bucket/out/"}},
        }
    if kind == PROMPT:
        return {
            "inputConfig": {"s3Uri": f"s3://bucket/prompts/{number}.jsonl"},
            "outputConfig": {"s3Uri": "s3://bucket/out/"},
            "modelConfigurations": [{"modelId": "amazon.nova-lite-v1:0"}],
        }
    if kind == BLUEPRINT:
        arn = f"arn:aws:bedrock:{REGION}:{ACCOUNT}"
        return {
            "blueprint": {"blueprintArn": f"{arn}:blueprint/{number:012d}"},
            "samples": [
                {"assetS3Object": {"s3Uri": "s3://bucket/a"}, "groundTruthS3Object": {"s3Uri": "s3://bucket/b"}}
            ],
            "outputConfiguration": {"s3Object": {"s3Uri": "s3://bucket/out"}},
            "dataAutomationProfileArn": f"{arn}:data-automation-profile/us.data-automation-v1",
        }
    return {
        "solutionVersionArn": f"arn:aws:personalize:{REGION}:{ACCOUNT}:solution/movies/1a2b3c4d",
        "roleArn": ROLE,
        "jobInput": {"s3DataSource": {"path": f"s3://bucket/users/{number}.json"}},
        "jobOutput": {"s3DataDestination": {"path": "s3://bucket/out/"}},
    }


def document(kind: str, name: str, number: int = 0, **members: Any) -> dict[str, Any]:
    """A document as a user writes it."""
    return {"kind": kind, "name": name, "spec": spec_of(kind, number), **members}


def mixed(count: int, prefix: str = "job", **members: Any) -> Iterator[dict[str, Any]]:
    """Documents of all four kinds: of ten, six batch inference, two prompt, one blueprint, one Personalize."""
    pattern = (BATCH, PROMPT, BATCH, BLUEPRINT, BATCH, RECOMMENDATION, BATCH, PROMPT, BATCH, BATCH)
    for number in range(count):
        yield document(pattern[number % len(pattern)], f"{prefix}-{number:04d}", number, **members)
