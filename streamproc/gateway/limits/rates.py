"""How many requests a client may make in some time (draft-ietf-httpapi-ratelimit-headers-10)."""

import math
import time
from typing import Final

from limits import RateLimitItem, parse_many
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streamproc.gateway.limits.who import client_of, is_probe
from streamproc.gateway.problems import Problem

__all__ = ["Rates"]

_CONNECTIONS: Final = ("http", "websocket")


class Rates:
    """Refuses who asks too often, and tells everybody what is left. Each gateway counts for itself.

    Args:
        rates: as the `limits` library writes them: ``20/second;600/minute``.
    """

    def __init__(self, app: ASGIApp, rates: str) -> None:
        self._app = app
        self._rates = parse_many(rates)
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._policy = ", ".join(f'"{_name(rate)}";q={rate.amount};w={rate.get_expiry()}' for rate in self._rates)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in _CONNECTIONS or is_probe(scope):
            await self._app(scope, receive, send)
            return
        client = client_of(scope)
        over = [rate for rate in self._rates if not self._limiter.hit(rate, client)]
        headers = {"ratelimit-policy": self._policy, "ratelimit": self._left(client)}
        if over:
            await self._refusal(over, client, headers).response()(scope, receive, send)
            return

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(headers)
            await send(message)

        await self._app(scope, receive, told)

    def _left(self, client: str) -> str:
        """Of the rate that leaves the least."""
        stats = [(rate, *self._limiter.get_window_stats(rate, client)) for rate in self._rates]
        rate, reset, remaining = min(stats, key=lambda each: each[2])
        return f'"{_name(rate)}";r={remaining};t={_seconds(reset)}'

    def _refusal(self, over: list[RateLimitItem], client: str, headers: dict[str, str]) -> Problem:
        wait = max(1, *(_seconds(self._limiter.get_window_stats(rate, client).reset_time) for rate in over))
        detail = f"too many requests: {' and '.join(map(_words, over))} are allowed; ask again in {wait} s"
        policies = {"violated-policies": [_name(rate) for rate in over]}
        return Problem(429, "rate-limited", detail, headers | {"retry-after": str(wait)}, **policies)


def _name(rate: RateLimitItem) -> str:
    return f"{rate.get_expiry()}s"


def _words(rate: RateLimitItem) -> str:
    return f"{rate.amount} in {rate.get_expiry()} s"


def _seconds(reset: float) -> int:
    return max(0, math.ceil(reset - time.time()))
