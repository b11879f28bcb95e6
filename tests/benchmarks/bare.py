"""The anchor: a bare aiobotocore loop, 64 workers that create and do nothing else.

`python -m tests.benchmarks.bare URL CREATES [--validate] [--asyncio]`: with either, the anchor of one trick.
"""

import json
import sys
import time

import anyio
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession

from controller.kinds.aws import parse_timestamp
from tests.documents import BATCH, spec_of

WORKERS = 64


async def main(url: str, creates: int, *, validate: bool) -> None:
    session = AioSession()
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=parse_timestamp)
    config = AioConfig(parameter_validation=validate, max_pool_connections=WORKERS, retries={"total_max_attempts": 1})
    numbers = iter(range(creates))
    async with session.create_client("bedrock", region_name="us-east-1", endpoint_url=url, config=config) as client:
        specs = {number: spec_of(BATCH, number) for number in range(creates)}
        began, cpu = time.perf_counter(), time.process_time()

        async def work() -> None:
            for number in numbers:
                token = f"benchmark-{number}"
                answer = await client.create_model_invocation_job(
                    **specs[number], jobName=token, clientRequestToken=token
                )
                assert answer["jobArn"]

        async with anyio.create_task_group() as workers:
            for _ in range(WORKERS):
                workers.start_soon(work)
        wall_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    print(json.dumps({"wall_s": wall_s, "cpu_s": cpu_s, "creates": creates}))  # noqa: T201 - the figures


async def begin() -> None:
    await main(sys.argv[1], int(sys.argv[2]), validate="--validate" in sys.argv)


if __name__ == "__main__":
    anyio.run(begin, backend_options={"use_uvloop": "--asyncio" not in sys.argv})
