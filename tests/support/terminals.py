"""A command on a terminal, and what somebody in front of it sees."""

import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

import httpx
import pyte

from tests.support.commands import environment
from tests.support.stack import Stack

__all__ = ["DEADLINE", "Terminal", "emit", "row_of"]

DEADLINE: Final = 30.0


class Terminal:
    """Runs ``streamproc`` with these arguments on a terminal of its own, in a context; at its end it is killed.

    Args:
        rows: of the terminal.
        columns: of it.
        variables: of the command's environment.

    Attributes:
        written: all that the command has written to it.
    """

    def __init__(self, *arguments: str, rows: int = 24, columns: int = 120, **variables: str) -> None:
        self.written = b""
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self._ours, theirs = pty.openpty()
        termios.tcsetwinsize(self._ours, (rows, columns))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "streamproc", *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            env=environment(**{"TERM": "xterm-256color"} | variables),
        )
        os.close(theirs)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._ours)

    @property
    def rows(self) -> list[str]:
        """What is seen."""
        return [row.rstrip() for row in self._screen.display]

    @property
    def text(self) -> str:
        """The same as one text."""
        return "\n".join(self.rows)

    @property
    def shows_cursor(self) -> bool:
        return not self._screen.cursor.hidden

    def colors(self, row: int) -> set[str]:
        """The colours of what stands in a row."""
        return {self._screen.buffer[row][column].fg for column in range(self._screen.columns)}

    def resize(self, rows: int, columns: int) -> None:
        self._screen.resize(rows, columns)
        termios.tcsetwinsize(self._ours, (rows, columns))  # and the command is told by SIGWINCH
        self._process.send_signal(signal.SIGWINCH)

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait_for(self, seen: Callable[[str], object]) -> str:
        """Wait until something holds of what is seen. Returns that."""
        deadline = time.monotonic() + DEADLINE
        while not seen(self.text):
            assert time.monotonic() < deadline, f"this is seen instead:\n{self.text}"
            self._read(deadline)
        return self.text

    def wait(self) -> int:
        """Wait for the command's end. Returns its exit code."""
        deadline = time.monotonic() + DEADLINE
        while self._read(deadline):
            assert time.monotonic() < deadline, f"it doesn't end:\n{self.text}"
        return self._process.wait(DEADLINE)

    def _read(self, deadline: float) -> bool:
        """Take in more of what it writes. Returns whether there may be more yet."""
        ready, _, _ = select.select([self._ours], [], [], max(0, deadline - time.monotonic()))
        if not ready:
            return True
        try:
            came = os.read(self._ours, 65_536)
        except OSError:  # so ends a terminal that nobody has open any more
            return False
        self.written += came
        self._stream.feed(came)
        return True


def emit(stack: Stack, *events: dict[str, Any]) -> None:
    """Append events, and wait until they are folded."""
    done = httpx.post(f"{stack.http}/v1/events", json=events, trust_env=False).raise_for_status().json()
    for job, position in {where["job"]: where["position"] for where in done["events"]}.items():
        stack.wait_for(job, position=position)


def row_of(text: str, seen: str) -> str:
    """The first row that has a text; none where there is no such."""
    return next((row for row in seen.splitlines() if text in row), "")
