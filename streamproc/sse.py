"""Reading streams of a gateway: lines, and the server-sent events that they make."""

from collections.abc import AsyncIterator

import httpx
import msgspec

__all__ = ["Message", "lines", "messages"]


class Message(msgspec.Struct, frozen=True):
    """One message of an SSE stream: its event, its data, and the token to resume after it."""

    event: str
    data: bytes
    id: str | None


async def lines(response: httpx.Response) -> AsyncIterator[bytes]:
    """Lines that end in LF or CRLF, and in nothing else: JSON may hold Unicode's other separators."""
    rest = b""
    async for chunk in response.aiter_bytes():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.removesuffix(b"\r")
    if rest:
        yield rest


async def messages(lines: AsyncIterator[bytes]) -> AsyncIterator[Message]:
    """Parse server-sent events (WHATWG HTML, 9.2.6); comments keep the connection alive and say nothing."""
    event, token, data = "message", None, list[bytes]()
    async for line in lines:
        if not line:
            if data:
                yield Message(event, b"\n".join(data), token)
            event, data = "message", []
            continue
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        match field:
            case b"event":
                event = value.decode()
            case b"data":
                data.append(value)
            case b"id":
                token = value.decode()
