"""Request bodies: read within limits, and split into the events they hold."""

import re
from typing import Final

import anyio
import msgspec
from starlette.requests import ClientDisconnect, Request

from streamproc.config import Config
from streamproc.gateway.problems import Problem
from streamproc.wire import MAX_DEPTH

__all__ = ["MAX_BODY_BYTES", "MAX_EVENTS", "media_type", "read_body", "split_array", "split_lines"]

MAX_BODY_BYTES: Final = Config().max_body_bytes
"""The longest body, unless settings say otherwise."""
MAX_EVENTS: Final = 10_000
_BODY_SECONDS: Final = 30.0
_READ: Final = "streamproc.body"
"""Where the scope of a request holds its body once it was read."""
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[][{},]', re.DOTALL)
_BYTE = re.compile(r"\(byte (\d+)\)")
_elements = msgspec.json.Decoder(list[msgspec.Raw])


def media_type(request: Request, *known: str) -> str:
    """The body's media type; the first one known where the request names none.

    Only types that a browser doesn't send across sites unasked are known: a page elsewhere can't write here.
    """
    kind = request.headers.get("content-type", known[0]).partition(";")[0].strip().lower()
    if kind not in known:
        raise Problem(415, "unknown-media-type", f"Content-Type must be one of {', '.join(known)}, and is {kind[:80]}")
    return kind


async def read_body(request: Request) -> bytes:
    """A request's body, never more of it than may be. It may be read more than once."""
    if _READ in request.scope:
        return bytes(request.scope[_READ])
    most = request.app.state.backend.config.max_body_bytes
    too_much = Problem(413, "body-too-large", f"a body is at most {most:,} bytes")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > most:
        raise too_much
    body = bytearray()
    try:
        with anyio.fail_after(_BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise too_much
    except TimeoutError:
        raise Problem(408, "body-too-slow", f"a body must arrive within {_BODY_SECONDS:.0f} s") from None
    except ClientDisconnect:
        raise Problem(400, "body-incomplete", "the client went away in the middle of the body") from None
    request.scope[_READ] = bytes(body)
    return bytes(body)


def split_lines(body: bytes) -> list[bytes]:
    """The lines of NDJSON that aren't blank."""
    return [line for line in body.split(b"\n") if line.strip()]


def split_array(body: bytes) -> list[bytes]:
    """The elements of a JSON array, each as it was sent.

    Raises:
        Problem: it isn't JSON; names the element in which it breaks.
    """
    try:
        return [bytes(element) for element in _elements.decode(body)]
    except msgspec.DecodeError as error:
        at = _BYTE.search(str(error))
        broken, detail = int(at[1]) if at else len(body), f"is not JSON: {error}"
    except RecursionError:
        broken, detail = len(body), f"is nested deeper than {MAX_DEPTH}"
    index = _element_at(body, broken)
    raise Problem(
        400, "invalid-event", f"event {index}: {detail}", errors=[{"index": index, "field": None, "detail": detail}]
    )


def _element_at(body: bytes, byte: int) -> int:
    """The index of the array's element in which a byte is, or in which it is nested too deep."""
    index = depth = 0
    for match in _TOKEN.finditer(body, 0, byte):
        token = match[0]
        if token in b"[{":
            depth += 1
            if depth > MAX_DEPTH + 1:
                break
        elif token in b"]}":
            depth -= 1
        elif token == b"," and depth == 1:
            index += 1
    return index
