"""The lessons' trackers in memory: code that was written for their interfaces, and the numbers that it expects."""

import asyncio
import copy
import json
import math
import pickle
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from streamproc.trackers import (
    DocStatus,
    DocumentProgress,
    DocumentProgressTracker,
    IndicatorTracker,
    ProgressEvent,
    ProgressIndicator,
    ProgressTracker,
    ProgressType,
    Stage,
    StageContext,
    StageProgress,
    StageStatus,
)

# One bar -----------------------------------------------------------------------------------------------------------


async def summarise(names: list[str], tracker: ProgressTracker) -> None:
    """A worker in the way of the lesson: steps, items in one of them, and 100 at the end."""
    steps = ["Read", "Extract", "Analyze", "Write"]
    for number, step in enumerate(steps, 1):
        tracker.stage(step, number, len(steps))
        for done, name in enumerate(names if step == "Analyze" else [], 1):
            await asyncio.sleep(0)
            tracker.items(done, len(names), f"Analyzed {name}")
    tracker.percentage(100, "Complete!")


async def test_a_worker_of_the_lesson_runs_unchanged() -> None:
    seen: list[ProgressEvent] = []
    tracker = ProgressTracker("job-1", on_progress=seen.append)
    await summarise(["a.pdf", "b.pdf"], tracker)
    assert seen == tracker.history
    assert [(event.type.value, event.percent, event.message) for event in seen] == [
        ("stage", 25.0, None),
        ("stage", 50.0, None),
        ("stage", 75.0, None),
        ("items", 50.0, "Analyzed a.pdf"),
        ("items", 100.0, "Analyzed b.pdf"),
        ("stage", 100.0, None),
        ("percentage", 100, "Complete!"),
    ]
    assert (seen[0].stage, seen[0].stage_index, seen[0].total_stages) == ("Read", 1, 4)
    assert (seen[3].completed_items, seen[3].total_items) == (1, 2)


def test_an_event_as_json_has_the_keys_of_the_lesson() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5)
    event = ProgressEvent("job-1", ProgressType.ITEMS, moment, completed_items=3, total_items=4, details={"row": 7})
    event.estimated_remaining_seconds = 1.5
    assert event.to_dict() == {
        "job_id": "job-1",
        "type": "items",
        "timestamp": "2026-01-02T03:04:05",
        "percent": None,
        "stage": None,
        "stage_index": None,
        "total_stages": None,
        "completed_items": 3,
        "total_items": 4,
        "message": None,
        "details": {"row": 7},
        "estimated_remaining": 1.5,
    }
    assert json.loads(json.dumps(event.to_dict()))["percent"] is None
    assert ProgressEvent("job-1", ProgressType.INDETERMINATE).timestamp.tzinfo is None


def test_the_types_of_progress_have_the_values_of_the_lesson() -> None:
    assert [kind.value for kind in ProgressType] == ["percentage", "stage", "items", "indeterminate"]
    assert [status.value for status in StageStatus] == ["pending", "running", "completed", "failed", "skipped"]
    assert [status.value for status in DocStatus] == ["pending", "processing", "completed", "failed"]


def test_what_remains_is_estimated_by_the_pace_so_far() -> None:
    tracker = ProgressTracker("job-1")
    tracker.start_time = datetime.now() - timedelta(seconds=60)
    for percent in (0, -5, math.nan, 25, 100):
        tracker.percentage(percent)
    tracker.items(1, 2)
    remaining = [event.estimated_remaining_seconds for event in tracker.history]
    assert remaining[:3] == [None, None, None]
    assert remaining[3] == pytest.approx(180, rel=0.2)
    assert remaining[4] == pytest.approx(0, abs=1e-6)
    assert remaining[5] is None


def test_nothing_of_nothing_is_zero_percent() -> None:
    tracker = ProgressTracker("job-1")
    tracker.items(3, 0)
    tracker.items(3, -1)
    tracker.stage("Read", 1, 0)
    assert [event.percent for event in tracker.history] == [0, 0, 0]


def test_an_event_can_be_emitted_by_hand_and_a_callback_set_later() -> None:
    tracker = ProgressTracker("job-1")
    tracker.indeterminate("waiting")
    seen: list[ProgressEvent] = []
    tracker.on_progress = seen.append
    event = ProgressEvent("job-1", ProgressType.PERCENTAGE, percent=5, details={"row": 1})
    tracker.emit(event)
    assert seen == [event]
    assert tracker.history[1] is event
    assert (tracker.history[0].message, tracker.history[0].percent) == ("waiting", None)


# Weighted stages ---------------------------------------------------------------------------------------------------


async def build(progress: StageProgress, items: list[int]) -> None:
    with StageContext(progress, "Upload"):
        await asyncio.sleep(0)
    with StageContext(progress, "Parse") as stage:
        for done, _ in enumerate(items, 1):
            stage.update(done / len(items) * 100)
    with StageContext(progress, "Analyze") as stage:
        await call_with(stage.update)


async def call_with(progress_callback: Callable[[float], None]) -> None:
    progress_callback(40)


async def test_stages_roll_up_by_their_weights() -> None:
    updates: list[dict[str, Any]] = []
    progress = StageProgress(job_id="job-1", on_update=updates.append)
    progress.add_stage("Upload", weight=1)
    progress.add_stage("Parse", weight=2)
    progress.add_stage("Analyze", weight=5)
    progress.add_stage("Generate")
    assert (progress.total_weight, progress.completed_weight, progress.overall_percent) == (9, 0, 0)
    await build(progress, [1, 2])
    seen = [(update["current_stage"], update["overall_percent"]) for update in updates]
    assert seen == [
        ("Upload", 0.0),
        (None, 11.1),
        ("Parse", 11.1),
        ("Parse", 22.2),
        ("Parse", 33.3),
        (None, 33.3),
        ("Analyze", 33.3),
        ("Analyze", 55.6),
        (None, 88.9),
    ]
    assert updates[-1].keys() == {"job_id", "overall_percent", "current_stage", "stages"}
    assert updates[-1]["stages"][2].keys() == {"name", "status", "progress", "duration"}
    assert updates[-1]["stages"][2]["duration"] >= 0
    assert updates[-1]["stages"][3] == {"name": "Generate", "status": "pending", "progress": 0.0, "duration": None}


def test_a_stage_that_fails_counts_as_nothing_done_and_its_exception_goes_on_up() -> None:
    progress = StageProgress("job-1", [Stage("Parse"), Stage("Write", weight=3)])

    def parse() -> None:
        with StageContext(progress, "Parse") as stage:
            stage.update(50)
            assert progress.overall_percent == 12.5
            raise ValueError("page 12 unreadable")

    with pytest.raises(ValueError, match="page 12"):
        parse()
    assert (progress.stages[0].status, progress.stages[0].error) == (StageStatus.FAILED, "page 12 unreadable")
    assert progress.overall_percent == 0
    context = StageContext(progress, "Write")
    context.__enter__()
    assert context.__exit__(None, None, None) is False
    error = ValueError("no")
    assert context.__exit__(ValueError, error, None) is False


def test_a_stage_counts_while_it_runs_within_0_and_100() -> None:
    progress = StageProgress("job-1", [Stage("Parse")])
    progress.update_stage_progress("Parse", 50)
    assert progress.overall_percent == 0
    progress.start_stage("Parse")
    assert progress.overall_percent == 50
    for said, kept in ((150, 100), (-3, 0), (math.nan, 0), (math.inf, 100), (33.3, 33.3)):
        progress.update_stage_progress("Parse", said)
        assert progress.stages[0].sub_progress == kept


def test_stages_that_it_does_not_have_are_ignored() -> None:
    updates: list[object] = []
    progress = StageProgress("job-1", [Stage("Parse")], updates.append)
    progress.start_stage("Prase")
    progress.update_stage_progress("Prase", 50)
    progress.complete_stage("Prase")
    progress.fail_stage("Prase", "no")
    assert updates == []
    assert progress.stages == [Stage("Parse", 1.0, StageStatus.PENDING, None, None, None, 0.0)]
    assert (StageProgress("job-1").overall_percent, StageProgress("job-1").current_stage) == (0, None)


# Documents ---------------------------------------------------------------------------------------------------------


def test_documents_weigh_by_their_sizes_and_a_failed_one_counts_as_nothing() -> None:
    updates: list[dict[str, Any]] = []
    tracker = DocumentProgressTracker(job_id="job-1", on_update=lambda status: updates.append(status))
    tracker.add_document("doc1.pdf", size_bytes=1000)
    tracker.add_document("doc2.pdf", size_bytes=2000)
    tracker.add_document("doc3.pdf", size_bytes=1000)
    tracker.start_document("doc1.pdf")
    tracker.update_document("doc1.pdf", 50, "Halfway")
    assert (tracker.total_weight, tracker.completed_weight, tracker.overall_percent) == (4000, 500, 12.5)
    tracker.complete_document("doc1.pdf")
    tracker.start_document("doc2.pdf")
    tracker.update_document("doc2.pdf", 25)
    assert tracker.overall_percent == 37.5
    tracker.fail_document("doc2.pdf", "Parse error")
    tracker.start_document("doc3.pdf")
    tracker.complete_document("doc3.pdf")
    status = tracker.get_status()
    assert (status["overall_percent"], status["completed"], status["failed"]) == (50.0, 2, 1)
    assert [(each["name"], each["status"], each["message"], each["error"]) for each in status["documents"]] == [
        ("doc1.pdf", "completed", "Complete", None),
        ("doc2.pdf", "failed", "Failed: Parse error", "Parse error"),
        ("doc3.pdf", "completed", "Complete", None),
    ]
    assert [update["overall_percent"] for update in updates[-3:]] == [25.0, 25.0, 50.0]
    assert len(updates) == 11


def test_the_status_has_the_keys_of_the_lesson() -> None:
    tracker = DocumentProgressTracker("job-1")
    tracker.start_document("doc1.pdf")
    status = tracker.get_status()
    (document,) = status.pop("documents")
    assert status == {
        "job_id": "job-1",
        "overall_percent": 0.0,
        "estimated_remaining": None,
        "total_documents": 1,
        "completed": 0,
        "failed": 0,
    }
    assert document.pop("duration") >= 0
    assert document == {
        "name": "doc1.pdf",
        "status": "processing",
        "progress": 0.0,
        "message": "Processing...",
        "error": None,
    }


def test_documents_without_sizes_weigh_the_same() -> None:
    tracker = DocumentProgressTracker("doc_job_1")
    tracker.start_document("doc1.pdf")
    tracker.update_document("doc1.pdf", 50, "Analyzing")
    tracker.complete_document("doc1.pdf")
    tracker.start_document("doc2.pdf")
    tracker.fail_document("doc2.pdf", "Parse error")
    assert (tracker.total_weight, tracker.get_status()["overall_percent"]) == (2, 50.0)
    tracker.add_document("doc3.pdf", 300)
    assert (tracker.total_weight, tracker.overall_percent) == (300, 0)


def test_documents_that_it_does_not_have_are_ignored_but_for_a_start() -> None:
    updates: list[object] = []
    tracker = DocumentProgressTracker("job-1", updates.append)
    tracker.update_document("doc1.pdf", 50)
    tracker.complete_document("doc1.pdf")
    tracker.fail_document("doc1.pdf", "no")
    assert (updates, tracker.documents, tracker.overall_percent) == ([], {}, 0)
    tracker.start_document("doc1.pdf")
    assert len(updates) == 2
    for said, kept in ((150, 100), (-3, 0), (math.nan, 0), (12.5, 12.5)):
        tracker.update_document("doc1.pdf", said)
        assert tracker.documents["doc1.pdf"].progress == kept


def test_a_document_has_no_duration_before_it_starts() -> None:
    document = DocumentProgress("doc1.pdf", size_bytes=5)
    assert document.duration is None
    document.started_at = 10.0
    document.completed_at = 12.5
    assert document.duration == 2.5
    document.completed_at = None
    assert document.duration == pytest.approx(time.time() - 10.0, abs=60)


def test_what_remains_is_estimated_by_the_documents_that_are_complete() -> None:
    tracker = DocumentProgressTracker("job-1")
    for name in ("a", "b", "c"):
        tracker.add_document(name)
    assert tracker.estimated_remaining is None
    tracker.complete_document("a")
    assert tracker.estimated_remaining is None  # it never started, so nobody knows how long one takes
    tracker.start_document("a")
    tracker.documents["a"].started_at = time.time() - 100
    tracker.complete_document("a")
    assert tracker.estimated_remaining == pytest.approx(200, rel=0.2)
    tracker.start_document("b")
    tracker.update_document("b", 75)
    assert tracker.get_status()["estimated_remaining"] == pytest.approx(125, rel=0.2)
    tracker.fail_document("b", "no")
    tracker.fail_document("c", "no")
    assert tracker.estimated_remaining == 0
    assert tracker.get_status()["estimated_remaining"] is None


# Indicators --------------------------------------------------------------------------------------------------------


def test_indicators_are_the_sums_over_the_tasks() -> None:
    job = IndicatorTracker("job-1")
    root = job.task("root")
    root.progress("download").add(2)
    root.progress("process").add(2)
    job.task("download 1").progress("download").done(1)
    assert job.progress == [
        ProgressIndicator(label="download", total=2, done=1),
        ProgressIndicator(label="process", total=2, done=0),
    ]
    assert repr(job.progress[0]) == "ProgressIndicator(label='download', total=2, done=1)"
    root.progress().add(10)
    root.progress().done()
    assert job.progress[2] == ProgressIndicator(label="progress", total=10, done=1)


def test_only_the_last_attempt_at_a_task_counts() -> None:
    job = IndicatorTracker("job-1")
    first = job.task("t")
    first.progress().add(10)
    first.progress().done(4)
    job.task("u").progress().add(1)
    again = job.task("t")
    assert again.attempt == 2
    assert job.progress == [ProgressIndicator("progress", 11, 4)]
    again.progress().add(5)
    assert job.progress == [ProgressIndicator("progress", 6, 0)]
    first.progress().done(4)
    assert job.progress == [ProgressIndicator("progress", 6, 0)]
    job.task("t", attempt=7).progress("other").add(1)
    job.task("t", attempt=3).progress("other").add(1)
    assert job.task("t").attempt == 8
    assert job.progress == [ProgressIndicator("progress", 1, 0), ProgressIndicator("other", 1, 0)]


# All of them -------------------------------------------------------------------------------------------------------


def test_what_a_callback_raises_goes_up() -> None:
    def refuse(said: object) -> None:
        raise LookupError

    trackers: list[Callable[[], object]] = [
        lambda: ProgressTracker("job-1", refuse).percentage(5),
        lambda: StageProgress("job-1", [Stage("Parse")], refuse).start_stage("Parse"),
        lambda: DocumentProgressTracker("job-1", refuse).add_document("a"),
    ]
    for call in trackers:
        with pytest.raises(LookupError):
            call()


def test_alone_there_is_nothing_to_end() -> None:
    for tracker in (ProgressTracker("any id / at all"), StageProgress(""), DocumentProgressTracker("x" * 300)):
        with tracker as entered:
            assert entered is tracker
        tracker.finish({"rows": 3})
        tracker.fail("no")
        tracker.cancel()


def test_they_can_be_copied_and_pickled() -> None:
    progress = StageProgress("job-1", [Stage("Parse", 2)])
    progress.start_stage("Parse")
    documents = DocumentProgressTracker("job-1")
    documents.start_document("a")
    assert copy.deepcopy(progress) == progress
    assert copy.deepcopy(documents).documents == documents.documents
    again = pickle.loads(pickle.dumps([progress, documents]))  # noqa: S301  (our own)
    assert again[0] == progress
    assert again[1].documents == documents.documents
    assert repr(StageProgress("job-1")) == "StageProgress(job_id='job-1', stages=[], on_update=None)"
