"""Traces on a virtual clock: what every estimator sees of a run, and when."""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

from benchmarks.trace_files import Run as Trace
from projections.estimate import Facts
from projections.eta import Eta
from projections.job import JobSnapshot
from projections.paths import Path, Run
from projections.snapshot import Snapshot
from streamproc.events import RecordedEvent

__all__ = ["GRID", "Replay", "Sample", "Update", "replay"]

GRID = 50
"""Samples a run, at even times."""
EPOCH = 1_750_000_000_000

_encode = msgspec.json.Encoder().encode
_facts = msgspec.json.Decoder(Facts).decode
_path = msgspec.json.Decoder(Path).decode
_run = msgspec.json.Decoder(Run).decode


class Update(Struct, frozen=True):
    """A report of progress, as a progress bar would be told.

    Args:
        at: seconds since the run began.
        attempt: of the job; bars begin anew with it.
        shares: how much of each stage is done, 0 to 1; a job without stages is one stage without a name.
    """

    at: float
    attempt: int
    shares: Mapping[str, float]


class Sample(Struct, frozen=True):
    """A moment at which estimators are asked.

    Args:
        at: seconds since the run began.
        left: seconds until it ended, without those in which it was paused.
        facts, path: what a gateway has of it then.
    """

    at: float
    left: float
    facts: Facts
    path: Path


class Replay(Struct, frozen=True):
    """A run, as estimators see it; `run` is what its kind learns of it, where it ended well."""

    trace: Trace
    seconds: float
    updates: Sequence[Update]
    samples: Sequence[Sample]
    run: Run
    weights: Mapping[str, float]


def replay(trace: Trace) -> Replay | None:
    """Fold a trace. None where it didn't finish."""
    snapshots, etas = Snapshot(), Eta()
    job, eta = snapshots.initial(trace.job), etas.initial(trace.job)
    begun, ended = trace.events[0][0], trace.events[-1][0]
    paused = _pauses(trace)
    grid = [begun + (ended - begun) * (number + 0.5) / GRID for number in range(GRID)]
    moments = iter([at for at in grid if not any(start <= at < end for start, end in paused)])
    moment = next(moments, None)
    updates: list[Update] = []
    samples: list[Sample] = []
    for number, (at, event) in enumerate(trace.events):
        while moment is not None and moment < at:
            away = sum(max(0.0, end - max(start, moment)) for start, end in paused)
            view = snapshots.view(job)
            samples.append(
                Sample(
                    (moment - begun) / 1000,
                    (ended - moment - away) / 1000,
                    _facts(_encode(view)),
                    _path(_encode(eta.path)),
                )
            )
            moment = next(moments, None)
        recorded = RecordedEvent(f"{EPOCH + at}-{number}", event, b"")
        snapshots.evolve(job, recorded)
        etas.evolve(eta, recorded)
        if recorded.mark is None:
            view = snapshots.view(job)
            updates.append(Update((at - begun) / 1000, view.attempt, _shares(view)))
    if job.job.status != "finished" or not eta.runs:
        return None
    weights = {stage.name: float(stage.weight) for stage in job.job.stages if stage.status != "skipped"} or {"": 1.0}
    return Replay(trace, (ended - begun) / 1000, updates, samples, _run(eta.runs[-1][2]), weights)


def _shares(view: JobSnapshot) -> dict[str, float]:
    if not view.stages:
        return {"": (view.percent or 0.0) / 100}
    return {
        stage.name: 1.0 if stage.status in ("finished", "failed") else (stage.percent or 0.0) / 100
        for stage in view.stages
        if stage.status != "skipped"
    }


def _pauses(trace: Trace) -> list[tuple[int, int]]:
    """When the run was paused, in ms."""
    found, since = [], None
    for at, event in trace.events:
        if event.type == "job.paused" and since is None:
            since = at
        elif event.type in ("job.resumed", "job.finished", "job.failed", "job.canceled") and since is not None:
            found.append((since, at))
            since = None
    return found
