"""The routes of the documents. They tell nothing of any job, so whoever comes may read them."""

from collections.abc import Iterable, Sequence
from functools import cached_property

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from streamproc.gateway.reference.asyncapi import asyncapi
from streamproc.gateway.reference.openapi import Listed, openapi
from streamproc.gateway.reference.page import CSP, STYLE, page

__all__ = ["Documents", "get_asyncapi", "get_openapi", "get_page", "get_style"]

_HEADERS = {"cache-control": "no-cache"}


class Documents:
    """The documents of a gateway, each made when it is first asked for.

    Args:
        routes: of the gateway.
        served: the types of what the folds wrote.
    """

    def __init__(self, routes: Iterable[Listed], served: Sequence[type[Struct]]) -> None:
        self._routes = tuple(routes)
        self._served = served

    @cached_property
    def openapi(self) -> bytes:
        return msgspec.json.encode(openapi(self._routes, self._served))

    @cached_property
    def asyncapi(self) -> bytes:
        return msgspec.json.encode(asyncapi(self._served))

    @cached_property
    def page(self) -> str:
        return page(openapi(self._routes, self._served))


def _documents(request: Request) -> Documents:
    documents: Documents = request.app.state.documents
    return documents


async def get_openapi(request: Request) -> Response:
    """The OpenAPI 3.1 document."""
    return Response(_documents(request).openapi, 200, _HEADERS, "application/json")


async def get_asyncapi(request: Request) -> Response:
    """The AsyncAPI 3.0 document."""
    return Response(_documents(request).asyncapi, 200, _HEADERS, "application/json")


async def get_page(request: Request) -> Response:
    """The page of the OpenAPI document."""
    headers = _HEADERS | {"content-security-policy": CSP}
    return Response(_documents(request).page, 200, headers, "text/html")


async def get_style(request: Request) -> Response:
    """The style of that page."""
    return Response(STYLE, 200, _HEADERS, "text/css")
