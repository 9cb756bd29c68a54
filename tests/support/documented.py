"""Whether the gateway's document tells of what tests see: every answer in any test passes here."""

import re

import httpx

from projections import ESTIMATOR
from streamproc.gateway.app import ROUTES
from streamproc.gateway.reference.openapi import openapi

__all__ = ["check_documented"]

_ANYWHERE = (405, 500)
"""Of no operation: another method, and what a test breaks on purpose."""


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"{kind}|{file}", ".+", re.sub(r"{job}|{task}", "[^/]+", path)))


_STATUSES = [
    (_pattern(path), method.upper(), {int(status) for status in operation["responses"]})
    for path, methods in openapi(ROUTES, ESTIMATOR.shapes)["paths"].items()
    for method, operation in methods.items()
]


async def check_documented(response: httpx.Response) -> None:
    """Fail where an answer has a status that its operation isn't documented to have."""
    request = response.request
    method = "GET" if request.method == "HEAD" else request.method
    for path, known, statuses in _STATUSES:
        if known == method and path.fullmatch(request.url.path) and response.status_code not in _ANYWHERE:
            assert response.status_code in statuses, f"{method} {path.pattern}: {response.status_code} is undocumented"
            return
