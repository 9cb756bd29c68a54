"""The snapshot: what a job looks like now, and how far it is.

The served JSON is itself the persisted state. Beside it stands a small field of running sums, and each unit is
persisted on its own; so the cost of an event doesn't depend on how many units a job has. Whatever reads
the whole job (percent, stages) is worked out once per commit, in `view`.

`projections.effects` says what each type of event does; this file says which events have an effect at all.
"""

from collections.abc import Mapping

import msgspec

from projections import effects
from projections.claims import claimable, deadline_of, decode_claim, moves, queued_of
from projections.indexes import indexed_of, reindex
from projections.job import JobSnapshot, State, Sums, Unit, refresh
from streamproc.events import DECISIONS, PROGRESS, WISHES, Event, Mark, RecordedEvent
from streamproc.projection import Changes, millis, parse_rfc3339, rfc3339

__all__ = ["Snapshot"]

_encode = msgspec.json.Encoder().encode
_decode_job = msgspec.json.Decoder(JobSnapshot).decode
_decode_sums = msgspec.json.Decoder(Sums).decode
_decode_unit = msgspec.json.Decoder(Unit).decode

_REOPENING = frozenset({"job.started", "job.queued"})
_NOT_OF_THE_WORKER = WISHES | DECISIONS
_OF_OTHERS = _NOT_OF_THE_WORKER - {"job.claimed"}
_OF_ANYBODY = _OF_OTHERS | {"job.queued", "unit.added"}
_TAKING = frozenset({"job.claimed", "job.canceled"})
_known = {name: (effect, name in PROGRESS) for name, effect in effects.EFFECTS.items()}.get
"""What a type of event does, and whether it reports progress."""


class Snapshot:
    """A job's snapshot, its units, and the indexes that lists are read from."""

    name = "snapshot"
    version = 1
    fields: tuple[str, ...] = ("snapshot", "sums", "claim")
    keeps_units = True

    def initial(self, job: str) -> State:
        state = State(JobSnapshot(job_id=job), Sums())
        state.units_complete = True
        return state

    def load(self, job: str, fields: Mapping[str, bytes | None]) -> State:
        saved = fields["snapshot"]
        if saved is None:
            return self.initial(job)
        sums = fields["sums"]
        state = State(_decode_job(saved), Sums() if sums is None else _decode_sums(sums))
        if state.job.updated_at is not None:
            state.updated = f"{parse_rfc3339(state.job.updated_at)}-0"
        state.indexed = indexed_of(state)
        state.units_complete = not state.job.units.total and not state.job.indicators
        claim = fields["claim"]
        if claim is not None:
            state.claim = decode_claim(claim)
        state.queued, state.deadline = queued_of(state), deadline_of(state)
        return state

    def evolve(self, state: State, recorded: RecordedEvent, /) -> None:
        job = state.job
        recorded.folded = state
        state.events += 1
        position = state.position = recorded.position
        if job.created_at is None:
            state.sums.created = millis(position)
            state.sums_changed = True
            job.created_at = rfc3339(state.sums.created)
            state.updated = position
        if recorded.mark is not None:
            job.duplicates += 1
            return
        event = recorded.event
        attempt = event.attempt
        if attempt is not None and attempt != job.attempt and event.unit is None:
            if attempt < job.attempt:
                recorded.mark = Mark.SUPERSEDED
                state.taken |= event.type in _TAKING
                return
            if _begins(state, event):
                effects.begin_attempt(state, attempt)
        if job.finished_at is not None:
            job.late += 1
            recorded.mark = Mark.LATE
            state.taken |= event.type in _TAKING
            return
        claim = state.claim
        if claim is not None and event.type not in _NOT_OF_THE_WORKER and claim.refuses(event.worker):
            recorded.mark = Mark.UNCLAIMED
            state.taken |= event.type in _TAKING
            return
        known = _known(event.type)
        if known is None:
            recorded.mark = Mark.UNKNOWN
            return
        effect, reports = known
        mark = effect(state, event, position)
        if mark is not None:
            recorded.mark = mark
            if mark is Mark.OVER_LIMIT:  # there is no room for what it tells of, but the job goes on
                job.stalled = False
                state.progressed = state.heard = position
            return
        if event.message is not None:
            job.message = event.message
        if event.details is not None:
            job.details = event.details
        if event.worker is not None and event.worker != job.worker and event.type not in _OF_OTHERS:
            job.worker = event.worker
        state.updated = position
        if reports:
            state.progressed = state.heard = position
        elif event.type not in (_OF_ANYBODY if claim is None else _OF_OTHERS) and event.silent_seconds is None:
            state.heard = position

    def view(self, state: State) -> JobSnapshot:
        job = state.job
        job.events, job.position = state.events, state.position
        job.updated_at = updated = rfc3339(millis(state.updated))
        progressed, heard = state.progressed, state.heard
        if progressed is not None:
            job.progressed_at = updated if progressed is state.updated else rfc3339(millis(progressed))
        if heard is not None:
            job.heard_at = updated if heard is state.updated else rfc3339(millis(heard))
        if job.finished_at is None:
            refresh(state)
        return job

    def save(self, state: State) -> Changes:
        job = self.view(state)
        snapshot = _encode(job)
        weight = 1000 + len(snapshot) + 500 * len(job.stages) + 200 * len(job.indicators)
        weight += 400 * len(state.units) + state.units_text
        changes = Changes(weight, ("snapshot", snapshot))
        if state.sums_changed:
            changes.fields = {"sums": _encode(state.sums)}
            state.sums_changed = False
        if state.claim_changed:
            changes.fields = {**changes.fields, "claim": _encode(state.claim)}
            state.claim_changed = False
        if state.params is not None:
            changes.fields = {**changes.fields, "params": state.params}
            state.params = None
        if state.units_dropped:
            changes.units_dropped = True
            state.units_dropped = False
        if state.touched_units:
            units = state.units
            changes.units = {name: _encode(units[name]) for name in state.touched_units}
            state.touched_units.clear()
        if job.status == "queued" or state.queued is not None or state.claim is not None or state.deadline is not None:
            changes.queues = moves(state)
        if state.new_members:
            changes.ranks = state.new_members
            state.new_members = {}
        indexed = indexed_of(state)
        if indexed != state.indexed:
            reindex(state, indexed, changes)
        return changes

    def lacks_unit(self, state: State, unit: str) -> bool:
        return not state.units_complete and unit not in state.units

    def load_unit(self, state: State, unit: str, saved: bytes | None) -> None:
        if saved is None:
            state.units[unit] = None
        else:
            state.units[unit] = _decode_unit(saved)
            state.units_text += max(0, len(saved) - 400)


def _begins(state: State, event: Event) -> bool:
    """Whether an event of a higher attempt starts it. One without effect doesn't; what ended must be begun again."""
    if state.job.finished_at is not None:
        return event.type in _REOPENING
    if event.type == "job.claimed":
        return claimable(state)
    if event.type in _OF_OTHERS:
        return False  # it is work that begins an attempt, and no word about it
    heard = state.claim is None or not state.claim.refuses(event.worker)
    return heard and event.type in effects.EFFECTS
