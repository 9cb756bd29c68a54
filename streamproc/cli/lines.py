"""A program's output as lines: also those that it draws over one another."""

import re
from collections import deque
from collections.abc import Callable
from typing import Final

__all__ = ["Lines", "Tail"]

_LONGEST: Final = 8 * 1024
"""Bytes that are kept of a line; what has no line ends must not fill the memory."""
_SPLIT: Final = re.compile(rb"([\r\n])")
_ESCAPE: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-~])")
"""ECMA-48: a control sequence, an operating system command, and the short ones."""


class Lines:
    """Splits bytes as they come into lines, at the end of one and where the cursor goes back to its beginning.

    Call it with each piece, and with an empty one at the end.

    Args:
        read: called with each line, without escapes and without its end, and whether the next is drawn over it.
    """

    def __init__(self, read: Callable[[str, bool], None]) -> None:
        self._read = read
        self._rest = b""

    def __call__(self, piece: bytes) -> None:
        if not piece and self._rest:  # the last line needs no end
            piece = b"\n"
        parts = _SPLIT.split(self._rest + piece)
        self._rest = parts.pop()[-_LONGEST:]
        for line, end in zip(parts[::2], parts[1::2], strict=True):
            self._say(line[-_LONGEST:], end == b"\r")

    def _say(self, line: bytes, drawn_over: bool) -> None:
        text = _ESCAPE.sub("", line.decode(errors="replace"))
        if not text.isprintable():
            text = "".join(character for character in text if character.isprintable() or character == "\t")
        self._read(text, drawn_over)


class Tail:
    """The last lines of an output, as a terminal would show them.

    Args:
        lines: how many, at most.
        characters: how many of them all, at most.
    """

    def __init__(self, lines: int, characters: int) -> None:
        self._lines: deque[str] = deque(maxlen=lines)
        self._characters = characters
        self._open = False

    def add(self, line: str, drawn_over: bool) -> None:
        """The next line, and whether the one after it is drawn over it."""
        if line.strip():
            if self._open:
                self._lines.pop()
            self._lines.append(line.rstrip())
            self._open = drawn_over
        elif not drawn_over:
            self._open = False

    def __str__(self) -> str:
        return "\n".join(self._lines)[-self._characters :]
