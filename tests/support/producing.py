"""What a worker's reports came to: the payloads in the log, and their fold."""

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Self

import msgspec
import redis

from projections.snapshot import Snapshot
from streamproc.errors import InvalidEvent
from streamproc.events import Mark, RecordedEvent
from streamproc.keys import Keys
from streamproc.wire import decode

__all__ = ["LogReader", "wait_until"]


def wait_until(condition: Callable[[], object], *, seconds: float = 20.0) -> None:
    """Wait until a condition holds; fail after a deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"did not happen within {seconds} s"
        time.sleep(0.005)


def job_of(payload: bytes) -> str | None:
    """The job of an event; None of what is none, as other tests leave in the log too."""
    try:
        return decode(payload).job
    except InvalidEvent:
        return None


class LogReader:
    """Reads a namespace as another language would: the payloads of a job, in their order."""

    def __init__(self, url: str, namespace: str, partitions: int = 16) -> None:
        self.client = redis.Redis.from_url(url)
        self.keys = Keys(namespace, partitions)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def entries(self, job: str) -> list[tuple[str, bytes]]:
        entries: Any = self.client.xrange(self.keys.of(job).log)
        return [(position.decode(), fields[b"e"]) for position, fields in entries if job_of(fields[b"e"]) == job]

    def events(self, job: str) -> list[dict[str, Any]]:
        return [msgspec.json.decode(payload) for _, payload in self.entries(job)]

    def once(self, job: str) -> list[dict[str, Any]]:
        """The events without those that were sent again, as the projector tells them: by `src` and `seq`."""
        newest: dict[str, int] = defaultdict(int)
        kept = []
        for event in self.events(job):
            if event["seq"] > newest[event["src"]]:
                newest[event["src"]] = event["seq"]
                kept.append(event)
        return kept

    def types(self, job: str) -> list[str]:
        return [event["type"] for event in self.events(job)]

    def snapshot(self, job: str) -> dict[str, Any]:
        """The job's snapshot, folded by the projection; re-sent events are marked as the projector does."""
        fold = Snapshot()
        state = fold.initial(job)
        newest: dict[str, int] = defaultdict(int)
        for position, payload in self.entries(job):
            recorded = RecordedEvent(position, decode(payload), payload)
            src, seq = recorded.event.src, recorded.event.seq
            if src is not None and seq is not None:
                if seq <= newest[src]:
                    recorded.mark = Mark.DUPLICATE
                newest[src] = max(newest[src], seq)
            fold.evolve(state, recorded)
        snapshot: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(fold.view(state)))
        return snapshot

    def serve(self, job: str, snapshot: dict[str, Any]) -> None:
        """Put a snapshot where the projector would."""
        self.client.hset(self.keys.of(job).state(job), "snapshot", msgspec.json.encode(snapshot).decode())

    def length(self) -> int:
        """How many entries the log has."""
        with self.client.pipeline(transaction=False) as pipe:
            for partition in self.keys.partitions:
                pipe.xlen(partition.log)
            return sum(pipe.execute())
