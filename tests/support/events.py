"""Random events that a producer may send, over few names so that they meet."""

import json
from typing import Any

from hypothesis import strategies as st

from streamproc.events import DECISIONS, PROGRESS, WISHES

__all__ = ["as_entries", "event_lists"]

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
