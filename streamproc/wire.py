"""The wire format: payloads to events and back, and which partition a job lives in.

`decode` is the only way in. Each payload passes it twice at most: at the gateway's door, where a refusal is a
400, and in the projector, where it is a dead letter.
"""

import re
import zlib
from typing import Any, Final

import msgspec
from msgspec import UNSET

from streamproc.errors import InvalidEvent
from streamproc.events import REQUIRED, Event

__all__ = ["MAX_DEPTH", "MAX_EVENT_BYTES", "check_job_id", "decode", "encode", "partition_of", "refusal"]

MAX_EVENT_BYTES: Final = 64 * 1024
MAX_DEPTH: Final = 32

_JOB_ID = re.compile(r"[A-Za-z0-9._:@-]{1,200}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_FIELD = re.compile(r" - at `(?:key in )?\$\.?([^`]*)`$")
_BRACE, _BRACKET, _BACKSLASH, _DEL = b"{[\\\x7f"
_NAMES: Final = (
    "type",
    "src",
    "kind",
    "title",
    "stage",
    "unit",
    "indicator",
    "worker",
    "owner",
    "by",
    "trace",
)
_decoder = msgspec.json.Decoder(Event)
_encoder = msgspec.json.Encoder()


def partition_of(job: str, partitions: int) -> int:
    """The partition of a job: CRC-32 (zlib, IEEE) of its UTF-8 bytes, modulo the number of partitions."""
    return zlib.crc32(job.encode()) % partitions


def check_job_id(job: str) -> str:
    """Return a job id as it is. Raises `InvalidEvent` where it isn't one."""
    if _JOB_ID.fullmatch(job) is None:
        raise InvalidEvent("must be 1 to 200 characters of A-Z a-z 0-9 . _ : @ -", "job")
    return job


# Checking an id costs a quarter of decoding an event, and ids come again and again.
_known_jobs: set[str] = set()


def _remember(job: str) -> None:
    if len(_known_jobs) >= 200_000:
        _known_jobs.clear()
    _known_jobs.add(job)


def encode(event: Event) -> bytes:
    """An event as its payload: UTF-8 JSON without the fields that are not set."""
    return _encoder.encode(event)


def decode(payload: bytes) -> Event:
    """Read and check a payload, whole.

    Raises:
        InvalidEvent: naming the field, where it isn't an event of the wire format.
    """
    if len(payload) > MAX_EVENT_BYTES:
        raise InvalidEvent(f"is {len(payload):,} bytes; an event is at most {MAX_EVENT_BYTES:,}")
    nested = payload.rfind(_BRACE) > 0 or _BRACKET in payload
    if nested and payload.count(_BRACE) + payload.count(_BRACKET) > MAX_DEPTH:
        _check_depth(payload)
    try:
        event = _decoder.decode(payload)
        ascii_only = payload.isascii()
        if not ascii_only:
            payload.decode()  # msgspec skips unknown fields without reading their text
    except msgspec.ValidationError as error:
        raise refusal(str(error)) from None
    except msgspec.DecodeError as error:
        raise InvalidEvent(f"is not JSON in UTF-8: {error}") from None
    except UnicodeDecodeError as error:
        raise InvalidEvent(f"is not UTF-8: {error.reason}") from None
    except RecursionError:
        raise InvalidEvent(f"is nested deeper than {MAX_DEPTH}") from None
    if event.job not in _known_jobs:
        _remember(check_job_id(event.job))
    # Control characters reach a name only by an escape, as DEL, or from beyond ASCII.
    if _BACKSLASH in payload or not ascii_only or _DEL in payload:
        _check_names(event)
    if event.details is not None or event.result is not UNSET or event.params is not UNSET:
        _check_values(event)
    field = REQUIRED.get(event.type)
    if field is not None and getattr(event, field) is None:
        raise InvalidEvent(f"{event.type} needs it", field)
    if event.seq is not None and event.src is None:
        raise InvalidEvent("seq needs the src that it numbers", "src")
    return event


def refusal(text: str) -> InvalidEvent:
    """A refusal out of msgspec's words, which end in the path of the field."""
    match = _FIELD.search(text)
    if match is not None:
        return InvalidEvent(text[: match.start()], match[1] or None)
    missing = re.fullmatch(r"Object missing required field `(\w+)`", text)
    if missing is not None:
        return InvalidEvent("is required", missing[1])
    return InvalidEvent(text)


def _check_names(event: Event) -> None:
    for field in _NAMES:
        value = getattr(event, field)
        if value is not None and _CONTROL.search(value):
            raise InvalidEvent("must not hold control characters", field)
    for stage in event.stages or ():
        if _CONTROL.search(stage.name):
            raise InvalidEvent("must not hold control characters", "stages[...].name")
    for label, value in (event.labels or {}).items():
        if _CONTROL.search(label) or _CONTROL.search(value):
            raise InvalidEvent("must not hold control characters", "labels")


def _check_values(event: Event) -> None:
    for field, value in (("details", event.details), ("result", event.result), ("params", event.params)):
        if value is not UNSET and value is not None:
            _check_finite(value, field)


def _check_finite(value: Any, field: str) -> None:
    """Whole numbers of any length are JSON, but beyond a double nobody can read them."""
    if isinstance(value, int):
        if not -1e308 < value < 1e308:
            raise InvalidEvent("holds a number beyond a double's range", field)
    elif isinstance(value, dict):
        for inner in value.values():
            _check_finite(inner, field)
    elif isinstance(value, list):
        for inner in value:
            _check_finite(inner, field)


_STRUCTURE = re.compile(rb'"(?:[^"\\]|\\.)*"|[{\[]|[}\]]', re.DOTALL)


def _check_depth(payload: bytes) -> None:
    depth = 0
    for match in _STRUCTURE.finditer(payload):
        token = match[0]
        if token in b"{[":
            depth += 1
            if depth > MAX_DEPTH:
                raise InvalidEvent(f"is nested deeper than {MAX_DEPTH}")
        elif token in b"}]":
            depth -= 1
