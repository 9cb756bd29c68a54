"""Headers that every response has, whatever it is: what browsers may do with it."""

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["SECURITY", "Secured"]

_POLICY: Final = b"content-security-policy"
SECURITY: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),  # a share link doesn't travel on
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_NOTHING: Final = (_POLICY, b"default-src 'none'; frame-ancestors 'none'")


class Secured:
    """Adds them. A page that says itself what it may load has its own policy."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def secured(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = [*message.get("headers", ()), *SECURITY]
                if not any(name == _POLICY for name, _ in headers):
                    headers.append(_NOTHING)
                message["headers"] = headers
            await send(message)

        await self._app(scope, receive, secured)
