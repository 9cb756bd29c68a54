"""The law of lists: whatever happens between two pages, what is asked for all the while is listed once, in order."""

import secrets
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamproc import listing
from tests.support.gateways import Service, serving_with_projector
from tests.support.servers import Server

pytestmark = pytest.mark.anyio

Json = dict[str, Any]
_KINDS = st.sampled_from(["import", "render"])
_WORDS = st.sampled_from(["april", "may", "Über april", "trailer"])
_EVENTS = st.one_of(
    st.fixed_dictionaries(
        {"type": st.just("job.queued")},
        optional={
            "kind": _KINDS,
            "title": _WORDS,
            "owner": st.sampled_from(["ann", "bob"]),
            "labels": st.dictionaries(st.sampled_from(["env", "x"]), st.sampled_from(["1", "2"]), max_size=2),
            "attempt": st.integers(1, 3),
        },
    ),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["job.started", "job.progressed", "job.paused"])},
        optional={"worker": st.sampled_from(["w1", "w2"]), "attempt": st.integers(1, 3)},
    ),
    st.fixed_dictionaries({"type": st.sampled_from(["job.finished", "job.failed", "job.released", "job.stalled"])}),
)
_NAMED = st.builds(lambda job, event: {"job": job} | event, st.sampled_from([f"j{n}" for n in range(12)]), _EVENTS)
_FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "status": st.lists(st.sampled_from(["queued", "started", "running", "finished"]), min_size=1, unique=True),
        "kind": _KINDS,
        "owner": st.sampled_from(["ann", "bob"]),
        "worker": st.sampled_from(["w1", "w2"]),
        "label": st.lists(st.sampled_from(["env:1", "x:2"]), min_size=1, unique=True),
        "stalled": st.sampled_from(["true", "false"]),
        "q": st.sampled_from(["apr", "ÜBER", "j", "j1 may"]),
    },
)
_SORTS = st.sampled_from([f"{sign}{name}" for sign in ("", "-") for name in ("created", "started", "finished")])


def matches(job: Json, wanted: Json) -> bool:
    """Whether a job is asked for, by what is served of it."""
    words = f"{job['title'] or ''} {job['job_id']}".lower().replace("ü", "u").split()
    asked = wanted.get("q", "").lower().replace("ü", "u").split()
    return (
        all(job[name] == wanted.get(name, job[name]) for name in ("kind", "owner", "worker"))
        and job["status"] in wanted.get("status", [job["status"]])
        and str(job["stalled"]).lower() == wanted.get("stalled", str(job["stalled"]).lower())
        and all(label in [":".join(each) for each in job["labels"].items()] for label in wanted.get("label", []))
        and all(any(word.startswith(prefix) for word in words) for prefix in asked)
    )


async def asked_for(service: Service, wanted: Json, sort: str) -> dict[str, str]:
    """The jobs that are asked for now, each with what it is sorted by."""
    found = {}
    for number in range(12):
        job = (await service.http.get(f"/v1/jobs/j{number}")).json()
        key = job.get(f"{sort.removeprefix('-')}_at")
        if key is not None and matches(job, wanted):
            found[job["job_id"]] = key
    return found


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    before=st.lists(_NAMED, min_size=5, max_size=40),
    between=st.lists(st.lists(_NAMED, max_size=4), max_size=8),
    wanted=_FILTERS,
    sort=_SORTS,
    limit=st.integers(1, 4),
    room=st.sampled_from([1, 3, 2000]),
)
async def test_a_job_that_is_asked_for_all_the_while_is_listed_once_and_in_order(
    server: Server, before: list[Json], between: list[list[Json]], wanted: Json, sort: str, limit: int, room: int
) -> None:
    with mock.patch.multiple(listing, MOST_LOOKED_AT=room, _MOST_GATHERED=room, _SPARE=0):
        async with serving_with_projector(server.url, f"t{secrets.token_hex(4)}") as service:
            await service.append(*before)
            at_first = asked = await asked_for(service, wanted, sort)
            always = dict(asked)
            changes = iter(between)
            changed = False
            listed: list[str] = []
            params = wanted | {"sort": sort, "limit": limit}
            while True:
                page = (await service.http.get("/v1/jobs", params=params)).json()
                jobs = [job["job_id"] for job in page["jobs"]]
                assert set(jobs) <= set(asked)
                listed += jobs
                if page["next"] is None:
                    break
                params |= {"cursor": page["next"]}
                events = next(changes, [])
                if events:
                    changed = True
                    await service.append(*events)
                    asked = await asked_for(service, wanted, sort)
                    always = {job: key for job, key in always.items() if asked.get(job) == key}
    assert [job for job in listed if job in always] == sorted(
        always, key=lambda job: (always[job], job), reverse=sort.startswith("-")
    )
    if not changed:
        assert set(listed) == set(at_first)
