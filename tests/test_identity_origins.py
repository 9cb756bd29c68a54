"""Pages of other sites, and names that aren't ours: what they may not do with a user's browser."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from streamproc.config import Config
from tests.support.gateways import PARTITIONS, serving, serving_with_projector
from tests.support.identities import auth_file, bearer, guarded, key_of, open_to, toml_key
from tests.test_identity_browsers import SOCKET

pytestmark = pytest.mark.anyio

EVENT = b'{"job":"a","type":"job.queued"}'
JSON = {"content-type": "application/json"}


async def status(http: httpx.AsyncClient, method: str, path: str, headers: dict[str, str], **more: Any) -> int:
    async with http.stream(method, path, headers=headers, **more) as response:
        return response.status_code


async def test_a_page_elsewhere_writes_nothing(server_url: str, namespace: str) -> None:
    async with serving_with_projector(server_url, namespace) as service:
        for headers in (
            {"origin": "https://evil.example"},
            {"origin": "http://127.0.0.1:1"},
            {"origin": "http://localhost.evil.example"},
            {"origin": "null"},
            {"origin": "file://"},
            {"sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "same-site"},
        ):
            for form in ({}, JSON, {"content-type": "text/plain"}):
                found = await status(service.http, "POST", "/v1/events", headers | form, content=EVENT)
                assert found == 403, (headers, form)
            assert await status(service.http, "GET", "/v1/ws", headers | SOCKET) == 403, headers
        assert await service.log_length() == 0


async def test_our_own_pages_and_what_is_no_browser_write(server_url: str, namespace: str) -> None:
    async with serving_with_projector(server_url, namespace) as service:
        own = str(service.http.base_url).rstrip("/")
        for headers in (
            {},
            {"origin": own},
            {"origin": own, "sec-fetch-site": "same-origin"},
            {"sec-fetch-site": "none"},
            {"origin": "https://gateway.localhost", "host": "localhost"},
            {"origin": "https://localhost", "host": "localhost"},
            {"origin": "https://localhost", "host": "localhost:443"},
        ):
            expected = 403 if "gateway" in headers.get("origin", "") else 201
            assert await status(service.http, "POST", "/v1/events", headers | JSON, content=EVENT) == expected, headers
        assert await status(service.http, "GET", "/v1/ws", {"origin": own} | SOCKET) == 101


async def test_a_name_that_is_not_ours_is_refused_where_nobody_is_asked_who_they_are(
    server_url: str, namespace: str, tmp_path: Path
) -> None:
    loopback = ["127.0.0.1", "localhost", "LOCALHOST:99", "[::1]:8700", "127.1.2.3:1"]
    strange = ["evil.example", "evil.example:8700", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1", ""]

    async def found(http: httpx.AsyncClient, host: str) -> int:
        return (await http.get("/v1/jobs", headers={"host": host})).status_code

    settings = {"redis": server_url, "namespace": namespace, "partitions": PARTITIONS, "port": 0}
    async with serving(Config(**settings)) as http:
        assert {host: await found(http, host) for host in loopback} == dict.fromkeys(loopback, 200)
        assert {host: await found(http, host) for host in strange} == dict.fromkeys(strange, 421)
    async with serving(Config(**settings, allowed_host=("evil.example",))) as http:
        assert await found(http, "evil.example:8700") == 200
        assert await found(http, "10.0.0.1") == 421
    async with serving(Config(**settings, insecure=True)) as http:
        assert await found(http, "evil.example") == 200
    path = auth_file(tmp_path, toml_key("reader", "jobs:read"))
    async with open_to(server_url, namespace, path) as http:
        assert await found(http, "gateway.example") == 401


async def test_a_cookie_counts_only_for_our_own_pages(server_url: str, namespace: str, tmp_path: Path) -> None:
    path = auth_file(tmp_path, toml_key("all", "admin"))
    allowed = "https://app.example"
    async with guarded(server_url, namespace, path, cors_origin=(allowed,)) as (service, http):
        await service.append({"job": "a", "type": "job.started"})
        session = await http.post("/v1/session", headers=bearer(key_of("all")))
        cookie = {"cookie": f"streamproc_session={session.cookies['streamproc_session']}"}
        http.cookies.clear()
        own = str(http.base_url).rstrip("/")
        for headers, expected in (
            ({}, 200),
            ({"origin": own}, 200),
            ({"origin": allowed}, 200),
            ({"sec-fetch-site": "none"}, 200),
            ({"origin": "https://evil.example"}, 403),
            ({"sec-fetch-site": "cross-site"}, 403),
            ({"sec-fetch-site": "same-site"}, 403),
        ):
            assert await status(http, "GET", "/v1/jobs/a", headers | cookie) == expected, headers
            assert await status(http, "GET", "/v1/jobs/a/stream", headers | cookie) == expected, headers
        # Whoever can send a header isn't tricked into it.
        assert (
            await status(http, "GET", "/v1/jobs/a", {"origin": "https://evil.example"} | bearer(key_of("all"))) == 200
        )


async def test_any_origin_is_any_but_for_cookies(server_url: str, namespace: str, tmp_path: Path) -> None:
    path = auth_file(tmp_path, toml_key("all", "admin"))
    page = {"origin": "https://any.example"}
    async with open_to(server_url, namespace, path, cors_origin=("*",)) as http:
        response = await http.post("/v1/events", headers=page | JSON | bearer(key_of("all")), content=EVENT)
        assert response.status_code == 201
        assert response.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in response.headers
        session = await http.post("/v1/session", headers=bearer(key_of("all")))
        assert session.status_code == 204
        assert (await http.get("/v1/jobs", headers=page)).status_code == 403
        assert (await http.post("/v1/events", headers=page | JSON, content=EVENT)).status_code == 403
