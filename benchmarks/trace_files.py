"""The recorded traces, read: runs of real programs, as their events came into the log."""

import hashlib
import lzma
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Raw, Struct

from streamproc.events import Event
from streamproc.wire import decode

__all__ = ["FOLDER", "HELD_OUT", "SUMS", "Run", "kinds", "load", "verify"]

FOLDER: Final = Path(__file__).parent / "traces"
SUMS: Final = FOLDER / "SHA256SUMS"
HELD_OUT: Final = frozenset({"docs", "tests"})
"""Kinds that nothing may be tuned on: one with stages and percents, one with a plain count of very unlike items."""


class Run(Struct, frozen=True):
    """One run.

    Args:
        number: from 1, in the order in which the runs of the kind began; some numbers may be missing.
        scale: 0 to 1, how large the run is among those of its kind, on a logarithmic axis.
        load: the machine's load average when it began.
        events: milliseconds since the run's start, and the event.
    """

    kind: str
    number: int
    began: datetime
    scale: float
    load: float
    events: list[tuple[int, Event]]

    @property
    def job(self) -> str:
        """The id of its job."""
        return f"{self.kind}-{self.number}"

    @property
    def seconds(self) -> float:
        """From the first event to the last."""
        return (self.events[-1][0] - self.events[0][0]) / 1000


class _Line(Struct):
    kind: str
    run: int
    began: datetime
    scale: float
    load: float
    events: list[tuple[int, Raw]]


_decode_line = msgspec.json.Decoder(_Line).decode


def kinds() -> list[str]:
    """The kinds that there are traces of."""
    return sorted(path.name.removesuffix(".ndjson.xz") for path in FOLDER.glob("*.ndjson.xz"))


def load(kind: str) -> list[Run]:
    """The runs of a kind, in the order in which they began."""
    text = lzma.decompress((FOLDER / f"{kind}.ndjson.xz").read_bytes())
    return sorted((_read(line) for line in text.splitlines()), key=lambda run: run.began)


def _read(line: bytes) -> Run:
    said = _decode_line(line)
    head = f'{{"job":"{said.kind}-{said.run}",'.encode()
    events = [(ms, decode(head + bytes(payload)[1:])) for ms, payload in said.events]
    return Run(said.kind, said.run, said.began, said.scale, said.load, events)


def verify() -> None:
    """Compare each file with its hash. Raises `ValueError`, naming what differs."""
    listed = {name: digest for digest, name in map(str.split, SUMS.read_text().splitlines())}
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in FOLDER.glob("*.ndjson.xz")}
    wrong = sorted(name for name in listed.keys() | found.keys() if listed.get(name) != found.get(name))
    if wrong:
        raise ValueError(f"{', '.join(wrong)}: not as {SUMS.name} says")
