"""What each type of event does to a job: one small function a type, and the table that names them all.

An effect returns None, or the mark of an event that turned out to have none. Whether the event's attempt, the
claim and the job's final state let it have an effect at all is decided before, in `projections.snapshot`.
"""

import msgspec
from msgspec import UNSET

from projections.claims import claimable, lapsed
from projections.job import Stage, StageSums, State, Sums, UnitCounts, refresh, silent_since
from projections.progress import Effect, begin, items_of, share_of, take_up
from projections.stages import MAX_STAGES, STAGE_EFFECTS
from projections.units import UNIT_EFFECTS, counted
from streamproc.events import Event, Mark
from streamproc.projection import Claim, millis, rfc3339

__all__ = ["CAN_STALL", "EFFECTS", "begin_attempt"]

CAN_STALL = ("started", "running")
"""Who waits, for a worker or by a wish, isn't silent too long."""


def begin_attempt(state: State, attempt: int) -> None:
    """Progress starts again. What the job is (kind, title, labels, declared stages) stays, and so does its claim."""
    job, sums = state.job, state.sums
    job.attempt = attempt
    job.status = "queued"
    job.percent = job.message = job.details = job.current_stage = job.items = job.eta = None
    job.worker = job.result = job.error = job.requested = None
    job.started_at = job.resumed_at = job.progressed_at = job.heard_at = job.finished_at = None
    state.progressed = state.heard = None
    job.stalled = False
    declared = [stage for stage, own in zip(job.stages, sums.stages, strict=True) if own.declared]
    job.stages = [Stage(stage.name, stage.weight) for stage in declared]
    job.indicators = []
    job.units = UnitCounts()
    state.units = {}
    state.units_text = 0
    state.units_dropped = state.units_complete = True
    state.touched_units = {}
    state.new_members = {}
    state.sums = Sums(
        created=sums.created,
        priority=sums.priority,
        max_attempts=sums.max_attempts,
        stages=[StageSums(declared=True) for _ in declared],
        offered=sums.offered,
    )
    state.sums_changed = True
    state.stages = {stage.name: at for at, stage in enumerate(job.stages)}
    state.indicators = {}


def _describe(state: State, event: Event) -> None:
    job, sums = state.job, state.sums
    if event.kind is not None:
        job.kind = event.kind
    if event.title is not None:
        job.title = event.title
    if event.labels is not None:
        job.labels = event.labels
    if event.owner is not None:
        job.owner = event.owner
    if event.params is not UNSET:
        state.params = msgspec.json.encode(event.params)
    if event.priority is not None or event.max_attempts is not None:
        sums.priority = sums.priority if event.priority is None else event.priority
        sums.max_attempts = sums.max_attempts if event.max_attempts is None else event.max_attempts
        state.sums_changed = True
    if event.stages is not None:
        _declare(state, event)


def _declare(state: State, event: Event) -> None:
    """Put the declared stages in their order; those that were known before keep how far they are, and their room."""
    job, sums = state.job, state.sums
    known = {stage.name: (stage, own) for stage, own in zip(job.stages, sums.stages, strict=True)}
    order: dict[str, tuple[Stage, StageSums]] = {}
    room = MAX_STAGES - len(known)
    for declaration in event.stages or ():
        name = declaration.name
        place = order.get(name) or known.get(name)
        if place is None:
            if room == 0:
                continue
            room -= 1
            place = (Stage(name), StageSums(declared=True))
        stage, own = place
        stage.weight = declaration.weight
        own.declared = True
        order[name] = place
    order |= {name: stage for name, stage in known.items() if name not in order}
    job.stages = [stage for stage, _ in order.values()]
    sums.stages = [own for _, own in order.values()]
    state.stages = {name: at for at, name in enumerate(order)}
    state.sums_changed = True


def _queued(state: State, event: Event, position: str) -> None:
    _describe(state, event)
    if not state.sums.offered:
        state.sums.offered = state.sums_changed = True


def _started(state: State, event: Event, position: str) -> None:
    _describe(state, event)
    take_up(state, position, "started")


def _claimed(state: State, event: Event, position: str) -> Mark | None:
    state.taken = True
    if event.worker is None or not claimable(state):
        return Mark.UNCLAIMED
    state.claim = Claim(event.worker, state.job.attempt, event.lease_seconds, position)
    state.claim_changed = True
    take_up(state, position, "started")
    return None


def _released(state: State, event: Event, position: str) -> Mark | None:
    claim = state.claim
    if event.attempt is not None and event.attempt > state.job.attempt:
        return Mark.LATE  # of a claim that wasn't true
    if event.silent_seconds is not None:
        if not lapsed(state, event, position):
            return Mark.LATE
    elif claim is not None and event.worker is not None and claim.refuses(event.worker):
        return Mark.LATE
    if claim is not None and claim.held:
        state.claim = msgspec.structs.replace(claim, held=False)
        state.claim_changed = True
    if not state.sums.offered:
        state.sums.offered = state.sums_changed = True
    state.job.worker = None
    state.job.status = "queued"
    state.job.stalled = False
    return None


def _progressed(state: State, event: Event, position: str) -> None:
    job = state.job
    if job.status != "running" or job.stalled:
        begin(state, position, "running")
    done, total, percent = event.done, event.total, event.percent
    if done is None and total is None:
        if job.items is not None:
            job.items = None
    else:
        items = items_of(job.items, done, total)
        job.items = items
        if percent is None:
            percent = share_of(items)
    job.percent = percent


def _finished(state: State, event: Event, position: str) -> None:
    _end(state, position, "finished")
    state.job.percent = 100.0
    state.job.result = None if event.result is UNSET else event.result


def _failed(state: State, event: Event, position: str) -> Mark | None:
    if event.silent_seconds is not None and not lapsed(state, event, position):
        return Mark.LATE
    _end(state, position, "failed")
    state.job.error = event.error
    return None


def _canceled(state: State, event: Event, position: str) -> Mark | None:
    state.taken = True
    if event.silent_seconds is not None and not lapsed(state, event, position):
        return Mark.LATE
    wish = None
    if event.by is not None:
        if not claimable(state):
            return Mark.LATE  # who has taken it up meanwhile answers the wish
        wish = state.job.requested  # for whoever takes it up all the same
    _end(state, position, "canceled")
    state.job.requested = wish
    if event.reason is not None:
        state.job.message = event.reason
    return None


def _end(state: State, position: str, status: str) -> None:
    state.updated = position
    refresh(state)
    job = state.job
    job.status = status
    job.finished_at = rfc3339(millis(position))
    job.requested = None
    job.stalled = False
    if state.claim is not None:
        state.claim = None
        state.claim_changed = True


def _pause_requested(state: State, event: Event, position: str) -> None:
    job = state.job
    if job.requested != "cancel":
        job.requested = None if job.status == "paused" else "pause"
    _resumes(state, False)


def _resume_requested(state: State, event: Event, position: str) -> None:
    job = state.job
    if job.requested != "cancel":
        _resumes(state, job.requested == "pause")
        job.requested = "resume" if job.status == "paused" else None


def _cancel_requested(state: State, event: Event, position: str) -> None:
    state.job.requested = "cancel"


def _paused(state: State, event: Event, position: str) -> None:
    begin(state, position, "running")
    job = state.job
    job.status = "paused"
    if job.requested == "pause":
        job.requested = None
    elif job.requested is None and state.sums.resumed:
        job.requested = "resume"  # it was asked to go on before it said that it stands still
    _resumes(state, False)


def _resumed(state: State, event: Event, position: str) -> None:
    take_up(state, position, "running")
    state.job.status = "running"
    if state.job.requested == "resume":
        state.job.requested = None
    _resumes(state, False)


def _resumes(state: State, resumed: bool) -> None:
    if state.sums.resumed is not resumed:
        state.sums.resumed = resumed
        state.sums_changed = True


def _stalled(state: State, event: Event, position: str) -> Mark | None:
    """It was true when it was decided. It still is where nothing of the silence that it tells of has ended since."""
    job = state.job
    began = millis(position) - round(1000 * (event.silent_seconds or 0))
    if job.stalled or job.status not in CAN_STALL or silent_since(state) > began:
        return Mark.LATE
    job.stalled = True
    return None


def _nothing_more(state: State, event: Event, position: str) -> None:
    """A heartbeat or a note: the message, the worker and the time are all there is to it."""


EFFECTS: dict[str, Effect] = (
    {
        "job.queued": _queued,
        "job.claimed": _claimed,
        "job.released": _released,
        "job.started": _started,
        "job.progressed": _progressed,
        "job.counted": counted,
        "job.pause_requested": _pause_requested,
        "job.resume_requested": _resume_requested,
        "job.cancel_requested": _cancel_requested,
        "job.paused": _paused,
        "job.resumed": _resumed,
        "job.finished": _finished,
        "job.failed": _failed,
        "job.canceled": _canceled,
        "job.heartbeat": _nothing_more,
        "job.noted": _nothing_more,
        "job.stalled": _stalled,
    }
    | STAGE_EFFECTS
    | UNIT_EFFECTS
)
