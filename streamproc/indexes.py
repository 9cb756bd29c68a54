"""What jobs can be found by: the names of the indexes that the folds write and lists are read from, and words.

An index is a sorted set of job ids in each partition, most of them by when the jobs were created. What others choose
the text of is bounded for each job: its labels, and the words of its title and id.
"""

import re
import unicodedata
from collections.abc import Mapping
from typing import Final

__all__ = [
    "FINISHED",
    "MOST_LABELS",
    "STARTED",
    "by_label",
    "by_owner",
    "by_state",
    "by_worker",
    "labels_of",
    "words_of",
]

STARTED: Final = "started"
FINISHED: Final = "finished"
"""All jobs that have started, or ended, by when they did."""

MOST_LABELS: Final = 16
"""A job is found by its first so many labels."""
_MOST_WORDS: Final = 16
_LONGEST_WORD: Final = 32
_ASCII_WORD: Final = re.compile(r"[a-z0-9]+")


def by_state(status: str | None, kind: str | None, *, stalled: bool = False) -> str:
    """The jobs of a status or kind or both, or all; or those of them that are stalled."""
    parts = ["stalled"] if stalled else []
    if status is not None:
        parts.append(f"status:{status}")
    if kind is not None:
        parts.append(f"kind:{kind}")
    return ":".join(parts)


def by_worker(worker: str) -> str:
    """The jobs that a worker reported on last."""
    return f"worker:{worker}"


def by_owner(owner: str) -> str:
    """The jobs of an owner."""
    return f"owner:{owner}"


def by_label(name: str, value: str) -> str:
    """The jobs that have a label."""
    return f"label:{name}:{value}"


def labels_of(labels: Mapping[str, str]) -> list[tuple[str, str]]:
    """The labels that a job is found by."""
    return list(labels.items())[:MOST_LABELS]


def words_of(text: str) -> list[str]:
    """The words of a text as they are compared: without case or accents, the first 16, of each 32 characters."""
    if text.isascii():
        found = _ASCII_WORD.findall(text.lower())
    else:
        # Case folding can bring in what has to be decomposed, and the other way round.
        plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
        found = "".join(map(_in_word, plain)).split()
    return [word[:_LONGEST_WORD] for word in found[:_MOST_WORDS]]


def _in_word(character: str) -> str:
    """The character, nothing where it is an accent, and a space where it stands between words."""
    if unicodedata.combining(character):
        return ""
    return character if unicodedata.category(character)[0] in "LMN" else " "
