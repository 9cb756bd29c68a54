"""Where identities get into requests, and where the scope that a route needs is asked for. Pure ASGI."""

from starlette.types import ASGIApp, Receive, Scope, Send

from streamproc.gateway.identity.model import ANONYMOUS, EVERYBODY, Identity
from streamproc.gateway.identity.seen import IDENTITY
from streamproc.gateway.problems import Problem

__all__ = ["Authentication", "Needs"]

_CONNECTIONS = ("http", "websocket")


class Authentication:
    """Gives every request and WebSocket handshake its identity."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in _CONNECTIONS:
            scope[IDENTITY] = EVERYBODY
        await self._app(scope, receive, send)


class Needs:
    """Stands before a route, and lets those pass who have its scope."""

    def __init__(self, app: ASGIApp, needed: str) -> None:
        self._app = app
        self._needed = needed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        identity: Identity = scope[IDENTITY]
        if not identity.may(self._needed):
            raise _unauthenticated() if identity is ANONYMOUS else _insufficient(self._needed)
        await self._app(scope, receive, send)


def _unauthenticated() -> Problem:
    return Problem(
        401, "unauthenticated", "send a token or key: Authorization: Bearer …", {"www-authenticate": "Bearer"}
    )


def _insufficient(scope: str) -> Problem:
    challenge = f'Bearer error="insufficient_scope", scope="{scope}"'
    return Problem(
        403, "insufficient-scope", f"this takes the scope {scope}", {"www-authenticate": challenge}, scope=scope
    )
