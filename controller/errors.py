"""Errors, sorted by what to do next.

Two families: `FerrymanError`, which ends a command with one sentence and an exit code; and `AwsError`, an answer of AWS
(or the lack of one) that the code which made the call turns into the next step of a job. Which AWS code is which error
is decided in one table, in `kinds.aws`.
"""

from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    DONE = 0
    NEGATIVE = 1
    USAGE = 2
    NOT_ALL_SUCCEEDED = 3
    REJECTED = 4
    NO_DAEMON = 5
    NOT_FOUND = 6
    STORE = 7
    TIMED_OUT = 124
    INTERRUPTED = 130


class FerrymanError(Exception):
    """Ends a command: the text is one sentence for a person, without secrets."""

    exit_code = ExitCode.USAGE


class SettingsError(FerrymanError):
    """The settings or arguments are wrong, or do not fit the world they point to."""


class StoreError(FerrymanError):
    """The store is locked, corrupt, newer than this program, or of another world."""

    exit_code = ExitCode.STORE


class NoDaemonError(FerrymanError):
    """No daemon answers, or it does not accept the token."""

    exit_code = ExitCode.NO_DAEMON


class NotFoundError(FerrymanError):
    """What the command names does not exist, or is in a state that forbids it."""

    exit_code = ExitCode.NOT_FOUND


class StoreUnavailableError(Exception):
    """The store cannot be written or read just now (disk full, connection lost): nothing was committed; try again."""


class FencedOutError(Exception):
    """Another owner took this lane over: stop working on it; nothing was committed."""


class AwsError(Exception):
    """AWS did not do what was asked.

    `definite` is true where the request surely had no effect: a 4xx with an AWS code that says so, or a failure before
    the first byte was written. Otherwise a mutating request may have been carried out.
    """

    outcome: ClassVar[str] = "other"
    """The call's outcome in a word, for metrics; one for each kind of error."""

    def __init__(
        self, message: str, *, code: str = "", definite: bool = True, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.definite = definite
        self.retry_after_s = retry_after_s


class ThrottledError(AwsError):
    """Too fast: slow this operation down, then the same request again."""

    outcome = "throttled"


class QuotaFullError(AwsError):
    """No free job slot: park the quota key."""

    outcome = "quota_full"


class AlreadyKnownError(AwsError):
    """Create: the token or the name is known, so look it up. Stop: the job has finished, so refresh it."""

    outcome = "already_known"


class BusyError(AwsError):
    """A thing that the request needs is busy: later."""

    outcome = "busy"


class MissingError(AwsError):
    """The named thing does not exist, or is not visible yet."""

    outcome = "missing"


class RefusedError(AwsError):
    """The request is wrong and will stay wrong."""

    outcome = "refused"


class DeniedError(AwsError):
    """A permission is missing: perhaps for a moment, perhaps for this job alone."""

    outcome = "denied"


class ScopeUnavailableError(AwsError):
    """No credentials, or AWS does not accept them: no job's fault, nothing works in this scope."""

    outcome = "scope_unavailable"


class NoAnswerError(AwsError):
    """5xx, a timeout, a reset, an answer that makes no sense. A read: again. A create: see `definite`."""

    outcome = "no_answer"


class PassExpiredError(AwsError):
    """A page token was not accepted: begin the pass again."""

    outcome = "pass_expired"
