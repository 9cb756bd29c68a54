"""The routes. Each is one function; what they share is in `Backend`."""

from starlette.applications import Starlette
from starlette.routing import Route

from streamproc.gateway.backend import Backend
from streamproc.gateway.create import post_job
from streamproc.gateway.health import livez, readyz
from streamproc.gateway.history import get_events, get_log
from streamproc.gateway.ingest import post_events
from streamproc.gateway.jobs import get_job, get_jobs, get_units
from streamproc.gateway.kinds import get_kind, get_kinds
from streamproc.gateway.problems import HANDLERS
from streamproc.gateway.stream import get_stream

__all__ = ["create_app"]


def create_app(backend: Backend) -> Starlette:
    """The gateway as an ASGI application on a backend that somebody else runs."""
    app = Starlette(
        routes=[
            Route("/v1/events", post_events, methods=["POST"]),
            Route("/v1/jobs", get_jobs),
            Route("/v1/jobs", post_job, methods=["POST"]),
            Route("/v1/jobs/{job}", get_job),
            Route("/v1/jobs/{job}/units", get_units),
            Route("/v1/jobs/{job}/events", get_events),
            Route("/v1/jobs/{job}/stream", get_stream),
            Route("/v1/kinds", get_kinds),
            Route("/v1/kinds/{kind:path}", get_kind),
            Route("/v1/log", get_log),
            Route("/livez", livez),
            Route("/readyz", readyz),
        ],
        exception_handlers=HANDLERS,
    )
    app.router.redirect_slashes = False
    app.state.backend = backend
    return app
