"""``emit``: append events from the arguments, or from stdin."""

import os
import stat
import sys
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final

import anyio
import click
import msgspec

from streamproc.cli.options import REFUSED, Command, Failure, Setting, run, say
from streamproc.cli.reading import source
from streamproc.wire import MAX_EVENT_BYTES

if TYPE_CHECKING:
    from streamproc.client import Refused

__all__ = ["emit"]

_BATCH: Final = 1000
_CHUNK: Final = 64 * 1024
Line = tuple[int | None, bytes]
"""A line of the input and its number, from 1; an event from the arguments has none."""


@click.command(cls=Command)
@click.argument("type", metavar="TYPE|-")
@click.argument("fields", nargs=-1, metavar="[FIELD=VALUE]...")
@click.option("--job", cls=Setting, help="The job that the event is about.")
@click.option("--json", "as_json", cls=Setting, is_flag=True, help="Where each event is, a line of JSON each.")
@source
def emit(type: str, fields: tuple[str, ...], job: str | None, as_json: bool, url: str, namespace: str) -> None:  # noqa: A002
    """Append an event, or with - those of stdin, one line of JSON each.

    \b
    streamproc emit job.progressed --job import-42 percent=50 message="half way"
    streamproc emit - < events.ndjson

    Values are JSON where they parse as JSON, else text. Lines are appended in batches of 1,000; of a batch with a
    line that is refused nothing is written.
    """
    if type == "-":
        if fields or job:
            raise click.UsageError("with - events come from stdin, whole: no --job and no fields")
        batches = _of_stdin()
    else:
        if not job:
            raise click.UsageError("which job is it about? Give --job")
        batches = _one(msgspec.json.encode({"job": job, "type": type} | dict(map(_field, fields))))
    count = run(lambda: _append(batches, as_json, url, namespace))
    if type == "-":
        say(f"appended {count:,} events")


def _field(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.BadParameter(f"{text!r} must be FIELD=VALUE")
    try:
        return name, msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return name, value


async def _append(batches: AsyncIterator[list[Line]], as_json: bool, url: str, namespace: str) -> int:
    from streamproc.access import open_client
    from streamproc.client import Refused

    count = 0
    async with open_client(url, namespace) as client:
        async for batch in batches:
            try:
                appended = await client.append([payload for _, payload in batch])
            except Refused as error:
                raise Failure(_refusal(batch, error, count), REFUSED) from error
            if as_json:
                for each in appended:
                    click.echo(msgspec.json.encode(each))
            count += len(batch)
    return count


def _refusal(batch: list[Line], error: "Refused", count: int) -> str:
    """Why, by the numbers of the lines; those of the batch weren't appended."""
    errors = error.problem.get("errors") or []
    reasons = [_reason(batch[each["index"]][0], each) for each in errors] or [str(error)]
    before = f"\n{count:,} events before these lines were appended" if count else ""
    return "\n".join(reasons) + before


def _reason(number: int | None, error: dict[str, Any]) -> str:
    parts = [None if number is None else f"line {number}", error["field"], error["detail"]]
    return ": ".join(part for part in parts if part)


async def _one(payload: bytes) -> AsyncIterator[list[Line]]:
    yield [(None, payload)]


async def _of_stdin() -> AsyncIterator[list[Line]]:
    """The lines as they come, so that a pipe that stays open is appended live."""
    number, rest = 0, b""
    while True:
        chunk = await _read(sys.stdin.fileno())
        *lines, rest = (rest + chunk).split(b"\n") if chunk else (rest, b"")
        numbered = list(enumerate((line.strip() for line in lines), number + 1))
        number += len(lines)
        if len(rest) > MAX_EVENT_BYTES:
            raise Failure(f"line {number + 1}: an event is at most {MAX_EVENT_BYTES:,} bytes", REFUSED)
        events: list[Line] = [(at, line) for at, line in numbered if line]
        for start in range(0, len(events), _BATCH):
            yield events[start : start + _BATCH]
        if not chunk:
            return


async def _read(fd: int) -> bytes:
    mode = os.fstat(fd).st_mode
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(fd):
        await anyio.wait_readable(fd)
    return os.read(fd, _CHUNK)
