"""The settings: one frozen tree, read once at start.

Order of precedence: environment (`FERRYMAN_`, groups joined by `__`), then the file named by `--config` or
`FERRYMAN_CONFIG`, then the defaults below. Unknown keys are refused. `config/ferryman.toml` lists every field with its
default; a test keeps it true. AWS itself is configured as for every AWS SDK and is not repeated here.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from controller.errors import SettingsError
from controller.model import DEFAULT_SCOPE
from controller.settings_problems import not_json, problems_of, unknown_variable

PREFIX: Final = "FERRYMAN_"
CONFIG_VARIABLE: Final = "FERRYMAN_CONFIG"
CLIENT_VARIABLES: Final = frozenset({"FERRYMAN_CONFIG", "FERRYMAN_SERVER"})
"""Variables of the command line, which are not settings of the daemon."""
LAST_WORDS_S: Final = 3.0
"""The end of `grace_s`: calls are answered and recorded by then, and events go out."""

Seconds = Annotated[float, Field(gt=0, le=31_622_400)]
Count = Annotated[int, Field(ge=1, le=10_000_000)]
Rate = Annotated[float, Field(gt=0, le=10_000)]


class Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class StoreSettings(Group):
    url: str = "sqlite:///ferryman.db"
    """Where jobs, inbox and events live: `sqlite:///PATH` (four slashes: absolute) or `postgresql://...`."""
    lock_wait_s: Seconds = 10
    """How long a second daemon on the same store waits for the first one to leave."""
    keep_terminal_s: Seconds = 2_592_000
    """How long a job stays after its end (30 days); then a stub of it remains."""
    keep_stubs_s: Annotated[float, Field(gt=0)] = 34_560_000
    """How long a stub stays (400 days): until then a redelivered document does not run its job again."""
    keep_events_s: Seconds = 604_800
    """How long delivered events can be read back (7 days)."""
    keep_dead_letters_s: Seconds = 2_592_000
    """How long rejected documents are kept (30 days)."""


class QueueSettings(Group):
    sources: tuple[str, ...] = ()
    """Where documents come from: `sqs:<queue URL>`, `dir:<path>`."""
    receivers: Annotated[int, Field(ge=1, le=64)] = 32
    """Most concurrent long polls of each SQS queue. A queue in which nothing waits keeps two."""
    wait_s: Annotated[int, Field(ge=0, le=20)] = 20
    """Length of an SQS long poll."""
    dead_letter_queue: str = ""
    """`sqs:<queue URL>` that also receives rejected documents; empty: the store alone keeps them."""
    inbox_max: Count = 100_000
    """Documents accepted but not yet applied, beyond which sources are not read."""
    message_bytes_max: Annotated[int, Field(ge=1024, le=64 * 1024 * 1024)] = 4 * 1024 * 1024
    """Largest message, file line or HTTP body that is read."""
    poll_s: Seconds = 1
    """How often a spool directory is looked at."""
    scopes: tuple[str, ...] = ()
    """Scopes that documents may name; empty: every configured one."""
    kinds: tuple[str, ...] = ()
    """Kinds that documents may name; empty: all."""
    role_arns: tuple[str, ...] = ()
    """Patterns (`*`, `?`) of role ARNs that documents may hand to AWS; empty: any."""
    buckets: tuple[str, ...] = ()
    """Patterns (`*`, `?`) of S3 buckets that documents may name; empty: any."""


class Sink(Group):
    """Where events go; in the settings either its URL alone or this table."""

    url: str
    """`log:`, `file:<path>`, `eventbridge:<bus>`, `sqs:<URL>`, `sns:<ARN>`, `webhook:<URL>`."""
    types: tuple[str, ...] = ("*",)
    """Patterns of event types that this sink receives."""
    secret: SecretStr | None = None
    """Signing secret of a webhook (Standard Webhooks, `whsec_...`)."""
    allow_private: bool = False
    """Whether a webhook may call private and loopback addresses."""


def _sink(value: object) -> object:
    return {"url": value} if isinstance(value, str) else value


class EventSettings(Group):
    sinks: tuple[Annotated[Sink, BeforeValidator(_sink)], ...] = (Sink(url="log:"),)
    """Each a URL, or a table `{url, types, secret, allow_private}`."""
    batch_max: Annotated[int, Field(ge=1, le=10_000)] = 500
    """Most events read from the outbox at a time for one sink."""
    age_max_s: Seconds = 604_800
    """An event not delivered for so long is dead-lettered (7 days)."""
    timeout_s: Seconds = 10
    """Deadline of one delivery."""


class HttpSettings(Group):
    enabled: bool = True
    """Whether the API, the dashboard and the probes are served."""
    host: str = "127.0.0.1"
    """Address to listen on; any but loopback needs a token."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 8470
    """Port of the API and the dashboard; 0: any free one, named at start."""
    token: SecretStr = SecretStr("")
    """Bearer token that every request to the API must bring; empty: none."""
    token_file: str = ""
    """File that holds the token instead."""
    probe_port: Annotated[int, Field(ge=0, le=65_535)] | None = None
    """Port of its own for `/livez /readyz /startupz /metrics`, on all addresses, without token and Host check."""
    allowed_hosts: tuple[str, ...] = ()
    """Further values of the Host header that are answered, besides loopback names and `host`; `*`: any. A daemon that
    listens on all addresses answers to every plain address as well."""

    @model_validator(mode="before")
    @classmethod
    def _empty_probe_port_is_none(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("probe_port") == "":
            return {**values, "probe_port": None}
        return values


class ReconcileSettings(Group):
    interval: Seconds = 30
    """Seconds between two passes over a lane with running jobs."""
    interval_min: Seconds = 2
    """Shortest pause between two passes while work waits for slots; the longer jobs run, the longer it is, up to 10 s
    or `interval`."""
    adopt: bool = True
    """Whether the intents of a new or restored store count as perhaps sent, so that remote jobs are found again."""
    list_lag_s: Seconds = 180
    """How far AWS's List may lag behind a create."""
    token_life_s: Seconds = 3600
    """How long an idempotency token is trusted; an older unknown create is looked for before it is sent again."""
    notifications: str = ""
    """`sqs:<queue URL>` with EventBridge "Batch Inference Job State Change" events, sent there by a rule of source
    `aws.bedrock`: the jobs they name are read at once; empty: none, and ends are seen at the next pass."""


class AwsSettings(Group):
    timeout_s: Seconds = 15
    """Deadline of one AWS call, the wait for a connection included; at least 3 s shorter than `grace_s`."""
    connect_timeout_s: Seconds = 5
    pool: Annotated[int, Field(ge=1, le=1000)] = 64
    """Connections, and calls in flight, of each service and scope."""


class Scope(Group):
    """A named place to run."""

    region: str = ""
    """Empty: the SDK's own default (`AWS_REGION`, profile)."""
    role_arn: str = ""
    """Role to assume in the account to run in; empty: the SDK's own credentials."""
    external_id: str = ""
    endpoint_url: str = ""
    """Instead of AWS's own endpoints; empty: the SDK's own configuration (`AWS_ENDPOINT_URL`)."""
    profile: str = ""
    """Named profile of the SDK's configuration files."""


class RateSettings(Group):
    rate: Rate = 5
    """Calls per second at most."""
    burst: Annotated[int, Field(ge=1, le=10_000)] = 5
    """Calls at once at most."""


def _jobs(value: object) -> object:
    return {"*": value} if isinstance(value, int) and not isinstance(value, bool) else value


class LimitSettings(Group):
    """Limits of one kind, in each scope."""

    create: RateSettings = RateSettings(rate=2, burst=4)
    get: RateSettings = RateSettings()
    list: RateSettings = RateSettings()
    stop: RateSettings = RateSettings(rate=2, burst=4)
    delete: RateSettings = RateSettings(rate=2, burst=4)
    jobs: Annotated[Mapping[str, Count], BeforeValidator(_jobs)] = Field(default_factory=dict)
    """Remote jobs at a time by quota key, `*` for every other key; an integer means `*`; empty: AWS's defaults."""
    creates_per_day: Count | None = None
    """Creates in 24 hours, UTC, beyond which the lane pauses; none: no bound."""


class SimulatorSettings(Group):
    speed: Annotated[float, Field(gt=0, le=1_000_000)] = 60
    """Simulated seconds per second in the life of a remote job, with `run --simulate`."""
    failure_rate: Annotated[float, Field(ge=0, le=1)] = 0.05
    """Share of simulated jobs that fail."""
    ledger: str = ""
    """File that keeps the simulated world; empty: beside the store."""


class LogSettings(Group):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"
    """`auto`: console at a terminal, JSON elsewhere."""


def _known_scopes(scopes: Mapping[str, Scope]) -> Mapping[str, Scope]:
    if not scopes:
        raise ValueError("name at least one scope")
    for name in scopes:
        if not name or not name.replace("-", "").replace("_", "").isalnum() or not name.isascii() or len(name) > 63:  # noqa: PLR2004 - the length of a label
            raise ValueError(f"{name!r} is not a scope's name: use letters, digits, - and _, at most 63")
    return scopes


class Settings(BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        nested_model_default_partial_update=True,
    )

    instance: str = ""
    """Stable name of this installation; minted once into the store if not given."""
    grace_s: Seconds = 20
    """How long a stop may take: calls in flight finish and commit."""
    store: StoreSettings = StoreSettings()
    queue: QueueSettings = QueueSettings()
    events: EventSettings = EventSettings()
    http: HttpSettings = HttpSettings()
    reconcile: ReconcileSettings = ReconcileSettings()
    aws: AwsSettings = AwsSettings()
    scopes: Annotated[Mapping[str, Scope], AfterValidator(_known_scopes)] = Field(
        default_factory=lambda: {DEFAULT_SCOPE: Scope()}
    )
    """Named places to run."""
    limits: Mapping[str, LimitSettings] = Field(default_factory=dict)
    """Limits by kind; a kind that is not named has the defaults."""
    simulator: SimulatorSettings = SimulatorSettings()
    log: LogSettings = LogSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del settings_cls, dotenv_settings, file_secret_settings
        return env_settings, init_settings

    @model_validator(mode="after")
    def _consistent(self) -> "Settings":
        if self.aws.timeout_s > self.grace_s - LAST_WORDS_S:
            raise ValueError(
                f"aws.timeout_s must be at least {LAST_WORDS_S:g} s shorter than grace_s,"
                " so that a stop can wait for calls in flight and then for their events"
            )
        if self.http.probe_port and self.http.probe_port == self.http.port:
            raise ValueError("http.probe_port and http.port are the same: give the probes a port of their own")
        return self

    def limits_of(self, kind: str) -> LimitSettings:
        return self.limits.get(kind, LimitSettings())


def load_settings(config: Path | None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings.

    Raises:
        SettingsError: with one sentence that names the setting, the problem and where it was set.
    """
    config = config or (Path(environment[CONFIG_VARIABLE]) if environment.get(CONFIG_VARIABLE) else None)
    values = _read_file(config) if config else {}
    _refuse_unknown_variables(environment)
    try:
        return Settings(**values)
    except ValidationError as error:
        raise SettingsError(problems_of(error, Settings)) from error
    except ValueError as error:  # pydantic-settings: a variable that should be JSON is not
        named = not_json(Settings, PREFIX, environment)
        raise SettingsError(named or f"a FERRYMAN_ variable cannot be read: {error}") from error


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"cannot read the settings file {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"the settings file {path} is not TOML: {error}") from error


def _refuse_unknown_variables(environment: Mapping[str, str]) -> None:
    known = {name.upper() for name in Settings.model_fields}
    for variable in environment:
        if not variable.startswith(PREFIX) or variable in CLIENT_VARIABLES:
            continue
        if variable.removeprefix(PREFIX).split("__")[0] not in known:
            raise SettingsError(unknown_variable(variable, PREFIX, known))
