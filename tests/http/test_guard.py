"""Who may ask: token, Host, Origin; and which settings are refused at start."""

from pathlib import Path

import httpx
import pytest

from controller.errors import SettingsError
from controller.http.guard import HostRule, read_token
from controller.settings import HttpSettings
from tests.http.rig import asking, serving

EVERYWHERE = "0.0.0.0"
TOKEN = "canary-token-0123456789"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({}, 401, id="none"),
        pytest.param({"authorization": f"Bearer {TOKEN}"}, 200, id="right"),
        pytest.param({"authorization": f"bearer  {TOKEN} "}, 200, id="scheme in lower case, spaces"),
        pytest.param({"authorization": f"Bearer {TOKEN}x"}, 401, id="longer"),
        pytest.param({"authorization": f"Bearer {TOKEN[:-1]}"}, 401, id="shorter"),
        pytest.param({"authorization": TOKEN}, 401, id="no scheme"),
        pytest.param({"authorization": f"Basic {TOKEN}"}, 401, id="other scheme"),
        pytest.param({"authorization": "Bearer"}, 401, id="empty"),
        pytest.param({"authorization": "Bearer ü"}, 401, id="not ASCII"),
    ],
)
async def test_the_token(tmp_path: Path, headers: dict[str, str], status: int) -> None:
    async with serving(tmp_path, http={"token": TOKEN}) as service, asking(service) as client:
        encoded = {name.encode(): value.encode() for name, value in headers.items()}
        for path in ("/v1/summary", "/metrics", "/openapi.json", "/livez"):
            answer = await client.get(path, headers=encoded)
            assert answer.status_code == status
            assert TOKEN not in answer.text
        if status == 401:
            assert answer.headers["www-authenticate"] == "Bearer"
            assert answer.headers["content-type"] == "application/problem+json"


async def test_the_dashboard_itself_needs_no_token_and_the_description_names_it(tmp_path: Path) -> None:
    async with serving(tmp_path, http={"token": TOKEN}) as service, asking(service) as client:
        assert (await client.get("/")).status_code == 200
        assert (await client.get("/v1/jobs")).status_code == 401
        described = (await client.get("/openapi.json", headers={"authorization": f"Bearer {TOKEN}"})).json()
        assert described["security"] == [{"bearer": []}]


def test_a_token_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    assert read_token(HttpSettings(token_file=str(file))) == TOKEN
    assert read_token(HttpSettings(host=EVERYWHERE, token_file=str(file))) == TOKEN
    assert read_token(HttpSettings()) == ""


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        pytest.param({"host": EVERYWHERE}, "http.token", id="all addresses without a token"),
        pytest.param({"host": "::"}, "http.token", id="all IPv6 addresses without a token"),
        pytest.param({"host": "10.0.0.5"}, "http.token", id="another address without a token"),
        pytest.param({"host": "example.com"}, "http.token", id="a name without a token"),
        pytest.param({"token_file": "/nowhere/token"}, "cannot read", id="no file"),
        pytest.param({"token_file": "/dev/null"}, "holds no token", id="empty file"),
        pytest.param({"token": "a", "token_file": "/dev/null"}, "both set", id="both"),
        pytest.param({"token": "two words"}, "without spaces", id="spaces"),
        pytest.param({"token": "tökén"}, "ASCII", id="not ASCII"),
    ],
)
def test_settings_that_are_refused(settings: dict[str, str], says: str) -> None:
    with pytest.raises(SettingsError, match=says) as caught:
        read_token(HttpSettings(**settings))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost", "LOCALHOST"])
def test_loopback_needs_no_token(host: str) -> None:
    assert read_token(HttpSettings(host=host)) == ""


@pytest.mark.parametrize(
    ("settings", "header", "allowed"),
    [
        pytest.param({}, "127.0.0.1:8470", True, id="loopback"),
        pytest.param({}, "localhost", True, id="loopback name"),
        pytest.param({}, "LocalHost:1", True, id="in capitals"),
        pytest.param({}, "[::1]:8470", True, id="IPv6 loopback"),
        pytest.param({}, "attacker.example:8470", False, id="rebound name"),
        pytest.param({}, "127.0.0.1.attacker.example", False, id="name that begins like an address"),
        pytest.param({}, "localhost.attacker.example", False, id="name that begins like localhost"),
        pytest.param({}, "127.0.0.1@attacker.example", False, id="user information"),
        pytest.param({}, "attacker.example/127.0.0.1", False, id="path"),
        pytest.param({}, "127.0.0.1:x", False, id="no port"),
        pytest.param({}, "[::1", False, id="broken brackets"),
        pytest.param({}, "", False, id="empty"),
        pytest.param({}, "10.0.0.5", False, id="another address"),
        pytest.param({"host": "ferryman.internal"}, "ferryman.internal:8470", True, id="the host listened on"),
        pytest.param({"allowed_hosts": ("jobs.example",)}, "jobs.example", True, id="allowed"),
        pytest.param({"allowed_hosts": ("jobs.example",)}, "other.example", False, id="not among the allowed"),
        pytest.param({"allowed_hosts": ("*",)}, "any.example", True, id="any"),
        pytest.param({"host": EVERYWHERE}, "10.0.0.5:8470", True, id="address, listening on all"),
        pytest.param({"host": EVERYWHERE}, "attacker.example", False, id="name, listening on all"),
    ],
)
def test_host_headers(settings: dict[str, object], header: str, allowed: bool) -> None:
    assert HostRule(HttpSettings(**settings)).allows(header) is allowed


async def test_a_foreign_host_is_refused_everywhere(tmp_path: Path) -> None:
    async with serving(tmp_path) as service, asking(service, host="attacker.example") as client:
        for path in ("/", "/v1/jobs", "/livez", "/metrics"):
            answer = await client.get(path)
            assert answer.status_code == 421
            assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({"origin": "http://attacker.example"}, 403, id="foreign page"),
        pytest.param({"origin": "null"}, 403, id="sandboxed page"),
        pytest.param({"origin": "http://127.0.0.1:9999"}, 403, id="page of another port"),
        pytest.param({"sec-fetch-site": "cross-site"}, 403, id="said by the browser"),
        pytest.param({"sec-fetch-site": "same-site"}, 403, id="another port, said by the browser"),
        pytest.param({"origin": "http://127.0.0.1:8470", "sec-fetch-site": "same-origin"}, 202, id="the dashboard"),
        pytest.param({}, 202, id="no browser"),
    ],
)
async def test_a_web_page_cannot_command_a_daemon(tmp_path: Path, headers: dict[str, str], status: int) -> None:
    async with serving(tmp_path) as service, asking(service) as client:
        answer = await client.post("/v1/shutdown", headers=headers)
        assert answer.status_code == status
        assert service.state.stopped.is_set() is (status == 202)
        assert "access-control-allow-origin" not in answer.headers


async def test_a_preflight_request_allows_nothing(tmp_path: Path) -> None:
    async with serving(tmp_path) as service, asking(service) as client:
        headers = {"origin": "http://attacker.example", "access-control-request-method": "POST"}
        answer: httpx.Response = await client.options("/v1/shutdown", headers=headers)
        assert answer.status_code == 405
        assert not [name for name in answer.headers if name.startswith("access-control")]
