"""`simulate`, and the simulated world of `run --simulate`.

Invariant: a simulated run reaches neither AWS nor any other network: its endpoint is on loopback, its credentials are
made up, whatever configuration of an AWS SDK the machine has is out of its sight, and sources and sinks that would
leave the machine are refused. Its store and its world are its own and stay together.
"""

import os
import random
import signal
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import anyio

from controller.cli.terminal import Terminal
from controller.errors import ExitCode, SettingsError, StoreError
from controller.settings import ReconcileSettings, Scope, Settings, StoreSettings, load_settings
from controller.simulator import LedgerError, Simulator, SimulatorOptions, serve
from controller.store.target import parse_target

STORE_URL: Final = "sqlite:///ferryman-simulated.db"
STORE_VARIABLE: Final = "FERRYMAN_STORE__URL"
REGION: Final = "us-east-1"
ACCESS_KEY: Final = "AKIASIMULATED0000000"
SECRET_KEY: Final = "00000000simulated00000000simulated000000"  # noqa: S105 - signs for nobody
_LEDGER: Final = "ferryman-simulated-ledger.jsonl"
_LOCAL_SOURCES: Final = ("dir:",)
_LOCAL_SINKS: Final = ("log", "file:")
_FIRST_ACCOUNT: Final = 200_000_000_000
_RETRY_S: Final = 0.2
_INTERVAL_LEAST_S: Final = 1.0
_FAILURES: Final[Mapping[str, str]] = {
    "bedrock.ModelInvocationJob": "Failed",
    "bedrock.AdvancedPromptOptimizationJob": "Failed",
    "bedrock-data-automation.BlueprintOptimization": "ServiceError",
    "personalize.BatchInferenceJob": "CREATE FAILED",
}


def simulated_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The process's environment with everything of AWS replaced."""
    kept = {name: value for name, value in environment.items() if not name.startswith("AWS_")}
    hosts = [host for name in ("NO_PROXY", "no_proxy") if (host := environment.get(name))]
    no_proxy = ",".join([*hosts, "127.0.0.1", "localhost"])
    return kept | {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_REGION": environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": no_proxy,
        "no_proxy": no_proxy,
    }


def local_settings(settings: Settings, environment: Mapping[str, str]) -> Settings:
    """The settings of a simulated run, but for the endpoint: a store and a pace of its own unless they are named.

    Raises:
        SettingsError: a source or sink would leave this machine.
    """
    _refuse_remote(settings)
    settings = settings.model_copy(update={"reconcile": _paced(settings, environment)})
    if environment.get(STORE_VARIABLE) or settings.store.url != StoreSettings().url:
        return settings
    store = settings.store.model_copy(update={"url": STORE_URL})
    return settings.model_copy(update={"store": store})


def _paced(settings: Settings, environment: Mapping[str, str]) -> ReconcileSettings:
    """Passes as much more often as jobs live faster, at most one a second; what the settings say of it stays."""
    reconcile, usual = settings.reconcile, ReconcileSettings()
    given = {name.upper() for name in environment}
    scaled = {
        name: min(value, max(_INTERVAL_LEAST_S, value / settings.simulator.speed))
        for name, value in (("interval", usual.interval), ("interval_min", usual.interval_min))
        if getattr(reconcile, name) == value and f"FERRYMAN_RECONCILE__{name.upper()}" not in given
    }
    return reconcile.model_copy(update=scaled)


def _refuse_remote(settings: Settings) -> None:
    queue = settings.queue
    remote = [source for source in queue.sources if not source.startswith(_LOCAL_SOURCES)]
    remote += [url for url in (queue.dead_letter_queue, settings.reconcile.notifications) if url]
    if remote:
        raise SettingsError(
            f"--simulate reads no real queue, and the settings name {_scheme(remote[0])}: leave it out, or use"
            " dir:<path>"
        )
    sinks = [sink.url for sink in settings.events.sinks if not sink.url.startswith(_LOCAL_SINKS)]
    if sinks:
        raise SettingsError(
            f"--simulate sends to no real sink, and the settings name {_scheme(sinks[0])}: use log: or file:<path>"
        )


def _scheme(url: str) -> str:
    return f"{url.partition(':')[0]}:..."


def pointed_at(settings: Settings, endpoint: str, region: str) -> Settings:
    """The settings with every scope at the simulator; scopes stay apart by their accounts."""
    scopes = {
        name: Scope(
            region=scope.region or region,
            endpoint_url=endpoint,
            role_arn=scope.role_arn or (_role(number) if number else ""),
        )
        for number, (name, scope) in enumerate(settings.scopes.items())
    }
    return settings.model_copy(update={"scopes": scopes})


def _role(number: int) -> str:
    return f"arn:aws:iam::{_FIRST_ACCOUNT + number}:role/simulated"


def simulator_options(settings: Settings) -> SimulatorOptions:
    """A world with the speed, failures and job quotas of the settings."""
    rate = settings.simulator.failure_rate
    usual = SimulatorOptions()
    quotas: dict[str, Any] = {
        kind: {**usual.quotas[kind], **limits.jobs}
        for kind, limits in settings.limits.items()
        if limits.jobs and kind in usual.quotas
    }
    outcomes = {kind: {status: rate} for kind, status in _FAILURES.items()}
    return SimulatorOptions(speed=settings.simulator.speed, outcomes=outcomes, quotas=quotas)


def ledger_path(settings: Settings) -> Path:
    """Where the simulated world is kept: beside the store, so that both are found again together."""
    if settings.simulator.ledger:
        return Path(settings.simulator.ledger).expanduser()
    store = parse_target(settings.store.url).path
    return Path(_LEDGER) if store is None else store.with_name(f"{store.stem}-ledger.jsonl")


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[str]:
    """The simulator of a run, on a free loopback port; gives its URL.

    Raises:
        StoreError: its world is in use by another process, or cannot be read.
    """
    simulator = await _open(simulator_options(settings), ledger_path(settings), settings.store.lock_wait_s)
    with simulator:
        async with serve(simulator) as url:
            yield url


async def _open(options: SimulatorOptions, path: Path, wait_s: float) -> Simulator:
    """Open a world; one that another process still holds is waited for, as a store is."""
    deadline = anyio.current_time() + wait_s
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return Simulator(options, now=time.time, random=random.Random(), ledger_path=path)  # noqa: S311 - ids of a simulated world
        except LedgerError as error:
            if not isinstance(error.__cause__, BlockingIOError) or anyio.current_time() >= deadline:
                raise StoreError(f"the simulated world cannot be opened: {error}") from error
        except OSError as error:
            raise StoreError(f"the simulated world {path} cannot be opened: {error.strerror}") from error
        await anyio.sleep(_RETRY_S)


def run_simulator(
    host: str, port: int, *, speed: float | None, failure_rate: float | None, ledger: Path | None, config: Path | None
) -> ExitCode:
    """The simulator alone, until interrupted."""
    settings = load_settings(config)
    given = {"speed": speed, "failure_rate": failure_rate}
    changes = {name: value for name, value in given.items() if value is not None}
    settings = settings.model_copy(update={"simulator": settings.simulator.model_copy(update=changes)})
    return anyio.run(_simulate, host, port, settings, ledger)


async def _simulate(host: str, port: int, settings: Settings, ledger: Path | None) -> ExitCode:
    options = simulator_options(settings)
    try:
        simulator = (
            Simulator(options, now=time.time, random=random.Random())  # noqa: S311 - ids of a simulated world
            if ledger is None
            else await _open(options, ledger, 0)
        )
        with simulator, anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async with serve(simulator, host, port) as url:
                _introduce(Terminal(), url)
                await anext(aiter(signals))
    except OSError as error:
        raise SettingsError(f"cannot listen on {host} port {port}: {error.strerror or error}") from error
    return ExitCode.DONE


def _introduce(terminal: Terminal, url: str) -> None:
    terminal.line(f"A simulated AWS listens on {url}. Point any AWS SDK at it:")
    terminal.line(f"  export AWS_ENDPOINT_URL={url} AWS_ACCESS_KEY_ID={ACCESS_KEY} AWS_SECRET_ACCESS_KEY={SECRET_KEY}")
    terminal.line(f"  export AWS_REGION={REGION}")
    terminal.line(f"What was created: curl {url}/_simulator/ledger - end it with Ctrl-C.")
