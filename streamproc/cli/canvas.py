"""A picture in a terminal that is drawn over and over: only its lines that have changed are written.

So a terminal at the other end of a slow line isn't flooded, and nothing flickers. A picture is drawn in the place where
the cursor was, or on the whole screen, which is given back at the end.
"""

import signal
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Protocol, Self

import anyio
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.text import Text

__all__ = ["Canvas", "can_draw", "draw_as_it_changes"]

_CLEAR_LINE: Final = "\x1b[K"
_CLEAR_BELOW: Final = "\x1b[J"
_HIDE, _SHOW = "\x1b[?25l", "\x1b[?25h"
_ENTER, _LEAVE = "\x1b[?1049h\x1b[2J", "\x1b[?1049l"
_LEAST_SECONDS: Final = 0.2
"""Between two pictures; and where one takes long, as on a slow line, as long as it took."""
_TICK_SECONDS: Final = 1.0


def can_draw(console: Console) -> bool:
    """Whether a console is a terminal in which a cursor can be moved."""
    return console.file.isatty() and not console.is_dumb_terminal and not console.legacy_windows


class Canvas:
    """A place in a terminal, in a context.

    Args:
        console: of the terminal.
        whole: whether the whole screen is drawn on. Else the last picture stays when the context ends.
    """

    def __init__(self, console: Console, *, whole: bool = False) -> None:
        self._console = console
        self._whole = whole
        self._size = console.size
        self._lines: list[str] = []

    def __enter__(self) -> Self:
        self._write((_ENTER if self._whole else "") + _HIDE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._write((_LEAVE if self._whole else "") + _SHOW)

    def draw(self, picture: RenderableType) -> None:
        """Draw a picture in place of the one before, as much of it as there is room for, and its last line."""
        written = ""
        if self._console.size != self._size:
            written, self._lines = self._erased(), []
            self._size = self._console.size
        room = max(1, self._size.height - (0 if self._whole else 1))
        lines = self._rendered(picture)
        if len(lines) > room:
            lines = [*lines[: room - 1], lines[-1]]
        self._write(written + (self._placed(lines) if self._whole else self._flowing(lines)))
        self._lines = lines

    def say(self, line: Text) -> None:
        """Write a line above the picture, to stay."""
        lines, self._lines = self._lines, []
        self._write(self._to_top(len(lines)) + _CLEAR_BELOW)
        self._console.print(line)
        self._write(self._flowing(lines))
        self._lines = lines

    def leave(self, picture: RenderableType) -> None:
        """Let a last picture stand in its place, all of it. Not on the whole screen."""
        self._write(self._erased())
        self._lines = []
        self._console.print(picture)

    def _rendered(self, picture: RenderableType) -> list[str]:
        with self._console.capture() as captured:
            self._console.print(picture)
        return [line.rstrip() for line in captured.get().splitlines()]

    def _placed(self, lines: list[str]) -> str:
        """What writes lines, each where it belongs on the screen."""
        before = self._lines
        changed = [
            f"\x1b[{at + 1};1H{line}{_CLEAR_LINE}"
            for at, line in enumerate(lines)
            if at >= len(before) or line != before[at]
        ]
        rest = f"\x1b[{len(lines) + 1};1H{_CLEAR_BELOW}" if len(before) > len(lines) else ""
        return "".join(changed) + rest

    def _flowing(self, lines: list[str]) -> str:
        """What writes lines over those before, from the row below them to the row below the new ones."""
        before = self._lines
        if lines == before:
            return ""
        parts = [self._to_top(len(before))]
        for at, line in enumerate(lines):
            if at >= len(before) or line != before[at]:
                parts.append(f"\r{line}{_CLEAR_LINE}")
            parts.append("\r\n")
        if len(before) > len(lines):
            parts.append(_CLEAR_BELOW)
        return "".join(parts)

    def _erased(self) -> str:
        """What erases the picture after the terminal got another size: it may have broken the lines anew."""
        if self._whole:
            return "\x1b[H" + _CLEAR_BELOW
        width = max(1, self._console.width)
        rows = sum(max(1, -(-cell_len(Text.from_ansi(line).plain) // width)) for line in self._lines)
        return self._to_top(min(rows, self._console.height - 1)) + _CLEAR_BELOW

    def _to_top(self, rows: int) -> str:
        return f"\r\x1b[{rows}A" if rows else "\r"

    def _write(self, written: str) -> None:
        if written:
            self._console.file.write(written)
            self._console.file.flush()


class Changing(Protocol):
    """Something that changes."""

    async def changed(self) -> None:
        """Wait until it has changed since this was called last."""

    def touch(self) -> None:
        """It has changed."""


async def draw_as_it_changes(canvas: Canvas, picture: Callable[[], RenderableType], of: Changing) -> None:
    """Draw, until cancelled: at once when something changes, if that was not just now, and each second."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_tell_of_sizes, of.touch)
        await _draw(canvas, picture, of)


async def _draw(canvas: Canvas, picture: Callable[[], RenderableType], of: Changing) -> None:
    while True:
        began = time.monotonic()
        canvas.draw(picture())
        took = time.monotonic() - began
        await anyio.sleep(max(_LEAST_SECONDS, took))
        with anyio.move_on_after(_TICK_SECONDS):
            await of.changed()


async def _tell_of_sizes(told: Callable[[], None]) -> None:
    """Call it whenever the terminal gets another size, until cancelled."""
    if sys.platform == "win32":
        return
    with anyio.open_signal_receiver(signal.SIGWINCH) as sizes:
        async for _ in sizes:
            told()
