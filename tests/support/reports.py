"""A job that events are reported of, one a second, and what the folds make of them."""

import json
from typing import Any

from tests.support.folding import MemoryStore

__all__ = ["Reports", "at"]

_LEFT_OUT: dict[str, Any] = dict.fromkeys(
    ("weight", "stage", "message", "worker", "started_at", "finished_at", "error", "counts")
) | {"attempt": 1}
_START = 1_763_750_000_000


def at(second: int) -> str:
    """The time of the event that was reported as the `second`-th, from 0."""
    return f"2025-11-21T18:{33 + (20 + second) // 60}:{(20 + second) % 60:02d}.000Z"


class Reports(MemoryStore):
    """A store with one job in it. Call it with a type and fields to report an event; the snapshot is what it returns.

    Args:
        forgets: lose all memory after each event, so that the next one is folded from what is stored.
    """

    def __init__(self, *, forgets: bool = False) -> None:
        super().__init__()
        self.forgets = forgets
        self.count = 0
        self.written = 0
        """How many bytes the last commit wrote."""

    def __call__(self, event: str, /, **fields: Any) -> dict[str, Any]:
        self.report([{"type": event} | fields])
        return self.now

    def report(self, events: list[dict[str, Any]]) -> None:
        """Report many events in one batch."""
        entries = []
        for event in events:
            position = f"{_START + 1000 * self.count}-0"
            entries.append((position.encode(), [b"e", json.dumps({"job": "j"} | event).encode()]))
            self.count += 1
        self.fold(entries)
        if self.forgets:
            self.forget()

    @property
    def now(self) -> dict[str, Any]:
        snapshot: dict[str, Any] = self.snapshot("j")
        return snapshot

    @property
    def stages(self) -> dict[str, dict[str, Any]]:
        """The stages by name, in their order."""
        return {stage["name"]: stage for stage in self.now["stages"]}

    @property
    def counters(self) -> dict[str, tuple[float, float]]:
        """Done and total of each indicator."""
        return {each["label"]: (each["done"], each["total"]) for each in self.now["indicators"]}

    @property
    def units(self) -> dict[str, dict[str, Any]]:
        """What is stored of each unit, by name, with what is left out of it."""
        stored = self.hashes.get(self.keys.units("j"), {})
        return {name: _LEFT_OUT | json.loads(unit) for name, unit in stored.items()}

    @property
    def ranks(self) -> list[str]:
        """The members, in the order in which they joined."""
        ranks = self.zsets.get(self.keys.ranks("j"), {})
        return sorted(ranks, key=lambda unit: ranks[unit])

    @property
    def indexes(self) -> dict[str, dict[str, int]]:
        """The indexes that aren't empty, by name."""
        prefix = self.keys.index("")
        return {key[len(prefix) + 1 :]: jobs for key, jobs in self.zsets.items() if key.startswith(prefix) and jobs}

    @property
    def marks(self) -> list[str | None]:
        """The mark of each event in history."""
        return [fields[3].decode() if len(fields) > 2 else None for _, fields in self.streams[self.keys.events("j")]]

    @property
    def attempts(self) -> list[dict[str, Any]]:
        saved = self.hashes[self.keys.state("j")].get("attempts", b'{"attempts":[]}')
        found: list[dict[str, Any]] = json.loads(saved)["attempts"]
        return found

    def _apply(self, arguments: list[Any]) -> None:
        self.written = sum(len(value) if isinstance(value, str | bytes) else len(str(value)) for value in arguments)
        super()._apply(arguments)
