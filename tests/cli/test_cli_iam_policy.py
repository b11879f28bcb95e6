"""`iam-policy`: what it prints, and that it is just what the daemon calls."""

import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import parse_qs

import aiohttp
import anyio
import pytest
from aiohttp import web

from controller.cli.iam_policy import POLICY_LENGTH_MAX, Wanted, chosen_kinds, compact, policy_of, policy_text
from controller.cli.output import PolicyFormat
from controller.errors import SettingsError
from controller.kinds import KINDS
from controller.queues import sqs as sqs_module
from controller.queues.opening import open_source
from controller.seams import SystemClock
from controller.settings import QueueSettings, Settings
from controller.simulator import Fault, LoseReply
from tests.cli.command import at_terminal, ferryman
from tests.documents import ACCOUNT, BATCH, BLUEPRINT, PROMPT, RECOMMENDATION, document
from tests.harness import Ferryman, simulated_aws
from tests.moto_peer import REGION, boto, running_moto
from tests.web_peer import listening

HOME = {"AWS_REGION": "eu-west-1"}
QUEUE = f"sqs:https://sqs.eu-central-1.amazonaws.com/{ACCOUNT}"
ROLE = "arn:aws:iam::200000000001:role/ferryman"
NO_PERMISSION_NEEDED = {"sts:GetCallerIdentity"}
ACTIONS: Mapping[str, str] = {
    "tagging:GetResources": "tag:GetResources",
    "sqs:SendMessageBatch": "sqs:SendMessage",
    "sqs:DeleteMessageBatch": "sqs:DeleteMessage",
    "sqs:ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
    "sns:PublishBatch": "sns:Publish",
}
"""Operations whose action is called otherwise."""
ON_BEHALF = {
    "iam:PassRole",
    "bedrock:TagResource",
    "bedrock:InvokeModel",
    "bedrock:InvokeModelWithResponseStream",
    "s3:GetObject",
    "s3:PutObject",
    "s3:ListBucket",
}
"""Actions that AWS judges besides those that are called."""
AROUND = ("sqs:", "sns:", "events:")
"""Services whose actions are compared with what they are done to."""
HOPS = {"host", "content-length", "connection", "transfer-encoding"}


def policy(settings: Settings | None = None, kinds: tuple[str, ...] = (), **wanted: Any) -> dict[str, dict[str, Any]]:
    """Statements by their ids."""
    settings = settings or Settings()
    made = policy_of(settings, Wanted(chosen_kinds(settings, kinds), **{"account": ACCOUNT, **wanted}), HOME)
    statements = made.document()["Statement"]
    assert len({statement["Sid"] for statement in statements}) == len(statements)
    assert all(statement["Sid"].isalnum() for statement in statements)
    return {statement["Sid"]: statement for statement in statements}


def actions(statements: Mapping[str, Mapping[str, Any]]) -> set[str]:
    return {action for statement in statements.values() for action in statement["Action"]}


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.short)
def test_a_kind_may_do_what_its_description_names_and_nothing_else(kind: Any) -> None:
    operations = {kind.create, kind.get, kind.list, kind.stop, kind.delete} - {None}
    named = {f"{kind.permissions.prefix}:{operation}" for operation in operations}
    found = actions(policy(kinds=(kind.short,)))
    assert found - ON_BEHALF - {"tag:GetResources"} == named
    assert ("tag:GetResources" in found) == ("bedrock:TagResource" in found) == kind.marks_with_tag


def test_resources_are_those_of_the_account_and_region() -> None:
    statements = policy()
    assert statements["ManageModelInvocationJob"]["Resource"] == [
        f"arn:aws:bedrock:eu-west-1:{ACCOUNT}:model-invocation-job/*"
    ]
    anywhere = [sid for sid, statement in statements.items() if "*" in statement["Resource"]]
    assert sorted(anywhere) == ["FindJobsByTag", "ListJobs"]


def test_roles_are_passed_only_to_the_service_that_takes_them() -> None:
    settings = Settings(queue=QueueSettings(role_arns=("arn:aws:iam::1:role/batch-*",)))
    statements = policy(settings)
    for sid, service in (("PassRoleToBedrock", "bedrock"), ("PassRoleToPersonalize", "personalize")):
        assert statements[sid]["Resource"] == ["arn:aws:iam::1:role/batch-*"]
        assert statements[sid]["Condition"] == {"StringEquals": {"iam:PassedToService": f"{service}.amazonaws.com"}}
    assert "PassRoleToPersonalize" not in policy(settings, (BATCH,))
    assert "PassRoleToBedrock" not in policy(settings, (PROMPT, BLUEPRINT))


def test_what_aws_does_as_the_caller_is_allowed_on_the_buckets_of_the_settings() -> None:
    settings = Settings(queue=QueueSettings(buckets=("in", "out-*")))
    statements = policy(settings, (PROMPT,))
    assert statements["AsCallerObjects"]["Resource"] == ["arn:aws:s3:::in/*", "arn:aws:s3:::out-*/*"]
    assert statements["AsCallerBuckets"]["Resource"] == ["arn:aws:s3:::in", "arn:aws:s3:::out-*"]
    assert not [sid for sid in policy(settings, (BATCH, RECOMMENDATION)) if sid.startswith("AsCaller")]


@pytest.mark.parametrize(
    ("settings", "sid", "resource"),
    [
        pytest.param(
            {"queue": {"sources": [f"{QUEUE}/a", "dir:x"]}}, "ReceiveDocuments", "sqs:eu-central-1:{}:a", id="source"
        ),
        pytest.param(
            {"queue": {"dead_letter_queue": f"{QUEUE}/d"}}, "CopyDeadLetters", "sqs:eu-central-1:{}:d", id="dead"
        ),
        pytest.param(
            {"reconcile": {"notifications": f"{QUEUE}/n"}},
            "ReceiveNotifications",
            "sqs:eu-central-1:{}:n",
            id="notifications",
        ),
        pytest.param({"events": {"sinks": [f"{QUEUE}/e"]}}, "SendEventsToQueues", "sqs:eu-central-1:{}:e", id="sqs"),
        pytest.param(
            {"events": {"sinks": ["eventbridge:"]}}, "PutEvents", "events:eu-west-1:{}:event-bus/default", id="bus"
        ),
        pytest.param(
            {"events": {"sinks": ["eventbridge:arn:aws:events:x:1:event-bus/b"]}},
            "PutEvents",
            "events:x:1:event-bus/b",
            id="bus-arn",
        ),
        pytest.param({"events": {"sinks": ["sns:arn:aws:sns:x:1:t"]}}, "PublishEvents", "sns:x:1:t", id="topic"),
        pytest.param(
            {"queue": {"sources": ["sqs:http://localhost:4566/queue/own"]}},
            "ReceiveDocuments",
            "sqs:eu-west-1:{}:own",
            id="own-endpoint",
        ),
    ],
)
def test_queues_and_sinks(settings: dict[str, Any], sid: str, resource: str) -> None:
    statements = policy(Settings(**settings), (BATCH,))
    assert statements[sid]["Resource"] == [f"arn:aws:{resource.format(ACCOUNT)}"]
    assert set(statements) - set(policy(kinds=(BATCH,))) == {sid}
    assert ("sqs:ChangeMessageVisibility" in statements[sid]["Action"]) == (sid == "ReceiveDocuments")


def test_scopes_of_other_identities_have_policies_of_their_own() -> None:
    settings = Settings(
        scopes={
            "default": {},
            "far": {"region": "cn-north-1"},
            "role": {"role_arn": ROLE},
            "profile": {"profile": "p"},
        },
        queue=QueueSettings(sources=(f"{QUEUE}/jobs",)),
    )
    made = policy_of(settings, Wanted([KINDS[BATCH]], account=ACCOUNT), HOME)
    own = {statement.sid: statement for statement in made.statements}
    assert own["AssumeRolesOfScopes"].resources == {ROLE}
    assert own["ManageModelInvocationJob"].resources == {
        f"arn:aws:bedrock:eu-west-1:{ACCOUNT}:model-invocation-job/*",
        f"arn:aws-cn:bedrock:cn-north-1:{ACCOUNT}:model-invocation-job/*",
    }
    assert [remark for remark in made.remarks if "--scope role" in remark]
    assert [remark for remark in made.remarks if "--scope profile" in remark]
    role = policy(settings, (BATCH,), scope="role")
    assert role["ManageModelInvocationJob"]["Resource"] == [
        "arn:aws:bedrock:eu-west-1:200000000001:model-invocation-job/*"
    ]
    assert not {"ReceiveDocuments", "AssumeRolesOfScopes"} & set(role)
    with pytest.raises(SettingsError, match="default, far, role, profile"):
        policy(settings, scope="nowhere")


def test_tags_are_allowed_where_documents_have_them() -> None:
    found = policy(tags=True)
    assert found["TagBatchInferenceJob"]["Action"] == ["personalize:TagResource"]
    assert len([sid for sid in found if sid.startswith("Tag")]) == len(KINDS)


def test_what_is_not_known_stands_in_capitals_and_is_remarked_upon() -> None:
    made = policy_of(Settings(), Wanted(chosen_kinds(Settings(), ())), {})
    text = compact(made)
    for word in ("ACCOUNT-ID", "REGION", "BUCKET", "JOB-ROLE"):
        assert word in text
        assert [remark for remark in made.remarks if remark.startswith(f"{word}: ")]


def test_all_kinds_with_queues_and_sinks_fit_into_a_managed_policy() -> None:
    settings = Settings(
        queue={"sources": [f"{QUEUE}/jobs"], "dead_letter_queue": f"{QUEUE}/dead"},
        events={"sinks": [f"{QUEUE}/events", "eventbridge:", "sns:arn:aws:sns:x:1:t"]},
    )
    assert len(compact(policy_of(settings, Wanted(list(KINDS.values()), account=ACCOUNT), HOME))) < POLICY_LENGTH_MAX


def test_terraform_gets_the_same_policy_with_its_templates_escaped() -> None:
    settings = Settings(queue=QueueSettings(buckets=("${aws:PrincipalTag/team}",)))
    made = policy_of(settings, Wanted(list(KINDS.values()), account=ACCOUNT), HOME)
    text = policy_text(made, PolicyFormat.TERRAFORM)
    inner = text.split("jsonencode(", 1)[1].rsplit(")", 1)[0]
    assert "$${aws:PrincipalTag/team}" in inner
    assert json.loads(inner.replace("$${", "${")) == made.document() == json.loads(policy_text(made, PolicyFormat.JSON))


def test_the_command_prints_json_alone_on_stdout(here: Path) -> None:
    ended = ferryman(
        "iam-policy", "--account", ACCOUNT, "--kind", "BatchInferenceJob", folder=here, AWS_REGION="us-east-1"
    )
    assert ended.code == 0
    assert [statement["Sid"] for statement in ended.json["Statement"]] == [
        "CreateBatchInferenceJob",
        "ManageBatchInferenceJob",
        "ListJobs",
        "PassRoleToPersonalize",
    ]
    assert "# JOB-ROLE" in ended.err
    assert ferryman("iam-policy", "--kind", "Nothing", folder=here).code == 2
    assert ferryman("iam-policy", "--account", "12", folder=here).code == 2
    assert "jsonencode" in at_terminal("iam-policy", "--format", "terraform", folder=here).out


# What is called at the wire


@asynccontextmanager
async def recording(peer: str, seen: set[str]) -> AsyncIterator[str]:
    """A way to the peer that notes what passes, as `service:Operation queue, topic or bus`."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:

        async def handle(request: web.Request) -> web.Response:
            body = await request.read()
            seen.update(_noted(request.headers.get("x-amz-target", ""), body.decode()))
            headers = {name: value for name, value in request.headers.items() if name.lower() not in HOPS}
            async with session.post(f"{peer}{request.path_qs}", data=body, headers=headers) as answer:
                return web.Response(status=answer.status, body=await answer.read(), content_type=answer.content_type)

        app = web.Application()
        app.router.add_post("/{path:.*}", handle)
        async with listening(app) as url:
            yield url


def _noted(target: str, body: str) -> set[str]:
    service, _, operation = target.rpartition(".")
    if service == "AmazonSQS":
        return {f"sqs:{operation} {_last(json.loads(body)['QueueUrl'])}"}
    if service == "AWSEvents":
        return {f"events:{operation} {entry['EventBusName']}" for entry in json.loads(body)["Entries"]}
    asked = parse_qs(body)  # the query protocol, which only SNS speaks
    return {f"sns:{asked['Action'][0]} {_last(asked['TopicArn'][0])}"}


def _last(resource: str) -> str:
    """The name in a URL or an ARN."""
    return re.split("[:/]", resource)[-1]


async def test_the_policy_is_just_what_the_daemon_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All four kinds with stops, deletes, a lost reply and a lagging List; every queue there is, and all sinks of AWS.

    Of queues, topics and buses not only what is done, but to which of them.
    """
    seen: set[str] = set()
    with running_moto(monkeypatch) as moto:
        sqs = boto("sqs", moto)
        jobs, dead, events, ends = (
            sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("jobs", "dead", "events", "ends")
        )
        topic = boto("sns", moto).create_topic(Name="events")["TopicArn"]
        async with recording(moto, seen) as wire, simulated_aws(list_lag_s=(10**6, 10**6)) as aws:
            aws.simulator.faults.add(Fault(operation=KINDS[BLUEPRINT].create, effect=LoseReply(then="reset")))
            settings = {
                "AWS_REGION": REGION,
                **{f"AWS_ENDPOINT_URL_{service}": wire for service in ("SQS", "SNS", "EVENTBRIDGE")},
                "FERRYMAN_QUEUE__SOURCES": json.dumps([f"sqs:{jobs}"]),
                "FERRYMAN_QUEUE__WAIT_S": "1",
                "FERRYMAN_QUEUE__DEAD_LETTER_QUEUE": f"sqs:{dead}",
                "FERRYMAN_EVENTS__SINKS": json.dumps([f"sqs:{events}", f"sns:{topic}", "eventbridge:default"]),
                "FERRYMAN_SCOPES": json.dumps({"default": {}, "other": {"role_arn": ROLE}}),
                "FERRYMAN_RECONCILE__LIST_LAG_S": "0.5",
                "FERRYMAN_RECONCILE__NOTIFICATIONS": f"sqs:{ends}",
            }
            documents = [
                *(document(kind, "plain") for kind in KINDS),
                document(BATCH, "stopped", desired="Completed"),
                document(PROMPT, "deleted"),
                {"kind": "Nonsense"},
            ]
            sqs.send_message(QueueUrl=jobs, MessageBody=json.dumps(documents))
            sqs.send_message(QueueUrl=ends, MessageBody=json.dumps({"source": "aws.bedrock", "detail": {}}))
            home = Ferryman(tmp_path, aws.url, settings)
            expected = _allowed(home) - ON_BEHALF - {"sqs:ChangeMessageVisibility jobs"}
            async with home.daemon() as daemon:

                def called() -> set[str]:
                    names = {f"{_service(operation)}:{operation}" for operation in aws.simulator.ledger.calls} | seen
                    return {_action(name) for name in names} - NO_PERMISSION_NEEDED

                await daemon.until(lambda: len(aws.creates()) >= len(KINDS) + 2)
                for name, kind in (("stopped", BATCH), ("deleted", PROMPT)):
                    await daemon.post(f"/v1/jobs/default/{kind}/{name}:delete")
                with anyio.move_on_after(60):  # what is missing then is told below
                    await daemon.until(lambda: called() >= expected)
            assert called() == expected


async def test_messages_that_take_long_are_kept_invisible(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one action of the queue that a quick run does not need."""
    seen: set[str] = set()
    monkeypatch.setattr(sqs_module, "VISIBILITY_S", 3)
    with running_moto(monkeypatch) as moto:
        client = boto("sqs", moto)
        jobs = client.create_queue(QueueName="jobs")["QueueUrl"]
        client.send_message(QueueUrl=jobs, MessageBody="{}")
        async with recording(moto, seen) as wire:
            monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", wire)
            settings = QueueSettings(wait_s=1)
            async with (
                open_source(f"sqs:{jobs}", settings, clock=SystemClock(), chance=Random(1)) as source,
                anyio.create_task_group() as tasks,
            ):
                tasks.start_soon(source.keep, await source.receive())
                with anyio.fail_after(60):
                    while "sqs:ChangeMessageVisibilityBatch jobs" not in seen:
                        await anyio.sleep(0.02)  # the fact is a call at another server
                tasks.cancel_scope.cancel()
    allowed = policy(Settings(queue=QueueSettings(sources=(f"{QUEUE}/jobs",))))["ReceiveDocuments"]["Action"]
    assert {_action(name).removesuffix(" jobs") for name in seen} <= set(allowed)
    assert ACTIONS["sqs:ChangeMessageVisibilityBatch"] in allowed


def _service(operation: str) -> str:
    for kind in KINDS.values():
        if operation in {kind.create, kind.get, kind.list, kind.stop, kind.delete}:
            return kind.permissions.prefix
    return "tagging" if operation == "GetResources" else "sts"


def _action(called: str) -> str:
    """What IAM calls an operation; what it is done to stays behind it."""
    operation, *on = called.split(" ")
    return " ".join([ACTIONS.get(operation, operation), *on])


def _allowed(home: Ferryman) -> set[str]:
    """What the policies for these settings allow, of the daemon's identity and of the scope's role."""
    done = home.run("iam-policy", "--account", ACCOUNT), home.run("iam-policy", "--scope", "other")
    statements = [statement for each in done for statement in json.loads(each.out)["Statement"]]
    return {
        f"{action} {_last(resource)}" if action.startswith(AROUND) else action
        for statement in statements
        for action in statement["Action"]
        for resource in statement["Resource"]
    }
