"""The indexes that lists are read from: what the folds write of them, and the words that a job is found by."""

from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproc.indexes import MOST_LABELS, words_of
from streamproc.position import parse_rfc3339
from tests.support.events import as_entries, event_lists
from tests.support.folding import MemoryStore
from tests.support.reports import Reports

CREATED = 1_763_750_000_000


@pytest.fixture(params=[False, True], ids=["remembers", "forgets"])
def job(request: pytest.FixtureRequest) -> Reports:
    return Reports(forgets=request.param)


def words(job: Reports) -> set[str]:
    """The words that the job is found by."""
    return {member.removesuffix("\0j") for member in job.zsets.get(job.keys.words, {})}


def test_a_job_is_listed_by_status_and_kind_and_by_its_creation(job: Reports) -> None:
    listed = {"j": CREATED}
    job("job.noted")
    assert job.indexes == {"": listed, "status:queued": listed}
    job("job.started", kind="k")
    started = {"started": {"j": CREATED + 1000}}
    assert job.indexes == started | dict.fromkeys(("", "status:started", "kind:k", "status:started:kind:k"), listed)
    job("job.finished")
    assert job.indexes == started | {"finished": {"j": CREATED + 2000}} | dict.fromkeys(
        ("", "status:finished", "kind:k", "status:finished:kind:k"), listed
    )
    job("job.queued", attempt=2, kind="l")
    assert job.indexes == dict.fromkeys(("", "status:queued", "kind:l", "status:queued:kind:l"), listed)


def test_only_what_changed_is_written(job: Reports) -> None:
    job("job.started", kind="k", worker="w")
    job("job.progressed", percent=1)
    job.zsets.clear()
    for kind in ("job.progressed", "job.queued", "unit.added", "job.resumed"):
        job(kind, unit="u", kind=None)
    assert job.zsets.keys() == {job.keys.ranks("j")}
    job("job.paused")
    assert set(job.indexes) == {"status:paused", "status:paused:kind:k"}


def test_a_job_is_listed_by_its_worker_owner_and_labels_while_it_has_them(job: Reports) -> None:
    job("job.queued", owner="ann", labels={"team": "a:b", "env": "prod"})
    job("job.started", worker="w1")
    listed = {name for name in job.indexes if name.startswith(("worker", "owner", "label"))}
    assert listed == {"worker:w1", "owner:ann", "label:team:a:b", "label:env:prod"}
    job("job.progressed", worker="w2")
    job("job.queued", owner="bob", labels={"env": "prod"})
    listed = {name for name in job.indexes if name.startswith(("worker", "owner", "label"))}
    assert listed == {"worker:w2", "owner:bob", "label:env:prod"}
    job("job.released", reason="gone")
    assert "worker:w2" not in job.indexes


def test_labels_whose_names_and_values_run_together_are_kept_apart_from_what_remains(job: Reports) -> None:
    job("job.queued", labels={"a": "b:c", "a:b": "c"})
    job("job.queued", labels={"a": "b:c"})
    assert "label:a:b:c" in job.indexes


def test_a_job_is_listed_by_its_first_sixteen_labels(job: Reports) -> None:
    job("job.queued", labels={f"l{number}": "x" for number in range(20)})
    assert {name for name in job.indexes if name.startswith("label")} == {f"label:l{n}:x" for n in range(MOST_LABELS)}


def test_labels_that_come_in_another_order_are_others_of_which_the_first_sixteen_count(job: Reports) -> None:
    labels = {f"l{number}": "x" for number in range(20)}
    job("job.queued", labels=labels)
    job("job.queued", labels=dict(reversed(labels.items())))
    listed = {name for name in job.indexes if name.startswith("label")}
    assert listed == {f"label:l{n}:x" for n in range(4, 20)}
    job("job.queued", labels={})
    assert not [name for name in job.indexes if name.startswith("label")]


def test_a_job_is_found_by_the_words_of_its_title_and_id(job: Reports) -> None:
    job("job.noted")
    assert words(job) == {"j"}
    job("job.started", title="Import of APRIL, für Zoë")
    assert words(job) == {"j", "import", "of", "april", "fur", "zoe"}
    job("job.started", title="Import of May")
    assert words(job) == {"j", "import", "of", "may"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import-42:a_b@c.d", ["import", "42", "a", "b", "c", "d"]),
        ("ÉCLAIR éclair", ["eclair", "eclair"]),
        ("Straße STRASSE", ["strasse", "strasse"]),
        ("İstanbul ΣΊΣΥΦΟΣ", ["istanbul", "σισυφοσ"]),
        ("Файл №7", ["фаил", "no7"]),
        ("\N{FULLWIDTH LATIN SMALL LETTER F}ull ﬁle", ["full", "file"]),
        ("हिन्दी", ["हिनदी"]),
        ("进度 条", ["进度", "条"]),
        ("… — !", []),
        ("", []),
        ("x" * 40, ["x" * 32]),
        (" ".join(map(str, range(20))), [str(number) for number in range(16)]),
    ],
)
def test_words_are_compared_without_case_and_accents(text: str, found: list[str]) -> None:
    assert words_of(text) == found


@given(st.text(max_size=40))
def test_words_hold_no_spaces_and_are_their_own_words(text: str) -> None:
    for word in words_of(text):
        assert word
        assert "\0" not in word
        assert "".join(words_of(word)) == word


def expected(snapshot: dict[str, Any]) -> dict[str, int]:
    """The indexes that should list a job, by what is served of it."""
    names = [""]
    for name in ("status", "kind"):
        if snapshot[name] is not None:
            names += [f"{prefix}:{name}:{snapshot[name]}".lstrip(":") for prefix in names]
    if snapshot["stalled"]:
        names += [f"stalled:{name}".rstrip(":") for name in names]
    names += [f"{name}:{snapshot[name]}" for name in ("worker", "owner") if snapshot[name] is not None]
    names += [f"label:{name}:{value}" for name, value in snapshot["labels"].items()]
    scores = dict.fromkeys(names, parse_rfc3339(snapshot["created_at"]))
    return scores | {
        name: parse_rfc3339(snapshot[f"{name}_at"]) for name in ("started", "finished") if snapshot[f"{name}_at"]
    }


@given(event_lists, st.integers(1, 5), st.booleans())
def test_indexes_list_a_job_as_its_snapshot_says(events: list[dict[str, Any]], step: int, forget: bool) -> None:
    store = MemoryStore()
    entries = as_entries(events)
    for at in range(0, len(entries), step):
        store.fold(entries[at : at + step])
        if forget:
            store.forget()
    wanted: dict[str, dict[str, int]] = defaultdict(dict)
    found_by = set()
    for job in {event["job"] for event in events}:
        snapshot = store.snapshot(job)
        for name, score in expected(snapshot).items():
            wanted[store.keys.index(name)][job] = score
        found_by |= {f"{word}\0{job}" for text in (snapshot["title"] or "", job) for word in words_of(text)}
    prefix = store.keys.index("")
    assert {name: jobs for name, jobs in store.zsets.items() if name.startswith(prefix) and jobs} == wanted
    assert set(store.zsets.get(store.keys.words, {})) == found_by
