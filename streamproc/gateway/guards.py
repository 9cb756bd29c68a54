"""What stands before the routes, in order: proxies' word, other origins, who asks, how often, how many, how long."""

from typing import Any

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from streamproc.gateway.backend import Backend
from streamproc.gateway.identity.authenticator import Authenticator
from streamproc.gateway.identity.middleware import Authentication
from streamproc.gateway.identity.origins import Origins
from streamproc.gateway.limits import Crowds, Deadlines, Rates

__all__ = ["guards"]

_METHODS = ("GET", "POST", "DELETE")
_ASKED = ("Authorization", "Idempotency-Key", "If-None-Match", "Last-Event-ID", "Prefer", "Traceparent")
_TOLD = ("ETag", "Link", "Location", "RateLimit", "RateLimit-Policy", "Retry-After")


def guards(backend: Backend) -> list[Middleware]:
    """The middleware that a backend's settings ask for, the outermost first."""
    config = backend.config
    before: list[Middleware] = []
    if config.trusted_proxy:
        proxies: Any = ProxyHeadersMiddleware  # its types are uvicorn's own
        before.append(Middleware(proxies, trusted_hosts=list(config.trusted_proxy)))
    if config.cors_origin:
        before.append(
            Middleware(
                CORSMiddleware,
                allow_origins=config.cors_origin,
                allow_methods=_METHODS,
                allow_headers=_ASKED,
                allow_credentials="*" not in config.cors_origin,
                expose_headers=_TOLD,
            )
        )
    by_any_name = (config.insecure or backend.auth is not None) and not config.allowed_host
    origins = Origins(None if by_any_name else config.allowed_host, config.cors_origin)
    before.append(Middleware(Authentication, Authenticator(backend.auth, backend, origins), origins))
    if config.rate_limit:
        before.append(Middleware(Rates, config.rate_limit))
    before.append(Middleware(Crowds, config.max_open, config.max_open_each))
    before.append(Middleware(Deadlines, config.request_seconds))
    return before
