"""Random events that a producer may send, over few names so that they meet."""

import json
from typing import Any

from hypothesis import strategies as st

from streamproc.events import DECISIONS, PROGRESS, WISHES

__all__ = ["as_entries", "claimed_entries", "event_lists"]

_NAMES = st.sampled_from(["a", "b", "c", "Grün", "d e"])
_AMOUNTS = st.one_of(st.integers(0, 20), st.floats(0, 100, allow_nan=False), st.just(2**53 - 1))
_PERCENTS = st.floats(-10, 200, allow_nan=False)
_TYPES = st.sampled_from(
    sorted(
        {
            "job.queued", "job.started", "job.paused", "job.resumed", "job.finished", "job.failed", "job.canceled",
            "job.heartbeat", "job.noted", "job.teleported", "unit.added",
        }
        | WISHES | DECISIONS | PROGRESS
    )
)  # fmt: skip
_JUMBLE = {
    "src": st.sampled_from(["s1", "s2"]),
    "seq": st.integers(0, 30),
    "worker": st.sampled_from(["w1", "w2"]),
    "attempt": st.integers(1, 3),
    "message": st.text(max_size=5),
    "details": st.dictionaries(_NAMES, st.integers(), max_size=2),
    "percent": _PERCENTS,
    "done": _AMOUNTS,
    "total": _AMOUNTS,
    "weight": _AMOUNTS,
    "stage": _NAMES,
    "unit": _NAMES,
    "indicator": _NAMES,
    "kind": _NAMES,
    "title": _NAMES,
    "labels": st.dictionaries(_NAMES, _NAMES, max_size=2),
    "index": st.integers(0, 5),
    "total_stages": st.integers(0, 5),
    "stages": st.lists(st.fixed_dictionaries({"name": _NAMES}, optional={"weight": _AMOUNTS}), max_size=3),
    "result": st.one_of(st.none(), st.integers(), st.dictionaries(_NAMES, st.integers(), max_size=1)),
    "error": st.fixed_dictionaries({"type": _NAMES}, optional={"detail": _NAMES}),
    "params": st.integers(),
    "priority": st.integers(-5, 5),
    "lease_seconds": st.integers(1, 60),
    "reason": _NAMES,
}


@st.composite
def _events(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(_TYPES)
    fields = draw(st.fixed_dictionaries({}, optional=_JUMBLE))
    event = {"job": draw(st.sampled_from(["j1", "j2"])), "type": kind} | fields
    for prefix, needed in (("stage.", "stage"), ("unit.", "unit"), ("job.counted", "indicator")):
        if kind.startswith(prefix):
            event.setdefault(needed, draw(_NAMES))
    if "seq" in event:
        event.setdefault("src", "s1")
    return event


event_lists = st.lists(_events(), max_size=40)


def as_entries(events: list[dict[str, Any]]) -> list[tuple[bytes, list[bytes]]]:
    """As the log would hold them, 700 ms apart."""
    return [
        (f"{1_763_750_000_000 + 700 * number}-0".encode(), [b"e", json.dumps(event).encode()])
        for number, event in enumerate(events)
    ]


_MANY_LABELS = dict.fromkeys([f"l{number}" for number in range(18)], "x")
_DESCRIBED = {
    "kind": st.sampled_from("kl"),
    "priority": st.integers(-2, 2),
    "owner": st.sampled_from("ab"),
    "title": st.sampled_from(["Foo bar", "bar", ""]),
    "labels": st.sampled_from([{}, {"l3": "x"}, _MANY_LABELS, dict(reversed(_MANY_LABELS.items()))]),
    "max_attempts": st.integers(1, 3),
    "params": st.integers(0, 3),
}
_SILENT = {"silent_seconds": st.sampled_from([0, 1, 3])}
_OF_CLAIMS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "job.queued": _DESCRIBED,
    "job.claimed": {"lease_seconds": st.sampled_from([1, 2, 5])},
    "job.released": _SILENT,
    "job.started": _DESCRIBED,
    "job.progressed": {},
    "job.heartbeat": {},
    "job.paused": {},
    "job.finished": {},
    "job.failed": _SILENT,
    "job.canceled": _SILENT | {"by": st.just("ann")},
    "job.cancel_requested": {},
    "job.teleported": {},
}


@st.composite
def claimed_entries(draw: st.DrawFn) -> list[tuple[bytes, list[bytes]]]:
    """A log of jobs that wait, are claimed, given back and lost, some of it within a millisecond."""
    entries, now = [], 1_763_750_000_000
    for number in range(draw(st.integers(0, 20))):
        kind = draw(st.sampled_from(sorted(_OF_CLAIMS)))
        optional = {"worker": st.sampled_from(["w1", "w2"]), "attempt": st.integers(1, 3)}
        fields = draw(st.fixed_dictionaries({}, optional=optional | _OF_CLAIMS[kind]))
        event = {"job": draw(st.sampled_from(["j1", "j2"])), "type": kind} | fields
        now += draw(st.sampled_from([0, 1, 700, 2500]))
        entries.append((f"{now}-{number}".encode(), [b"e", json.dumps(event).encode()]))
    return entries
