"""Errors as RFC 9457 problem details."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.websockets import WebSocket

from streamproc.errors import InvalidEvent, InvalidPosition, JobConflict, ServerError, UnknownJob, UnknownKind

__all__ = ["HANDLERS", "REFUSAL", "Problem", "Refusal", "problem_of"]

_RETRY_AFTER: Final = {"retry-after": "1"}
"""Seconds: a server that is gone is asked again soon."""


class Problem(Exception):
    """A request that is refused.

    Args:
        status: of HTTP.
        name: of the problem, as the end of its type URI.
        detail: what is wrong, for a person.
        headers: of the response.
        members: further members of the problem.
    """

    def __init__(
        self, status: int, name: str, detail: str, headers: Mapping[str, str] | None = None, **members: Any
    ) -> None:
        self.status = status
        self.name = name
        self.detail = detail
        self.headers = headers
        self.members = members
        super().__init__(detail)

    def document(self) -> dict[str, Any]:
        """What the client is told."""
        return {
            "type": f"urn:streamproc:problem:{self.name}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            **self.members,
        }

    def response(self) -> Response:
        body = msgspec.json.encode(self.document())
        return Response(body, self.status, self.headers, "application/problem+json")


Refusal = Callable[[Problem], bytes]
"""Makes the JSON that tells of a problem."""
REFUSAL: Final = "streamproc.refusal"
"""Where the scope of a request holds that of its route, if that isn't RFC 9457's."""


def problem_of(error: Exception) -> Problem:
    """What an error means to who asked."""
    match error:
        case Problem():
            return error
        case HTTPException():
            detail = error.detail if error.status_code != 404 else "there is nothing here"
            return Problem(error.status_code, "http", detail, error.headers)
        case InvalidEvent():
            return Problem(400, "invalid-event", str(error), field=error.field)
        case InvalidPosition():
            return Problem(400, "invalid-position", str(error))
        case UnknownJob():
            return Problem(404, "unknown-job", str(error))
        case UnknownKind():
            return Problem(404, "unknown-kind", str(error))
        case JobConflict():
            return Problem(409, "job-conflict", str(error))
        case ServerError():
            return Problem(503, "server-unavailable", str(error), _RETRY_AFTER)
    # What broke is in the gateway's log, and none of the client's business.
    return Problem(500, "internal", "the gateway failed; its log says more")


async def _handle(connection: HTTPConnection, error: Exception) -> Response:
    problem, refusal = problem_of(error), connection.scope.get(REFUSAL)
    response = problem.response()
    if refusal is not None:
        response = Response(refusal(problem), problem.status, problem.headers, "application/json")
    if isinstance(connection, WebSocket):
        await connection.send_denial_response(response)  # Starlette sends none by itself
    return response


HANDLERS: Final = dict.fromkeys(
    (
        Problem,
        HTTPException,
        InvalidEvent,
        InvalidPosition,
        UnknownJob,
        UnknownKind,
        JobConflict,
        ServerError,
        Exception,
    ),
    _handle,
)
