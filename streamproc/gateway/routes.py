"""What a route is: how it is reached, what it takes, and how it tells of what goes wrong."""

from collections.abc import Callable
from typing import Any, Final, Literal, NamedTuple

from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Match, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from streamproc.gateway.idempotency import idempotent
from streamproc.gateway.identity.middleware import Needs
from streamproc.gateway.measured import TEMPLATE
from streamproc.gateway.problems import REFUSAL, Refusal

__all__ = ["Method", "Served"]

_WRITING: Final = ("events:write", "jobs:control", "claims")
Method = Literal["GET", "POST", "DELETE", "WS"]


class Served(NamedTuple):
    """A route: its method (``WS`` is a WebSocket, GET serves HEAD too), and the scope it takes, if any.

    `refusal` makes the JSON that tells of a problem, where that is none of RFC 9457.
    """

    method: Method
    path: str
    endpoint: Callable[..., Any]
    scope: str | None
    refusal: Refusal | None = None

    def route(self) -> BaseRoute:
        before = [] if self.refusal is None else [Middleware(_Refusing, self.refusal)]
        if self.scope is not None:
            before.append(Middleware(Needs, self.scope))
        if self.method == "WS":
            return _WebSocketRoute(self.path, self.endpoint, middleware=before)
        endpoint = idempotent(self.endpoint) if self.method == "POST" and self.scope in _WRITING else self.endpoint
        return _Route(self.path, endpoint, methods=[self.method], middleware=before)


class _Route(Route):
    """Tells what it matched by."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, found = super().matches(scope)
        return match, {**found, TEMPLATE: self.path} if found else found


class _WebSocketRoute(WebSocketRoute):
    """Likewise."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, found = super().matches(scope)
        return match, {**found, TEMPLATE: self.path} if found else found


class _Refusing:
    """Has the problems of a route told in its own shape."""

    def __init__(self, app: ASGIApp, refusal: Refusal) -> None:
        self._app = app
        self._refusal = refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[REFUSAL] = self._refusal
        await self._app(scope, receive, send)
