"""The past over HTTP: a job as it was, ``?at=``, and its way with what was estimated on it, ``/estimates``."""

import json
import time
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from typing import Any

import anyio
import pytest

import streamproc.past
from streamproc.gateway import hindsight
from streamproc.position import parse_rfc3339
from tests.support.gateways import Service, serving_with_projector
from tests.support.running import caught_up
from tests.support.servers import Server

pytestmark = pytest.mark.anyio


@pytest.fixture
async def service(server: Server, namespace: str) -> AsyncIterator[Service]:
    async with serving_with_projector(server.url, namespace) as running:
        yield running


@pytest.fixture(autouse=True)
def runs_are_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hindsight, "_FRESH_SECONDS", 0.0)


async def happened(service: Service, **told: Sequence[tuple[float, dict[str, Any]]]) -> int:
    """Write of each job into the log what it told so many seconds ago, until it is folded. Returns now, in ms."""
    now = time.time_ns() // 1_000_000
    events = [(ago, {"job": job} | event) for job, own in told.items() for ago, event in own]
    for ago, event in sorted(events, key=lambda each: -each[0]):
        entry = {"e": json.dumps(event)}
        await service.client.xadd(service.keys.of(event["job"]).log, entry, id=f"{now - round(1000 * ago)}-*")
    await caught_up(service.client, service.keys)
    return now


async def estimates(service: Service, job: str, **query: Any) -> list[dict[str, Any]]:
    response = await service.http.get(f"/v1/jobs/{job}/estimates", params=query)
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["estimates"]
    return found


def started(kind: str | None = None) -> dict[str, Any]:
    return {"type": "job.started"} if kind is None else {"type": "job.started", "kind": kind}


def progressed(percent: float | None = None) -> dict[str, Any]:
    return {"type": "job.progressed"} if percent is None else {"type": "job.progressed", "percent": percent}


def finished() -> dict[str, Any]:
    return {"type": "job.finished"}


def percents(moments: list[dict[str, Any]]) -> list[float | None]:
    """Each once, in a row."""
    values = [moment["percent"] for moment in moments]
    return [value for value, before in zip(values, [object(), *values], strict=False) if value != before]


# A job as it was ----------------------------------------------------------------------------------------------------


async def test_a_job_is_shown_as_it_was_at_a_position_and_at_a_time(service: Service) -> None:
    then = []
    for percent in range(5):
        event = {"job": "a", "type": "job.progressed", "percent": percent, "src": "s", "seq": percent}
        for _ in range(2):  # sent again
            [position] = await service.append(event)
            then.append((position, (await service.http.get("/v1/jobs/a")).json()))
        await anyio.sleep(0.002)
    for position, job in then:
        found = (await service.http.get("/v1/jobs/a", params={"at": position})).json()
        assert found | {"eta": None} == job | {"eta": None}
        assert found["eta"].keys() == job["eta"].keys()
    last_of_times = {job["updated_at"]: job for _, job in then}
    for at in list(last_of_times):
        found = (await service.http.get("/v1/jobs/a", params={"at": at})).json()
        assert found["position"] <= max(position for position, _ in then)
        assert found["percent"] == last_of_times[at]["percent"]


async def test_what_is_past_is_cacheable_and_what_may_change_is_not(service: Service) -> None:
    first, last = await service.append({"job": "a", "type": "job.queued"}, {"job": "a", "type": "job.started"})
    past = await service.http.get(f"/v1/jobs/a?at={first}")
    assert (past.json()["status"], past.json()["eta"]["reason"]) == ("queued", "queued")
    assert past.headers["cache-control"] == "private, max-age=86400, immutable"
    again = await service.http.get(f"/v1/jobs/a?at={first}", headers={"if-none-match": past.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert "immutable" in (await service.http.get(f"/v1/jobs/a?at={last}")).headers["cache-control"]
    for at in ("2999-01-01T00:00:00Z", "9999999999999-0"):
        future = await service.http.get(f"/v1/jobs/a?at={at}")
        assert (future.json()["status"], future.headers["cache-control"]) == ("started", "no-cache")
    assert (await service.http.head(f"/v1/jobs/a?at={first}")).headers["etag"] == past.headers["etag"]


async def test_a_time_with_an_offset_is_the_same_moment(service: Service) -> None:
    await service.append({"job": "a", "type": "job.queued"})
    created = (await service.http.get("/v1/jobs/a")).json()["created_at"]
    for at in (created, created.replace("Z", "+00:00")):
        assert (await service.http.get("/v1/jobs/a", params={"at": at})).status_code == 200


async def test_before_its_creation_there_was_no_job(service: Service) -> None:
    await service.append({"job": "a", "type": "job.queued"})
    for at in ("2020-01-01T00:00:00Z", "1-0", "0001-01-01T00:00:00Z"):
        response = await service.http.get(f"/v1/jobs/a?at={at}")
        assert (response.status_code, "yet" in response.json()["detail"]) == (404, True)
    assert (await service.http.get("/v1/jobs/unknown?at=1-0")).status_code == 404


async def test_a_moment_that_is_none_is_refused(service: Service) -> None:
    await service.append({"job": "a", "type": "job.queued"})
    for at in ("", "yesterday", "2026-01-01T00:00:00", "1-", "1-99999999999999999999", "2026-01-01T00:00:00 01:00"):
        response = await service.http.get("/v1/jobs/a", params={"at": at})
        assert (response.status_code, response.json()["parameter"]) == (400, "at"), at


async def test_a_past_that_was_trimmed_is_gone(service: Service) -> None:
    positions = await service.append(*({"job": "a", "type": "job.noted"} for _ in range(3)))
    await service.client.xtrim(service.keys.of("a").events("a"), maxlen=1, approximate=False)
    response = await service.http.get(f"/v1/jobs/a?at={positions[1]}")
    assert (response.status_code, response.json()["type"]) == (410, "urn:streamproc:problem:past-gone")


async def test_an_estimate_is_shown_as_it_was_served_whatever_ended_since(service: Service) -> None:
    others = {f"b{number}": [(8000, started("k"))] for number in range(3)}  # they take far longer, and end after that
    old = [(9000, started("k")), (8950, progressed(50)), (8900, finished())]
    await happened(service, old=old, **others, a=[(100, started("k")), (60, progressed(40))])
    live = (await service.http.get("/v1/jobs/a")).json()
    told = live["eta"]["finish_at"]["p50"], live["eta"]["remaining_seconds"]["p50"]
    moment = parse_rfc3339(told[0]) - round(1000 * told[1]) - 100  # remaining time is told to a tenth of a second
    await happened(service, a=[(0, finished())], **{job: [(0, finished())] for job in others})
    then = (await service.http.get("/v1/jobs/a", params={"at": f"{moment}-0"})).json()
    assert (then["status"], then["percent"]) == ("running", 40)
    assert then["eta"]["basis"] == live["eta"]["basis"]
    for which in ("p50", "p90"):
        assert then["eta"]["remaining_seconds"][which] == pytest.approx(live["eta"]["remaining_seconds"][which], abs=1)


# The way ------------------------------------------------------------------------------------------------------------


async def test_a_way_has_its_first_and_last_moments_and_all_that_happened_on_it(service: Service) -> None:
    steps = [(99.5, progressed(10)), (99, progressed(60)), (20, progressed(65))]
    now = await happened(service, a=[(100, started()), *steps, (5, finished())])
    way = await estimates(service, "a")
    times = [parse_rfc3339(moment["at"]) for moment in way]
    assert times == sorted(set(times))
    assert (times[0], times[-1]) == (now - 100_000, now - 5_000)
    assert {now - 99_500, now - 99_000, now - 20_000} < set(times)
    assert percents(way) == [None, 10, 60, 65, 100]
    assert [(way[at]["status"], way[at]["eta"] is None) for at in (0, -1)] == [("started", False), ("finished", True)]
    assert 150 < len(way) <= 200
    assert max(after - before for before, after in pairwise(times)) < 1000


@pytest.mark.parametrize("points", [2, 3, 7, 40, 1000])
async def test_a_way_has_at_most_so_many_moments(service: Service, points: int) -> None:
    now = await happened(service, a=[*((60 - number / 4, progressed(number)) for number in range(80)), (1, finished())])
    way = await estimates(service, "a", points=points)
    assert points / 2 <= len(way) <= points
    assert parse_rfc3339(way[0]["at"]) == now - 60_000
    assert parse_rfc3339(way[-1]["at"]) == now - 1000
    found = [moment["percent"] for moment in way]
    assert found == sorted(found)


async def test_a_job_that_goes_on_is_told_of_up_to_now_and_silence_tells(service: Service) -> None:
    now = await happened(service, a=[(120, started()), (90, progressed(25)), (60, progressed(50))])
    way = await estimates(service, "a")
    assert parse_rfc3339(way[-1]["at"]) >= now
    assert way[-1]["status"] == "running"
    silent = [moment for moment in way if parse_rfc3339(moment["at"]) >= now - 60_000]
    assert len(silent) > 50
    ends = [parse_rfc3339(moment["eta"]["finish_at"]["p50"]) for moment in silent]
    assert ends == sorted(ends)
    assert ends[-1] > ends[0] + 30_000


async def test_a_jobs_own_run_and_those_that_ended_later_teach_nothing_of_it(service: Service) -> None:
    await happened(
        service,
        early=[(130, started("quiet")), (129, progressed()), (125, finished())],
        a=[(150, started("quiet")), (140, progressed()), (100, finished())],
        late=[(160, started("quiet")), (159, progressed()), (90, finished())],
    )
    way = await estimates(service, "a")
    told = [(moment["eta"]["basis"], moment["eta"]["reason"]) for moment in way[:-1]]
    assert set(told) == {(None, "indeterminate"), ("history", None)}
    first = told.index(("history", None))
    assert set(told[first:]) == {("history", None)}
    alone = way[first]
    assert 124 < (parse_rfc3339(way[-1]["at"]) - parse_rfc3339(alone["at"])) / 1000 + 100 <= 125.5
    assert alone["eta"]["remaining_seconds"]["p50"] < 60, "by the one that took 5 s, and not by those of 50 and 70"


async def test_each_attempt_is_told_apart(service: Service) -> None:
    await happened(service, a=[(50, started()), (40, progressed(80)), (30, {"type": "job.failed"}),
        (20, started() | {"attempt": 2}), (10, progressed(30))])  # fmt: skip
    way = await estimates(service, "a")
    assert [moment["attempt"] for moment in way] == sorted(moment["attempt"] for moment in way)
    assert percents([moment for moment in way if moment["attempt"] == 2])[-1] == 30
    assert {moment["status"] for moment in way} == {"started", "running", "failed"}


async def test_a_way_up_to_a_moment_may_be_kept_and_one_up_to_now_may_not(service: Service) -> None:
    await happened(service, a=[(50, started()), (40, progressed(80)), (30, finished())])
    position = (await service.http.get("/v1/jobs/a")).json()["position"]
    whole = await service.http.get("/v1/jobs/a/estimates")
    settled = await service.http.get("/v1/jobs/a/estimates", params={"at": position})
    assert whole.content == settled.content
    assert whole.headers["cache-control"] == "no-cache"
    assert settled.headers["cache-control"] == "private, max-age=86400, immutable"
    tag = whole.headers["etag"]
    assert tag.startswith(f'"{position}.')
    again = await service.http.get("/v1/jobs/a/estimates", headers={"if-none-match": tag})
    assert (again.status_code, again.content) == (304, b"")
    part = await estimates(service, "a", at=whole.json()["estimates"][150]["at"])
    assert part[-1]["at"] == whole.json()["estimates"][150]["at"]
    assert {moment["status"] for moment in part} == {"started", "running"}


async def test_where_there_is_no_way_nothing_is_told(service: Service) -> None:
    await happened(service, a=[(50, started())])
    assert (await service.http.get("/v1/jobs/unknown/estimates")).status_code == 404
    before = await service.http.get("/v1/jobs/a/estimates", params={"at": "2020-01-01T00:00:00Z"})
    assert (before.status_code, "yet" in before.json()["detail"]) == (404, True)
    for name, value in [("points", "1"), ("points", "1001"), ("points", "many"), ("points", "-5"), ("at", "soon")]:
        response = await service.http.get("/v1/jobs/a/estimates", params={name: value})
        assert (response.status_code, response.json()["parameter"]) == (400, name)


async def test_a_way_that_was_trimmed_is_gone(service: Service) -> None:
    await happened(service, a=[(50, started()), (40, progressed(3)), (30, progressed(4))])
    await service.client.xtrim(service.keys.of("a").events("a"), maxlen=1, approximate=False)
    response = await service.http.get("/v1/jobs/a/estimates")
    assert (response.status_code, response.json()["type"]) == (410, "urn:streamproc:problem:past-gone")


async def test_a_long_way_takes_several_requests_and_comes_to_the_same(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    await happened(service, a=[*((60 - number / 8, progressed(number / 4)) for number in range(400)), (1, finished())])
    at_once = await estimates(service, "a", points=50)
    for name, value in {"_PAGE": 20, "APART": 30, "MOST_EVENTS": 100}.items():
        monkeypatch.setattr(streamproc.past, name, value)
    pending = 0
    while (response := await service.http.get("/v1/jobs/a/estimates?points=50")).status_code == 503:
        assert response.json()["type"] == "urn:streamproc:problem:past-pending"
        assert response.headers["retry-after"] == "1"
        pending += 1
        assert pending < 10
    assert pending == 4
    assert response.json()["estimates"] == at_once
