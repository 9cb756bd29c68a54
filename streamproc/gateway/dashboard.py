"""The dashboard at ``/``: a page, whose scripts are served as any asset. All it knows it asks the routes for."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from streamproc.gateway.assets import answer

__all__ = ["get_dashboard"]

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


async def get_dashboard(request: Request) -> Response:
    """The page. It runs no script but the gateway's own, and none that stands in it."""
    return answer(request, "dashboard/index.html", {"content-security-policy": _POLICY})
