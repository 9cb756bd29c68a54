"""What the SDK refuses where it stands, and what it makes fit: both twins, and all that takes a programmer's words."""

import logging
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import streamproc
from streamproc import ConfigError, JobCanceled, Producer
from tests.support.producing import LogReader

LONE = "a\udc00b"
CYCLE: dict[str, Any] = {}
CYCLE["again"] = CYCLE


class Mute:
    """Can't say what it is."""

    def __str__(self) -> str:
        raise RuntimeError

    __repr__ = __str__


@pytest.fixture
def sp(server_url: str, namespace: str) -> Iterator[Producer]:
    with streamproc.connect(server_url, namespace=namespace, heartbeat_interval=0) as connection:
        yield connection


@pytest.fixture
def log(server_url: str, namespace: str) -> Iterator[LogReader]:
    with LogReader(server_url, namespace) as reader:
        yield reader


# Refused -----------------------------------------------------------------------------------------------------------

Call = Callable[[Any], object]

OF_JOBS: list[tuple[str, Call]] = [
    ("priority", lambda job: job.queue(priority="high")),
    ("priority", lambda job: job.queue(priority=True)),
    ("max_attempts", lambda job: job.queue(max_attempts=0)),
    ("params", lambda job: job.queue(params=object())),
    ("params", lambda job: job.queue(params=LONE)),
    ("params", lambda job: job.queue(params="x" * 60_000)),
    ("iterable", lambda job: job.track(5)),
    ("total", lambda job: job.track([1], total="5")),
    ("total", lambda job: job.track([1], total=math.nan)),
    ("desc", lambda job: job.track([1], desc=5)),
    ("percent", lambda job: job.percent(None)),
    ("percent", lambda job: job.percent(True)),
    ("percent", lambda job: job.percent(1j)),
    ("message", lambda job: job.indeterminate(5)),
    ("message", lambda job: job.note(None)),
    ("details", lambda job: job.note("m", CYCLE)),
    ("details", lambda job: job.note("m", {"a": Mute()})),
    ("result", lambda job: job.finish(object())),
    ("result", lambda job: job.finish({LONE: 1})),
    ("message", lambda job: job.finish(message=5)),
    ("message", lambda job: job.fail("odd", message=5)),
    ("reason", lambda job: job.cancel(5)),
    ("unit", lambda job: job.add_unit("")),
    ("weight", lambda job: job.add_unit("a", -1)),
    ("stage", lambda job: job.unit("a", stage=5)),
    ("attempt", lambda job: job.unit("a", attempt=True)),
    ("message", lambda job: job.stage("a").skip(5)),
    ("total", lambda job: job.indicator("a").add(math.nan)),
]
OF_PRODUCERS: list[tuple[str, Call]] = [
    ("job", lambda sp: sp.job("")),
    ("stages", lambda sp: sp.job("j", stages=5)),
    ("stage", lambda sp: sp.job("j", stages=[["Parse", 1]])),
    ("weight", lambda sp: sp.job("j", stages={"Parse": None})),
    ("on_request", lambda sp: sp.job("j", on_request=5)),
    ("kind", lambda sp: sp.tracked(kind="")),
    ("owner", lambda sp: sp.tracked(owner=5)),
]


@pytest.mark.parametrize(("field", "call"), OF_JOBS)
def test_a_job_refuses_what_cannot_be_and_names_it(sp: Producer, log: LogReader, field: str, call: Call) -> None:
    with pytest.raises((ValueError, TypeError), match=f"^{field}"):
        call(sp.job("j"))
    sp.flush()
    assert not log.events("j")


@pytest.mark.parametrize(("field", "call"), OF_PRODUCERS)
def test_a_connection_refuses_what_cannot_be_and_names_it(sp: Producer, field: str, call: Call) -> None:
    with pytest.raises((ValueError, TypeError), match=f"^{field}"):
        call(sp)


@pytest.mark.anyio
async def test_the_async_twin_refuses_the_same(server_url: str, namespace: str, log: LogReader) -> None:
    async with streamproc.connect_async(server_url, namespace=namespace) as sp:
        for field, call in OF_JOBS:
            with pytest.raises((ValueError, TypeError), match=f"^{field}"):
                call(sp.job("j"))
        for field, call in OF_PRODUCERS:
            with pytest.raises((ValueError, TypeError), match=f"^{field}"):
                call(sp)
        await sp.flush()
        assert not log.events("j")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("url", 5),
        ("url", "ftp://example.org"),
        ("token", 5),
        ("token", "two\nlines"),
        ("namespace", 5),
        ("namespace", "a b"),
        ("partitions", "16"),
        ("partitions", 0),
        ("min_interval", "soon"),
        ("min_interval", None),
        ("min_interval", -1),
        ("heartbeat_interval", math.inf),
        ("flush_seconds", math.nan),
        ("buffer_bytes", "32 MiB"),
        ("buffer_bytes", 1.5),
        ("buffer_bytes", -1),
    ],
)
def test_a_setting_that_cannot_work_is_named(server_url: str, field: str, value: Any) -> None:
    for connect in (streamproc.connect, streamproc.connect_async):
        with pytest.raises(ConfigError, match=f"^{field}: "):
            connect(**{"url": server_url, field: value})


def test_settings_that_cannot_work_are_named_all_at_once(server_url: str) -> None:
    with pytest.raises(ConfigError, match=r"(?s)min_interval.*buffer_bytes.*partitions"):
        streamproc.connect(server_url, min_interval=-1, buffer_bytes=-1, partitions=0)


# Made to fit -------------------------------------------------------------------------------------------------------


def test_what_happens_to_be_in_the_data_is_made_to_fit(
    sp: Producer, log: LogReader, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamproc.producer.checks._told", set())
    with caplog.at_level(logging.WARNING, "streamproc"):
        job = sp.job("j").queue(params={"size": math.nan})
        list(job.track([], desc=LONE))
        job.indeterminate(LONE)
        odd: dict[Any, Any] = {"sizes": [math.inf, 1.5], 7: {1}}
        job.note("x" * 2000, odd)
        job.stage("Parse").skip(LONE)
        job.unit("doc").fail(Mute())  # type: ignore[arg-type]
        job.result({"ratio": -math.inf})
        job.finish(message=LONE)
        sp.job("k").cancel("y" * 2000)
    sp.flush()
    said = {event["type"]: event for event in log.events("j")}
    assert said["job.queued"]["params"] == {"size": None}
    assert said["job.progressed"]["message"] == "a?b"
    assert len(said["job.noted"]["message"]) == 1000
    assert said["job.noted"]["details"] == {"sizes": [None, 1.5], "7": [1]}
    assert said["stage.skipped"]["message"] == "a?b"
    assert said["unit.failed"]["error"] == {"type": "Mute", "detail": "its text can't be had: RuntimeError"}
    assert (said["job.finished"]["message"], said["job.finished"]["result"]) == ("a?b", {"ratio": None})
    assert len(log.events("k")[0]["reason"]) == 1000
    assert [record.message.partition(":")[0] for record in caplog.records] == ["message", "reason"]


@pytest.mark.parametrize("reason", [5, LONE, "x" * 2000, Mute, None, ""])
def test_whatever_the_reason_is_a_job_that_is_canceled_ends_so(sp: Producer, log: LogReader, reason: Any) -> None:
    canceled = JobCanceled(reason)
    with pytest.raises(JobCanceled) as raised, sp.job("j"):
        raise canceled
    assert raised.value is canceled
    sp.flush()
    assert log.types("j") == ["job.started", "job.canceled"]


@pytest.mark.parametrize("seconds", [math.inf, 1e300, 0, -1])
def test_any_number_of_seconds_may_be_waited_for(
    server_url: str, namespace: str, log: LogReader, seconds: float
) -> None:
    sp = streamproc.connect(server_url, namespace=namespace, flush_seconds=min(max(seconds, 0), 1e300))
    with sp.job("j") as job:
        job.note("still here")
        assert sp.flush(seconds) in (True, seconds > 0)
    sp.flush()
    sp.close(seconds)
    assert log.types("j") == ["job.started", "job.noted", "job.finished"]
