"""The documents that tell programs and people of the gateway: OpenAPI, AsyncAPI, and a page."""

from streamproc.gateway.reference.documents import Documents, get_asyncapi, get_openapi, get_page, get_style

__all__ = ["Documents", "get_asyncapi", "get_openapi", "get_page", "get_style"]
