"""The SDK against a real server: what a worker's reports come to in the log, and in the fold of it."""

import logging
import threading
from collections.abc import Generator, Iterator

import pytest

import streamproc
from streamproc import JobCanceled, Producer
from tests.support.producing import LogReader


@pytest.fixture
def sp(server_url: str, namespace: str) -> Iterator[Producer]:
    with streamproc.connect(server_url, namespace=namespace) as connection:
        yield connection


@pytest.fixture
def log(server_url: str, namespace: str) -> Iterator[LogReader]:
    reader = LogReader(server_url, namespace)
    yield reader
    reader.client.close()


# What arrives ------------------------------------------------------------------------------------------------------


def test_a_job_tells_its_facts_at_the_start_and_its_result_at_the_end(sp: Producer, log: LogReader) -> None:
    with sp.job(
        "import-42",
        kind="import",
        title="Import",
        stages={"Upload": 1, "Parse": 2.5},
        labels={"team": "blue"},
        owner="ann",
        worker="w1",
        attempt=2,
    ) as job:
        job.result({"rows": 3})
    sp.flush()
    started, finished = log.events("import-42")
    facts = {name: value for name, value in started.items() if name not in ("src", "seq", "at")}
    assert facts == {
        "job": "import-42",
        "type": "job.started",
        "kind": "import",
        "title": "Import",
        "stages": [{"name": "Upload", "weight": 1}, {"name": "Parse", "weight": 2.5}],
        "labels": {"team": "blue"},
        "owner": "ann",
        "worker": "w1",
        "attempt": 2,
    }
    assert (finished["type"], finished["result"], finished["worker"], finished["attempt"]) == (
        "job.finished",
        {"rows": 3},
        "w1",
        2,
    )
    snapshot = log.snapshot("import-42")
    assert (snapshot["status"], snapshot["percent"], snapshot["result"]) == ("finished", 100.0, {"rows": 3})


def test_a_job_without_an_id_gets_one(sp: Producer, log: LogReader) -> None:
    with sp.job() as job, sp.job() as other:
        assert job.id != other.id
    sp.flush()
    assert log.types(job.id) == ["job.started", "job.finished"]


def test_stages_units_and_indicators_arrive_in_the_order_of_the_work(sp: Producer, log: LogReader) -> None:
    with sp.job("j", stages=["Upload", "Parse"]) as job:
        with job.stage("Upload", weight=3) as stage:
            stage.percent(50, "half", {"row": 7})
        job.stage("Parse").skip("empty")
        job.add_unit("later", 5, stage="Upload")
        with job.unit("doc", weight=10, attempt=2) as doc:
            doc.count("pages", done=1, total=4)
            doc.percent(30, "Analyzing…")
        job.indicator("files").add(10)
        job.indicator("files").done(2)
        job.note("nearly there")
        job.heartbeat()
    sp.flush()
    assert [
        {name: value for name, value in event.items() if name not in ("job", "src", "seq", "at")}
        for event in log.events("j")
    ] == [
        {"type": "job.started", "stages": [{"name": "Upload", "weight": 1}, {"name": "Parse", "weight": 1}]},
        {"type": "stage.started", "stage": "Upload", "weight": 3},
        {"type": "stage.progressed", "stage": "Upload", "percent": 50.0, "message": "half", "details": {"row": 7}},
        {"type": "stage.finished", "stage": "Upload"},
        {"type": "stage.skipped", "stage": "Parse", "message": "empty"},
        {"type": "unit.added", "unit": "later", "weight": 5, "stage": "Upload"},
        {"type": "unit.started", "unit": "doc", "weight": 10, "attempt": 2},
        {"type": "job.counted", "unit": "doc", "indicator": "pages", "done": 1, "total": 4, "attempt": 2},
        {"type": "unit.progressed", "unit": "doc", "percent": 30.0, "message": "Analyzing…", "attempt": 2},
        {"type": "unit.finished", "unit": "doc", "attempt": 2},
        {"type": "job.counted", "indicator": "files", "total": 10},
        {"type": "job.counted", "indicator": "files", "done": 2},
        {"type": "job.noted", "message": "nearly there"},
        {"type": "job.heartbeat"},
        {"type": "job.finished"},
    ]


def test_the_fold_of_the_log_is_what_the_work_said(sp: Producer, log: LogReader) -> None:
    job = sp.job("j", stages={"Parse": 1, "Analyze": 3}).start()
    with job.stage("Parse"):
        pass
    stage = job.stage("Analyze").start()
    stage.items(33, 66, "row 33")
    job.indicator("files").add(4)
    job.indicator("files").done()
    sp.flush()
    snapshot = log.snapshot("j")
    assert snapshot["status"] == "running"
    assert snapshot["percent"] == 62.5
    assert snapshot["message"] == "row 33"
    assert snapshot["items"] == {"done": 33, "total": 66}
    assert snapshot["indicators"] == [{"label": "files", "done": 1, "total": 4}]


def test_units_weigh_in_by_their_weights(sp: Producer, log: LogReader) -> None:
    job = sp.job("j").start()
    with job.unit("small", weight=100):
        pass
    big = job.unit("big", weight=300).start()
    big.percent(50)
    sp.flush()
    assert log.snapshot("j")["percent"] == 62.5
    assert log.snapshot("j")["units"] == {"total": 2, "pending": 0, "running": 1, "finished": 1, "failed": 0}


def test_items_keep_the_last_total(sp: Producer, log: LogReader) -> None:
    job = sp.job("j")
    job.items(1, 4)
    job.percent(1)
    job.items(2)
    sp.flush()
    assert log.snapshot("j")["percent"] == 50.0


def test_indeterminate_progress_has_no_percent(sp: Producer, log: LogReader) -> None:
    job = sp.job("j").start()
    job.percent(40)
    job.indeterminate("waiting for the printer")
    sp.flush()
    snapshot = log.snapshot("j")
    assert (snapshot["percent"], snapshot["message"]) == (None, "waiting for the printer")


def test_every_event_carries_its_source_and_a_rising_number(sp: Producer, log: LogReader) -> None:
    def work(job: streamproc.Job, worker: int) -> None:
        for number in range(100):
            with job.unit(f"{worker}-{number}") as unit:
                unit.percent(number)
                unit.count("bytes", done=1, total=1)

    with sp.job("j") as job:
        threads = [threading.Thread(target=work, args=(job, worker)) for worker in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    sp.flush()
    events = log.events("j")
    assert len({event["src"] for event in events}) == 1
    numbers = [event["seq"] for event in events]
    assert numbers == sorted(set(numbers))
    snapshot = log.snapshot("j")
    assert snapshot["units"]["finished"] == 400
    assert snapshot["indicators"] == [{"label": "bytes", "done": 400, "total": 400}]
    assert (snapshot["late"], snapshot["duplicates"]) == (0, 0)


def test_a_namespace_keeps_the_number_of_partitions_that_it_was_created_with(server_url: str, namespace: str) -> None:
    with streamproc.connect(server_url, namespace=namespace, partitions=3):
        pass
    with streamproc.connect(server_url, namespace=namespace, partitions=7) as sp, sp.job("import-42"):
        pass
    log = LogReader(server_url, namespace, partitions=3)
    assert log.types("import-42") == ["job.started", "job.finished"]
    assert log.client.hgetall(f"{namespace}:meta") == {b"format": b"1", b"partitions": b"3"}
    log.client.close()


# How it ends -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ValueError("page 12 unreadable"), KeyboardInterrupt(), SystemExit(3)])
def test_an_exception_reports_failure_and_goes_on_up(sp: Producer, log: LogReader, error: BaseException) -> None:
    def work() -> None:
        with sp.job("j") as job, job.stage("Parse") as stage, job.unit("doc") as unit:
            stage.percent(50)
            unit.percent(20)
            raise error

    with pytest.raises(type(error)) as raised:
        work()
    assert raised.value is error
    sp.flush()
    assert log.types("j")[-3:] == ["unit.failed", "stage.failed", "job.failed"]
    said = {"type": type(error).__name__, "detail": str(error) or None}
    assert all(event["error"] == said for event in log.events("j")[-3:])
    assert log.snapshot("j")["status"] == "failed"


def test_a_generator_that_is_closed_early_fails_its_job(sp: Producer, log: LogReader) -> None:
    def rows() -> Generator[int, None, None]:
        with sp.job("j"):
            yield 1
            yield 2

    generator = rows()
    next(generator)
    generator.close()
    sp.flush()
    assert log.events("j")[-1]["error"] == {"type": "GeneratorExit", "detail": "closed before its end"}


def test_an_exception_that_cannot_say_what_it_is_is_reported_all_the_same(sp: Producer, log: LogReader) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    with pytest.raises(Mute), sp.job("j"):
        raise Mute
    with pytest.raises(ValueError, match="odd"), sp.job("k"):
        raise ValueError("odd \udcff" + "x" * 100_000)
    sp.flush()
    assert log.events("j")[-1]["error"] == {"type": "Mute", "detail": "its text can't be had: RuntimeError"}
    assert log.events("k")[-1]["error"]["detail"].startswith("odd ?xxx")


def test_a_job_that_is_canceled_is_no_failure(sp: Producer, log: LogReader) -> None:
    def work() -> None:
        with sp.job("j") as job, job.stage("Parse") as stage:
            stage.percent(50)
            raise JobCanceled("enough")

    with pytest.raises(JobCanceled):
        work()
    sp.flush()
    assert log.types("j") == ["job.started", "stage.started", "stage.progressed", "job.canceled"]
    snapshot = log.snapshot("j")
    assert (snapshot["status"], snapshot["percent"], snapshot["message"]) == ("canceled", 50.0, "enough")


def test_jobs_can_be_driven_without_with_and_end_once(sp: Producer, log: LogReader) -> None:
    job = sp.job("j")
    with job.start():
        job.finish({"rows": 1}, message="done")
        job.fail("too late")
    job.cancel()
    failed = sp.job("k").start()
    failed.fail("disk full", message="no room")
    canceled = sp.job("l").start()
    canceled.cancel("not wanted")
    sp.flush()
    assert log.types("j") == ["job.started", "job.finished"]
    assert (log.events("k")[-1]["error"], log.events("k")[-1]["message"]) == (
        {"type": "Error", "detail": "disk full"},
        "no room",
    )
    assert log.events("l")[-1]["reason"] == "not wanted"


# Loops -------------------------------------------------------------------------------------------------------------


def test_track_yields_the_items_and_reports_how_many_are_done(sp: Producer, log: LogReader) -> None:
    with sp.job("j") as job, job.stage("Parse") as stage:
        assert list(stage.track(range(5), desc="rows")) == [0, 1, 2, 3, 4]
        sp.flush()
        assert log.snapshot("j")["items"] == {"done": 5, "total": 5}
        assert log.snapshot("j")["message"] == "rows"
        assert sum(1 for _ in job.track((n for n in range(3)), total=6)) == 3
    sp.flush()
    assert log.events("j")[-3]["done"] == 3
    assert log.events("j")[-3]["total"] == 6


def test_a_loop_that_breaks_off_says_how_far_it_came(sp: Producer, log: LogReader) -> None:
    def work() -> None:
        with sp.job("j") as job:
            for row in job.track(range(80)):
                if row == 57:
                    raise ValueError(row)

    with pytest.raises(ValueError, match="57"):
        work()
    with sp.job("k") as job:
        for row in job.track(iter(range(80)), total=80):
            if row == 20:
                break
        job.percent(99)
    with sp.job("l") as job:
        rows = iter(job.track(range(4)))
        assert [next(rows), next(rows), next(rows)] == [0, 1, 2]
    sp.flush()
    assert log.events("l")[-2]["done"] == 2
    assert next(rows) == 3
    assert log.snapshot("j")["percent"] == 71.25
    assert log.types("j")[-1] == "job.failed"
    assert log.events("k")[-2]["percent"] == 99.0


# What a programmer wrote wrong -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "call"),
    [
        ("job", lambda sp: sp.job("no spaces")),
        ("job", lambda sp: sp.job("x" * 201)),
        ("job", lambda sp: sp.job(42)),
        ("kind", lambda sp: sp.job("j", kind="a\nb")),
        ("title", lambda sp: sp.job("j", title="x" * 1001)),
        ("labels", lambda sp: sp.job("j", labels={"a": 1})),
        ("labels", lambda sp: sp.job("j", labels="team")),
        ("owner", lambda sp: sp.job("j", owner="")),
        ("worker", lambda sp: sp.job("j", worker="x" * 257)),
        ("attempt", lambda sp: sp.job("j", attempt=0)),
        ("stages", lambda sp: sp.job("j", stages="Parse")),
        ("stages", lambda sp: sp.job("j", stages=7)),
        ("stage", lambda sp: sp.job("j", stages=[""])),
        ("weight", lambda sp: sp.job("j", stages={"Parse": -1})),
        ("percent", lambda sp: sp.job("j").percent("50")),
        ("percent", lambda sp: sp.job("j").percent(float("nan"))),
        ("percent", lambda sp: sp.job("j").percent(10**400)),
        ("done", lambda sp: sp.job("j").items("3")),
        ("done", lambda sp: sp.job("j").items(-1)),
        ("done", lambda sp: sp.job("j").items(float("inf"))),
        ("done", lambda sp: sp.job("j").items(2**53)),
        ("total", lambda sp: sp.job("j").items(1, "2")),
        ("message", lambda sp: sp.job("j").percent(1, 5)),
        ("details", lambda sp: sp.job("j").percent(1, details={"a": object()})),
        ("details", lambda sp: sp.job("j").percent(1, details=[1])),
        ("details", lambda sp: sp.job("j").percent(1, details={"a": "x" * 70_000})),
        ("details", lambda sp: sp.job("j").percent(1, details={"a": "\udc00"})),
        ("details", lambda sp: sp.job("j").note("m", {"a": 10**400})),
        ("result", lambda sp: sp.job("j").result(iter([1]))),
        ("stage", lambda sp: sp.job("j").stage("a\x00b")),
        ("weight", lambda sp: sp.job("j").stage("a", float("nan"))),
        ("unit", lambda sp: sp.job("j").unit("x" * 257)),
        ("unit", lambda sp: sp.job("j").unit("\udc00")),
        ("stage", lambda sp: sp.job("j").unit("a", stage="")),
        ("attempt", lambda sp: sp.job("j").unit("a", attempt=0)),
        ("indicator", lambda sp: sp.job("j").indicator("")),
        ("done", lambda sp: sp.job("j").indicator("a").done(-1)),
        ("total", lambda sp: sp.job("j").unit("a").count("b", total="1")),
    ],
)
def test_what_a_programmer_wrote_wrong_is_refused_where_it_stands(
    sp: Producer, log: LogReader, field: str, call: object
) -> None:
    assert callable(call)
    with pytest.raises((ValueError, TypeError), match=f"^{field}"):
        call(sp)
    sp.flush()
    assert not log.events("j")


def test_a_message_that_is_too_long_is_cut_and_said_once(
    sp: Producer, log: LogReader, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamproc.producer.checks._told", set())
    job = sp.job("j")
    with caplog.at_level(logging.WARNING, "streamproc"):
        job.note("x" * 5000)
        job.note("y" * 1001)
    sp.flush()
    assert [event["message"] for event in log.events("j")] == ["x" * 999 + "…", "y" * 999 + "…"]
    assert len(caplog.records) == 1


def test_a_message_that_utf8_cannot_say_is_made_to_fit(sp: Producer, log: LogReader) -> None:
    sp.job("j").percent(1, "file \udcff.txt")
    sp.flush()
    assert log.events("j")[0]["message"] == "file ?.txt"


def test_details_are_what_they_were_when_they_were_said(sp: Producer, log: LogReader) -> None:
    details = {"rows": [1]}
    sp.job("j").percent(1, details=details)
    details["rows"].append(2)
    sp.flush()
    assert log.events("j")[0]["details"] == {"rows": [1]}


def test_a_closed_connection_makes_no_jobs_and_takes_reports_quietly(
    server_url: str, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    with streamproc.connect(server_url, namespace=namespace) as sp:
        job = sp.job("j").start()
    with caplog.at_level(logging.WARNING, "streamproc"):
        job.percent(5)
        job.finish()
    assert len(caplog.records) == 1
    with pytest.raises(RuntimeError, match="closed"):
        sp.job("k")
