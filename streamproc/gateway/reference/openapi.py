"""The OpenAPI 3.1 document: the table of operations, the table of routes and the types, put together."""

import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final, Protocol

from msgspec import Struct

from streamproc.gateway.reference import dialects
from streamproc.gateway.reference.operations import OPERATIONS
from streamproc.gateway.reference.parts import JSON, PARAMETERS, Answer, Body, Operation
from streamproc.gateway.reference.shapes import JOB_ID, Schema, ref, schemas

__all__ = ["Listed", "openapi"]

_PROBLEM: Final = "application/problem+json"
_ALWAYS: Final = (400, 421)
"""Refusals of every route: a token where none may be, a host that isn't ours."""
_GUARDED: Final = (401, 403, 429, 503)
"""Those of routes that take a scope."""
_PATHS: Final[Mapping[str, Schema]] = {
    "job": JOB_ID,
    "task": JOB_ID,
    "kind": {"type": "string", "minLength": 1, "maxLength": 256},
    "file": {"type": "string", "examples": ["streamproc.js"]},
}
_HEADERS: Final[Mapping[str, str]] = {
    "ETag": "Names this very state of it.",
    "Link": '`rel="next"`: the next page.',
    "Location": "Where the job is.",
    "Set-Cookie": "The session.",
}
_SCHEMES: Final[Mapping[str, Schema]] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key, or a JSON Web Token."},
    "session": {"type": "apiKey", "in": "cookie", "name": "streamproc", "description": "See `POST /v1/session`."},
    "ticket": {"type": "apiKey", "in": "query", "name": "ticket", "description": "See `POST /v1/tickets`."},
    "share": {"type": "apiKey", "in": "query", "name": "share", "description": "See `POST /v1/jobs/{job}/share`."},
}
_TAGS: Final[Mapping[str, str]] = {
    "Producers": "Write.",
    "Jobs": "Read.",
    "Live": "Follow.",
    "Control": "Ask something of a job.",
    "Workers": "Take jobs from the queue.",
    "Kinds": "What is known of kinds of jobs.",
    "Log": "The whole log.",
    "Identity": "For browsers, and for those who have no key.",
    "Operation": "For those who run it.",
    "Dialects": "The same jobs, for clients that exist already.",
}


class Listed(Protocol):
    """What is read of a route."""

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def scope(self) -> str | None: ...


def openapi(routes: Iterable[Listed], served: Sequence[type[Struct]]) -> dict[str, Any]:
    """The document.

    Args:
        routes: of the gateway. Those that aren't in the table of operations are left out.
        served: the types of what the folds wrote.
    """
    scopes = {(route.method, route.path): route.scope for route in routes}
    paths: dict[str, dict[str, Any]] = {}
    for (method, path), operation in (*OPERATIONS.items(), *dialects.OPERATIONS.items()):
        if (method, path) in scopes:
            plain = re.sub(r":\w+}", "}", path)
            described = _operation(operation, path, scopes[method, path])
            paths.setdefault(plain, {})[method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "streamproc",
            "version": version("streamproc"),
            "summary": "Progress of long-running jobs, on Redis Streams.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "tags": [{"name": name, "description": about} for name, about in _TAGS.items()],
        "paths": paths,
        "components": {"schemas": schemas(served), "securitySchemes": dict(_SCHEMES)},
    }


def _operation(operation: Operation, path: str, scope: str | None) -> dict[str, Any]:
    named = [{"name": name, "in": "path", "required": True, "schema": _PATHS[name]} for name in _names(path)]
    about = operation.about
    found: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": about if scope is None else f"{about}\n\nTakes the scope `{scope}`.".strip(),
        "parameters": [*named, *(PARAMETERS[name] for name in operation.takes)],
        "responses": {str(status): _answer(answer) for status, answer in operation.answers.items()},
        "security": [] if scope is None else [{scheme: [scope]} for scheme in _SCHEMES] + [{}],
    }
    refusals = {*operation.refusals, *_ALWAYS, *(() if scope is None else _GUARDED)}
    found["responses"] |= {str(status): _refusal(status, operation.refused) for status in sorted(refusals)}
    if operation.body is not None:
        found["requestBody"] = _body(operation.body)
    return found


def _names(path: str) -> list[str]:
    return re.findall(r"{(\w+)", path)


def _body(body: Body) -> dict[str, Any]:
    content: dict[str, Any] = {kind: {"schema": schema} for kind, schema in body.content.items()}
    if body.example is not None:
        next(iter(content.values()))["example"] = body.example
    return {"required": body.required, "content": content}


def _answer(answer: Answer) -> dict[str, Any]:
    found: dict[str, Any] = {"description": answer.meaning}
    if answer.content:
        found["content"] = {kind: {"schema": schema} for kind, schema in answer.content.items()}
    if answer.headers:
        found["headers"] = {
            name: {"description": _HEADERS[name], "schema": {"type": "string"}} for name in answer.headers
        }
    return found


def _refusal(status: int, shape: str | None) -> dict[str, Any]:
    content = {_PROBLEM: {"schema": ref("Problem")}}
    if shape is not None:
        content[JSON] = {"schema": ref(shape)}
    return {"description": HTTPStatus(status).phrase, "content": content}
