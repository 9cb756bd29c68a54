"""The recorded traces are whole, are enough, and are what the projections understand."""

from pathlib import Path

import pytest

from benchmarks import trace_files
from benchmarks.trace_files import FOLDER, HELD_OUT, Run, kinds, load, verify
from projections.job import JobSnapshot
from projections.snapshot import Snapshot
from streamproc.events import RecordedEvent

KINDS = kinds()
FINAL = {"finished", "failed", "canceled"}


def folded(run: Run) -> list[JobSnapshot]:
    """The snapshot after each event. They share their lists: only plain fields may be compared."""
    projection = Snapshot()
    state = projection.initial(run.job)
    seen = []
    for number, (ms, event) in enumerate(run.events):
        projection.evolve(state, RecordedEvent(f"{1_763_750_000_000 + ms}-{number}", event, b""))
        view = projection.view(state)
        seen.append(JobSnapshot(job_id=view.job_id, status=view.status, percent=view.percent, late=view.late))
    return seen


def test_files_are_as_their_hashes_say() -> None:
    verify()


def test_a_file_that_was_changed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in FOLDER.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / f"{KINDS[0]}.ndjson.xz").write_bytes(b"other")
    monkeypatch.setattr(trace_files, "FOLDER", tmp_path)
    with pytest.raises(ValueError, match=KINDS[0]):
        verify()


def test_there_are_enough_of_them_and_they_are_small() -> None:
    assert len(KINDS) >= 8
    assert set(KINDS) >= HELD_OUT
    assert len(HELD_OUT) == 2
    assert sum(len(load(kind)) for kind in KINDS) >= 300
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 20_000_000


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_ends_and_its_percent_is_one(kind: str) -> None:
    runs = load(kind)
    assert runs == sorted(runs, key=lambda run: run.began)
    assert len({run.number for run in runs}) == len(runs)
    for run in runs[::4]:
        times = [ms for ms, _ in run.events]
        assert times == sorted(times)
        assert {event.job for _, event in run.events} == {run.job}
        seen = folded(run)
        assert seen[-1].status in FINAL
        assert all(view.percent is None or 0 <= view.percent <= 100 for view in seen)


def test_all_sorts_of_runs_are_among_them() -> None:
    """What an estimate must cope with, somewhere in the traces."""
    events = [event for kind in KINDS for run in load(kind) for _, event in run.events]
    assert {event.type for event in events} >= {
        *("job.progressed", "job.counted", "job.failed", "job.canceled", "job.paused", "job.resumed", "job.heartbeat"),
        *("stage.started", "stage.progressed", "stage.failed", "unit.added", "unit.started", "unit.failed"),
    }
    assert any(event.attempt == 2 and event.type == "job.started" for event in events)
    assert any(event.stages for event in events)
    assert any(event.type == "job.progressed" and event.percent is None and event.done is None for event in events)
