"""Keys as they are typed, one at a time, without Enter."""

import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import anyio

__all__ = ["can_type", "typed", "typing"]


def can_type() -> bool:
    """Whether there is a keyboard whose keys can be waited for."""
    return sys.platform != "win32" and sys.stdin.isatty()


@contextmanager
def typing() -> Iterator[None]:
    """Let keys come at once and unseen, in a context; Ctrl-C stays what it is."""
    import termios
    import tty

    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


async def typed() -> AsyncIterator[str]:
    """What is typed, a character at a time, until the terminal is gone."""
    while True:
        await anyio.wait_readable(sys.stdin)
        try:
            characters = os.read(sys.stdin.fileno(), 256)
        except OSError:
            return
        if not characters:
            return
        for character in characters.decode(errors="ignore"):
            yield character
