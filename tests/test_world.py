"""Which world a store belongs to: what is refused, what is remembered."""

import pytest

from controller.errors import SettingsError
from controller.world import REAL, SIMULATED, Place, check_world

HERE = Place("default", "111111111111", "us-east-1", "")


def remembered(place: Place = HERE, world: str = REAL) -> dict[str, str]:
    return check_world({}, world, [place])


@pytest.mark.parametrize(
    ("place", "world", "said"),
    [
        pytest.param(Place("default", "222222222222", "us-east-1", ""), REAL, "account 111111111111", id="account"),
        pytest.param(Place("default", "111111111111", "eu-west-1", ""), REAL, "Region us-east-1", id="region"),
        pytest.param(HERE, SIMULATED, "the simulator", id="world"),
    ],
)
def test_a_store_refuses_another_world(place: Place, world: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        check_world(remembered(), world, [place])


def test_a_store_refuses_another_endpoint() -> None:
    facts = remembered(Place("default", "", "us-east-1", "127.0.0.1:4566"))
    with pytest.raises(SettingsError, match=r"endpoint 127\.0\.0\.1:4566"):
        check_world(facts, REAL, [Place("default", "", "us-east-1", "127.0.0.1:9999")])


def test_what_cannot_be_learned_is_not_judged_and_not_forgotten() -> None:
    facts = check_world(remembered(), REAL, [Place("default", "", "us-east-1", "")])
    assert facts["scope.default"] == HERE.fact()


def test_a_simulator_may_move_to_another_port() -> None:
    facts = remembered(Place("default", "1", "us-east-1", "127.0.0.1:1"), SIMULATED)
    assert check_world(facts, SIMULATED, [Place("default", "1", "us-east-1", "127.0.0.1:2")])


def test_two_scopes_of_one_place_are_refused() -> None:
    with pytest.raises(SettingsError, match="'default' and 'other'"):
        check_world({}, REAL, [HERE, Place("other", HERE.account, HERE.region, HERE.endpoint)])
    assert check_world({}, REAL, [HERE, Place("other", HERE.account, "eu-west-1", "")])
