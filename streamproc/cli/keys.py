"""Keys as they are typed, one at a time, without Enter."""

import codecs
import os
import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Final

import anyio

__all__ = ["can_type", "keys_of", "typed", "typing"]

_ESCAPE: Final = "\x1b"
_SEQUENCE: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.|(?=[^\[O])|$)|[^\x1b]", re.DOTALL)
"""What a terminal sends for a key, after ECMA-48 and its function keys; a lone escape; or a character."""
_OPEN: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|O)?\Z")
"""What may go on: over a slow line the rest of a key comes later."""
_REST_SECONDS: Final = 0.05
_NAMES: Final = {
    "\x1b[A": "up",
    "\x1bOA": "up",
    "\x1b[B": "down",
    "\x1bOB": "down",
    "\x1b[5~": "page up",
    "\x1b[6~": "page down",
    "\x1b[H": "home",
    "\x1bOH": "home",
    "\x1b[1~": "home",
    "\x1b[F": "end",
    "\x1bOF": "end",
    "\x1b[4~": "end",
    "\r": "enter",
    "\n": "enter",
    "\x7f": "backspace",
    "\b": "backspace",
    _ESCAPE: "escape",
}


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
    """What is typed, a key at a time, until the terminal is gone: a character, or a name such as ``page up``."""
    decoder = codecs.getincrementaldecoder("utf-8")("ignore")
    rest = ""
    while True:
        with anyio.move_on_after(_REST_SECONDS if rest else float("inf")) as waiting:
            await anyio.wait_readable(sys.stdin)
        if not waiting.cancelled_caught:
            try:
                came = os.read(sys.stdin.fileno(), 256)
            except OSError:
                return
            if not came:
                return
            rest += decoder.decode(came)
            if _OPEN.search(rest):
                continue
        for key in keys_of(rest):
            yield key
        rest = ""


def keys_of(characters: str) -> Iterator[str]:
    """The keys that characters of a terminal are; what isn't known is left out."""
    for found in _SEQUENCE.findall(characters):
        if found in _NAMES:
            yield _NAMES[found]
        elif len(found) == 1 and found.isprintable():
            yield found
