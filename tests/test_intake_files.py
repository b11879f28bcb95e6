"""Files of any length: read a part at a time, with the outcome of one that is read whole."""

import json
from itertools import chain
from pathlib import Path

import anyio
import pytest

from controller import intake as intake_module
from controller.documents import Bounds
from controller.documents.parsing import PART, parse_file, parse_file_in_parts
from controller.events import INTAKE_LANE
from controller.intake import Receipt
from controller.store import LaneWrite
from tests.test_intake import LANE, document, intake_of, opened_store

BOUNDS = Bounds(size_max=100_000, documents_max=1_200, nodes_max=10_000)
LINE = b'{"kind": "k", "name": "n"}\n'


@pytest.mark.parametrize(
    ("data", "suffix"),
    [
        pytest.param(LINE * 1_200, ".jsonl", id="lines"),
        pytest.param(LINE * 1_201, ".jsonl", id="too many lines"),
        pytest.param(LINE * 4_000, ".ndjson", id="too long"),
        pytest.param(
            b"\xef\xbb\xbf\n\n" + LINE + b" \r\n{\n" + b"7\r\n" + LINE, ".JSONL", id="bad lines and blank ones"
        ),
        pytest.param(b"[" + LINE.strip() + b",1]\n" + LINE, ".jsonl", id="lists on lines"),
        pytest.param(b"\xef\xbb\xbf", ".jsonl", id="a mark alone"),
        pytest.param(b"", ".jsonl", id="nothing"),
        pytest.param(b"[" + b",".join([LINE.strip()] * 700) + b"]", ".json", id="a list"),
        pytest.param(b"kind: k\n---\nname: n\n", ".yaml", id="yaml"),
        pytest.param(LINE * 3, "", id="lines without a suffix"),
    ],
)
def test_the_parts_of_a_file_are_the_file(data: bytes, suffix: str) -> None:
    parts = list(parse_file_in_parts(data, suffix, BOUNDS))
    assert list(chain.from_iterable(parts)) == parse_file(data, suffix, BOUNDS)
    assert all(1 <= len(part) <= PART for part in parts)


async def test_a_long_file_goes_into_a_small_inbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The inbox takes one part; the next one waits until the lane has applied it."""
    monkeypatch.setattr(intake_module, "_FULL_KNOWN_S", 0.0)
    monkeypatch.setattr(intake_module, "_FULL_PAUSE_S", 0.01)
    lines = [json.dumps(document(f"n{number}")) for number in range(PART + 50)]
    lines[PART + 1] = '{"name": "bad"}'
    rejected: list[Receipt] = []
    async with opened_store(tmp_path) as store, anyio.create_task_group() as tasks:
        intake = intake_of(store, inbox_max=100)
        record = await store.take_lane(LANE)
        with anyio.fail_after(60):
            tasks.start_soon(intake.take_file, "\n".join(lines).encode(), "file:long", ".jsonl", rejected.append)
            while await store.inbox_size() < PART:
                await anyio.sleep(0.01)
            await anyio.wait_all_tasks_blocked()
            first = await store.inbox(LANE, 1000)
            assert [entry.name for entry in first] == [f"n{number}" for number in range(PART)]
            assert not rejected
            await store.commit(record, LaneWrite(LANE, consumed=[entry.id for entry in first]))
            while await store.inbox_size() < 50:
                await anyio.sleep(0.01)
        rest = await store.inbox(LANE, 1000)
        assert len(rest) == 49
        assert len(await store.inbox(INTAKE_LANE, 10)) == 1
    assert [receipt.identity for receipt in rejected] == ["default/?/bad"]
