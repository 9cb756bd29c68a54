"""Jobs over HTTP: lists, snapshots, units, histories, the log."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.gateways import Service, serving_with_projector
from tests.support.servers import Server

pytestmark = pytest.mark.anyio


@pytest.fixture
async def service(server: Server, namespace: str) -> AsyncIterator[Service]:
    async with serving_with_projector(server.url, namespace) as running:
        yield running


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.split("\n") if line]


async def test_a_snapshot_goes_out_as_it_is_stored_but_for_its_estimate(service: Service) -> None:
    await service.append({"job": "a:b@c", "type": "job.progressed", "percent": 41.25})
    response = await service.http.get("/v1/jobs/a:b@c")
    stored = await service.client.hget(service.keys.of("a:b@c").state("a:b@c"), "snapshot")
    assert response.status_code == 200
    assert response.json() | {"eta": None} == json.loads(stored) | {"eta": None}
    assert set(response.json()["eta"]) == {"remaining_seconds", "finish_at", "basis", "reason", "start_at"}
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-content-type-options"] == "nosniff"
    head = await service.http.head("/v1/jobs/a:b@c")
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", response.headers["etag"])


async def test_an_unchanged_snapshot_is_not_sent_again(service: Service) -> None:
    await service.append({"job": "a", "type": "job.started"})
    tag = (await service.http.get("/v1/jobs/a")).headers["etag"]
    for wanted in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        response = await service.http.get("/v1/jobs/a", headers={"if-none-match": wanted})
        assert (response.status_code, response.content, response.headers["etag"]) == (304, b"", tag)
    await service.append({"job": "a", "type": "job.progressed", "percent": 1})
    response = await service.http.get("/v1/jobs/a", headers={"if-none-match": tag})
    assert response.status_code == 200
    assert response.headers["etag"] != tag


async def test_an_unknown_job_is_a_problem_404(service: Service) -> None:
    for job in ("unknown", "a%20b", "{1}", "x" * 201):
        for path in ("", "/units", "/events", "/attempts", "/stream"):
            response = await service.http.get(f"/v1/jobs/{job}{path}")
            assert response.status_code == 404
            assert response.headers["content-type"] == "application/problem+json"
            assert response.json()["status"] == 404


async def test_jobs_are_listed_newest_first_page_by_page(service: Service) -> None:
    for number in range(7):
        await service.append({"job": f"job-{number}", "type": "job.started", "kind": "k"})
    found: list[str] = []
    url = "/v1/jobs?limit=3"
    while url:
        response = await service.http.get(url)
        page = response.json()
        found += [job["job_id"] for job in page["jobs"]]
        assert ("next" in response.links) == (page["next"] is not None)
        url = response.links["next"]["url"] if page["next"] else ""
    assert found == [f"job-{number}" for number in range(6, -1, -1)]


async def test_jobs_created_in_the_same_millisecond_are_each_listed_once(service: Service) -> None:
    await service.append(*({"job": f"job-{number}", "type": "job.started"} for number in range(40)))
    found: list[str] = []
    url = "/v1/jobs?limit=7"
    while url:
        page = (await service.http.get(url)).json()
        found += [job["job_id"] for job in page["jobs"]]
        url = f"/v1/jobs?limit=7&cursor={page['next']}" if page["next"] else ""
    assert sorted(found) == sorted(f"job-{number}" for number in range(40))


async def test_a_list_is_narrowed_by_status_and_kind(service: Service) -> None:
    await service.append(
        {"job": "a", "type": "job.finished", "kind": "x"},
        {"job": "b", "type": "job.started", "kind": "x y&z"},
        {"job": "c", "type": "job.started", "kind": "x"},
    )

    async def listed(**query: str) -> list[str]:
        return sorted(job["job_id"] for job in (await service.http.get("/v1/jobs", params=query)).json()["jobs"])

    assert await listed() == ["a", "b", "c"]
    assert await listed(status="started") == ["b", "c"]
    assert await listed(kind="x y&z") == ["b"]
    assert await listed(kind="x", status="started") == ["c"]
    assert await listed(status="failed") == []


async def test_a_list_is_narrowed_to_stalled_jobs_too(service: Service) -> None:
    for job, kind in (("a", "x"), ("b", "y"), ("c", "x"), ("d", None)):
        await service.append({"job": job, "type": "job.started", "kind": kind})
    await service.append(*({"job": job, "type": "job.stalled"} for job in "abd"))
    await service.append({"job": "b", "type": "job.progressed"}, {"job": "b", "type": "job.stalled"})

    async def listed(**query: str) -> list[str]:
        params = {"stalled": "true"} | query
        return sorted(job["job_id"] for job in (await service.http.get("/v1/jobs", params=params)).json()["jobs"])

    assert await listed() == ["a", "b", "d"]
    assert await listed(kind="x") == ["a"]
    assert await listed(status="started") == ["a", "d"]
    assert await listed(status="running", kind="y") == ["b"]
    assert await listed(status="running", kind="x") == []
    await service.append({"job": "a", "type": "job.finished"})
    assert await listed() == ["b", "d"]


async def test_a_bad_parameter_is_named(service: Service) -> None:
    for query in (
        *("limit=0", "limit=501", "limit=x", "limit=%D9%A3", "status=done", "kind=", "kind=" + "x" * 257),
        *("stalled=yes", "stalled=", "sort=title", "sort=", "counts=1", "label=x", "label=:x", "worker=", "owner="),
        *("status=", "status=queued,done", "q=", "q=...", "label=" + "x" * 514, "&".join(["label=a:b"] * 17)),
        *("cursor=%00", "cursor=a", "cursor=AAAA", "cursor=%FF"),
    ):
        response = await service.http.get(f"/v1/jobs?{query}")
        assert response.status_code == 400, query
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["parameter"] == query.partition("=")[0]


async def test_units_are_paged_in_the_order_in_which_they_joined(service: Service) -> None:
    names = [f"unit {number}" for number in (3, 1, 2, 5, 4)]
    await service.append(*({"job": "a", "type": "unit.added", "unit": name, "weight": 2} for name in names))
    first = await service.http.get("/v1/jobs/a/units?limit=3")
    rest = await service.http.get(first.links["next"]["url"])
    assert [unit["unit"] for unit in first.json()["units"] + rest.json()["units"]] == names
    assert rest.json()["next"] is None


async def test_a_history_is_paged_and_its_last_position_goes_on(service: Service) -> None:
    positions = await service.append(
        *({"job": "a", "type": "job.noted", "x": number, "src": "s", "seq": number} for number in range(5)),
        {"job": "a", "type": "job.noted", "src": "s", "seq": 2},
    )
    first = (await service.http.get("/v1/jobs/a/events?limit=4")).json()
    rest = (await service.http.get("/v1/jobs/a/events", params={"after": first["next"]})).json()
    events = first["events"] + rest["events"]
    assert [event["position"] for event in events] == positions
    assert first["next"] == positions[3]
    assert rest["next"] is None
    assert [event["mark"] for event in events] == [None] * 5 + ["duplicate"]
    assert events[3]["event"] == {"job": "a", "type": "job.noted", "x": 3, "src": "s", "seq": 3}
    assert events[0]["time"].endswith("Z")


async def test_a_history_is_read_backwards_too(service: Service) -> None:
    positions = await service.append(*({"job": "a", "type": "job.noted", "x": number} for number in range(5)))
    first = (await service.http.get("/v1/jobs/a/events?sort=-position&limit=3")).json()
    rest = (await service.http.get(f"/v1/jobs/a/events?sort=-position&after={first['next']}")).json()
    assert [event["position"] for event in first["events"] + rest["events"]] == positions[::-1]
    assert (first["next"], rest["next"]) == (positions[2], None)
    response = await service.http.get("/v1/jobs/a/events?sort=-position", headers={"accept": "application/x-ndjson"})
    assert [line["position"] for line in lines(response.text)] == positions[::-1]
    batch = {"accept": "application/cloudevents-batch+json"}
    page = await service.http.get("/v1/jobs/a/events?sort=-position&limit=3", headers=batch)
    older = await service.http.get(page.links["next"]["url"], headers=batch)
    assert [event["id"] for event in page.json() + older.json()] == positions[::-1]
    assert (await service.http.get("/v1/jobs/a/events?sort=time")).status_code == 400


async def test_attempts_are_told_with_how_they_ended(service: Service) -> None:
    await service.append({"job": "a", "type": "job.queued"})
    assert (await service.http.get("/v1/jobs/a/attempts")).json() == {"attempts": []}
    error = {"type": "ValueError", "detail": "no date"}
    await service.append(
        {"job": "a", "type": "job.started", "worker": "w1"},
        {"job": "a", "type": "job.failed", "error": error},
        {"job": "a", "type": "job.started", "worker": "w2", "attempt": 2},
    )
    first, second = (await service.http.get("/v1/jobs/a/attempts")).json()["attempts"]
    assert (first["attempt"], first["worker"], first["status"], first["error"]) == (1, "w1", "failed", error)
    assert (second["attempt"], second["worker"], second["status"]) == (2, "w2", None)


async def test_a_whole_history_comes_as_lines(service: Service) -> None:
    positions = await service.append(*({"job": "a", "type": "job.noted", "x": n} for n in range(250)))
    response = await service.http.get("/v1/jobs/a/events", headers={"accept": "application/x-ndjson"})
    assert response.headers["content-type"] == "application/x-ndjson"
    assert [line["position"] for line in lines(response.text)] == positions
    response = await service.http.get(
        f"/v1/jobs/a/events?after={positions[200]}", headers={"accept": "application/x-ndjson"}
    )
    assert [line["position"] for line in lines(response.text)] == positions[201:]


async def test_a_page_after_a_token_of_another_life_is_gone(service: Service) -> None:
    (position,) = await service.append({"job": "a", "type": "job.noted"})
    assert (await service.http.get(f"/v1/jobs/a/events?after=0bad0bad.{position}")).status_code == 410
    assert (await service.http.get("/v1/jobs/a/events?after=x")).status_code == 400


async def test_the_log_is_replayed_with_what_is_no_event(service: Service) -> None:
    await service.append(*({"job": f"job-{number}", "type": "job.noted"} for number in range(30)))
    log = service.keys.partitions[1].log
    await service.client.xadd(log, {"e": b'{\n "job": 1,\r\n "x": "\\ud83d\\ude00"}'})
    for entry in (b"\xff{", b"[1]", b"[" * 10_000, b'{"a":"\xff"}'):
        await service.client.xadd(log, {"e": entry})
    await service.client.xadd(log, {"other": "field"})
    response = await service.http.get("/v1/log")
    replayed = lines(response.text)
    assert sorted(line["event"]["job"] for line in replayed if line["event"] and line["event"]["job"] != 1) == sorted(
        f"job-{number}" for number in range(30)
    )
    assert [line["raw"] for line in replayed if "raw" in line] == [
        "\ufffd{",
        "[1]",
        "[" * 10_000,
        '{"a":"\ufffd"}',
        "other field",
    ]
    assert [line["partition"] for line in replayed] == sorted(line["partition"] for line in replayed)
    of_one = [line for line in replayed if line["partition"] == 1]
    rest = await service.http.get(f"/v1/log?partition=1&after={of_one[1]['position']}")
    assert lines(rest.text) == of_one[2:]


async def test_a_bad_place_in_the_log_is_refused(service: Service) -> None:
    for query in ("partition=4", "partition=-1", "after=1-1", "partition=1&after=x", "partition=0&after=ab.1-1"):
        assert (await service.http.get(f"/v1/log?{query}")).status_code == 400, query


async def test_what_is_not_there_is_a_problem_too(service: Service) -> None:
    for method, path, status in (("GET", "/nothing", 404), ("GET", "/v1/jobs/", 404), ("DELETE", "/v1/jobs", 405)):
        response = await service.http.request(method, path)
        assert response.status_code == status
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["status"] == status
