"""The fold that estimates are made of: when a job was how far, and the runs that its kind remembers."""

from typing import Any

import msgspec
import pytest

from projections.paths import Path, Run
from projections.stages import MAX_STAGES
from tests.support.folding import MemoryStore

START = 1_763_750_000_000


class Log:
    """A job's events at chosen seconds, folded one by one, with all memory lost in between or not."""

    def __init__(self, forgets: bool) -> None:
        self.store = MemoryStore()
        self.forgets = forgets
        self.number = 0

    def __call__(self, seconds: float, type: str, **fields: Any) -> None:  # noqa: A002
        self.number += 1
        event = {"job": "j", "type": type, **fields}
        position = f"{START + round(seconds * 1000)}-{self.number}".encode()
        self.store.fold([(position, [b"e", msgspec.json.encode(event)])])
        if self.forgets:
            self.store.forget()

    @property
    def path(self) -> Path:
        return msgspec.convert(self.store.snapshot("j")["eta"], Path)

    def runs(self, kind: str) -> list[Run]:
        entries = self.store.streams.get(self.store.keys.runs(kind), [])
        return [msgspec.json.decode(fields[1], type=Run) for _, fields in entries]


@pytest.fixture(params=[False, True], ids=["remembers", "forgets"])
def log(request: pytest.FixtureRequest) -> Log:
    return Log(request.param)


def test_a_stage_is_known_by_its_beginning_its_tenths_its_size_and_its_end(log: Log) -> None:
    log(0, "job.started", kind="k", stages=[{"name": "A"}, {"name": "B"}])
    log(1, "stage.started", stage="A")
    for number in range(1, 11):
        log(1 + number, "stage.progressed", stage="A", done=number * 5, total=50)
    log(12, "stage.finished", stage="A")
    log(13, "stage.progressed", stage="B", percent=35)
    first, second = log.path.stages
    assert (first.name, first.began, first.ended, first.size, first.outcome) == ("A", 1000, 12_000, 50, "finished")
    assert first.tenths == [number * 1000 for number in range(2, 11)]
    assert (second.name, second.began, second.ended, second.tenths) == ("B", 13_000, None, [13_000] * 3)


def test_a_job_without_stages_is_one_stage_without_a_name(log: Log) -> None:
    log(0, "job.started", kind="k")
    log(2, "job.progressed", done=30, total=100)
    (whole,) = log.path.stages
    assert (whole.name, whole.began, whole.size, whole.tenths) == ("", 0, 100, [2000] * 3)


@pytest.mark.parametrize(
    ("events", "size"),
    [
        ([("unit.added", {"unit": "a"}), ("unit.added", {"unit": "b"}), ("unit.finished", {"unit": "a"})], 2),
        ([("job.counted", {"indicator": "i", "total": 8}), ("job.counted", {"indicator": "i", "done": 4})], 8),
        ([("job.progressed", {"percent": 50})], None),
    ],
)
def test_units_indicators_and_percents_are_followed_too(log: Log, events: list[Any], size: float | None) -> None:
    log(0, "job.started", kind="k")
    for at, (name, fields) in enumerate(events):
        log(at + 1, name, **fields)
    (whole,) = log.path.stages
    assert (whole.size, whole.tenths) == (size, [len(events) * 1000] * 5)


def test_a_stages_units_and_indicators_are_followed_as_the_stage(log: Log) -> None:
    log(0, "job.started", kind="k", stages=[{"name": "A"}, {"name": "B"}])
    log(1, "unit.finished", unit="u", stage="A")
    log(2, "unit.started", unit="v", stage="A")
    log(3, "job.counted", indicator="i", stage="B", done=3, total=10)
    log(4, "unit.finished", unit="unrelated")
    log(5, "job.progressed", percent=90)
    first, second = log.path.stages
    assert (first.name, first.size, len(first.tenths)) == ("A", 2, 5)
    assert (second.name, second.size, len(second.tenths)) == ("B", 10, 3)


def test_what_was_reached_and_is_not_any_more_is_forgotten(log: Log) -> None:
    log(0, "job.started", kind="k")
    log(1, "job.progressed", done=8, total=10)
    log(2, "job.progressed", done=8, total=40)
    log(3, "job.progressed", done=12, total=40)
    (whole,) = log.path.stages
    assert (whole.size, whole.tenths) == (40, [1000, 1000, 3000])


def test_the_clock_stands_while_the_job_is_paused_or_stalled(log: Log) -> None:
    log(0, "job.started", kind="k")
    log(1, "job.paused")
    log(11, "job.resumed")
    log(12, "job.progressed", percent=10)
    log(52, "job.stalled", silent_seconds=40)
    log(62, "job.heartbeat")
    log(72, "job.progressed", percent=20)
    log(73, "job.finished")
    (run,) = log.runs("k")
    assert (run.outcome, run.duration) == ("finished", 3000)
    assert run.stages[0].tenths == [2000, 2000]


def test_what_still_comes_in_while_a_job_stands_still_does_not_set_its_clock_going(log: Log) -> None:
    log(0, "job.started", kind="k")
    log(1, "job.paused")
    log(2, "job.progressed", percent=30)
    log(21, "job.resumed")
    log(22, "job.finished")
    (run,) = log.runs("k")
    assert (run.duration, run.stages[0].tenths) == (2000, [1000, 1000, 1000])


def test_the_clock_stands_while_a_job_is_back_in_the_queue(log: Log) -> None:
    log(0, "job.queued", kind="k")
    log(1, "job.claimed", worker="w", lease_seconds=5)
    log(3, "job.released")
    log(10, "job.claimed", worker="v", lease_seconds=5)
    log(14, "job.finished", worker="v")
    (run,) = log.runs("k")
    assert (run.duration, run.waited) == (6000, 1000)


def test_the_longest_silence_between_reports_is_kept_without_pauses(log: Log) -> None:
    log(0, "job.started", kind="k")
    log(1, "job.progressed", percent=1)
    log(3, "job.progressed", percent=2)
    log(4, "job.paused")
    log(60, "job.resumed")
    log(61, "job.progressed", percent=3)
    assert log.path.gap == 2000


def test_the_silence_after_the_start_and_before_the_end_is_one_too(log: Log) -> None:
    for attempt, (event, at, gap) in enumerate(
        [("job.progressed", 7, 7000), ("job.failed", 7, 0), ("job.canceled", 7, 0), ("job.finished", 9, 9000)], start=1
    ):
        log(100 * attempt, "job.started", kind="k", attempt=attempt)
        log(100 * attempt + at, event)
        log(100 * attempt + 10, "job.finished")
        assert log.runs("k")[-1].gap == gap


def test_the_pause_at_the_end_is_no_silence(log: Log) -> None:
    log(0, "job.started", kind="k")
    log(2, "job.paused")
    log(60, "job.finished")
    assert log.runs("k")[0].gap == 2000


def test_a_report_in_a_pause_is_remembered_as_the_last_one(log: Log) -> None:
    log(0, "job.started", kind="k")
    log(1, "job.progressed", percent=1)
    log(50, "job.paused")
    log(60, "job.progressed", percent=2)
    log(61, "job.finished")
    (run,) = log.runs("k")
    assert (run.duration, run.gap) == (50_000, 1000)


def test_a_stall_tells_how_long_it_was_silent_at_least(log: Log) -> None:
    log(0, "job.started", kind="k")
    log(10, "job.progressed", percent=1)
    log(50, "job.stalled", silent_seconds=40)
    log(90, "job.progressed", percent=2)
    log(91, "job.finished")
    assert log.runs("k")[0].gap == 40_000


def test_a_report_of_what_there_is_no_room_for_ends_a_silence(log: Log) -> None:
    log(0, "job.started", stages=[{"name": str(number)} for number in range(MAX_STAGES)])
    log(1, "stage.progressed", stage="0", percent=1)
    log(40, "stage.progressed", stage="beyond", percent=1)
    log(45, "stage.progressed", stage="0", percent=2)
    assert log.path.gap == 39_000


def test_a_new_attempt_has_no_path_before_it_starts(log: Log) -> None:
    log(0, "job.started")
    log(1, "job.progressed", percent=50)
    log(2, "job.heartbeat", attempt=2)
    assert log.store.snapshot("j")["eta"] is None
    log(5, "job.started", attempt=2)
    assert (log.path.attempt, log.path.queued, log.path.stages) == (2, START + 5000, [])


def test_a_higher_attempt_has_a_path_and_a_run_of_its_own(log: Log) -> None:
    log(0, "job.queued", kind="k")
    log(1, "job.started")
    log(2, "job.progressed", percent=50)
    log(3, "job.failed")
    log(8, "job.queued", attempt=2)
    log(10, "job.started", attempt=2)
    assert (log.path.attempt, log.path.started, log.path.stages) == (2, START + 10_000, [])
    log(14, "job.finished", attempt=2)
    first, second = log.runs("k")
    assert (first.outcome, first.duration, first.waited) == ("failed", 2000, 1000)
    assert (second.outcome, second.duration, second.waited) == ("finished", 4000, 2000)
    assert log.store.zsets[log.store.keys.kinds] == {"k": START + 14_000}


@pytest.mark.parametrize("end", ["job.finished", "job.failed", "job.canceled"])
def test_a_job_that_ended_has_no_path_any_more(log: Log, end: str) -> None:
    log(0, "job.started", kind="k")
    log(1, end)
    assert log.store.snapshot("j")["eta"] is None
    assert [run.outcome for run in log.runs("k")] == [end.removeprefix("job.")]


def test_without_a_kind_or_a_start_nothing_is_remembered(log: Log) -> None:
    log(0, "job.started")
    log(1, "job.finished")
    assert log.store.keys.kinds not in log.store.zsets
    log(2, "job.queued", kind="k", attempt=2)
    log(3, "job.canceled", attempt=2)
    assert not log.runs("k")


def test_a_kind_was_used_when_a_job_was_named_to_be_of_it_or_ended(log: Log) -> None:
    used = log.store.zsets.setdefault(log.store.keys.kinds, {})
    log(0, "job.queued", kind="k")
    assert used == {"k": START}
    log(1, "job.started", kind="other")
    log(2, "job.progressed", percent=50)
    assert used == {"k": START, "other": START + 1000}
    log(3, "job.finished")
    assert used == {"k": START, "other": START + 3000}


def test_runs_of_one_batch_are_kept_in_the_order_of_their_ends() -> None:
    store = MemoryStore()
    events = [
        ("a", "job.started"), ("b", "job.started"), ("c", "job.started"),
        ("c", "job.failed"), ("b", "job.finished"), ("a", "job.canceled"),
    ]  # fmt: skip
    store.fold(
        (f"{START + at}-0".encode(), [b"e", msgspec.json.encode({"job": job, "type": name, "kind": "k"})])
        for at, (job, name) in enumerate(events)
    )
    ends = [position for position, _ in store.streams[store.keys.runs("k")]]
    assert ends == [f"{START + at}-0" for at in (3, 4, 5)]
    assert store.zsets[store.keys.kinds] == {"k": START + 5}


def test_stages_end_with_the_job_and_skipped_ones_are_told_apart(log: Log) -> None:
    log(0, "job.started", kind="k", stages=[{"name": "A"}, {"name": "B"}])
    log(1, "stage.skipped", stage="A")
    log(2, "stage.started", stage="B")
    log(5, "job.failed")
    (run,) = log.runs("k")
    assert [(stage.name, stage.outcome, stage.ended) for stage in run.stages] == [
        ("A", "skipped", 1000),
        ("B", None, 5000),
    ]


def test_only_so_many_runs_of_a_kind_are_kept() -> None:
    log = Log(forgets=False)
    for number in range(1, 71):
        log(number, "job.started", kind="k", attempt=number)
        log(number + 0.5, "job.finished", attempt=number)
    assert len(log.runs("k")) == 64


def test_what_was_counted_before_the_first_stage_is_no_stage_of_its_own(log: Log) -> None:
    log(0, "job.started", kind="k")
    log(1, "job.counted", indicator="packages", total=5)
    log(2, "stage.started", stage="install")
    log(4, "stage.finished", stage="install")
    log(5, "job.finished")
    (run,) = log.runs("k")
    assert [stage.name for stage in run.stages] == ["install"]
    assert run.size == 5
