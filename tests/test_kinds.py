"""What is known of each kind: when a remote job is the one that a document asks for."""

from typing import Any, Final

import pytest

from controller.kinds import KINDS
from tests.documents import BATCH, spec_of

VPC: Final[dict[str, Any]] = {"subnetIds": ["subnet-a", "subnet-b"], "securityGroupIds": ["sg-a"]}


def shown(**changes: Any) -> dict[str, Any]:
    """What AWS shows of a job made with `VPC`."""
    return {**spec_of(BATCH, 0), "vpcConfig": VPC, **changes}


@pytest.mark.parametrize(
    ("body", "differs"),
    [
        pytest.param(shown(), (), id="the same"),
        pytest.param(shown(vpcConfig={**VPC, "subnetIds": ["subnet-b", "subnet-a"]}), (), id="ids in another order"),
        pytest.param(shown(vpcConfig={**VPC, "more": 1}), (), id="members of AWS's own"),
        pytest.param(shown(vpcConfig={**VPC, "subnetIds": ["subnet-a"]}), ("vpcConfig",), id="an id less"),
        pytest.param(
            shown(vpcConfig={**VPC, "subnetIds": ["subnet-a", "subnet-c"]}), ("vpcConfig",), id="another subnet"
        ),
        pytest.param(shown(vpcConfig={**VPC, "subnetIds": "subnet-a"}), ("vpcConfig",), id="no list"),
        pytest.param(shown(roleArn="arn:aws:iam::123456789012:role/other"), ("roleArn",), id="another role"),
    ],
)
def test_whether_a_remote_job_is_the_one_asked_for(body: dict[str, Any], differs: tuple[str, ...]) -> None:
    spec = {**spec_of(BATCH, 0), "vpcConfig": VPC}
    assert KINDS[BATCH].differs(spec, body) == differs
