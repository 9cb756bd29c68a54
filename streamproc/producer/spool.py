"""Events beyond the memory: an unnamed temporary file, first in, first out."""

import struct
import tempfile
from typing import IO, Final

__all__ = ["Spool"]

_HEAD: Final = struct.Struct("<HHI")


class Spool:
    """A queue on disk. The file comes with the first event, and is given back when the last has been taken."""

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self._read = 0
        self._written = 0
        self._events = 0

    def __len__(self) -> int:
        return self._events

    def close(self) -> None:
        """Give the file back, and what is in it."""
        if self._file is not None:
            self._file.close()

    def put(self, job: str, body: bytes, at: int) -> None:
        """Add an event: its job, its payload, and where in it `src` and `seq` go. Raises `OSError`."""
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="streamproc-", buffering=0)  # noqa: SIM115  (it outlives this)
        name = job.encode()
        record = _HEAD.pack(len(name), at, len(body)) + name + body
        self._file.seek(self._written)
        written = self._file.write(record)
        if written != len(record):
            raise OSError("the disk is full")
        self._written += written
        self._events += 1

    def take(self) -> tuple[str, bytes, int]:
        """The oldest event. Raises `OSError`."""
        assert self._file is not None  # noqa: S101  (there is an event)
        self._file.seek(self._read)
        length, at, size = _HEAD.unpack(self._file.read(_HEAD.size))
        name, body = self._file.read(length).decode(), self._file.read(size)
        self._read += _HEAD.size + length + size
        self._events -= 1
        if not self._events:
            self._file.close()
            self._file, self._read, self._written = None, 0, 0
        return name, body, at
