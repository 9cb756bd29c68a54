"""``GET /v1/jobs``: filters, sorts, search, counts and pages."""

import base64
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from streamproc import listing
from streamproc.gateway.identity import Identity, middleware
from streamproc.gateway.identity.seen import IDENTITY
from tests.support.gateways import Service, serving_with_projector
from tests.support.servers import Server

pytestmark = pytest.mark.anyio


@pytest.fixture
async def service(server: Server, namespace: str) -> AsyncIterator[Service]:
    async with serving_with_projector(server.url, namespace) as running:
        yield running


async def listed(service: Service, query: str = "") -> list[str]:
    """The ids of a list, all pages of it by their links."""
    found: list[str] = []
    url = f"/v1/jobs?{query}"
    while url:
        response = await service.http.get(url)
        assert response.status_code == 200, response.text
        found += [job["job_id"] for job in response.json()["jobs"]]
        assert ("next" in response.links) == (response.json()["next"] is not None)
        url = response.links["next"]["url"] if response.json()["next"] else ""
    return found


async def some_jobs(service: Service) -> None:
    """Six jobs of each sort, one after another."""
    for event in (
        {"job": "a", "kind": "import", "title": "Import of April", "owner": "ann", "labels": {"env": "prod", "x": "1"}},
        {
            "job": "b",
            "kind": "import",
            "title": "Import für Zoë",
            "owner": "bob",
            "labels": {"env": "test", "url": "a:b"},
        },
        {"job": "c", "kind": "render", "title": "Trailer", "labels": {"env": "prod"}},
        {"job": "d-importer", "kind": "render"},
        {"job": "e", "owner": "ann", "title": "进度 April"},
        {"job": "f"},
    ):
        await service.append(event | {"type": "job.queued"})
    await service.append({"job": "c", "type": "job.started", "worker": "w1"})
    await service.append({"job": "a", "type": "job.progressed", "percent": 1, "worker": "w1"})
    await service.append({"job": "e", "type": "job.started", "worker": "w2"})
    await service.append({"job": "e", "type": "job.finished", "worker": "w2"})
    await service.append({"job": "c", "type": "job.failed", "worker": "w1"})


LISTS = [
    ("", "f e d-importer c b a"),
    ("status=queued", "f d-importer b"),
    ("status=running&status=failed", "c a"),
    ("status=running,failed,finished", "e c a"),
    ("kind=import", "b a"),
    ("kind=import&kind=render&status=queued", "d-importer b"),
    ("label=env:prod", "c a"),
    ("label=env:prod&label=x:1", "a"),
    ("label=env:prod&label=x:2", ""),
    ("label=url:a:b", "b"),
    ("worker=w1", "c a"),
    ("owner=ann", "e a"),
    ("owner=ann&kind=import&worker=w1&label=env:prod&status=running&q=apr", "a"),
    ("stalled=false&status=queued", "f d-importer b"),
    ("stalled=true", ""),
    ("q=import", "d-importer b a"),
    ("q=IMPORT ap", "a"),
    ("q=zoe", "b"),
    ("q=FÜR", "b"),
    ("q=mport", ""),
    ("q=d-im", "d-importer"),
    ("q=进", "e"),
    ("q=april&status=finished", "e"),
    ("sort=created", "a b c d-importer e f"),
    ("sort=started", "c a e"),
    ("sort=-started", "e a c"),
    ("sort=-finished", "c e"),
    ("sort=finished&owner=ann", "e"),
    ("sort=-started&q=april", "e a"),
    ("sort=-started&kind=render", "c"),
]


async def test_a_list_has_what_is_asked_for_in_its_order(service: Service) -> None:
    await some_jobs(service)
    for query, found in LISTS:
        assert await listed(service, query) == found.split(), query
        assert await listed(service, f"{query}&limit=1") == found.split(), query


async def test_partitions_are_merged_however_unevenly_jobs_are_spread(service: Service) -> None:
    ids = [f"job-{number}" for number in range(200)]
    of_one = [job for job in ids if service.keys.of(job).partition == 0][:40]
    others = [job for job in ids if service.keys.of(job).partition != 0][:20]
    for job in [*others[:10], *of_one, *others[10:]]:
        await service.append({"job": job, "type": "job.started"})
    newest_first = [*others[10:][::-1], *of_one[::-1], *others[:10][::-1]]
    page = (await service.http.get("/v1/jobs?limit=45")).json()["jobs"]
    assert [job["job_id"] for job in page] == newest_first[:45]
    assert await listed(service, "status=started&sort=created&limit=7") == newest_first[::-1]


async def test_pages_end_early_where_much_would_have_to_be_looked_at_and_go_on_by_their_link(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "MOST_LOOKED_AT", 5)
    monkeypatch.setattr(listing, "_MOST_GATHERED", 5)
    for number in range(30):
        title = "rare" if number % 10 == 0 else "common"
        await service.append({"job": f"job-{number}", "type": "job.started", "title": f"job {title}"})
    page = (await service.http.get("/v1/jobs?q=job common rare".replace(" ", "%20"))).json()
    assert (page["jobs"], page["next"]) == ([], None)
    page = (await service.http.get("/v1/jobs?q=c&limit=3")).json()
    assert len(page["jobs"]) == 3
    assert await listed(service, "q=common&sort=-started&limit=7") == [
        f"job-{number}" for number in range(29, -1, -1) if number % 10
    ]
    assert await listed(service, "q=rare&limit=1") == ["job-20", "job-10", "job-0"]
    assert await listed(service, "q=job&owner=nobody") == []


async def test_what_is_asked_for_is_found_behind_many_that_only_one_of_the_filters_lets_through(
    service: Service,
) -> None:
    """More of each partition than one read brings."""
    both = {"owner": "ann", "labels": {"env": "prod"}}
    await service.append({"job": "first", "type": "job.queued"} | both)
    for fields in ({"owner": "ann"}, {"labels": {"env": "prod"}}):
        await service.append(*[{"job": f"{next(iter(fields))}-{n}", "type": "job.queued"} | fields for n in range(80)])
    await service.append({"job": "last", "type": "job.queued"} | both)
    for sort, wanted in (("-created", ["last", "first"]), ("created", ["first", "last"])):
        query = {"owner": "ann", "label": "env:prod", "sort": sort, "limit": 5}
        page = (await service.http.get("/v1/jobs", params=query)).json()
        assert ([job["job_id"] for job in page["jobs"]], page["next"]) == (wanted, None)


async def test_a_job_whose_state_is_gone_is_left_out_and_the_page_is_full(service: Service) -> None:
    for number in range(12):
        await service.append({"job": f"job-{number:02}", "type": "job.started", "kind": "k"})
    for number in (11, 9, 8, 3):
        job = f"job-{number:02}"
        await service.client.unlink(service.keys.of(job).state(job))
    page = (await service.http.get("/v1/jobs?limit=4")).json()
    assert [job["job_id"] for job in page["jobs"]] == ["job-10", "job-07", "job-06", "job-05"]
    assert await listed(service, "kind=k&limit=3") == [f"job-{n:02}" for n in (10, 7, 6, 5, 4, 2, 1, 0)]
    assert await listed(service, "q=job") == [f"job-{n:02}" for n in (10, 7, 6, 5, 4, 2, 1, 0)]


async def test_counts_are_of_all_statuses_under_the_same_kind(service: Service) -> None:
    await some_jobs(service)
    await service.append({"job": "a", "type": "job.stalled"})
    nothing = dict.fromkeys(("queued", "started", "running", "paused", "finished", "failed", "canceled"), 0)

    async def counts(query: str) -> Any:
        return (await service.http.get(f"/v1/jobs?counts=true&limit=1&{query}")).json()["counts"]

    assert await counts("") == nothing | {"queued": 3, "running": 1, "finished": 1, "failed": 1}
    assert await counts("status=finished") == await counts("")
    assert await counts("kind=import") == nothing | {"queued": 1, "running": 1}
    assert await counts("kind=import&kind=render") == nothing | {"queued": 2, "running": 1, "failed": 1}
    assert await counts("stalled=true") == nothing | {"running": 1}
    assert await counts("stalled=false&kind=import") == nothing | {"queued": 1}
    assert await counts("owner=ann") is None
    assert await counts("q=april") is None
    assert "counts" not in (await service.http.get("/v1/jobs")).json()


async def test_a_cursor_is_of_its_own_list_only(service: Service) -> None:
    await some_jobs(service)
    cursor = (await service.http.get("/v1/jobs?limit=1&status=queued&sort=created")).json()["next"]
    again = await service.http.get(f"/v1/jobs?limit=2&sort=created&status=queued&counts=true&cursor={cursor}")
    assert [job["job_id"] for job in again.json()["jobs"]] == ["d-importer", "f"]
    for query in ("status=queued", "sort=created", "status=queued&sort=-created", "status=queued&sort=created&q=a"):
        response = await service.http.get(f"/v1/jobs?{query}&cursor={cursor}")
        assert (response.status_code, response.json()["parameter"]) == (400, "cursor")
    await service.append(*({"job": "a", "type": "unit.added", "unit": str(number)} for number in range(3)))
    of_units = (await service.http.get("/v1/jobs/a/units?limit=1")).json()["next"]
    assert (await service.http.get(f"/v1/jobs/b/units?cursor={of_units}")).status_code == 400
    assert (await service.http.get(f"/v1/jobs/a/units?cursor={of_units}")).status_code == 200


async def test_a_link_keeps_what_was_asked_for_more_than_once(service: Service) -> None:
    await some_jobs(service)
    link = (await service.http.get("/v1/jobs?status=queued&status=failed&limit=1")).links["next"]["url"]
    assert "status=queued&status=failed&limit=1&cursor=" in link


@contextmanager
def seen_by(limited: Identity) -> Iterator[None]:
    """Requests are those of an identity."""
    check = middleware.Needs.__call__

    async def as_limited(self: Any, scope: Any, receive: Any, send: Any) -> None:
        scope[IDENTITY] = limited
        await check(self, scope, receive, send)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(middleware.Needs, "__call__", as_limited)
        yield


def ann(**limits: Any) -> Identity:
    return Identity(name="ann", scopes=frozenset({"jobs:read"}), **limits)


async def test_jobs_of_others_are_left_out_of_lists_and_counts(service: Service) -> None:
    await some_jobs(service)
    for limited, found in (
        (ann(kinds=("import",)), "b a"),
        (ann(owners=("ann",)), "e a"),
        (ann(jobs=("d-*", "[ef]")), "f e d-importer"),
        (ann(kinds=("import", "render"), owners=("bob",)), "b"),
        (ann(kinds=()), ""),
    ):
        with seen_by(limited):
            jobs = found.split()
            assert await listed(service) == jobs
            assert await listed(service, "q=import&limit=1") == [job for job in jobs if job in ("d-importer", "b", "a")]
            rendered = [job for job in jobs if job in ("d-importer", "c")]
            assert await listed(service, "kind=render") == rendered
            counts = (await service.http.get("/v1/jobs?counts=true")).json()["counts"]
        assert (counts is None) == (limited.owners is not None or limited.jobs is not None)
        assert counts is None or sum(counts.values()) == len(jobs)


async def test_a_page_that_ends_early_names_no_job_of_others(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "MOST_LOOKED_AT", 3)
    for number in range(8):
        await service.append({"job": f"secret-{number}", "type": "job.started"})
    with seen_by(ann(jobs=("mine",))):
        page = (await service.http.get("/v1/jobs")).json()
        assert page["jobs"] == []
        assert b"secret" not in base64.urlsafe_b64decode(page["next"] + "==")
        assert await listed(service) == []


async def test_a_list_takes_few_round_trips_however_many_partitions_and_jobs(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    await service.append(*({"job": f"job-{number}", "type": "job.started"} for number in range(400)))
    trips = 0
    replies = listing.Listing._replies

    async def counted(self: Any, commands: Any) -> Any:
        nonlocal trips
        trips += 1
        return await replies(self, commands)

    monkeypatch.setattr(listing.Listing, "_replies", counted)
    assert len((await service.http.get("/v1/jobs?limit=100")).json()["jobs"]) == 100
    assert trips <= 4
