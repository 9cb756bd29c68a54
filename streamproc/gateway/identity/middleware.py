"""Where identities get into requests, and where the scope that a route needs is asked for. Pure ASGI."""

from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from streamproc.errors import ServerError
from streamproc.gateway.identity.authenticator import Authenticator
from streamproc.gateway.identity.head import Head
from streamproc.gateway.identity.model import ANONYMOUS, Identity
from streamproc.gateway.identity.origins import Origins
from streamproc.gateway.identity.refusals import insufficient_scope, unauthenticated
from streamproc.gateway.identity.seen import IDENTITY
from streamproc.gateway.problems import Problem, problem_of

__all__ = ["Authentication", "Needs"]

_CONNECTIONS: Final = ("http", "websocket")
_REFUSED: Final = "streamproc.refused"
"""Where the scope holds why a request's credentials are no good. Only a route that needs some minds."""


class Authentication:
    """Gives every request and WebSocket handshake its identity, and refuses those of strange pages."""

    def __init__(self, app: ASGIApp, authenticator: Authenticator, origins: Origins) -> None:
        self._app = app
        self._authenticator = authenticator
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in _CONNECTIONS:
            await self._app(scope, receive, send)
            return
        head = Head.of(scope)
        try:
            self._origins.check(head)
        except Problem as problem:
            await problem.response()(scope, receive, send)
            return
        try:
            scope[IDENTITY] = await self._authenticator.identify(head, scope["path"])
        except (Problem, ServerError) as error:
            scope[IDENTITY], scope[_REFUSED] = ANONYMOUS, problem_of(error)
        await self._app(scope, receive, send)


class Needs:
    """Stands before a route, and lets those pass who have its scope."""

    def __init__(self, app: ASGIApp, needed: str) -> None:
        self._app = app
        self._needed = needed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        identity: Identity = scope[IDENTITY]
        if not identity.may(self._needed):
            if identity is ANONYMOUS:
                raise scope.get(_REFUSED) or unauthenticated()
            raise insufficient_scope(self._needed)
        await self._app(scope, receive, send)
