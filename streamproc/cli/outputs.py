"""What well-known programs say of their progress: for each a pure function over one line of its output."""

import math
import re
from collections.abc import Callable
from typing import Final, NamedTuple

from streamproc.events import MAX_NUMBER

__all__ = ["FORMATS", "Format", "Parser", "Progress", "ffmpeg", "percent_regex"]


class Progress(NamedTuple):
    """What a line says: a percentage, or so much done of a total, and a message, each where it says that."""

    percent: float | None = None
    done: float | None = None
    total: float | None = None
    message: str | None = None


Parser = Callable[[str], Progress | None]
"""Reads a line, without its end; None where it says nothing of progress."""


class Format(NamedTuple):
    """A program's way to show progress.

    Args:
        make: makes a parser; one for each run, as it may remember earlier lines.
        on_stdout: whether it is on stdout. All are read on stderr.
        example: the command to use it with.
    """

    make: Callable[[], Parser]
    on_stdout: bool
    example: str


def percent_regex(pattern: str) -> Parser:
    """A parser for any program.

    Args:
        pattern: a regular expression with a group ``percent``, or ``done`` and ``total``, or else its first group is
            the percentage; a group ``message`` goes with it.

    Raises:
        ValueError: it isn't one, or has no group.
    """
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"isn't a regular expression: {error}") from None
    names = expression.groupindex.keys()
    if "total" in names and "done" not in names:
        raise ValueError("has a group total, and none that is called done")
    unnamed = sorted(set(range(1, expression.groups + 1)) - set(expression.groupindex.values()))
    if not names & {"percent", "done"} and not unnamed:
        raise ValueError(
            r"needs a group around the number, such as (\d+)%, or groups called percent, or done and total"
        )

    def parse(line: str) -> Progress | None:
        found = expression.search(line)
        if found is None:
            return None
        named = found.groupdict()
        if "done" in named and "percent" not in named:
            percent, done, total = None, _number(named["done"]), _number(named.get("total"))
        else:
            percent, done, total = _number(named["percent"] if "percent" in named else found[unnamed[0]]), None, None
        if percent is None and done is None:
            return None
        return Progress(percent, done, total, named.get("message"))

    return parse


def _number(text: str | None) -> float | None:
    """A number that may have commas between thousands, or one before its decimals; None where it isn't one."""
    try:
        number = float(re.sub(r",(?=\d{3}(?!\d))", "", text or "").replace(",", "."))
    except ValueError:
        return None
    return number if math.isfinite(number) and 0 <= number <= MAX_NUMBER else None


_RSYNC: Final = re.compile(r"\s*[\d.,]+[KMGTP]?\s+(\d{1,3})%\s+(\S+/s)\s")


def _rsync(line: str) -> Progress | None:
    found = _RSYNC.match(line)
    return found and Progress(percent=float(found[1]), message=found[2])


_PV: Final = re.compile(r"\s*(\d{1,3})\s*$|.*?(\d{1,3})%")


def _pv(line: str) -> Progress | None:
    found = _PV.match(line)
    return found and Progress(percent=float(found[1] or found[2]))


_CURL_BAR: Final = re.compile(r"[#\s]*\s(\d{1,3}\.\d)%")
_CURL_PERCENT: Final = re.compile(r"\d{1,3}")
_CURL_COLUMNS: Final = 12


def _curl(line: str) -> Progress | None:
    if found := _CURL_BAR.match(line):
        return Progress(percent=float(found[1]))
    columns = line.split()
    if len(columns) != _CURL_COLUMNS or not _CURL_PERCENT.fullmatch(columns[0]):
        return None
    known = columns[1] != "0"  # the total, that a server needn't tell
    return Progress(percent=float(columns[0]) if known else None, message=f"{columns[-1]}B/s")


_WGET: Final = re.compile(r"\s*\d+K[ .,]+\s(\d{1,3})%|.*?(\d{1,3})%\[")
_WGET_FILE: Final = re.compile(r"Saving to: .(.+).$")


def _wget(line: str) -> Progress | None:
    if found := _WGET_FILE.match(line):
        return Progress(message=found[1])
    found = _WGET.match(line)
    return found and Progress(percent=float(found[1] or found[2]))


_APT: Final = re.compile(r"(dl|pm)status:[^:]*:(\d{1,3}(?:\.\d+)?):(.*)")


def _apt(line: str) -> Progress | None:
    """Downloading is the first half, installing the second."""
    found = _APT.match(line)
    if found is None:
        return None
    half = float(found[2]) / 2
    return Progress(percent=half if found[1] == "dl" else 50 + half, message=found[3])


_CLOCK: Final = r"(\d{2,5}):(\d\d):(\d\d(?:\.\d+)?)"
_DURATION: Final = re.compile(rf"\s*Duration: {_CLOCK}")
_STATS: Final = re.compile(rf".*\btime={_CLOCK}")
_OUT_TIME: Final = re.compile(r"out_time_us=(\d{1,15})$")


def ffmpeg(duration: float | None = None) -> Parser:
    """A parser for what ffmpeg draws, and for its ``-progress``.

    Args:
        duration: of the output, in seconds; None takes the longest input's.
    """
    longest = duration or 0.0

    def parse(line: str) -> Progress | None:
        nonlocal longest
        if found := _DURATION.match(line):
            if duration is None:
                longest = max(longest, _seconds(found))
        elif found := _STATS.match(line):
            return share(_seconds(found))
        elif found := _OUT_TIME.match(line):
            return share(int(found[1]) / 1e6)
        elif line == "progress=end":
            return Progress(percent=100.0)
        return None

    def share(seconds: float) -> Progress:
        return Progress(percent=100 * seconds / longest) if longest else Progress(done=round(seconds))

    return parse


def _seconds(found: re.Match[str]) -> float:
    hours, minutes, seconds = found.groups()
    return 3600 * int(hours) + 60 * int(minutes) + float(seconds)


FORMATS: Final[dict[str, Format]] = {
    "apt": Format(lambda: _apt, False, "--status-fd 3 -- apt-get -y -o APT::Status-Fd=3 install hello"),
    "curl": Format(lambda: _curl, False, "-- curl -o FILE URL"),
    "ffmpeg": Format(ffmpeg, False, "-- ffmpeg -nostdin -i IN.mp4 OUT.mp3"),
    "pv": Format(lambda: _pv, False, "-- sh -c 'pv -n dump.gz | gunzip | psql'"),
    "rsync": Format(lambda: _rsync, True, "-- rsync -a --info=progress2 --no-inc-recursive FROM/ TO/"),
    "wget": Format(lambda: _wget, False, "-- wget URL"),
}
