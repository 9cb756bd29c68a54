"""Laws that estimates keep, whatever was reported and however the runs of a kind went."""

import json
import math
import re
from datetime import datetime
from typing import Any, NoReturn

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from projections import ESTIMATOR
from projections.estimate import Facts, estimate
from projections.paths import Path, Run, StagePath
from projections.reaching import MAX_PATH_STAGES
from projections.serving import Learned, Shown
from streamproc.events import PROGRESS
from tests.support.events import event_lists
from tests.support.folding import MemoryStore

law = settings(deadline=None, max_examples=150)

START = 1_763_750_000_000
DAY = 86_400_000
GAPS = st.one_of(st.integers(0, 3000), st.sampled_from([0, 1, 60_000, DAY, 30 * DAY]))
NAMES = st.sampled_from(["", "a", "b", "c", "Grün"])
SIZES = st.one_of(st.none(), st.sampled_from([0, 1, 1e-9, 0.5, 10**15, 1e15, 2**53 - 1]), st.integers(0, 1000))
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


# What jobs report ----------------------------------------------------------------------------------------------------

_PERCENTS = st.one_of(
    st.sampled_from([-5, 0, 0.004, 1e-300, 9.99, 10, 50, 99.999, 100, 150, 1e15]), st.floats(0, 100, allow_nan=False)
)
_AMOUNTS = st.one_of(st.sampled_from([0, 1, 10, 100, 0.1, 10**15, 2**53 - 1]), st.integers(0, 100))
_STAGES = st.sampled_from(["a", "b", "c", "Grün"])
_FIELDS = {"percent": _PERCENTS, "done": _AMOUNTS, "total": _AMOUNTS, "weight": _AMOUNTS, "stage": _STAGES}


_NEEDED = {"stage.": "stage", "unit.": "unit", "job.counted": "indicator"}


def report(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    """An event of one type, with what it needs, mostly how far it is, and any of what it may have besides."""
    needed = {field: _STAGES for prefix, field in _NEEDED.items() if kind.startswith(prefix)}
    told = [{"percent": _PERCENTS}, {"done": _AMOUNTS, "total": _AMOUNTS}, {}]
    return st.one_of(
        *(
            st.fixed_dictionaries(
                {"type": st.just(kind), **needed, **far},
                optional={name: values for name, values in _FIELDS.items() if name not in needed and name not in far},
            )
            for far in told
        )
    )


_DECLARED = st.lists(st.fixed_dictionaries({"name": _STAGES}, optional={"weight": _AMOUNTS}), max_size=4)
_REPORTS = st.one_of(*(report(kind) for kind in sorted(PROGRESS)))
_TURNS = st.one_of(
    st.sampled_from([{"type": f"job.{verb}"} for verb in ("paused", "resumed", "released", "heartbeat")]),
    st.fixed_dictionaries({"type": st.just("job.stalled"), "silent_seconds": st.sampled_from([0, 30, 1e9, -1e15])}),
    st.fixed_dictionaries({"type": st.just("job.claimed"), "worker": st.just("w")}),
    st.fixed_dictionaries(
        {"type": st.just("job.started"), "attempt": st.integers(1, 4)}, optional={"stages": _DECLARED}
    ),
    st.sampled_from([{"type": f"job.{verb}"} for verb in ("finished", "failed", "canceled", "queued")]),
)
STORIES = st.lists(st.tuples(GAPS, st.one_of(_REPORTS, _REPORTS, _REPORTS, _TURNS)), min_size=1, max_size=25)


def told(story: list[tuple[int, dict[str, Any]]], *, job: str = "j1") -> MemoryStore:
    """The store after a job of kind ``a`` was queued, and then its story."""
    store, at = MemoryStore(), START
    story = [(0, {"type": "job.queued", "kind": "a"}), *story]
    for number, (gap, event) in enumerate(story):
        at += gap
        store.fold([(f"{at}-{number}".encode(), [b"e", json.dumps({"job": job} | event).encode()])])
    return store


# How the runs of its kind went ---------------------------------------------------------------------------------------


@st.composite
def _paths(draw: st.DrawFn, duration: int) -> list[StagePath]:
    stages = []
    for name in draw(st.just([""]) | st.lists(NAMES, min_size=1, max_size=4, unique=True) | st.just([])):
        began, ended = sorted(draw(st.tuples(st.integers(0, duration), st.integers(0, duration))))
        tenths = sorted(draw(st.lists(st.integers(began, ended), max_size=9)))
        first = draw(st.none() | st.tuples(st.integers(began, ended), st.sampled_from([0.01, 5.0, 73.0, 99.99])))
        outcome = draw(st.sampled_from([None, "finished", "failed", "skipped"]))
        stages.append(StagePath(name, began, ended, draw(SIZES), tenths, first, outcome))
    return stages


@st.composite
def _runs(draw: st.DrawFn) -> Run:
    duration = draw(st.one_of(st.sampled_from([0, 1, 1000, 10**6, 30 * DAY]), st.integers(0, 10**6)))
    outcome = draw(st.sampled_from(["finished", "finished", "failed", "canceled"]))
    return Run(outcome, duration, draw(GAPS), draw(GAPS), draw(_paths(duration)), draw(SIZES))


HISTORIES = st.one_of(
    st.lists(_runs(), min_size=1, max_size=5),
    st.builds(lambda run, times: [run] * times, _runs(), st.sampled_from([10, 100])),
    st.lists(st.builds(lambda run: msgspec.structs.replace(run, outcome="failed"), _runs()), max_size=3),
).map(lambda runs: [msgspec.json.encode(run) for run in runs])


# The laws ------------------------------------------------------------------------------------------------------------


def refuse(constant: str) -> NoReturn:
    raise AssertionError(f"{constant} is no JSON")


class Stored(Facts, frozen=True):
    eta: Path | None = None


def hold(stored: bytes, learned: Learned | None, nows: list[int]) -> None:
    """Serve a snapshot at several times, one after another, and hold each to what an estimate must be."""
    shown: Shown | None = None
    facts = msgspec.json.decode(stored, type=Stored)
    for now in nows:
        bare = estimate(facts, facts.eta or Path(), None if learned is None else learned.kind, now)
        if bare.p50 is not None:
            assert bare.p90 is not None
            assert math.isfinite(bare.p90)
            assert 0 <= bare.p50 <= bare.p90
        served, shown = ESTIMATOR.served(stored, learned, now, shown)
        found = json.loads(served, parse_constant=refuse)
        eta = found.pop("eta")
        assert found == {name: value for name, value in json.loads(stored).items() if name != "eta"}
        if found["status"] in ("finished", "failed", "canceled"):
            assert eta is None
            continue
        assert set(eta) == {"remaining_seconds", "finish_at", "basis", "reason", "start_at"}
        assert eta["remaining_seconds"] is not None or eta["reason"] is not None
        assert (eta["remaining_seconds"] is None) == (eta["basis"] is None)
        assert eta["start_at"] is None or found["status"] == "queued"
        remaining = eta["remaining_seconds"]
        if remaining is not None:
            assert all(math.isfinite(value) for value in remaining.values())
            assert 0 <= remaining["p50"] <= remaining["p90"]
        for instants in (eta["finish_at"], eta["start_at"]):
            if instants is not None:
                assert all(INSTANT.fullmatch(value) and datetime.fromisoformat(value) for value in instants.values())
                assert instants["p50"] <= instants["p90"]


NOWS = st.lists(st.integers(-40 * DAY, 400 * DAY).map(lambda ahead: START + ahead), min_size=1, max_size=3)


@law
@given(STORIES, HISTORIES, NOWS)
def test_an_estimate_is_finite_or_says_why_there_is_none(
    story: list[tuple[int, dict[str, Any]]], runs: list[bytes], nows: list[int]
) -> None:
    store = told(story)
    learned = ESTIMATOR.learn(runs)
    for which in (None, learned):
        hold(store.hashes[store.keys.state("j1")]["snapshot"], which, nows)


@law
@given(event_lists, st.lists(GAPS, min_size=1), HISTORIES, NOWS)
def test_so_it_is_for_any_jumble_of_events(
    events: list[dict[str, Any]], gaps: list[int], runs: list[bytes], nows: list[int]
) -> None:
    store = told([(gaps[number % len(gaps)], event) for number, event in enumerate(events)])
    kept = [run[1] for key, runs in store.streams.items() if key.endswith(":runs") for _, run in runs]
    for learned in (ESTIMATOR.learn(runs), ESTIMATOR.learn(kept)):
        for key, fields in store.hashes.items():
            if key.endswith(":state"):
                hold(fields["snapshot"], learned, nows)


@law
@given(HISTORIES)
def test_what_runs_come_to_is_finite(runs: list[bytes]) -> None:
    details = ESTIMATOR.details([(START + number, run) for number, run in enumerate(runs)])
    found = json.loads(msgspec.json.encode(details), parse_constant=refuse)
    assert b"null" not in msgspec.json.encode([each["outcome"] for each in found["latest"]])
    for name in ("duration_seconds", "waited_seconds"):
        assert found[name] is None or 0 <= found[name]["p50"] <= found[name]["p90"]
    for stage in found["stages"]:
        assert 0 <= stage["skipped"] <= 1
        assert stage["duration_seconds"] is None or stage["duration_seconds"]["p50"] >= 0
    calibration = found["calibration"]
    for held in ("p50_held", "p90_held"):
        assert (calibration[held] is None) == (calibration["predictions"] == 0)
        assert calibration[held] is None or 0 <= calibration[held] <= 1


def test_a_path_keeps_200_stages_and_a_job_with_more_has_an_estimate() -> None:
    story: list[tuple[int, dict[str, Any]]] = []
    for number in range(300):
        story += [
            (500, {"type": "stage.progressed", "stage": f"s{number}", "percent": 40}),
            (500, {"type": "stage.finished", "stage": f"s{number}"}),
        ]
    store = told([*story, (10, {"type": "job.finished"}), (10, {"type": "job.started", "attempt": 2}), *story])
    stored = store.hashes[store.keys.state("j1")]["snapshot"]
    path = msgspec.convert(json.loads(stored)["eta"], Path)
    assert len(path.stages) == MAX_PATH_STAGES
    [(_, (_, run))] = store.streams[store.keys.runs("a")]
    assert len(msgspec.json.decode(run, type=Run).stages) == MAX_PATH_STAGES
    hold(stored, ESTIMATOR.learn([run] * 3), [START + 10**6])


def test_a_job_of_30_days_has_an_estimate() -> None:
    story = [(DAY, {"type": "job.progressed", "percent": 100 * number / 33}) for number in range(31)]
    store = told(story)
    stored = store.hashes[store.keys.state("j1")]["snapshot"]
    served, _ = ESTIMATOR.served(stored, None, START + 31 * DAY, None)
    remaining = json.loads(served)["eta"]["remaining_seconds"]
    assert 0 < remaining["p50"] < 30 * 86_400
    hold(stored, ESTIMATOR.learn([]), [START, START + 31 * DAY, START + 1000 * DAY])
