"""Whatever is called in whatever order, the job's percent is the tracker's own, and what this file works out."""

import math
import secrets
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import streamproc
from streamproc import Producer
from streamproc.trackers import (
    DocumentProgressTracker,
    IndicatorTracker,
    ProgressEvent,
    ProgressTracker,
    ProgressType,
    Stage,
    StageProgress,
    StageStatus,
)
from tests.support.producing import LogReader

EXAMPLES = settings(max_examples=60, deadline=None)

NAMES = st.sampled_from(["a", "b", "c", "odd\nname"])
PERCENTS = st.floats(-20, 120) | st.integers(0, 100) | st.just(float("nan"))
WHAT_EVER: st.SearchStrategy[Any] = st.one_of(
    st.none(), st.text(max_size=20), st.integers(), st.floats(), st.binary(max_size=5), st.builds(object), st.booleans()
)

Calls = list[tuple[Any, ...]]


class Reporting(NamedTuple):
    sp: Producer
    log: LogReader

    def percent(self, job: str) -> float | None:
        self.sp.flush()
        percent: float | None = self.snapshot(job)["percent"]
        return percent

    def snapshot(self, job: str) -> dict[str, Any]:
        return self.log.snapshot(job)


@pytest.fixture(scope="module")
def reporting(server_url: str) -> Iterator[Reporting]:
    namespace = f"t{secrets.token_hex(4)}"
    log = LogReader(server_url, namespace)
    with streamproc.connect(server_url, namespace=namespace) as sp:
        yield Reporting(sp, log)
    log.client.close()


@dataclass
class Part:
    """A stage or a document, by what was said of it."""

    weight: float
    status: str = "pending"
    percent: float = 0.0

    def hear(self, call: str, more: list[Any]) -> None:
        verb = call.partition("_")[0]
        if verb == "update":
            self.percent = clamped(more[0])
        elif verb == "complete":
            self.status, self.percent = verb, 100.0
        else:
            self.status = verb

    @property
    def points(self) -> float:
        return self.weight * {"start": self.percent, "complete": 100.0}.get(self.status, 0.0)


def percent_of(parts: Collection[Part]) -> float:
    weight = sum(part.weight for part in parts)
    return sum(part.points for part in parts) / weight if weight else 0.0


def clamped(percent: float) -> float:
    return 0.0 if math.isnan(percent) else min(max(percent, 0.0), 100.0)


# Stages ------------------------------------------------------------------------------------------------------------

STAGE_CALLS = st.one_of(
    st.tuples(st.just("add_stage"), NAMES, st.integers(0, 9) | st.floats(0, 9)),
    st.tuples(st.just("start_stage"), NAMES),
    st.tuples(st.just("update_stage_progress"), NAMES, PERCENTS),
    st.tuples(st.just("complete_stage"), NAMES),
    st.tuples(st.just("fail_stage"), NAMES, st.sampled_from(["no", ""])),
)


def percent_of_stages(calls: Calls) -> float:
    parts: list[tuple[str, Part]] = []
    for call, name, *more in calls:
        if call == "add_stage":
            parts.append((name, Part(more[0])))
        else:
            for part in [part for known, part in parts if known == name][:1]:
                part.hear(call, more)
    return percent_of([part for _, part in parts])


@given(calls=st.lists(STAGE_CALLS, max_size=25))
@EXAMPLES
def test_the_percent_of_stages(reporting: Reporting, calls: Calls) -> None:
    job = secrets.token_hex(6)
    progress = StageProgress(job, sp=reporting.sp)
    for call, *arguments in calls:
        getattr(progress, call)(*arguments)
    assert progress.overall_percent == pytest.approx(percent_of_stages(calls))
    percent = reporting.percent(job)
    if progress.total_weight:
        assert percent is None or percent == pytest.approx(progress.overall_percent, abs=0.006)
        assert percent is not None or progress.overall_percent == 0
    complete = [stage.status is StageStatus.COMPLETED for stage in progress.stages]
    snapshot = reporting.snapshot(job)
    assert (snapshot["status"] == "finished") == (bool(complete) and all(complete))
    assert snapshot["late"] == 0


# Documents ---------------------------------------------------------------------------------------------------------

DOCUMENT_CALLS = st.one_of(
    st.tuples(st.just("add_document"), NAMES, st.sampled_from([0, 0, 1, 1000, 2000])),
    st.tuples(st.just("start_document"), NAMES),
    st.tuples(st.just("update_document"), NAMES, PERCENTS, st.sampled_from(["", "Analyzing"])),
    st.tuples(st.just("complete_document"), NAMES),
    st.tuples(st.just("fail_document"), NAMES, st.sampled_from(["no", ""])),
)


def percent_of_documents(calls: Calls) -> float:
    parts: dict[str, Part] = {}
    for call, name, *more in calls:
        if call == "add_document" or (call == "start_document" and name not in parts):
            parts[name] = Part(more[0] if more else 0)
        if name in parts:
            parts[name].hear(call, more)
    if not any(part.weight for part in parts.values()):
        for part in parts.values():
            part.weight = 1
    return percent_of(parts.values())


@given(calls=st.lists(DOCUMENT_CALLS, max_size=25))
@EXAMPLES
def test_the_percent_of_documents(reporting: Reporting, calls: Calls) -> None:
    job = secrets.token_hex(6)
    tracker = DocumentProgressTracker(job, sp=reporting.sp)
    for call, *arguments in calls:
        getattr(tracker, call)(*arguments)
    assert tracker.overall_percent == pytest.approx(percent_of_documents(calls))
    assert (reporting.percent(job) or 0) == pytest.approx(tracker.overall_percent, abs=0.02)
    snapshot, status = reporting.snapshot(job), tracker.get_status()
    assert snapshot["units"]["total"] == status["total_documents"]
    assert (snapshot["units"]["finished"], snapshot["units"]["failed"]) == (status["completed"], status["failed"])
    assert snapshot["late"] == 0


# One bar -----------------------------------------------------------------------------------------------------------

BAR_CALLS = st.one_of(
    st.tuples(st.just("percentage"), PERCENTS, st.sampled_from([None, "", "so far"])),
    st.tuples(st.just("items"), st.integers(-3, 30), st.integers(-1, 20)),
    st.tuples(st.just("indeterminate"), st.sampled_from(["", "waiting"])),
)


@given(calls=st.lists(BAR_CALLS, min_size=1, max_size=15))
@EXAMPLES
def test_the_percent_of_a_bar_is_the_last_that_was_reported(reporting: Reporting, calls: Calls) -> None:
    job = secrets.token_hex(6)
    tracker = ProgressTracker(job, sp=reporting.sp)
    for call, *arguments in calls:
        getattr(tracker, call)(*arguments)
    last = tracker.history[-1].percent
    shown = None if last is None or math.isnan(last) else round(clamped(last), 2)
    assert reporting.percent(job) == shown
    assert (reporting.snapshot(job)["status"] == "finished") == (calls[-1][0] == "percentage" and calls[-1][1] >= 100)


STEPS = st.tuples(st.integers(1, 6), st.integers(0, 20), st.integers(1, 20), PERCENTS.filter(lambda said: said < 99))


@given(steps=st.lists(STEPS, min_size=1, max_size=5), total=st.integers(1, 8))
@EXAMPLES
def test_the_percent_of_steps_is_that_of_the_steps_before_and_of_the_items_in_this_one(
    reporting: Reporting, steps: list[tuple[int, int, int, float]], total: int
) -> None:
    job = secrets.token_hex(6)
    tracker = ProgressTracker(job, sp=reporting.sp)
    for number, (_, done, of, _) in enumerate(steps, 1):
        tracker.stage(f"step {number}", number, total)
        tracker.items(done, of)
    of_items = 100 * (len(steps) - 1 + min(1, steps[-1][1] / steps[-1][2])) / max(total, len(steps))
    assert reporting.percent(job) == pytest.approx(of_items, abs=0.006)
    tracker.percentage(steps[-1][3])
    begin, end = 100 * (len(steps) - 1) / max(total, len(steps)), 100 * len(steps) / max(total, len(steps))
    assert reporting.percent(job) == pytest.approx(min(max(steps[-1][3], begin), end), abs=0.006)


# Counters ----------------------------------------------------------------------------------------------------------

COUNTS = st.tuples(
    st.sampled_from(["t", "u"]), st.integers(1, 3), st.sampled_from(["x", "y"]), st.booleans(), st.integers(0, 9)
)


@given(counts=st.lists(COUNTS, max_size=20))
@EXAMPLES
def test_the_counts_of_tasks_are_those_of_their_last_attempts(
    reporting: Reporting, counts: list[tuple[str, int, str, bool, int]]
) -> None:
    job = secrets.token_hex(6)
    tracker = IndicatorTracker(job, sp=reporting.sp)
    expected: dict[str, list[int]] = {}
    for at, (task, attempt, label, adds, n) in enumerate(counts):
        indicator = tracker.task(task, attempt).progress(label)
        (indicator.add if adds else indicator.done)(n)
        if attempt < max(other for of, other, *_ in counts[: at + 1] if of == task):
            continue
        expected.setdefault(label, [0, 0])
        if attempt == max(other for of, other, *_ in counts if of == task):
            expected[label][not adds] += n
    assert {each.label: [each.total, each.done] for each in tracker.progress} == expected
    reporting.sp.flush()
    served = reporting.snapshot(job)["indicators"]
    assert [(each["label"], each["total"], each["done"]) for each in served] == [
        (each.label, each.total, each.done) for each in tracker.progress
    ]


# What was handed in ------------------------------------------------------------------------------------------------


@given(said=st.lists(WHAT_EVER, min_size=12, max_size=12), kind=st.sampled_from(ProgressType))
@EXAMPLES
def test_no_report_raises_and_none_is_refused(reporting: Reporting, said: list[Any], kind: ProgressType) -> None:
    job = secrets.token_hex(6)
    event = ProgressEvent(job, kind, datetime.now(), *said[:9])
    ProgressTracker(job, sp=reporting.sp).emit(event)
    stages = StageProgress(job, [Stage(said[0], said[1]), Stage(said[2])], sp=reporting.sp)
    stages.stages[0].sub_progress = said[3]
    stages.start_stage(said[0])
    stages.fail_stage(said[2], said[4])
    documents = DocumentProgressTracker(job, sp=reporting.sp)
    if isinstance(said[5], int | float):  # the tracker itself adds sizes up
        documents.add_document(said[6], said[5])  # type: ignore[arg-type]
    documents.start_document(said[7])
    documents.fail_document(said[7], said[8])
    context = IndicatorTracker(job, sp=reporting.sp).task(said[9])
    context.progress(said[10]).add(said[11])
    reporting.sp.flush()
    assert reporting.snapshot(job)["events"] > 3  # each was decoded, as the projector does it
