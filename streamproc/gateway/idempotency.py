"""``Idempotency-Key``: the same request again gets the same answer again (draft-ietf-httpapi-idempotency-key-header).

A key belongs to whoever sends it and to the route. Only what was done is kept: a request that was refused, or that the
server couldn't serve, leaves its key free.
"""

import hashlib
import logging
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import wraps
from typing import Final

import anyio
from starlette.requests import Request
from starlette.responses import Response

from streamproc.answers import Answer, Answers
from streamproc.errors import ServerError
from streamproc.gateway.backend import Backend
from streamproc.gateway.bodies import read_body
from streamproc.gateway.identity import identity_of
from streamproc.gateway.problems import Problem

__all__ = ["idempotency_key", "idempotent"]

_HEADER: Final = "idempotency-key"
_QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\]){1,255})"')
_BARE = re.compile(r"[!#-~]{1,255}")
_RELEASE_SECONDS: Final = 5.0
_CONTENT: Final = ("content-type", "ce-")
_logger = logging.getLogger("streamproc.gateway")

Endpoint = Callable[[Request], Awaitable[Response]]


def idempotent(endpoint: Endpoint) -> Endpoint:
    """Let clients make a request of this endpoint again without its being done again."""

    @wraps(endpoint)
    async def once(request: Request) -> Response:
        key = idempotency_key(request)
        if key is None:
            return await endpoint(request)
        backend: Backend = request.app.state.backend
        answers = backend.get().answers
        content = _content(request, await read_body(request))
        kept = await answers.claim(key, content)
        if kept is None:
            return await _answered(request, endpoint, answers, key, content)
        if kept.content != content:
            raise Problem(422, "idempotency-key-reused", "this Idempotency-Key was used for a request of other content")
        if kept.answer is None:
            detail = "the first request with this Idempotency-Key is still under way"
            raise Problem(409, "request-under-way", detail, {"retry-after": "1"})
        return _again(kept.answer)

    return once


def idempotency_key(request: Request) -> str | None:
    """What an answer to a request is kept under, if the client names a key: a digest, unlike anybody else's.

    Raises:
        Problem: the key isn't one.
    """
    text = request.headers.get(_HEADER)
    if text is None:
        return None
    match = _QUOTED.fullmatch(text) or _BARE.fullmatch(text)
    if match is None:
        detail = 'Idempotency-Key: must be 1 to 255 characters in quotes, as "8e03978e-40d5-43dd-bc93-6894a57f9324"'
        raise Problem(400, "invalid-header", detail, header="Idempotency-Key")
    key = re.sub(r"\\(.)", r"\1", match[1]) if match.re is _QUOTED else match[0]
    identity = identity_of(request)
    return _digest(identity.via, identity.name, request.method, request.url.path, key)


def _content(request: Request, body: bytes) -> str:
    headers = sorted(item for item in request.headers.items() if item[0].startswith(_CONTENT))
    return _digest(request.url.query, repr(headers), body)


def _digest(*parts: str | bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(b"%d:%b" % (len(data), data))
    return digest.hexdigest()


async def _answered(request: Request, endpoint: Endpoint, answers: Answers, key: str, content: str) -> Response:
    try:
        response = await endpoint(request)
    except BaseException:
        with anyio.move_on_after(_RELEASE_SECONDS, shield=True), suppress(ServerError):
            await answers.release(key)
        raise
    headers = [header for header in response.raw_headers if header[0] != b"content-length"]
    try:
        await answers.keep(key, content, Answer(response.status_code, headers, bytes(response.body)))
    except ServerError as error:
        _logger.warning("an answer could not be kept for its Idempotency-Key: %s", error)
    return response


def _again(answer: Answer) -> Response:
    response = Response(answer.body, answer.status)
    length = [header for header in response.raw_headers if header[0] == b"content-length"]
    response.raw_headers = [*answer.headers, *length, (b"idempotency-replayed", b"true")]
    return response
