"""The routes, and what each takes. Each is one function; what they share is in `Backend`."""

from typing import Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.types import ASGIApp

from streamproc.gateway.assets import get_asset
from streamproc.gateway.backend import Backend
from streamproc.gateway.claims import post_claims, post_release
from streamproc.gateway.control import post_cancel, post_pause, post_resume, post_retry
from streamproc.gateway.create import post_job
from streamproc.gateway.dashboard import get_dashboard
from streamproc.gateway.dialects import progress, status, tasks
from streamproc.gateway.guards import guards
from streamproc.gateway.headers import Secured
from streamproc.gateway.health import livez, readyz
from streamproc.gateway.history import get_attempts, get_events, get_log
from streamproc.gateway.identity.routes import delete_session, post_session, post_share, post_ticket
from streamproc.gateway.ingest import post_events
from streamproc.gateway.jobs import get_job, get_units
from streamproc.gateway.kinds import get_kind, get_kinds
from streamproc.gateway.lists import get_jobs
from streamproc.gateway.live import Streams
from streamproc.gateway.measured import Measured
from streamproc.gateway.metrics import get_metrics
from streamproc.gateway.past import get_estimates
from streamproc.gateway.problems import HANDLERS
from streamproc.gateway.reference import Documents, get_asyncapi, get_openapi, get_page, get_style
from streamproc.gateway.routes import Served
from streamproc.gateway.slow import get_slow
from streamproc.gateway.sockets import get_socket
from streamproc.gateway.stream import get_many, get_stream
from streamproc.gateway.system import get_dead, get_system

__all__ = ["ROUTES", "Served", "create_app"]

_DIALECTS: Final = (*progress.ROUTES, *status.ROUTES, *tasks.ROUTES)
ROUTES: Final = (
    Served("POST", "/v1/events", post_events, "events:write"),
    Served("GET", "/v1/jobs", get_jobs, "jobs:read"),
    Served("POST", "/v1/jobs", post_job, "events:write"),
    Served("GET", "/v1/jobs/{job}", get_job, "jobs:read"),
    Served("GET", "/v1/jobs/{job}/units", get_units, "jobs:read"),
    Served("GET", "/v1/jobs/{job}/events", get_events, "jobs:read"),
    Served("GET", "/v1/jobs/{job}/attempts", get_attempts, "jobs:read"),
    Served("GET", "/v1/jobs/{job}/estimates", get_estimates, "jobs:read"),
    Served("GET", "/v1/jobs/{job}/stream", get_stream, "jobs:read"),
    Served("GET", "/v1/stream", get_many, "jobs:read"),
    Served("WS", "/v1/ws", get_socket, "jobs:read"),
    Served("POST", "/v1/jobs/{job}/pause", post_pause, "jobs:control"),
    Served("POST", "/v1/jobs/{job}/resume", post_resume, "jobs:control"),
    Served("POST", "/v1/jobs/{job}/cancel", post_cancel, "jobs:control"),
    Served("POST", "/v1/jobs/{job}/retry", post_retry, "jobs:control"),
    Served("POST", "/v1/jobs/{job}/release", post_release, "claims"),
    Served("POST", "/v1/claims", post_claims, "claims"),
    Served("GET", "/v1/kinds", get_kinds, "jobs:read"),
    Served("GET", "/v1/kinds/{kind:path}", get_kind, "jobs:read"),
    Served("GET", "/v1/slow", get_slow, "jobs:read"),
    Served("GET", "/v1/log", get_log, "log:read"),
    Served("GET", "/v1/system", get_system, "log:read"),
    Served("GET", "/v1/dead", get_dead, "log:read"),
    Served("POST", "/v1/jobs/{job}/share", post_share, "jobs:read"),
    Served("POST", "/v1/session", post_session, "jobs:read"),
    Served("DELETE", "/v1/session", delete_session, None),
    Served("POST", "/v1/tickets", post_ticket, "jobs:read"),
    Served("GET", "/", get_dashboard, None),
    Served("GET", "/openapi.json", get_openapi, None),
    Served("GET", "/asyncapi.json", get_asyncapi, None),
    Served("GET", "/docs", get_page, None),
    Served("GET", "/docs/style.css", get_style, None),
    Served("GET", "/static/{file:path}", get_asset, None),
    Served("GET", "/metrics", get_metrics, "jobs:read"),
    Served("GET", "/livez", livez, None),
    Served("GET", "/readyz", readyz, None),
    *_DIALECTS,
)


def create_app(backend: Backend) -> ASGIApp:
    """The gateway as an ASGI application on a backend that somebody else runs."""
    routes = [served for served in ROUTES if served not in _DIALECTS or not backend.config.no_dialects]
    app = Starlette(
        routes=[served.route() for served in routes],
        middleware=[Middleware(Measured), *guards(backend), Middleware(Streams)],
        exception_handlers=HANDLERS,
    )
    app.router.redirect_slashes = False
    app.state.backend = backend
    app.state.documents = Documents(routes, backend.shapes)
    return Secured(app)
