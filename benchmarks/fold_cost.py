"""What the fold of paths costs: time an event, bytes a job and stage."""

from collections.abc import Sequence
from time import perf_counter_ns

import msgspec

from benchmarks.replay import EPOCH, Replay
from benchmarks.trace_files import Run
from projections.eta import Eta
from projections.snapshot import Snapshot
from streamproc.events import RecordedEvent

__all__ = ["bytes_of_paths", "ns_per_event"]


def ns_per_event(traces: Sequence[Run]) -> float:
    """What `Eta.evolve` takes, beside the snapshot's own fold; the clock's cost is taken off."""
    snapshots, etas = Snapshot(), Eta()
    spent = events = 0
    for trace in traces:
        job, eta = snapshots.initial(trace.job), etas.initial(trace.job)
        for number, (at, event) in enumerate(trace.events):
            recorded = RecordedEvent(f"{EPOCH + at}-{number}", event, b"")
            snapshots.evolve(job, recorded)
            begun = perf_counter_ns()
            etas.evolve(eta, recorded)
            spent += perf_counter_ns() - begun
            events += 1
    begun = perf_counter_ns()
    for _ in range(events):
        perf_counter_ns()
    return (spent - (perf_counter_ns() - begun)) / events


def bytes_of_paths(runs: Sequence[Replay]) -> tuple[float, float]:
    """The size of stored paths for each stage of them (one at least), in the mean and at most."""
    sizes = [
        len(msgspec.json.encode(sample.path)) / (1 + len(sample.path.stages)) for run in runs for sample in run.samples
    ]
    return sum(sizes) / len(sizes), max(sizes)
