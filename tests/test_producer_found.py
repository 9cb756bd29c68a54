"""`find`: a job as somebody else sees it, over Redis and through a gateway."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import anyio
import msgspec
import pytest

import streamproc
from streamproc import JobSnapshot, Producer, ProgressIndicator, ServerUnavailable, UnknownJob
from streamproc.errors import ServerError
from streamproc.producer.finding import changes
from streamproc.producer.found import Eta, Items, StageSnapshot, UnitCounts, decode_snapshot
from tests.support.producing import LogReader
from tests.support.servers import free_port
from tests.support.stack import Stack

AT = "2025-11-21T18:33:20.123Z"
TIME = datetime(2025, 11, 21, 18, 33, 20, 123_000, UTC)
JOB: dict[str, Any] = msgspec.json.decode(
    f"""{{
    "job_id":"j","kind":"import","title":"Import","status":"running","percent":41.25,
    "message":"row 33/80","details":{{"row":33}},"current_stage":"Parse",
    "stages":[{{"name":"Parse","weight":2,"status":"running","percent":41.25,
               "started_at":"{AT}","finished_at":null,"duration_seconds":3.1,"error":null}}],
    "indicators":[{{"label":"download","done":1,"total":2}}],"items":{{"done":33,"total":80}},
    "units":{{"total":3,"pending":1,"running":1,"finished":1,"failed":0}},
    "worker":"w1","attempt":1,"labels":{{"team":"blue"}},"owner":"ann",
    "result":{{"rows":[1]}},"error":{{"type":"E","detail":"no"}},"requested":"pause","stalled":true,
    "eta":{{"remaining_seconds":{{"p50":4.4,"p90":9.0}},"finish_at":{{"p50":"{AT}","p90":"{AT}"}},
           "basis":"rate","reason":null}},
    "created_at":"{AT}","started_at":"{AT}","updated_at":"{AT}","finished_at":"{AT}",
    "events":57,"late":1,"duplicates":2,"position":"1763750000000-3"
    }}"""
)
STAGE, UNITS = JOB["stages"][0], JOB["units"]


@pytest.fixture
def sp(server_url: str, namespace: str) -> Iterator[Producer]:
    with streamproc.connect(server_url, namespace=namespace) as connection:
        yield connection


@pytest.fixture
def log(server_url: str, namespace: str) -> Iterator[LogReader]:
    with LogReader(server_url, namespace) as reader:
        yield reader


def test_every_field_of_a_job_is_there(sp: Producer, log: LogReader) -> None:
    log.serve("j", JOB)
    found = sp.find("j")
    same = {name: JOB[name] for name in JOB if isinstance(JOB[name], str | int | float) and not name.endswith("_at")}
    assert {name: getattr(found, name) for name in same} == same
    assert (found.details, found.labels) == ({"row": 33}, {"team": "blue"})
    assert (found.result, found.error) == ({"rows": [1]}, {"type": "E", "detail": "no"})
    assert found.stages == [StageSnapshot("Parse", 2, "running", 41.25, TIME, None, 3.1, None)]
    assert found.items == Items(33, 80)
    assert found.units == UnitCounts(3, 1, 1, 1, 0)
    assert found.eta == Eta({"p50": 4.4, "p90": 9.0}, {"p50": TIME, "p90": TIME}, "rate", None)
    assert {found.created_at, found.started_at, found.updated_at, found.finished_at} == {TIME}
    assert found.progress == found.indicators == [ProgressIndicator("download", total=2, done=1)]


def test_what_is_not_known_is_none(sp: Producer, log: LogReader) -> None:
    nothing = ["kind", "title", "percent", "message", "details", "current_stage", "items", "worker", "owner", "result"]
    nothing += ["error", "requested", "created_at", "started_at", "updated_at", "finished_at"]
    log.serve("j", JOB | dict.fromkeys(nothing))
    found = sp.find("j")
    assert {name: getattr(found, name) for name in nothing} == dict.fromkeys(nothing)


def test_whole_numbers_stay_whole(sp: Producer, log: LogReader) -> None:
    log.serve("j", JOB | {"indicators": [{"label": "bytes", "done": 2**53 - 1, "total": 0.5}]})
    found = sp.find("j")
    (indicator,) = found.progress
    assert found.items is not None
    numbers = [indicator.done, indicator.total, found.items.done, found.stages[0].weight, found.events]
    assert [(number, type(number)) for number in numbers] == [
        (2**53 - 1, int),
        (0.5, float),
        (33, int),
        (2, int),
        (57, int),
    ]


def test_an_indicator_reads_well_and_nothing_can_be_changed(sp: Producer, log: LogReader) -> None:
    log.serve("j", JOB)
    found = sp.find("j")
    assert repr(found.progress) == "[ProgressIndicator(label='download', total=2, done=1)]"
    with pytest.raises(AttributeError):
        found.status = "finished"  # type: ignore[misc]


def test_fields_of_a_later_version_are_left_out(sp: Producer, log: LogReader) -> None:
    log.serve("j", JOB | {"mood": "good", "stages": [STAGE | {"color": "red"}], "units": UNITS | {"odd": 1}})
    assert sp.find("j").stages[0].name == "Parse"


@pytest.mark.parametrize("kept", [b"", b"[]", b"{}", b'"text"', msgspec.json.encode(JOB | {"percent": "much"})])
def test_what_is_no_snapshot_is_named_as_such(sp: Producer, log: LogReader, kept: bytes) -> None:
    log.client.hset(log.keys.of("j").state("j"), "snapshot", kept)
    with pytest.raises(ServerError, match="what was found isn't a job's snapshot: "):
        sp.find("j")


def test_what_nobody_knows_of_is_unknown_and_what_cannot_be_a_job_is_refused(sp: Producer) -> None:
    with pytest.raises(UnknownJob, match="there is no job nobody"):
        sp.find("nobody")
    with pytest.raises(ValueError, match=r"^job: must be 1 to 200"):
        sp.find("no spaces")


def test_a_server_that_is_gone_is_said_to_be() -> None:
    url = f"redis://127.0.0.1:{free_port()}/0"
    with streamproc.connect(url, required=False) as sp, pytest.raises(ServerUnavailable, match="no answer"):
        sp.find("j")


def test_both_ways_find_what_the_projector_made_of_the_reports(stack: Stack, job_id: str) -> None:
    with streamproc.connect(stack.redis, namespace=stack.namespace) as direct, streamproc.connect(stack.http) as http:
        with direct.job(job_id, kind="import", stages={"Parse": 2, "Load": 1}, labels={"team": "blue"}) as job:
            with job.stage("Parse") as stage:
                stage.items(2, 4, "half")
            job.indicator("files").add(3)
            with job.unit("doc"):
                pass
            job.result({"rows": 3})
        stack.wait_for(job_id, status="finished")
        found = [direct.find(job_id), http.find(job_id)]
    for each in found:
        assert (each.job_id, each.kind, each.status, each.percent) == (job_id, "import", "finished", 100.0)
        assert [(stage.name, stage.weight, stage.status) for stage in each.stages] == [
            ("Parse", 2, "finished"),
            ("Load", 1, "pending"),
        ]
        assert each.progress == [ProgressIndicator("files", 3, 0)]
        assert (each.units.total, each.units.finished) == (1, 1)
        assert (each.result, each.labels, each.message) == ({"rows": 3}, {"team": "blue"}, "half")
        assert each.started_at is not None
        assert each.finished_at is not None
        assert each.started_at <= each.finished_at
    assert without_estimate(found[0]) == without_estimate(found[1])


@pytest.mark.parametrize("kind", [None, "import"])
def test_a_job_at_work_has_the_same_estimate_with_a_gateway_and_without(
    stack: Stack, job_id: str, kind: str | None
) -> None:
    kind = kind and f"{kind}-{job_id}"[:100]
    direct = streamproc.connect(stack.redis, namespace=stack.namespace)
    with direct, streamproc.connect(stack.http) as http:
        for n in range(3 if kind else 0):
            with direct.job(f"{job_id}-{n}", kind=kind) as past:
                past.percent(50)
            stack.wait_for(f"{job_id}-{n}", status="finished")
        with direct.job(job_id, kind=kind) as job:
            job.percent(10)
            stack.wait_for(job_id, percent=10.0)
            found = [direct.find(job_id).eta, http.find(job_id).eta]
    ours, theirs = found
    assert ours is not None
    assert theirs is not None
    assert (ours.basis, ours.reason) == (theirs.basis, theirs.reason)
    assert ours.remaining_seconds is not None
    assert theirs.finish_at is not None
    assert ours.finish_at is not None
    # Between the two some time passes, and the gateway's may be of what it knew a moment ago.
    for quantile, at in ours.finish_at.items():
        assert abs((at - theirs.finish_at[quantile]).total_seconds()) < 3


def test_without_the_runs_of_its_kind_a_job_is_found_all_the_same(sp: Producer, log: LogReader) -> None:
    log.serve("j", JOB | {"finished_at": None, "eta": []})
    log.client.set(log.keys.of("j").runs("import"), "no stream")
    assert sp.find("j").percent == 41.25


def without_estimate(job: JobSnapshot) -> JobSnapshot:
    return msgspec.structs.replace(job, eta=None)


def test_a_job_is_watched_to_its_end_and_each_change_is_told_once(stack: Stack, job_id: str) -> None:
    with streamproc.connect(stack.http) as sp, sp.job(job_id) as job:
        job.percent(10)
        stack.wait_for(job_id, percent=10.0)
        watched = sp.watch(job_id, every=0.01)
        assert next(watched).percent == 10.0
        job.percent(20)
        assert next(watched).percent == 20.0
        job.finish()
        assert [found.status for found in watched][-1] == "finished"


def test_what_cannot_be_watched_is_said_at_the_first_look(stack: Stack) -> None:
    with streamproc.connect(stack.http) as sp:
        with pytest.raises(UnknownJob):
            next(sp.watch("nobody"))
        with pytest.raises(ValueError, match="every: must be"):
            next(sp.watch("nobody", every=0))


def test_a_server_that_goes_while_a_job_is_watched_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    found = decode_snapshot(msgspec.json.encode(JOB | {"status": "running"}))
    ended = msgspec.structs.replace(found, status="failed", position="1763750000000-4")
    answers: list[JobSnapshot | Exception] = [found, ServerUnavailable("gone"), ServerUnavailable("gone"), found, ended]

    def find(job: str) -> JobSnapshot:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert list(changes(find, "j", 0.001)) == [found, ended]
    assert [record.getMessage() for record in caplog.records] == ["job j can't be seen for a while: gone"]


@pytest.mark.anyio
async def test_a_job_is_watched_from_async_code_too(stack: Stack, job_id: str) -> None:
    async with streamproc.connect_async(stack.redis, namespace=stack.namespace) as sp:
        async with sp.job(job_id) as job:
            job.percent(10)
        await anyio.to_thread.run_sync(lambda: stack.wait_for(job_id, status="finished"))
        assert [found.status async for found in sp.watch(job_id)] == ["finished"]
