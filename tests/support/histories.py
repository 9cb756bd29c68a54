"""The histories of jobs, as commits have written them, for looking back without a server."""

import json
from collections.abc import Sequence
from typing import Any

from projections import PAST
from streamproc.keys import Keys
from streamproc.past import Past
from streamproc.position import key
from tests.support.folding import MemoryStore

__all__ = ["Histories"]


class Histories(MemoryStore):
    """Where a `Past` reads histories. It counts what it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.read_entries = 0

    async def history(self, job: str, after: str, count: int) -> Sequence[Any]:
        stream = self.streams.get(self.keys.events(job), [])
        found = [(position.encode(), fields) for position, fields in stream if key(position) > key(after)][:count]
        self.read_entries += len(found)
        return found

    async def history_length(self, job: str) -> int:
        return len(self.streams.get(self.keys.events(job), []))

    def past(self) -> Past:
        return Past(self, Keys("sp", 1), PAST)  # type: ignore[arg-type]

    async def look(self, past: Past, position: str, job: str = "j1", life: str = "a") -> Any:
        snapshot = await past.snapshot(job, life, self.hashes[self.keys.state(job)]["snapshot"], key(position))
        return None if snapshot is None else json.loads(snapshot)

    def runs(self, kind: str) -> list[tuple[int, bytes]]:
        """The runs of a kind, the oldest first, each with when it ended in ms."""
        stream = self.streams.get(self.keys.runs(kind), [])
        return [(key(position)[0], fields[1]) for position, fields in stream]
