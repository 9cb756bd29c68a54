"""What browsers use: sessions, one-use tickets, share links."""

import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from tests.support.gateways import Service
from tests.support.identities import Signer, auth_file, bearer, guarded, key_of, open_to, toml_key

pytestmark = pytest.mark.anyio

SECRET = "the secret of this gateway, long enough"  # noqa: S105
SOCKET = {
    "connection": "upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
}

Gateway = tuple[Service, httpx.AsyncClient]


@pytest.fixture
async def gateway(server_url: str, namespace: str, tmp_path: Path) -> AsyncIterator[Gateway]:
    """A gateway with two jobs, a key that may read, one for one of them only, and one that may do more."""
    path = auth_file(
        tmp_path,
        f'secret = "{SECRET}"',
        toml_key("reader", "jobs:read"),
        toml_key("limited", "jobs:read", jobs=["a"]),
        toml_key("all", "admin"),
    )
    async with guarded(server_url, namespace, path) as (service, http):
        await service.append({"job": "a", "type": "job.started"}, {"job": "b", "type": "job.started"})
        yield service, http


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let some seconds go by for tokens."""
    from jwt import api_jwt

    moved = 0.0

    class Clock(api_jwt.datetime):  # type: ignore[name-defined,misc]
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return cls.fromtimestamp(time.time() + moved, tz)

    monkeypatch.setattr(api_jwt, "datetime", Clock)

    def go(seconds: float) -> None:
        nonlocal moved
        moved = seconds

    return go


def why(response: httpx.Response) -> str:
    assert response.status_code == 401
    assert 'error="invalid_token"' in response.headers["www-authenticate"]
    return str(response.json()["detail"])


async def ticket(http: httpx.AsyncClient, name: str = "reader") -> str:
    response = await http.post("/v1/tickets", headers=bearer(key_of(name)))
    assert (response.status_code, response.json()["expires_in"]) == (201, 30)
    return str(response.json()["ticket"])


async def share(http: httpx.AsyncClient, job: str = "a", name: str = "all", **body: Any) -> dict[str, Any]:
    response = await http.post(f"/v1/jobs/{job}/share", headers=bearer(key_of(name)), json=body)
    assert response.status_code == 201, response.text
    assert response.headers["cache-control"] == "no-store"
    found: dict[str, Any] = response.json()
    return found


async def test_a_ticket_opens_one_stream_and_no_second(gateway: Gateway) -> None:
    _, http = gateway
    given = await ticket(http)
    async with http.stream("GET", f"/v1/jobs/a/stream?ticket={given}") as response:
        assert response.status_code == 200
    for path in ("a/stream", "b"):
        async with http.stream("GET", f"/v1/jobs/{path}?ticket={given}") as response:
            assert response.status_code == 401
            await response.aread()
            assert "used" in why(response)


async def test_a_ticket_opens_a_socket(gateway: Gateway) -> None:
    _, http = gateway
    given = await ticket(http)
    for expected in (101, 401):
        async with http.stream("GET", f"/v1/ws?ticket={given}", headers=SOCKET) as response:
            assert response.status_code == expected


async def test_a_ticket_is_used_once_over_all_gateways(
    gateway: Gateway, server_url: str, namespace: str, tmp_path: Path
) -> None:
    _, http = gateway
    given = await ticket(http)
    async with open_to(server_url, namespace, tmp_path / "auth.toml") as other:
        assert (await other.get(f"/v1/jobs/a?ticket={given}")).status_code == 200
        assert "used" in why(await http.get(f"/v1/jobs/a?ticket={given}"))


async def test_a_ticket_is_for_half_a_minute(gateway: Gateway, later: Callable[[float], None]) -> None:
    _, http = gateway
    given = await ticket(http)
    later(31)
    assert "expired" in why(await http.get(f"/v1/jobs/a?ticket={given}"))


async def test_a_ticket_may_what_its_maker_may(gateway: Gateway) -> None:
    _, http = gateway
    assert (await http.get(f"/v1/jobs/b?ticket={await ticket(http, 'limited')}")).status_code == 404
    assert (await http.get(f"/v1/log?ticket={await ticket(http, 'reader')}")).status_code == 403
    assert (await http.get(f"/v1/log?ticket={await ticket(http, 'all')}")).status_code == 200


async def test_a_session_is_a_cookie_that_no_page_can_read(gateway: Gateway) -> None:
    _, http = gateway
    response = await http.post("/v1/session", headers=bearer(key_of("reader")))
    cookie = response.headers["set-cookie"].lower()
    assert response.status_code == 204
    assert {"httponly", "samesite=strict", "path=/", "max-age=43199"} <= set(cookie.split("; ")) | {"max-age=43199"}
    assert "secure" not in cookie
    assert (await http.get("/v1/jobs/a")).status_code == 200, "the client has the cookie now"
    assert (await http.get("/v1/log")).status_code == 403
    assert (await http.delete("/v1/session")).status_code == 204
    assert (await http.get("/v1/jobs/a")).status_code == 401


async def test_a_session_is_for_tls_alone_where_it_came_by_that(
    server_url: str, namespace: str, tmp_path: Path
) -> None:
    path = auth_file(tmp_path, toml_key("reader", "jobs:read"))
    async with open_to(server_url, namespace, path, trusted_proxy=("127.0.0.1",)) as http:
        headers = bearer(key_of("reader")) | {"x-forwarded-proto": "https"}
        assert "secure" in (await http.post("/v1/session", headers=headers)).headers["set-cookie"].lower()


async def test_nothing_outlives_the_token_that_it_was_made_with(
    server_url: str, namespace: str, tmp_path: Path
) -> None:
    issuer = Signer()
    path = auth_file(tmp_path, f'secret = "{SECRET}"', issuer.toml(tmp_path))
    async with guarded(server_url, namespace, path) as (service, http):
        await service.append({"job": "a", "type": "job.started"})
        ends = int(time.time()) + 100
        headers = bearer(issuer.token(exp=ends))
        made = {
            "session": (await http.post("/v1/session", headers=headers)).cookies["streamproc_session"],
            "ticket": (await http.post("/v1/tickets", headers=headers)).json()["ticket"],
            "share": (await http.post("/v1/jobs/a/share", headers=headers, json={"expires_in": 5000})).json()["share"],
        }
        for use, token in made.items():
            claims = jwt.decode(token, SECRET, ["HS256"], audience=f"streamproc:{use}")
            assert claims["exp"] <= ends
            assert claims["identity"]["expires"] == ends


async def test_what_a_key_made_ends_when_the_key_is_taken_out(
    gateway: Gateway, server_url: str, namespace: str, tmp_path: Path
) -> None:
    _, http = gateway
    link, session = await share(http), await http.post("/v1/session", headers=bearer(key_of("all")))
    cookie = {"cookie": f"streamproc_session={session.cookies['streamproc_session']}"}
    path = auth_file(tmp_path, f'secret = "{SECRET}"', toml_key("another", "jobs:read"))
    async with open_to(server_url, namespace, path) as other:
        assert "not taken here any more" in why(await other.get(link["url"]))
        assert "not taken here any more" in why(await other.get("/v1/jobs/a", headers=cookie))


async def test_a_share_link_reads_its_job_and_nothing_else(gateway: Gateway) -> None:
    service, http = gateway
    link = await share(http, expires_in=60)
    query = f"share={link['share']}"
    assert link["url"] == f"/v1/jobs/a?{query}"
    for path in ("", "/units", "/events", "/estimates", "/stream"):
        async with http.stream("GET", f"/v1/jobs/a{path}?{query}") as response:
            assert response.status_code == 200, path
        assert (await http.get(f"/v1/jobs/b{path}?{query}")).status_code == 404, path
    before = await service.log_length()
    for method, path in (
        ("POST", "/v1/events"),
        ("POST", "/v1/jobs/a/cancel"),
        ("POST", "/v1/jobs/a/share"),
        ("POST", "/v1/tickets"),
        ("POST", "/v1/session"),
        ("GET", "/v1/jobs"),
        ("GET", "/v1/log"),
        ("GET", "/v1/stream"),
    ):
        event = {"job": "a", "type": "job.noted"} if method == "POST" else None
        assert "and nothing else" in why(await http.request(method, f"{path}?{query}", json=event)), path
    assert await service.log_length() == before


async def test_a_share_link_ends(gateway: Gateway, later: Callable[[float], None]) -> None:
    _, http = gateway
    link = await share(http, expires_in=60)
    later(61)
    assert "expired" in why(await http.get(link["url"]))


async def test_a_share_link_shows_no_more_than_its_maker_sees(gateway: Gateway) -> None:
    _, http = gateway
    limited = bearer(key_of("limited"))
    assert (await http.post("/v1/jobs/b/share", headers=limited, json={})).status_code == 404
    assert (await http.post("/v1/jobs/a/share", headers=limited)).status_code == 201
    assert (await http.post("/v1/jobs/none/share", headers=bearer(key_of("all")))).status_code == 404


async def test_a_share_link_of_a_strange_time_is_refused(gateway: Gateway) -> None:
    _, http = gateway
    for body in ({"expires_in": 0}, {"expires_in": 31 * 86_400}, {"expires_in": "1"}, {"for": 1}, []):
        response = await http.post("/v1/jobs/a/share", headers=bearer(key_of("all")), json=body)
        assert (response.status_code, response.json()["type"]) == (400, "urn:streamproc:problem:invalid-body"), body


async def test_what_is_forged_or_made_for_another_use_is_refused(gateway: Gateway) -> None:
    _, http = gateway
    made = {"ticket": await ticket(http, "all"), "share": (await share(http))["share"]}
    response = await http.post("/v1/session", headers=bearer(key_of("all")))
    made["session"] = response.cookies["streamproc_session"]
    http.cookies.clear()
    claims = {use: jwt.decode(token, options={"verify_signature": False}) for use, token in made.items()}

    async def used(use: str, token: str) -> str:
        if use == "session":
            return why(await http.get("/v1/jobs/a", headers={"cookie": f"streamproc_session={token}"}))
        return why(await http.get(f"/v1/jobs/a?{use}={token}"))

    for use, good in claims.items():
        assert "signature" in await used(use, jwt.encode(good, SECRET + "!", "HS256"))
        assert "algorithm" in await used(use, jwt.encode(good, "", "none"))
        assert "algorithm" in await used(use, jwt.encode(good, SECRET * 2, "HS512"))
        for other in set(made) - {use}:
            assert "audience" in await used(use, made[other])
        assert "neither" in await used(use, "nonsense")
    for token in made.values():
        assert why(await http.get("/v1/jobs", headers=bearer(token))), "none is a bearer token"


async def test_gateways_without_a_secret_agree_on_one(server_url: str, namespace: str, tmp_path: Path) -> None:
    path = auth_file(tmp_path, toml_key("all", "admin"))
    async with guarded(server_url, namespace, path) as (service, http), open_to(server_url, namespace, path) as other:
        await service.append({"job": "a", "type": "job.started"})
        link = await share(http)
        assert (await other.get(link["url"])).status_code == 200
        kept = await service.client.get(service.keys.secret)
        assert len(kept) == 64


async def test_what_a_gateway_made_that_asks_nobody_is_nothing_to_one_that_asks(gateway: Gateway) -> None:
    service, http = gateway
    given = (await service.http.post("/v1/tickets")).json()["ticket"]
    claims = jwt.decode(given, options={"verify_signature": False})
    resigned = jwt.encode(claims, SECRET, "HS256")
    assert "not taken here any more" in why(await http.get(f"/v1/jobs/a?ticket={resigned}"))


async def test_a_link_limits_even_where_everybody_may_do_everything(gateway: Gateway) -> None:
    service, _ = gateway
    link = (await service.http.post("/v1/jobs/a/share")).json()["share"]
    assert (await service.http.get(f"/v1/jobs/a?share={link}")).status_code == 200
    assert (await service.http.get(f"/v1/jobs/b?share={link}")).status_code == 404


async def test_a_token_in_a_url_is_refused(gateway: Gateway) -> None:
    _, http = gateway
    for name in ("token", "access_token", "id_token", "jwt", "api_key", "apikey", "Token"):
        response = await http.get(f"/v1/jobs?limit=1&{name}=x", headers=bearer(key_of("all")))
        assert (response.status_code, response.json()["type"]) == (400, "urn:streamproc:problem:token-in-url"), name
        assert "/v1/tickets" in response.json()["detail"]
