"""Limits: how often, how many at once, how long, how much; and what every response says to browsers."""

import re
from pathlib import Path
from typing import Any

import anyio
import pytest

from streamproc.config import Config
from streamproc.errors import ConfigError
from streamproc.store import Store
from tests.support.gateways import PARTITIONS, serving, serving_with_projector
from tests.support.identities import auth_file, bearer, guarded, key_of, open_to, toml_key
from tests.support.running import eventually

pytestmark = pytest.mark.anyio

SECURITY = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}


def config(url: str, namespace: str, **settings: Any) -> Config:
    return Config(redis=url, namespace=namespace, partitions=PARTITIONS, port=0, **settings)


async def test_every_response_says_what_browsers_may_do_with_it(
    server_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(config(server_url, namespace)) as http:
        answers = {
            200: await http.get("/v1/jobs"),
            404: await http.get("/nowhere"),
            405: await http.delete("/v1/jobs"),
            400: await http.get("/v1/jobs?limit=0"),
            421: await http.get("/v1/jobs", headers={"host": "evil.example"}),
            403: await http.post("/v1/events", headers={"origin": "https://evil.example"}),
        }
        for status, response in answers.items():
            assert response.status_code == status
            assert {name: response.headers[name] for name in SECURITY} == SECURITY, status

        async def broken(self: Store) -> int:
            raise ZeroDivisionError

        monkeypatch.setattr(Store, "owned", broken)
        failed = await http.get("/readyz")
        assert failed.status_code == 500
        assert {name: failed.headers[name] for name in SECURITY} == SECURITY


async def test_who_asks_too_often_is_told_when_to_come_again(server_url: str, namespace: str) -> None:
    async with serving(config(server_url, namespace, rate_limit="3/minute;1000/hour")) as http:
        for left in (2, 1, 0):
            response = await http.get("/v1/jobs")
            assert response.status_code == 200
            assert response.headers["ratelimit-policy"] == '"60s";q=3;w=60, "3600s";q=1000;w=3600'
            assert re.fullmatch(rf'"60s";r={left};t=\d+', response.headers["ratelimit"])
        refused = await http.get("/v1/jobs")
        assert (refused.status_code, refused.json()["violated-policies"]) == (429, ["60s"])
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert refused.headers["ratelimit"].startswith('"60s";r=0;t=')
        assert (await http.get("/livez")).status_code == 200, "probes count nowhere"


async def test_rates_are_of_each_identity_and_of_each_address_without_one(
    server_url: str, namespace: str, tmp_path: Path
) -> None:
    path = auth_file(tmp_path, toml_key("a", "jobs:read"), toml_key("b", "jobs:read"))
    async with open_to(server_url, namespace, path, rate_limit="1/minute") as http:
        for expected in (200, 429):
            for name in ("a", "b"):
                assert (await http.get("/v1/jobs", headers=bearer(key_of(name)))).status_code == expected
        for expected in (401, 429):
            assert (await http.get("/v1/jobs", headers=bearer("wrong"))).status_code == expected


async def test_a_proxy_is_believed_only_where_it_is_trusted(server_url: str, namespace: str) -> None:
    for trusted, expected in (((), 429), (("10.0.0.0/8",), 429), (("127.0.0.0/8",), 200)):
        settings = config(server_url, namespace, rate_limit="1/minute", trusted_proxy=trusted)
        async with serving(settings) as http:
            assert (await http.get("/v1/jobs", headers={"x-forwarded-for": "192.0.2.1"})).status_code == 200
            second = await http.get("/v1/jobs", headers={"x-forwarded-for": "192.0.2.2"})
            assert second.status_code == expected


async def test_what_is_open_is_limited_for_each_client_and_in_all(
    server_url: str, namespace: str, tmp_path: Path
) -> None:
    path = auth_file(tmp_path, *(toml_key(name, "jobs:read") for name in "abc"))
    async with guarded(server_url, namespace, path, max_open=3, max_open_each=2) as (service, http):
        await service.append({"job": "a", "type": "job.started"})

        async def status(name: str) -> int:
            async with http.stream("GET", "/v1/jobs/a/stream", headers=bearer(key_of(name))) as response:
                return response.status_code

        async with (
            http.stream("GET", "/v1/jobs/a/stream", headers=bearer(key_of("a"))),
            http.stream("GET", "/v1/jobs/a/stream", headers=bearer(key_of("a"))),
        ):
            assert await status("a") == 429
            async with http.stream("GET", "/v1/jobs/a/stream", headers=bearer(key_of("b"))) as third:
                assert third.status_code == 200
                assert await status("c") == 503
                assert (await http.get("/readyz")).status_code == 200, "probes count nowhere"

        async def free_again() -> bool:
            return await status("a") == 200

        await eventually(free_again)


async def test_a_request_that_takes_too_long_is_ended_and_a_stream_goes_on(
    server_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving_with_projector(server_url, namespace) as service:
        await service.append({"job": "a", "type": "job.started"})
        monkeypatch.setattr("streamproc.config._LONGEST_WAIT", 0)
        async with (
            serving(config(server_url, namespace, request_seconds=0.2)) as http,
            http.stream("GET", "/v1/jobs/a/stream") as stream,
        ):
            lines = stream.aiter_lines()

            async def endless(self: Store) -> int:
                await anyio.sleep_forever()
                raise AssertionError

            monkeypatch.setattr(Store, "owned", endless)
            response = await http.get("/readyz")
            assert (response.status_code, response.json()["type"]) == (503, "urn:streamproc:problem:timeout")
            await service.append({"job": "a", "type": "job.finished"})
            with anyio.fail_after(10):
                assert any([line == "event: end" async for line in lines])


async def test_a_body_is_limited_as_the_settings_say(server_url: str, namespace: str) -> None:
    async with serving(config(server_url, namespace, max_body_bytes=65_536)) as http:
        response = await http.post("/v1/events", content=b" " * 65_537, headers={"content-type": "application/json"})
        assert response.status_code == 413
        assert "65,536" in response.json()["detail"]


async def test_pages_of_other_origins_may_read_only_where_that_is_configured(server_url: str, namespace: str) -> None:
    origin, method = {"origin": "https://app.example"}, "access-control-request-method"
    async with serving(config(server_url, namespace)) as http:
        response = await http.get("/v1/jobs", headers=origin)
        assert "access-control-allow-origin" not in response.headers
        assert (await http.options("/v1/events", headers=origin | {method: "POST"})).status_code == 405
    async with serving(config(server_url, namespace, cors_origin=("https://app.example",))) as http:
        response = await http.get("/v1/jobs", headers=origin)
        assert response.headers["access-control-allow-origin"] == "https://app.example"
        asked = origin | {method: "POST", "access-control-request-headers": "authorization,content-type"}
        assert (await http.options("/v1/events", headers=asked)).status_code == 200
        event = {"job": "a", "type": "job.queued"}
        assert (await http.post("/v1/events", headers=origin, json=event)).status_code == 201
        other = {"origin": "https://evil.example"}
        assert (await http.options("/v1/events", headers=other | {method: "POST"})).status_code == 400
        assert (await http.post("/v1/events", headers=other, json=event)).status_code == 403


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("rate_limit", "often"),
        ("rate_limit", "0/minute"),
        ("max_open", 0),
        ("max_open_each", -1),
        ("request_seconds", 30.0),
        ("max_body_bytes", 10),
        ("cors_origin", ("*",)),
        ("cors_origin", ("https://app.example/path",)),
        ("trusted_proxy", ("proxy.example",)),
        ("allowed_host", ("https://a.example",)),
    ],
)
def test_a_setting_that_cannot_work_is_named(setting: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=setting):
        Config(**{setting: value}).check()
