"""Whose request it is, where limits are counted."""

import ipaddress
from typing import Final

from starlette.types import Scope

from streamproc.gateway.identity.model import Identity
from streamproc.gateway.identity.seen import IDENTITY

__all__ = ["client_of", "is_probe"]

_PROBES: Final = ("/livez", "/readyz")
_NETWORK_BITS: Final = 64
"""What one client has of IPv6."""


def is_probe(scope: Scope) -> bool:
    """Whether it is a probe's request: one that were refused would end a gateway that is only busy."""
    return scope["path"] in _PROBES


def client_of(scope: Scope) -> str:
    """Who is known by name is counted by it; others, and the guests of a share link, by their addresses."""
    identity: Identity = scope[IDENTITY]
    if identity.via != "none" and not identity.name.startswith("share:"):
        return f"{identity.via} {identity.name}"
    client = scope.get("client")
    if client is None:
        return "local"
    address: str = client[0]
    return str(ipaddress.ip_network(f"{address}/{_NETWORK_BITS}", strict=False)) if ":" in address else address
