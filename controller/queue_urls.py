"""Where an SQS queue is: its URL, read once, for sources and sinks alike.

Invariant: pure; the URL that comes out carries no credentials, so it may stand in logs and as a name.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from controller.errors import SettingsError
from controller.settings import Scope

SQS_PREFIX: Final = "sqs:"
_AWS_HOST: Final = re.compile(
    r"(?:(?:.+\.)?sqs(?:-fips)?\.(?P<region>[a-z0-9-]+)(?:\.vpce)?|(?P<legacy>[a-z0-9-]+)\.queue|queue)"
    r"\.(?:amazonaws\.com|amazonaws\.com\.cn|api\.aws|api\.amazonwebservices\.com\.cn)"
)
_OLDEST_REGION: Final = "us-east-1"
"""Region of the oldest form of URL, `https://queue.amazonaws.com/...`."""


@dataclass(frozen=True, slots=True)
class QueueUrl:
    url: str
    """As SQS knows the queue; without user information."""
    region: str
    """From the host; empty where it names none."""
    endpoint_url: str
    """Where requests go if the SDK's own configuration says nothing else; empty: AWS's own endpoint."""

    @property
    def fifo(self) -> bool:
        return self.url.endswith(".fifo")

    def scope(self, environment: Mapping[str, str]) -> Scope:
        """Region and endpoint for the SDK's client; an endpoint in the environment wins over the URL's own host."""
        configured = environment.get("AWS_ENDPOINT_URL_SQS") or environment.get("AWS_ENDPOINT_URL")
        return Scope(region=self.region, endpoint_url="" if configured else self.endpoint_url)


def parse_queue_url(setting: str) -> QueueUrl:
    """Read `sqs:<queue URL>`.

    Raises:
        SettingsError: it is not the URL of a queue.
    """
    parts = urlsplit(setting.removeprefix(SQS_PREFIX))
    host = parts.netloc.rpartition("@")[2]
    # An @ in what looks like a path is of credentials that hold a slash, and would show them in the queue's name.
    wrong = parts.query or parts.fragment or "@" in parts.path
    if parts.scheme not in ("http", "https") or not host or not parts.path.strip("/") or wrong:
        raise SettingsError(f"{SQS_PREFIX}<queue URL> needs a URL like https://sqs.eu-west-1.amazonaws.com/123/name")
    url = f"{parts.scheme}://{host}{parts.path}"
    match = _AWS_HOST.fullmatch(host.lower())
    if match is None:
        return QueueUrl(url, region="", endpoint_url=f"{parts.scheme}://{host}")
    return QueueUrl(url, region=match["region"] or match["legacy"] or _OLDEST_REGION, endpoint_url="")
