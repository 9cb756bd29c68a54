"""What lists a job: its entries in the indexes, and what of them a fold has changed."""

from projections.job import Indexed, State
from streamproc.projection import (
    FINISHED,
    STARTED,
    Changes,
    by_label,
    by_owner,
    by_state,
    by_worker,
    labels_of,
    parse_rfc3339,
    words_of,
)

__all__ = ["indexed_of", "reindex"]


def indexed_of(state: State) -> Indexed:
    """What a job is listed by now."""
    job = state.job
    labels = tuple(labels_of(job.labels)) if job.labels else ()  # dictionaries that differ in their order are equal
    return Indexed(
        job.status, job.kind, job.stalled, job.title, job.worker, job.owner, labels, job.started_at, job.finished_at
    )


def reindex(state: State, indexed: Indexed, changes: Changes) -> None:
    """Out of the indexes that listed the job and do no more, into those that do now and didn't."""
    before, created, job = state.indexed, state.sums.created, state.job.job_id
    state.indexed = indexed
    old = {} if before is None else _entries(before, created)
    new = _entries(indexed, created)
    gone = {name: None for name in old if name not in new}
    changes.indexes = gone | {name: score for name, score in new.items() if old.get(name) != score}
    if before is None or before.title != indexed.title:
        known = set() if before is None else _words(before.title, job)
        wanted = _words(indexed.title, job)
        changes.words = dict.fromkeys(known - wanted, False) | dict.fromkeys(wanted - known, True)


def _entries(indexed: Indexed, created: int) -> dict[str, int]:
    """The indexes that list a job, and its score in each."""
    status, kind = indexed.status, indexed.kind
    states = ((None, None), (status, None), (None, kind), (status, kind))
    names = [by_state(*each, stalled=stalled) for stalled in {False, indexed.stalled} for each in states]
    if indexed.worker is not None:
        names.append(by_worker(indexed.worker))
    if indexed.owner is not None:
        names.append(by_owner(indexed.owner))
    names += [by_label(*each) for each in indexed.labels]
    entries = dict.fromkeys(names, created)
    if indexed.started_at is not None:
        entries[STARTED] = parse_rfc3339(indexed.started_at)
    if indexed.finished_at is not None:
        entries[FINISHED] = parse_rfc3339(indexed.finished_at)
    return entries


def _words(title: str | None, job: str) -> set[str]:
    return {*words_of(title or ""), *words_of(job)}
