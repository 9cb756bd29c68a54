"""The lessons' trackers with a connection: what their calls come to in the log, and in the fold of it."""

import logging
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import streamproc
from streamproc import JobCanceled, Producer
from streamproc.trackers import (
    DocumentProgressTracker,
    IndicatorTracker,
    ProgressEvent,
    ProgressTracker,
    ProgressType,
    Stage,
    StageContext,
    StageProgress,
    StageStatus,
)
from tests.support.producing import LogReader


@pytest.fixture
def sp(server_url: str, namespace: str) -> Iterator[Producer]:
    with streamproc.connect(server_url, namespace=namespace, min_interval=0) as connection:
        yield connection


@pytest.fixture
def log(server_url: str, namespace: str) -> Iterator[LogReader]:
    reader = LogReader(server_url, namespace)
    yield reader
    reader.client.close()


def said(log: LogReader, job: str = "j") -> list[dict[str, Any]]:
    """The events without what every event has."""
    own = ("job", "src", "seq", "at")
    return [{name: value for name, value in event.items() if name not in own} for event in log.events(job)]


# One bar -----------------------------------------------------------------------------------------------------------


def test_a_percentage_is_the_jobs_until_100_ends_it(sp: Producer, log: LogReader) -> None:
    tracker = ProgressTracker("j", sp=sp)
    tracker.percentage(40, "so far")
    tracker.emit(ProgressEvent("j", ProgressType.PERCENTAGE, percent=41, details={"row": 7}))
    sp.flush()
    assert log.snapshot("j")["percent"] == 41.0
    tracker.percentage(100, "Complete!")
    tracker.percentage(100, "Complete!")
    sp.flush()
    assert said(log) == [
        {"type": "job.started"},
        {"type": "job.progressed", "percent": 40.0, "message": "so far"},
        {"type": "job.progressed", "percent": 41.0, "details": {"row": 7}},
        {"type": "job.finished", "message": "Complete!"},
    ]


def test_items_and_messages_are_the_jobs(sp: Producer, log: LogReader) -> None:
    tracker = ProgressTracker("j", sp=sp)
    tracker.items(33, 66, "row 33")
    sp.flush()
    assert (log.snapshot("j")["percent"], log.snapshot("j")["items"]) == (50.0, {"done": 33, "total": 66})
    tracker.items(66, 66)
    tracker.indeterminate("waiting for the printer")
    sp.flush()
    snapshot = log.snapshot("j")
    assert (snapshot["status"], snapshot["percent"], snapshot["message"]) == (
        "running",
        None,
        "waiting for the printer",
    )


def test_steps_are_stages_that_roll_up_with_their_items(sp: Producer, log: LogReader) -> None:
    tracker = ProgressTracker("j", sp=sp)
    seen = []
    for number, step in enumerate(["Read", "Analyze", "Write"], 1):
        tracker.stage(step, number, 3, f"{step}…")
        for done in (1, 2) if step == "Analyze" else ():
            tracker.items(done, 2)
        sp.flush()
        seen.append((log.snapshot("j")["percent"], log.snapshot("j")["current_stage"]))
    tracker.percentage(100)
    sp.flush()
    assert seen == [(0.0, "Read"), (66.67, "Analyze"), (66.67, "Write")]
    assert said(log) == [
        {"type": "job.started"},
        {"type": "stage.started", "stage": "Read", "index": 1, "total_stages": 3, "message": "Read…"},
        {"type": "stage.finished", "stage": "Read"},
        {"type": "stage.started", "stage": "Analyze", "index": 2, "total_stages": 3, "message": "Analyze…"},
        {"type": "stage.progressed", "stage": "Analyze", "done": 1, "total": 2},
        {"type": "stage.progressed", "stage": "Analyze", "done": 2, "total": 2},
        {"type": "stage.finished", "stage": "Analyze"},
        {"type": "stage.started", "stage": "Write", "index": 3, "total_stages": 3, "message": "Write…"},
        {"type": "stage.finished", "stage": "Write"},
        {"type": "job.finished"},
    ]


@pytest.mark.parametrize(
    ("percent", "shown"),
    [(50, 50.0), (41.5, 41.5), (33, 33.33), (90, 66.67), (0, 33.33)],
)
def test_a_percentage_within_a_step_is_the_jobs_as_far_as_the_step_goes(
    sp: Producer, log: LogReader, percent: float, shown: float
) -> None:
    tracker = ProgressTracker("j", sp=sp)
    tracker.stage("Read", 1, 3)
    tracker.stage("Analyze", 2, 3)
    tracker.percentage(percent)
    sp.flush()
    assert log.snapshot("j")["percent"] == shown


def test_a_step_that_is_named_again_keeps_how_far_it_is(sp: Producer, log: LogReader) -> None:
    tracker = ProgressTracker("j", sp=sp)
    tracker.stage("Read", 1, 2)
    tracker.items(1, 2)
    tracker.stage("Read", 1, 2, "still reading")
    sp.flush()
    assert (log.snapshot("j")["percent"], log.snapshot("j")["message"]) == (25.0, "still reading")
    tracker.stage("Write", 2, 2)
    tracker.stage("Read", 1, 2)
    sp.flush()
    assert [(stage["name"], stage["status"]) for stage in log.snapshot("j")["stages"]] == [
        ("Read", "running"),
        ("Write", "finished"),
    ]


def test_a_step_that_is_gone_back_to_is_not_behind(sp: Producer, log: LogReader) -> None:
    tracker = ProgressTracker("j", sp=sp)
    tracker.stage("Read", 1, 4)
    tracker.stage("Analyze", 2, 4)
    tracker.stage("Read", 1, 4)
    tracker.percentage(30)
    sp.flush()
    assert log.snapshot("j")["percent"] == 30.0


def test_what_goes_on_after_100_is_the_jobs_next_attempt(sp: Producer, log: LogReader) -> None:
    tracker = ProgressTracker("j", sp=sp)
    tracker.stage("Read", 1, 2)
    tracker.percentage(100)
    tracker.percentage(30)
    sp.flush()
    snapshot = log.snapshot("j")
    assert (snapshot["status"], snapshot["percent"], snapshot["attempt"], snapshot["late"]) == ("running", 30.0, 2, 0)
    tracker.percentage(100)
    tracker.indeterminate("tidying")
    tracker.percentage(100)
    sp.flush()
    assert (log.snapshot("j")["status"], log.snapshot("j")["attempt"]) == ("finished", 3)


def test_the_next_attempt_begins_without_the_steps_of_the_last(sp: Producer, log: LogReader) -> None:
    tracker = ProgressTracker("j", sp=sp)
    tracker.stage("Read", 1, 2)
    tracker.stage("Write", 2, 2)
    tracker.fail("disk full")
    tracker.items(1, 5)
    sp.flush()
    assert (log.snapshot("j")["percent"], log.snapshot("j")["stages"]) == (20.0, [])
    tracker.stage("Read", 1, 4)
    tracker.percentage(10)
    sp.flush()
    assert log.snapshot("j")["percent"] == 10.0


# Weighted stages ---------------------------------------------------------------------------------------------------


def test_stages_are_declared_with_their_weights_and_the_last_one_ends_the_job(sp: Producer, log: LogReader) -> None:
    progress = StageProgress("j", sp=sp)
    progress.add_stage("Upload", weight=1)
    progress.add_stage("Analyze", weight=3)
    with StageContext(progress, "Upload"):
        pass
    with StageContext(progress, "Analyze") as stage:
        stage.update(50)
        sp.flush()
        assert log.snapshot("j")["percent"] == progress.overall_percent == 62.5
    sp.flush()
    assert said(log) == [
        {"type": "job.started", "stages": [{"name": "Upload", "weight": 1}, {"name": "Analyze", "weight": 3}]},
        {"type": "stage.started", "stage": "Upload"},
        {"type": "stage.finished", "stage": "Upload"},
        {"type": "stage.started", "stage": "Analyze"},
        {"type": "stage.progressed", "stage": "Analyze", "percent": 50.0},
        {"type": "stage.finished", "stage": "Analyze"},
        {"type": "job.finished"},
    ]


def test_a_stage_may_begin_again_and_lose_what_it_had(sp: Producer, log: LogReader) -> None:
    progress = StageProgress("j", [Stage("Parse"), Stage("Write")], sp=sp)
    progress.start_stage("Parse")
    progress.update_stage_progress("Parse", 50)
    progress.start_stage("Parse")
    progress.update_stage_progress("Parse", 0)
    sp.flush()
    assert log.snapshot("j")["percent"] == progress.overall_percent == 0
    assert log.types("j") == ["job.started", "stage.started", "stage.progressed", "stage.progressed"]


def test_with_declares_the_stages_at_once(sp: Producer, log: LogReader) -> None:
    with StageProgress("j", [Stage("Parse"), Stage("Write")], sp=sp):
        sp.flush()
        assert [stage["status"] for stage in log.snapshot("j")["stages"]] == ["pending", "pending"]
        assert log.types("j") == ["job.started"]


def test_a_stage_that_fails_fails_the_job(sp: Producer, log: LogReader) -> None:
    progress = StageProgress("j", [Stage("Upload"), Stage("Parse"), Stage("Write", 2)], sp=sp)
    progress.complete_stage("Upload")
    with pytest.raises(ValueError, match="page 12"), StageContext(progress, "Parse"):
        raise ValueError("page 12 unreadable")
    sp.flush()
    snapshot = log.snapshot("j")
    assert (snapshot["status"], snapshot["percent"]) == ("failed", 25.0)
    assert snapshot["error"] == snapshot["stages"][1]["error"] == {"type": "Error", "detail": "page 12 unreadable"}


def test_a_stage_that_is_tried_again_goes_on_in_the_next_attempt(sp: Producer, log: LogReader) -> None:
    progress = StageProgress("j", [Stage("Upload"), Stage("Parse", 3)], sp=sp)
    progress.complete_stage("Upload")
    progress.start_stage("Parse")
    progress.update_stage_progress("Parse", 50)
    progress.fail_stage("Parse", "no")
    progress.fail_stage("Parse", "no")
    progress.start_stage("Parse")
    sp.flush()
    snapshot = log.snapshot("j")
    assert (snapshot["status"], snapshot["attempt"], snapshot["late"]) == ("running", 2, 0)
    assert snapshot["percent"] == progress.overall_percent == 62.5  # the lesson keeps what the stage had
    assert [stage["status"] for stage in snapshot["stages"]] == ["finished", "running"]
    progress.complete_stage("Parse")
    sp.flush()
    assert (log.snapshot("j")["status"], log.snapshot("j")["percent"]) == ("finished", 100.0)


def test_a_job_whose_stages_have_all_ended_ends_as_they_did(sp: Producer, log: LogReader) -> None:
    progress = StageProgress("j", [Stage("Enrich"), Stage("Write")], sp=sp)
    progress.fail_stage("Enrich", "no dictionary")
    progress.complete_stage("Write")
    sp.flush()
    snapshot = log.snapshot("j")
    assert (snapshot["status"], snapshot["percent"], snapshot["attempt"]) == ("failed", progress.overall_percent, 2)


def test_a_stage_that_is_added_later_weighs_in_at_once(sp: Producer, log: LogReader) -> None:
    progress = StageProgress("j", [Stage("Upload"), Stage("Parse")], sp=sp)
    progress.complete_stage("Upload")
    progress.add_stage("Write", 2)
    sp.flush()
    assert log.snapshot("j")["percent"] == progress.overall_percent == 25.0
    progress.complete_stage("Parse")
    progress.complete_stage("Write")
    progress.add_stage("Check", 4)
    sp.flush()
    snapshot = log.snapshot("j")
    assert (snapshot["status"], snapshot["attempt"]) == ("running", 2)
    assert snapshot["percent"] == progress.overall_percent == 50.0
    assert [stage["status"] for stage in snapshot["stages"]] == ["finished", "finished", "finished", "pending"]


def test_what_was_changed_by_hand_is_told_with_the_next_call(sp: Producer, log: LogReader) -> None:
    progress = StageProgress("j", [Stage("Upload"), Stage("Parse")], sp=sp)
    progress.stages[0].status = StageStatus.SKIPPED
    progress.stages[1].weight = 5
    progress.update_stage_progress("Parse", 50)
    sp.flush()
    assert [(stage["status"], stage["weight"]) for stage in log.snapshot("j")["stages"]] == [
        ("skipped", 1),
        ("pending", 5),
    ]
    progress.complete_stage("Parse")
    sp.flush()
    assert log.snapshot("j")["status"] == "finished"


def test_stages_of_the_same_name_are_told_apart(sp: Producer, log: LogReader) -> None:
    progress = StageProgress("j", [Stage("Parse"), Stage("Parse", 3)], sp=sp)
    progress.complete_stage("Parse")
    sp.flush()
    assert [(stage["name"], stage["status"]) for stage in log.snapshot("j")["stages"]] == [
        ("Parse", "finished"),
        ("Parse (2)", "pending"),
    ]
    assert log.snapshot("j")["percent"] == progress.overall_percent == 25.0


# Documents ---------------------------------------------------------------------------------------------------------


def test_documents_are_units_and_the_job_fails_where_some_did(sp: Producer, log: LogReader) -> None:
    tracker = DocumentProgressTracker("j", sp=sp)
    for name, size in (("doc1.pdf", 1000), ("doc2.pdf", 2000), ("doc3.pdf", 1000)):
        tracker.add_document(name, size_bytes=size)
    tracker.start_document("doc1.pdf")
    tracker.update_document("doc1.pdf", 50, "Halfway")
    tracker.complete_document("doc1.pdf")
    tracker.start_document("doc2.pdf")
    tracker.update_document("doc2.pdf", 25)
    sp.flush()
    assert log.snapshot("j")["percent"] == tracker.overall_percent == 37.5
    tracker.fail_document("doc2.pdf", "Parse error")
    tracker.start_document("doc3.pdf")
    tracker.complete_document("doc3.pdf")
    sp.flush()
    snapshot = log.snapshot("j")
    assert (snapshot["status"], snapshot["percent"]) == ("failed", 50.0)
    assert snapshot["percent"] == tracker.get_status()["overall_percent"]
    assert snapshot["units"] == {"total": 3, "pending": 0, "running": 0, "finished": 2, "failed": 1}
    assert snapshot["error"]["detail"] == "1 of 3 documents failed, the first of them doc2.pdf: Parse error"
    assert said(log)[:6] == [
        {"type": "job.started"},
        {"type": "unit.added", "unit": "doc1.pdf", "weight": 1000},
        {"type": "unit.added", "unit": "doc2.pdf", "weight": 2000},
        {"type": "unit.added", "unit": "doc3.pdf", "weight": 1000},
        {"type": "unit.started", "unit": "doc1.pdf", "weight": 1000},
        {"type": "unit.progressed", "unit": "doc1.pdf", "percent": 50.0, "message": "Halfway"},
    ]


def test_a_job_whose_documents_are_all_complete_is_finished(sp: Producer, log: LogReader) -> None:
    tracker = DocumentProgressTracker("j", sp=sp)
    tracker.add_document("a")
    tracker.add_document("b")
    tracker.complete_document("a")
    sp.flush()
    assert log.snapshot("j")["percent"] == 50.0
    tracker.complete_document("b")
    sp.flush()
    assert (log.snapshot("j")["status"], log.snapshot("j")["percent"]) == ("finished", 100.0)


def test_what_is_no_news_of_a_document_is_not_told(sp: Producer, log: LogReader) -> None:
    tracker = DocumentProgressTracker("j", sp=sp)
    tracker.add_document("a")
    tracker.add_document("b")
    for _ in range(2):
        tracker.complete_document("a")
        tracker.fail_document("b", "no")
    tracker.update_document("a", 30)
    sp.flush()
    assert log.types("j") == ["job.started", "unit.added", "unit.added", "unit.finished", "unit.failed", "job.failed"]


def test_threads_may_each_work_on_documents_of_their_own(sp: Producer, log: LogReader) -> None:
    tracker = DocumentProgressTracker("j", lambda status: None, sp=sp)
    names = [f"{number}.pdf" for number in range(100)]
    for name in names:
        tracker.add_document(name, 10)

    def read(name: str) -> None:
        tracker.start_document(name)
        tracker.update_document(name, 50)
        tracker.complete_document(name)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(read, names))
    sp.flush()
    snapshot = log.snapshot("j")
    assert (snapshot["status"], snapshot["attempt"], snapshot["units"]["finished"]) == ("finished", 1, 100)


def test_documents_that_turn_up_as_they_start_do_not_end_the_job(sp: Producer, log: LogReader) -> None:
    tracker = DocumentProgressTracker("j", sp=sp)
    tracker.start_document("doc1.pdf")
    tracker.complete_document("doc1.pdf")
    tracker.start_document("doc2.pdf")
    tracker.fail_document("doc2.pdf", "Parse error")
    sp.flush()
    snapshot = log.snapshot("j")
    assert (snapshot["status"], snapshot["attempt"]) == ("running", 1)
    assert snapshot["percent"] == tracker.get_status()["overall_percent"] == 50.0
    tracker.finish({"read": 1})
    sp.flush()
    assert (log.snapshot("j")["status"], log.snapshot("j")["result"]) == ("finished", {"read": 1})


def test_a_document_that_is_added_after_the_end_goes_on_in_the_next_attempt_which_ends_only_when_told(
    sp: Producer, log: LogReader
) -> None:
    tracker = DocumentProgressTracker("j", sp=sp)
    for name in ("a", "b", "c"):
        tracker.add_document(name, 100)
        tracker.start_document(name)
        tracker.complete_document(name)
    sp.flush()
    snapshot = log.snapshot("j")
    assert (snapshot["status"], snapshot["attempt"], snapshot["late"]) == ("running", 2, 0)
    assert snapshot["units"]["finished"] == 3
    tracker.finish()
    sp.flush()
    assert log.snapshot("j")["status"] == "finished"


def test_a_document_that_is_tried_again_is_the_units_next_attempt(sp: Producer, log: LogReader) -> None:
    tracker = DocumentProgressTracker("j", sp=sp)
    tracker.add_document("a", 100)
    tracker.add_document("b", 300)
    tracker.start_document("a")
    tracker.update_document("a", 20)
    tracker.fail_document("a", "no")
    tracker.start_document("a")
    sp.flush()
    assert log.snapshot("j")["percent"] == tracker.overall_percent == 5.0  # the lesson keeps what it had
    tracker.complete_document("a")
    tracker.fail_document("a", "after all")
    tracker.add_document("a", 100)
    sp.flush()
    snapshot = log.snapshot("j")
    assert snapshot["percent"] == tracker.overall_percent == 0
    assert snapshot["units"] == {"total": 2, "pending": 2, "running": 0, "finished": 0, "failed": 0}
    assert snapshot["attempt"] == 1
    assert said(log)[-1] == {"type": "unit.added", "unit": "a", "weight": 100, "attempt": 4}


def test_a_size_that_is_taken_back_weighs_no_more(sp: Producer, log: LogReader) -> None:
    tracker = DocumentProgressTracker("j", sp=sp)
    tracker.add_document("a", 100)
    tracker.add_document("b")
    tracker.complete_document("b")
    tracker.add_document("a")
    sp.flush()
    assert log.snapshot("j")["percent"] == tracker.overall_percent == 50.0
    tracker.complete_document("a")
    sp.flush()
    assert log.snapshot("j")["status"] == "finished"


def test_what_does_not_count_yet_is_not_told(sp: Producer, log: LogReader) -> None:
    tracker = DocumentProgressTracker("j", sp=sp)
    tracker.add_document("a")
    tracker.add_document("b")
    tracker.update_document("a", 50)
    tracker.complete_document("b")
    tracker.update_document("b", 50)
    sp.flush()
    assert log.snapshot("j")["percent"] == tracker.overall_percent == 50.0
    tracker.start_document("a")
    sp.flush()
    assert log.snapshot("j")["percent"] == tracker.overall_percent == 75.0


# Indicators --------------------------------------------------------------------------------------------------------


def test_tasks_count_as_units_of_which_the_last_attempt_counts(sp: Producer, log: LogReader) -> None:
    with IndicatorTracker("j", sp=sp) as job:
        root = job.task("root")
        root.progress("download").add(2)
        root.progress("process").add(2)
        job.task("first").progress("download").done(1)
        elsewhere = IndicatorTracker("j", sp=sp)
        elsewhere.task("second").progress("download").done(1)
        elsewhere.task("second").progress("download").done(1)
        sp.flush()
        snapshot = log.snapshot("j")
        assert snapshot["indicators"] == [
            {"label": "download", "done": 2, "total": 2},
            {"label": "process", "done": 0, "total": 2},
        ]
        assert snapshot["percent"] == 50.0
        assert [(each.label, each.total, each.done) for each in job.progress] == [
            ("download", 2, 1),
            ("process", 2, 0),
        ]
    sp.flush()
    assert log.snapshot("j")["status"] == "finished"


def test_the_progress_of_a_job_is_found_by_its_id(sp: Producer, log: LogReader) -> None:
    job = IndicatorTracker("j", sp=sp)
    job.task("root").progress("download").add(2)
    job.task("first").progress("download").done(1)
    sp.flush()
    log.serve("j", log.snapshot("j"))
    assert repr(sp.find("j").progress) == "[ProgressIndicator(label='download', total=2, done=1)]"
    assert sp.find("j").progress == job.progress


# How it ends -------------------------------------------------------------------------------------------------------

Make = Callable[[Producer], Any]
EVERY: list[Any] = [
    pytest.param(lambda sp: ProgressTracker("j", sp=sp), id="progress"),
    pytest.param(lambda sp: StageProgress("j", [Stage("Parse")], sp=sp), id="stages"),
    pytest.param(lambda sp: DocumentProgressTracker("j", sp=sp), id="documents"),
    pytest.param(lambda sp: IndicatorTracker("j", sp=sp), id="indicators"),
]


@pytest.mark.parametrize("make", EVERY)
def test_with_starts_and_ends_the_job(sp: Producer, log: LogReader, make: Make) -> None:
    with make(sp):
        sp.flush()
        assert log.types("j") == ["job.started"]
    sp.flush()
    assert log.types("j") == ["job.started", "job.finished"]


@pytest.mark.parametrize("make", EVERY)
def test_an_exception_in_with_fails_the_job_and_goes_on_up(sp: Producer, log: LogReader, make: Make) -> None:
    with pytest.raises(KeyError), make(sp):
        raise KeyError("row")
    sp.flush()
    assert log.snapshot("j")["status"] == "failed"
    assert log.snapshot("j")["error"] == {"type": "KeyError", "detail": "'row'"}


@pytest.mark.parametrize("make", EVERY)
def test_a_job_that_is_canceled_is_no_failure(sp: Producer, log: LogReader, make: Make) -> None:
    with pytest.raises(JobCanceled), make(sp):
        raise JobCanceled("enough")
    sp.flush()
    assert (log.snapshot("j")["status"], log.snapshot("j")["message"]) == ("canceled", "enough")


@pytest.mark.parametrize("make", EVERY)
def test_a_job_ends_once(sp: Producer, log: LogReader, make: Make) -> None:
    tracker = make(sp)
    tracker.finish({"rows": 3}, message="done")
    tracker.fail("too late")
    tracker.cancel("too late")
    sp.flush()
    assert said(log) == [{"type": "job.started"}, {"type": "job.finished", "result": {"rows": 3}, "message": "done"}]


def test_inside_with_only_with_ends_the_job(sp: Producer, log: LogReader) -> None:
    with ProgressTracker("bar", sp=sp) as bar:
        bar.percentage(100)
        bar.percentage(50)
    with StageProgress("stages", [Stage("A"), Stage("B")], sp=sp) as stages:
        stages.fail_stage("A", "no")
        stages.complete_stage("B")
        stages.start_stage("A")
    with DocumentProgressTracker("documents", sp=sp) as documents:
        for name in ("a", "b"):
            documents.add_document(name)
            documents.complete_document(name)
        documents.fail_document("b", "no")
    sp.flush()
    assert (log.snapshot("bar")["status"], log.snapshot("bar")["attempt"]) == ("finished", 1)
    assert (log.snapshot("stages")["status"], log.snapshot("stages")["attempt"]) == ("finished", 1)
    assert (log.snapshot("documents")["status"], log.snapshot("documents")["attempt"]) == ("failed", 1)
    assert log.snapshot("documents")["percent"] == documents.overall_percent == 50.0


def test_a_failure_of_the_job_is_one_of_the_step_that_it_was_in(sp: Producer, log: LogReader) -> None:
    tracker = ProgressTracker("j", sp=sp)
    tracker.stage("Read", 1, 2)
    tracker.stage("Write", 2, 2)
    tracker.fail(OSError("disk full"))
    sp.flush()
    snapshot = log.snapshot("j")
    assert [stage["status"] for stage in snapshot["stages"]] == ["finished", "failed"]
    assert (snapshot["status"], snapshot["percent"], snapshot["error"]["detail"]) == ("failed", 50.0, "disk full")


def test_a_job_that_is_canceled_in_a_stage_leaves_the_stage_as_far_as_it_was(sp: Producer, log: LogReader) -> None:
    progress = StageProgress("j", [Stage("Parse"), Stage("Write")], sp=sp)

    def parse() -> None:
        with progress, StageContext(progress, "Parse") as stage:
            stage.update(50)
            raise JobCanceled

    with pytest.raises(JobCanceled):
        parse()
    sp.flush()
    assert log.types("j")[-1] == "job.canceled"
    assert log.snapshot("j")["percent"] == progress.overall_percent == 25.0


def test_a_retry_by_the_caller_says_its_attempt(sp: Producer, log: LogReader) -> None:
    ProgressTracker("j", sp=sp).percentage(100)
    tracker = ProgressTracker("j", sp=sp, attempt=2)
    tracker.percentage(10)
    sp.flush()
    assert (log.snapshot("j")["percent"], log.snapshot("j")["attempt"]) == (10.0, 2)
    tracker.percentage(100)
    tracker.percentage(20)
    sp.flush()
    assert (log.snapshot("j")["percent"], log.snapshot("j")["attempt"]) == (20.0, 3)


# What was handed in ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [ProgressTracker, StageProgress, DocumentProgressTracker, IndicatorTracker])
def test_an_id_that_cannot_be_one_is_refused_where_it_is_given(sp: Producer, make: Callable[..., object]) -> None:
    with pytest.raises(ValueError, match="job"):
        make("no spaces", sp=sp)
    with pytest.raises(ValueError, match="attempt"):
        make("j", sp=sp, attempt=0)


def test_numbers_that_are_none_are_no_news(sp: Producer, log: LogReader) -> None:
    tracker = ProgressTracker("j", sp=sp)
    for percent, shown in ((math.nan, None), (-5, 0.0), (-math.inf, None), (99.999, 100.0)):
        tracker.percentage(percent)
        sp.flush()
        assert (log.snapshot("j")["percent"], log.snapshot("j")["status"]) == (shown, "running")
    tracker.items(-3, 10)
    sp.flush()
    assert log.snapshot("j")["percent"] == 0.0
    tracker.emit(ProgressEvent("j", ProgressType.ITEMS, completed_items=None, total_items=2**70))
    sp.flush()
    assert log.snapshot("j")["items"] == {"done": 0, "total": 2**53 - 1}
    tracker.percentage(150)
    sp.flush()
    assert log.snapshot("j")["status"] == "finished"


def test_names_that_are_none_are_made_to_fit_and_stay_apart(sp: Producer, log: LogReader) -> None:
    names = ["", "two\nlines", "two\rlines", "x" * 300 + "1", "x" * 300 + "2", "caf\udce9.pdf", "plain.pdf"]
    tracker = DocumentProgressTracker("j", sp=sp)
    for name in names:
        tracker.add_document(name)
    for name in names[:-1]:
        tracker.complete_document(name)
    sp.flush()
    assert log.snapshot("j")["units"]["total"] == len(names)
    assert log.snapshot("j")["percent"] == pytest.approx(tracker.overall_percent, abs=0.01)
    told = [event["unit"] for event in said(log) if event["type"] == "unit.added"]
    assert told[1].startswith("two?lines~")
    assert told[-1] == "plain.pdf"


def test_messages_and_details_that_are_none_do_no_harm(sp: Producer, log: LogReader) -> None:
    tracker = ProgressTracker("j", sp=sp)
    tracker.percentage(10, 5)  # type: ignore[arg-type]
    tracker.emit(ProgressEvent("j", ProgressType.PERCENTAGE, percent=20, details={"a": object()}))
    tracker.stage("Read", 1.5, 10**9, "x" * 5000)  # type: ignore[arg-type]
    sp.flush()
    events = said(log)
    assert events[1]["message"] == "5"
    assert events[2] == {"type": "job.progressed", "percent": 20.0}
    assert (events[3]["index"], events[3].get("total_stages"), len(events[3]["message"])) == (1, None, 1000)
    stages = StageProgress("k", [Stage("A", math.nan), Stage("B", -1), Stage("C", 2)], sp=sp)
    stages.fail_stage("A", KeyError("a"))  # type: ignore[arg-type]
    sp.flush()
    assert [stage["weight"] for stage in log.snapshot("k")["stages"]] == [0, 0, 2]
    documents = DocumentProgressTracker("l", sp=sp)
    documents.add_document("a")
    documents.documents["a"].progress = math.nan
    documents.start_document("a")
    sp.flush()
    assert log.snapshot("l")["percent"] == 0.0


def test_more_stages_than_can_be_declared_show_as_they_start(
    sp: Producer, log: LogReader, caplog: pytest.LogCaptureFixture
) -> None:
    progress = StageProgress("j", [Stage(f"stage {number}") for number in range(1001)], sp=sp)
    with caplog.at_level(logging.WARNING):
        progress.start_stage("stage 7")
    assert "its stages can't be declared" in caplog.text
    sp.flush()
    assert log.types("j") == ["job.started", "stage.started"]


def test_after_the_connection_is_closed_the_work_goes_on(
    sp: Producer, log: LogReader, caplog: pytest.LogCaptureFixture
) -> None:
    documents = DocumentProgressTracker("j", sp=sp)
    documents.add_document("a")
    documents.complete_document("a")
    progress = StageProgress("k", [Stage("Parse")], sp=sp)
    sp.close()
    with caplog.at_level(logging.WARNING):
        documents.start_document("a")
        progress.start_stage("Parse")
        progress.complete_stage("Parse")
    assert "after close" in caplog.text
    assert (documents.overall_percent, progress.overall_percent) == (100.0, 100.0)
    assert log.types("j")[-1] == "job.finished"


def test_a_callback_that_raises_does_not_keep_the_report_back(sp: Producer, log: LogReader) -> None:
    def refuse(event: ProgressEvent) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        ProgressTracker("j", refuse, sp=sp).percentage(40)
    sp.flush()
    assert log.snapshot("j")["percent"] == 40.0


async def test_trackers_report_to_an_asynchronous_connection_with_plain_calls(
    server_url: str, namespace: str, log: LogReader
) -> None:
    async with streamproc.connect_async(server_url, namespace=namespace) as sp:
        progress = StageProgress("j", [Stage("Upload"), Stage("Parse")], sp=sp)
        with StageContext(progress, "Upload"):
            await sp.flush()
        with StageContext(progress, "Parse") as stage:
            stage.update(50)
        with DocumentProgressTracker("k", sp=sp) as documents:
            documents.start_document("a")
    assert (log.snapshot("j")["status"], log.snapshot("j")["percent"]) == ("finished", 100.0)
    assert log.snapshot("k")["status"] == "finished"
