"""Documents sent to the service: taken, or only looked at.

Invariant: everything is judged and durable before an answer is given; a wait for verdicts adds to the answer and never
changes what happens. A dry run uses the same validation and the same rules as the real thing, and writes nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from controller.control.answers import REJECTED, View, claimed_view, document_view, verdict_members
from controller.documents import Rejection
from controller.intake import Intake, Receipt
from controller.kinds import Kind
from controller.masking import mask_text
from controller.model import Document, Identity, Job, Stub
from controller.seams import Clock
from controller.store import Store
from controller.transitions.step import Context
from controller.transitions.wanting import apply_document
from controller.verdicts import Verdicts

LOOKED_UP_AT_ONCE: Final = 500
_PARTS: Final = 3


class Documents:
    """Takes documents through the intake."""

    def __init__(
        self, store: Store, intake: Intake, verdicts: Verdicts, kinds: Mapping[str, Kind], clock: Clock
    ) -> None:
        self._store = store
        self._intake = intake
        self._verdicts = verdicts
        self._kinds = kinds
        self._clock = clock

    async def submit(self, data: bytes, *, source: str, suffix: str | None, wait_s: float) -> list[View]:
        """Make the documents of a text durable, and wait for their verdicts so long."""
        receipts = await self._intake.submit(data, source, suffix)
        accepted = [receipt.entry_id for receipt in receipts if receipt.accepted and receipt.entry_id is not None]
        verdicts = await self._verdicts.wait(accepted, wait_s)
        return [
            _rejected(index, receipt)
            if not receipt.accepted
            else document_view(
                index,
                _job_of(receipt),
                verdict_members(verdicts.get(receipt.entry_id or 0)),
                (),
                receipt.entry_id,
            )
            for index, receipt in enumerate(receipts)
        ]

    async def dry_run(self, data: bytes, *, suffix: str | None, instance: str) -> list[View]:
        """What `submit` would answer, by what the store holds now."""
        items = await self._intake.read(data, suffix)
        known = await self._known([item.identity for item in items if isinstance(item, Document)])
        return [self._judge(index, item, known, instance) for index, item in enumerate(items)]

    async def _known(self, identities: Sequence[Identity]) -> dict[Identity, Job | Stub]:
        by_lane: dict[str, dict[str, Identity]] = {}
        for identity in identities:
            by_lane.setdefault(identity.lane, {})[identity.name] = identity
        known: dict[Identity, Job | Stub] = {}
        for lane, named in by_lane.items():
            names = list(named)
            for start in range(0, len(names), LOOKED_UP_AT_ONCE):
                found = await self._store.jobs_named(lane, names[start : start + LOOKED_UP_AT_ONCE])
                known |= {named[name]: record for name, record in found.items()}
        return known

    def _judge(self, index: int, item: Document | Rejection, known: dict[Identity, Job | Stub], instance: str) -> View:
        if isinstance(item, Rejection):
            problems = tuple(map(mask_text, item.problems))
            members = {"answer": REJECTED, "message": mask_text(item.message)}
            return document_view(index, claimed_view(item), members, problems, None)
        context = Context(self._kinds[item.identity.kind], self._clock.now(), instance)
        verdict = apply_document(known.get(item.identity), item, context)
        if verdict.step is not None:
            known[item.identity] = verdict.step.job
        members = {"answer": verdict.answer.value, "message": verdict.message}
        return document_view(index, claimed_view(item), members, (), None)


def _rejected(index: int, receipt: Receipt) -> View:
    members = {"answer": REJECTED, "message": "; ".join(receipt.problems)}
    return document_view(index, _job_of(receipt), members, receipt.problems, receipt.entry_id)


def _job_of(receipt: Receipt) -> View:
    """Of a rejected document the parts may be missing, or hold anything."""
    parts = [None if part == "?" else part for part in receipt.identity.split("/")]
    scope, kind, name = parts if len(parts) == _PARTS else (None, None, None)
    return {"scope": scope, "kind": kind, "name": name}
