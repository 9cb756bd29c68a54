"""Anybody's texts on their way to a terminal: what would move its cursor or turn its lines stays out."""

import re
import sys
from typing import Final

__all__ = ["clean", "clean_lines", "one_line"]

_UNSEEN: Final = re.compile(r"[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Control characters that JSON needn't escape, and those that turn the direction of what follows."""


def clean(said: str) -> str:
    """In one line, with a space for each character that can't be seen."""
    if said.isprintable():
        return said
    return "".join(character if character.isprintable() else " " for character in said)


def clean_lines(said: str) -> str:
    """The same, line by line."""
    return "\n".join(map(clean, said.split("\n")))


def one_line(json: bytes) -> str:
    """A line of JSON: as it is, and on a terminal with such characters escaped, which means the same."""
    told = json.decode()
    if not sys.stdout.isatty():
        return told
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", told)
