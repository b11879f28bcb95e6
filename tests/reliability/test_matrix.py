"""The crash matrix: each story whole, in a process of its own in which every run can be repeated by its name."""

import json
from collections.abc import Callable
from functools import partial

import pytest

from tests.reliability.hatchery import Hatchery
from tests.reliability.matrix import STORY_S_MAX, perform_story
from tests.reliability.matrix_table import Told, render
from tests.reliability.scenario import STORIES


@pytest.mark.parametrize("story", STORIES)
def test_every_step_may_fail(story: str, hatchery: Hatchery, record_property: Callable[[str, object], None]) -> None:
    answer = hatchery.perform(partial(perform_story, story), STORY_S_MAX)
    assert "error" not in answer, answer["error"]
    record_property("matrix", json.dumps({**answer, "failures": {}}))
    told = Told.from_json(answer)
    assert told.runs > len(told.steps)
    assert not told.failures, "\n".join(render(told))
