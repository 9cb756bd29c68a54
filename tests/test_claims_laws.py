"""Claims whatever happens: workers that die, gateways that die in the middle, folds that lag, leases that end.

Everything runs in one process, without a server: the log, the folds, the queues that they write, and what the gateways,
the workers and the releaser do, step by step in any order. Only the clock is ours.
"""

import json
from typing import Any, NamedTuple

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from projections import STALLS
from streamproc.events import Event
from streamproc.position import key, millis
from streamproc.queues import created_and_job, queue_of
from streamproc.sweeps import Folded, Horizon
from streamproc.wire import encode
from tests.support.folding import MemoryStore

JOBS = st.sampled_from(["a", "b"])
WORKERS = st.sampled_from(["w1", "w2"])
MOST_ATTEMPTS = 4
LEASE_MS = 3000


class Claiming(NamedTuple):
    """A claim that a gateway has appended, and not answered yet."""

    job: str
    worker: str
    attempt: int
    position: str


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.store = MemoryStore()
        self.log: list[tuple[bytes, list[bytes]]] = []
        self.folded = 0
        self.now = 1_763_750_000_000
        self.claiming: list[Claiming] = []
        self.told: dict[str, list[Claiming]] = {}
        """What each worker believes to hold."""
        self.horizon = Horizon()

    # What there is -----------------------------------------------------------------------------------------------

    def append(self, **fields: Any) -> str:
        self.now += 1
        position = f"{self.now}-0"
        self.log.append((position.encode(), [b"e", json.dumps(fields).encode()]))
        return position

    def queue(self, kind: str | None = None) -> list[tuple[int, str]]:
        members = self.store.zsets.get(self.store.keys.queue(queue_of(kind)), {})
        return sorted((score, member) for member, score in members.items())

    def stored(self, job: str) -> dict[str, bytes]:
        return self.store.hashes.get(self.store.keys.state(job), {})

    def snapshot(self, job: str) -> dict[str, Any] | None:
        saved = self.stored(job).get("snapshot")
        return None if saved is None else json.loads(saved)

    def claim_on(self, job: str) -> dict[str, Any] | None:
        saved = self.stored(job).get("claim")
        return None if saved is None else json.loads(saved)

    def take(self, job: str, events: list[Event]) -> str | None:
        """What `sp_take` does."""
        member = next((member for _, member in self.queue() if created_and_job(member)[1] == job), None)
        if member is None:
            return None
        for members in self.store.zsets.values():
            members.pop(member, None)
        return [self.append(**json.loads(encode(event))) for event in events][-1]

    # What happens ------------------------------------------------------------------------------------------------

    @initialize(priorities=st.lists(st.integers(-1, 1), min_size=2, max_size=2))
    def begin(self, priorities: list[int]) -> None:
        for job, priority in zip("ab", priorities, strict=True):
            self.append(job=job, type="job.queued", kind="k", priority=priority, max_attempts=MOST_ATTEMPTS)

    @rule(events=st.integers(1, 5))
    def fold(self, events: int) -> None:
        self.store.fold(self.log[self.folded : self.folded + events])
        self.folded = min(len(self.log), self.folded + events)

    @rule()
    def forget(self) -> None:
        self.store.forget()

    @rule(ms=st.integers(1, 2 * LEASE_MS))
    def wait(self, ms: int) -> None:
        self.now += ms

    @rule(worker=WORKERS)
    def work(self, worker: str) -> None:
        """All goes well for once: a worker claims the next job, and is told so."""
        self.claiming.clear()
        self.fold(len(self.log))
        self.claim(worker, 0)
        self.fold(len(self.log))
        if self.claiming:
            self.answer(0, dies=False)

    @rule()
    def fall_silent(self) -> None:
        """Nobody says anything for as long as leases last."""
        self.fold(len(self.log))
        self.now += 2 * LEASE_MS
        self.release()

    @rule(worker=WORKERS)
    def speak_at_the_last_moment(self, worker: str) -> None:
        """What a worker says isn't folded yet when its lease is found to have ended."""
        self.fold(len(self.log))
        self.now += 2 * LEASE_MS
        self.append(job="another", type="job.noted")
        self.fold(len(self.log))
        self.report(worker, 0, "job.heartbeat")
        self.release()

    @rule(worker=WORKERS, other=WORKERS)
    def claim_twice(self, worker: str, other: str) -> None:
        """A job is back in the queue, by what was said of it, before the claim that took it out is folded."""
        self.fold(len(self.log))
        for _, member in self.queue()[:1]:
            self.queue_again(created_and_job(member)[1], 2)
            self.claim(worker, 0)
            self.fold(1)
            self.claim(other, 0)

    @rule(job=JOBS, priority=st.integers(-1, 1))
    def queue_again(self, job: str, priority: int) -> None:
        """Somebody says anew what a job is; where it has begun that changes nothing of who holds it."""
        self.append(job=job, type="job.queued", kind="k", priority=priority)

    @rule(job=JOBS)
    def begin_without_a_claim(self, job: str) -> None:
        self.append(job=job, type="job.started", worker="direct")

    @rule(worker=WORKERS, which=st.integers(0, 2))
    def claim(self, worker: str, which: int) -> None:
        """A gateway takes the next job; or, having looked a while ago, one that was next then."""
        waiting = self.queue()
        if not waiting:
            return
        _, job = created_and_job(waiting[min(which, len(waiting) - 1)][1])
        snapshot = self.snapshot(job)
        assert snapshot is not None
        attempt = snapshot["attempt"] + (snapshot["started_at"] is not None)
        event = Event(job=job, type="job.claimed", worker=worker, attempt=attempt, lease_seconds=LEASE_MS / 1000)
        position = self.take(job, [event])
        if position is not None:
            self.claiming.append(Claiming(job, worker, attempt, position))

    @precondition(lambda self: self.claiming)
    @rule(which=st.integers(0, 5), dies=st.booleans())
    def answer(self, which: int, dies: bool) -> None:
        """A gateway answers, as it sees that the claim is true; or it dies, or its projector is absent for too long."""
        claiming = self.claiming.pop(which % len(self.claiming))
        if dies:
            return
        if key(claiming.position) > self.cursor:
            self.append(job=claiming.job, type="job.released", worker=claiming.worker, attempt=claiming.attempt)
            return
        claim = self.claim_on(claiming.job)
        if claim is not None and claim["held"] and claim["position"] == claiming.position:
            self.told.setdefault(claiming.worker, []).append(claiming)

    @precondition(lambda self: self.told)
    @rule(
        worker=WORKERS,
        which=st.integers(0, 5),
        word=st.sampled_from(["job.heartbeat", "job.progressed", "job.paused", "job.finished", "job.failed"]),
    )
    def report(self, worker: str, which: int, word: str) -> None:
        """A worker says something of a job that it believes to hold, whether or not it still does."""
        believed = self.told.get(worker, ())
        if believed:
            claim = believed[which % len(believed)]
            self.append(job=claim.job, type=word, worker=worker, attempt=claim.attempt)

    @rule(worker=WORKERS)
    def give_back(self, worker: str) -> None:
        for claim in self.told.pop(worker, ()):
            self.append(job=claim.job, type="job.released", worker=worker, attempt=claim.attempt)

    @rule(job=JOBS)
    def cancel(self, job: str) -> None:
        snapshot = self.snapshot(job)
        if snapshot is None:
            return
        wish = Event(job=job, type="job.cancel_requested")
        ends = Event(job=job, type="job.canceled", by="ann")
        if snapshot["status"] != "queued" or self.take(job, [wish, ends]) is None:
            self.append(job=job, type="job.cancel_requested")

    @rule(job=JOBS)
    def retry(self, job: str) -> None:
        snapshot = self.snapshot(job)
        if snapshot is not None and snapshot["status"] in ("failed", "canceled"):
            self.append(job=job, type="job.queued", attempt=snapshot["attempt"] + 1)

    @rule()
    def release(self) -> None:
        """The partition's owner ends the claims whose leases have ended."""
        cursor = f"{self.cursor[0]}-{self.cursor[1]}"
        end = self.log[-1][0].decode() if self.log else "0-0"
        now = self.horizon.now(Folded(cursor, end, self.now))
        if now is None:
            return
        for job, ends in list(self.store.zsets.get(self.store.keys.queue("claims"), {}).items()):
            if ends <= now:
                saved = self.stored(job)
                told = STALLS.lapse([saved.get(field) for field in STALLS.claim_fields], now, 0)
                assert isinstance(told, Event)
                self.horizon.wait_for = self.append(**json.loads(encode(told)))

    # What holds --------------------------------------------------------------------------------------------------

    @property
    def cursor(self) -> tuple[int, int]:
        return key(self.log[self.folded - 1][0].decode()) if self.folded else (0, 0)

    @invariant()
    def nobody_holds_what_another_holds(self) -> None:
        """In each history a true claim comes only where the one before it has ended; and only its holder is heard."""
        for job in "ab":
            holder = lost = None
            heard = 0
            for position, fields in self.store.streams.get(self.store.keys.events(job), []):
                event, marked = json.loads(fields[1]), len(fields) > 2
                if marked or event["type"] in ("job.queued", "job.cancel_requested"):
                    continue
                worker = event.get("worker")
                if event["type"] == "job.claimed":
                    assert holder is None
                    holder, lost = worker, None
                else:
                    assert worker != lost or worker is None
                    assert worker == holder or holder is None
                if "silent_seconds" in event:
                    assert millis(position) >= heard + LEASE_MS
                heard = millis(position)
                if event["type"] == "job.released":
                    holder, lost = None, worker
                elif event["type"] in ("job.finished", "job.failed", "job.canceled"):
                    holder = lost = None

    @invariant()
    def what_is_queued_is_in_the_queue_unless_it_was_just_taken(self) -> None:
        taken = {
            json.loads(payload)["job"]
            for _, (_, payload) in self.log[self.folded :]
            if json.loads(payload)["type"] in ("job.claimed", "job.canceled")
        }
        waiting, held = [], {}
        for job in "ab":
            snapshot, claim = self.snapshot(job), self.claim_on(job)
            if snapshot is not None and snapshot["status"] == "queued" and not (claim and claim["held"]):
                waiting.append(job)
            if claim and claim["held"]:
                assert snapshot is not None
                assert snapshot["worker"] in (claim["worker"], None)
                held[job] = claim
        found = [created_and_job(member)[1] for _, member in self.queue()]
        assert set(found) <= set(waiting)
        assert set(waiting) - set(found) <= taken
        assert self.queue() == self.queue("k")
        assert self.store.zsets.get(self.store.keys.queue("claims"), {}).keys() == held.keys()

    def teardown(self) -> None:
        """Whoever is left alone with the queue gets every job, in its order, and ends it: nothing is lost."""
        self.fold(len(self.log))
        for job in "ab":
            snapshot, claim = self.snapshot(job), self.claim_on(job)
            if snapshot is not None and snapshot["status"] != "queued" and not (claim and claim["held"]):
                self.append(job=job, type="job.finished", worker="direct")  # it was begun without a claim
        for _ in range(2 * MOST_ATTEMPTS):
            self.fall_silent()
            self.fold(len(self.log))
            waiting = self.queue()
            assert waiting == sorted(waiting)
            for _, member in waiting:
                job = created_and_job(member)[1]
                self.claiming.clear()
                self.claim("last", [created_and_job(each)[1] for _, each in self.queue()].index(job))
                self.fold(len(self.log))
                [claim] = self.claiming
                claimed = self.claim_on(job)
                assert claimed is not None
                assert claimed["position"] == claim.position
                assert millis(claim.position) + LEASE_MS == self.store.zsets[self.store.keys.queue("claims")][job]
                self.append(job=job, type="job.finished", worker="last", attempt=claim.attempt)
                self.fold(len(self.log))
        for job in "ab":
            snapshot = self.snapshot(job)
            if snapshot is not None:
                assert snapshot["status"] in ("finished", "failed", "canceled")
        again = MemoryStore()
        again.fold(self.log)
        assert self.store.contents() == again.contents()

    @invariant()
    def once_all_is_folded_a_rebuild_gives_the_same(self) -> None:
        """What was taken out of the queues by hand, too, the log alone knows of."""
        if self.folded == len(self.log):
            again = MemoryStore()
            again.fold(self.log)
            assert self.store.contents() == again.contents()


TestClaims = Machine.TestCase
TestClaims.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
