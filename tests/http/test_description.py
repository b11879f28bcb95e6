"""The description and the service agree: a generator of requests made from the one finds no fault in the other."""

import subprocess
import sys
from pathlib import Path

import anyio

from tests.http.rig import batch, serving
from tests.http.sockets import listening

EXAMPLES = "5"
SETTINGS = """\
[[operations]]
include-path = "/v1/shutdown"
enabled = false
"""


async def test_generated_requests_are_answered_as_described(tmp_path: Path) -> None:
    (tmp_path / "schemathesis.toml").write_text(SETTINGS)
    async with serving(tmp_path) as service, listening(service.app) as port:
        await service.send(*(batch(f"job-{number}") for number in range(5)))
        ran = await anyio.run_process(
            [
                str(Path(sys.executable).with_name("schemathesis")),
                "run",
                f"http://127.0.0.1:{port}/openapi.json",
                "--checks=all",
                # Rules between members (one filter or `all`) and AWS's model of a spec are beyond the description.
                "--exclude-checks=positive_data_acceptance",
                f"--max-examples={EXAMPLES}",
                "--seed=1",
                "--request-timeout=20",
                "--no-color",
            ],
            check=False,
            cwd=tmp_path,
            stderr=subprocess.STDOUT,
        )
    assert ran.returncode == 0, ran.stdout.decode(errors="replace")[-6000:]
