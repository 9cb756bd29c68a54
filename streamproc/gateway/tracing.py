"""The trace that a request belongs to (W3C Trace Context), and events that get it where they name none."""

import re
from typing import Final

import msgspec
from starlette.requests import Request

from streamproc.events import Event
from streamproc.wire import MAX_EVENT_BYTES

__all__ = ["traced", "traceparent"]

# Version ff is forbidden, and so are ids that are all zeros; what is longer is of a later version.
_TRACEPARENT: Final = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-\S{1,200})?"
)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


def traceparent(request: Request) -> str | None:
    """The request's ``traceparent``. One that isn't valid counts as none, as the standard has it."""
    text = request.headers.get("traceparent", "")
    return text if _TRACEPARENT.fullmatch(text) else None


def traced(event: Event, payload: bytes, trace: str | None) -> bytes:
    """A checked payload with this trace, unless it has one of its own or no room for it. All else stays as it was."""
    if trace is None or event.trace is not None:
        return payload
    if b'"trace"' in payload:  # null, or somewhere below
        found = msgspec.json.encode(_fields.decode(payload) | {"trace": trace})
    else:
        found = payload.rstrip()[:-1] + b',"trace":"%b"}' % trace.encode()
    return found if len(found) <= MAX_EVENT_BYTES else payload
