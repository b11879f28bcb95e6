"""Lists: pages, filters, order and tokens."""

import datetime as dt
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.simulator.simulated import NOON, PROMPTS, RECOMMENDATIONS, SOLUTION, Rig, refusal, served

KIND = "bedrock.ModelInvocationJob"


def seven(rig: Rig) -> None:
    """job-0 .. job-6, ten seconds apart; the clock stands at the last."""
    for number in range(7):
        rig.clock.at = NOON + 10 * number
        rig.create(f"job-{number}")


def at(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(NOON + seconds, dt.UTC)


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        pytest.param({}, [6, 5, 4, 3, 2, 1, 0], id="newest-first"),
        pytest.param({"sortBy": "CreationTime", "sortOrder": "Ascending"}, [0, 1, 2, 3, 4, 5, 6], id="oldest-first"),
        pytest.param({"sortOrder": "Descending", "maxResults": 2}, [6, 5], id="size"),
        pytest.param({"submitTimeAfter": at(35)}, [6, 5, 4], id="after"),
        pytest.param({"submitTimeBefore": at(15)}, [1, 0], id="before"),
        pytest.param({"submitTimeAfter": at(15), "submitTimeBefore": at(45)}, [4, 3, 2], id="window"),
        pytest.param({"nameContains": "job-3"}, [3], id="name"),
        pytest.param({"statusEquals": "Submitted"}, [6], id="first-status"),
        pytest.param({"statusEquals": "Validating"}, [5, 4], id="status"),
        pytest.param({"statusEquals": "Validating", "submitTimeAfter": at(45)}, [5], id="status-and-window"),
        pytest.param({"statusEquals": "Failed"}, [], id="empty"),
    ],
)
def test_filters_and_order(query: dict[str, Any], numbers: list[int]) -> None:
    with served() as rig:
        seven(rig)
        assert rig.listed(**query) == [f"job-{number}" for number in numbers]


@pytest.mark.parametrize("order", ["Ascending", "Descending"])
def test_pages_show_every_job_once_while_jobs_come_and_move(order: str) -> None:
    with served(page_size_max=3) as rig:
        seven(rig)
        names: list[str] = []
        query: dict[str, Any] = {}
        for number in range(10):
            page = rig.bedrock.list_model_invocation_jobs(sortOrder=order, maxResults=3, **query)
            names += [summary["jobName"] for summary in page["invocationJobSummaries"]]
            if "nextToken" not in page:
                break
            query = {"nextToken": page["nextToken"]}
            rig.clock.at += 15
            rig.create(f"new-{number}")
        assert [name for name in names if name.startswith("job-")] == sorted(
            {f"job-{number}" for number in range(7)}, reverse=order == "Descending"
        )


def test_botocore_paginators_work() -> None:
    with served(quotas={"personalize.BatchInferenceJob": {"*": 9}}) as rig:
        seven(rig)
        for number in range(5):
            rig.bedrock.create_advanced_prompt_optimization_job(jobName=f"p-{number}", **PROMPTS)
            rig.personalize.create_batch_inference_job(jobName=f"m-{number}", **RECOMMENDATIONS)
        cases: list[tuple[Any, str, str, int]] = [
            (rig.bedrock, "list_model_invocation_jobs", "invocationJobSummaries", 7),
            (rig.bedrock, "list_advanced_prompt_optimization_jobs", "jobSummaries", 5),
            (rig.personalize, "list_batch_inference_jobs", "batchInferenceJobs", 5),
        ]
        for client, operation, member, count in cases:
            pages = list(client.get_paginator(operation).paginate(PaginationConfig={"PageSize": 2}))
            assert len({job["jobName"] for page in pages for job in page[member]}) == count
            assert len(pages) == -(-count // 2)


def test_personalize_filters_by_solution_version() -> None:
    with served() as rig:
        other = SOLUTION.replace("movies", "books")
        rig.personalize.create_batch_inference_job(jobName="a", **RECOMMENDATIONS)
        rig.personalize.create_batch_inference_job(jobName="b", **{**RECOMMENDATIONS, "solutionVersionArn": other})
        found = rig.personalize.list_batch_inference_jobs(solutionVersionArn=other)["batchInferenceJobs"]
        assert [job["jobName"] for job in found] == ["b"]


def test_page_caps_are_the_modelled_ones() -> None:
    with served() as rig:
        for operation in ("list_model_invocation_jobs", "list_advanced_prompt_optimization_jobs"):
            with pytest.raises(ClientError) as raised:
                getattr(rig.bedrock, operation)(maxResults=1001)
            assert refusal(raised.value) == ("ValidationException", 400)
        with pytest.raises(ClientError) as raised:
            rig.personalize.list_batch_inference_jobs(maxResults=101)
        assert refusal(raised.value) == ("InvalidInputException", 400)


def test_page_tokens_are_bound_to_their_list_and_their_age() -> None:
    with served(page_token_lifetime_s=60) as rig:
        seven(rig)
        token = rig.bedrock.list_model_invocation_jobs(maxResults=2)["nextToken"]
        wrong: list[dict[str, Any]] = [
            {"nextToken": "bm90IG91cnM="},
            {"nextToken": token[:-6] + "AAAAAA"},
            {"nextToken": token, "statusEquals": "InProgress"},
            {"nextToken": token, "sortOrder": "Ascending"},
        ]
        for query in wrong:
            with pytest.raises(ClientError) as raised:
                rig.bedrock.list_model_invocation_jobs(**query)
            assert refusal(raised.value) == ("ValidationException", 400)
        assert rig.listed(nextToken=token, maxResults=2) == ["job-4", "job-3"]
        rig.clock.at += 61
        with pytest.raises(ClientError):
            rig.listed(nextToken=token)
        with pytest.raises(ClientError) as raised:
            rig.personalize.list_batch_inference_jobs(nextToken=token)
        assert refusal(raised.value) == ("InvalidNextTokenException", 400)


def test_a_clock_that_goes_back_breaks_no_index() -> None:
    with served() as rig:
        first = rig.create("first")
        rig.clock.at += 100
        assert rig.status(first) == "InProgress"
        rig.clock.at -= 3600
        second = rig.create("second")
        rig.bedrock.stop_model_invocation_job(jobIdentifier=first)
        assert rig.listed() == ["first", "second"]
        rig.clock.at += 3600 + 105
        assert (rig.status(first), rig.status(second)) == ("Stopped", "Completed")


def test_the_oldest_finished_jobs_are_forgotten_beyond_the_bound() -> None:
    with served(jobs_kept_max=3) as rig:
        for number in range(3):
            rig.create(f"old-{number}")
        rig.clock.at += 160
        rig.create("new")
        assert rig.listed() == ["new", "old-2", "old-1"]
