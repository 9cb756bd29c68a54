"""Every route and every scope: a table, made from the table of routes."""

import re
from pathlib import Path

import httpx
import pytest

from streamproc.auth import SCOPES
from streamproc.gateway.app import ROUTES, Served
from tests.support.identities import auth_file, bearer, guarded, key_of, toml_key

pytestmark = pytest.mark.anyio

ASKS_NOTHING = {
    ("GET", "/livez"),
    ("GET", "/readyz"),
    ("DELETE", "/v1/session"),
    ("GET", "/"),
    ("GET", "/openapi.json"),
    ("GET", "/asyncapi.json"),
    ("GET", "/docs"),
    ("GET", "/docs/style.css"),
    ("GET", "/static/{file:path}"),
}
BODIES = {"/v1/jobs/{job}/release": b'{"worker":"w"}'}
UPGRADE = {
    "connection": "upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
}


async def answer(http: httpx.AsyncClient, served: Served, headers: dict[str, str], job: str = "a") -> tuple[int, str]:
    """The status of a route's answer, and the name of the problem that it is, if one."""
    path = re.sub(r"\{\w+(:\w+)?\}", job, served.path.replace("{file:path}", "streamproc.js"))
    method, more = ("GET", UPGRADE) if served.method == "WS" else (served.method, {})
    content = BODIES.get(served.path, b"{}") if served.method == "POST" else None
    if content:
        more = more | {"content-type": "application/json"}
    async with http.stream(method, path, headers=headers | more, content=content) as response:
        if not response.is_error:
            return response.status_code, ""
        await response.aread()
        return response.status_code, _name(served, response)


def _name(served: Served, response: httpx.Response) -> str:
    """The name of a problem. In a dialect the body doesn't tell it."""
    if served.refusal is None:
        return str(response.json()["type"]).rpartition(":")[2]
    assert response.headers["content-type"] == "application/json"
    challenge = response.headers.get("www-authenticate", "")
    names = {401: "unauthenticated", 403: "insufficient-scope" if "insufficient_scope" in challenge else ""}
    return {404: "unknown-job", **names}.get(response.status_code, "")


def test_every_route_asks_for_a_scope_but_those_that_are_known_to_ask_for_none() -> None:
    assert {(served.method, served.path) for served in ROUTES if served.scope is None} <= ASKS_NOTHING
    assert {served.scope for served in ROUTES} - {None} <= set(SCOPES)


async def test_a_route_serves_who_has_its_scope_and_nobody_else(
    server_url: str, namespace: str, tmp_path: Path
) -> None:
    names = {scope: scope.replace(":", "-") for scope in SCOPES}
    path = auth_file(tmp_path, *(toml_key(name, scope) for scope, name in names.items()))
    async with guarded(server_url, namespace, path) as (service, http):
        await service.append({"job": "a", "type": "job.queued"})
        for served in ROUTES:
            refused, found = await answer(http, served, {}), {}
            for scope, name in names.items():
                found[scope] = await answer(http, served, bearer(key_of(name)))
            if served.scope is None:
                assert {status for status, _ in (refused, *found.values())} <= {200, 204}, served
                continue
            assert refused == (401, "unauthenticated"), served
            allowed = {scope for scope, (_, problem) in found.items() if problem != "insufficient-scope"}
            assert allowed == {served.scope, "admin"}, served
            for scope in set(SCOPES) - allowed:
                assert found[scope] == (403, "insufficient-scope"), (served, scope)
            assert not {status for status, _ in found.values()} & {401, 500}, served


async def test_a_job_outside_of_the_limits_is_not_there(server_url: str, namespace: str, tmp_path: Path) -> None:
    scopes = [scope for scope in SCOPES if scope != "admin"]
    limits = {"byjob": {"jobs": ["mine-*"]}, "bykind": {"kinds": ["mine"]}, "byowner": {"owners": ["me"]}}
    path = auth_file(tmp_path, *(toml_key(name, *scopes, **limit) for name, limit in limits.items()))
    async with guarded(server_url, namespace, path) as (service, http):
        await service.append(
            {"job": "theirs", "type": "job.queued", "kind": "theirs", "owner": "them"},
            {"job": "mine-1", "type": "job.queued", "kind": "mine", "owner": "me"},
        )
        told = []
        for name in limits:
            for served in ROUTES:
                if "{job}" in served.path:
                    found = await answer(http, served, bearer(key_of(name)), "theirs")
                    if found != (404, "unknown-job"):
                        told.append((name, served.method, served.path, found))
        assert not told
        for name in limits:
            for path_ in ("", "/units", "/events", "/attempts", "/stream"):
                async with http.stream("GET", f"/v1/jobs/mine-1{path_}", headers=bearer(key_of(name))) as response:
                    assert response.status_code == 200, (name, path_)


def test_the_documents_tell_every_route_with_its_scope() -> None:
    docs = Path(__file__).parent.parent / "docs"
    text = "".join((docs / name).read_text() for name in ("identity.md", "dialects.md"))
    told = set(re.findall(r"^\| `([A-Z]+ /\S*)` \| `?([a-z:]+)`? \|$", text, re.MULTILINE))
    routes = {(f"{each.method} {re.sub(r':[a-z]+}', '}', each.path)}", each.scope or "none") for each in ROUTES}
    assert told == routes
