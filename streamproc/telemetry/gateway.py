"""What a gateway counts, for Prometheus."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector

__all__ = ["APPENDED", "CLIENTS", "CLIENTS_DROPPED", "REGISTRY", "REQUESTS"]

REGISTRY: Final = CollectorRegistry()

REQUESTS: Final = Counter(
    "streamproc_requests",
    "Requests that were answered, by the route's template; a WebSocket when it is over.",
    ["method", "route", "status"],
    registry=REGISTRY,
)
APPENDED: Final = Counter("streamproc_events_appended", "Events appended over HTTP.", ["route"], registry=REGISTRY)
CLIENTS: Final = Gauge(
    "streamproc_clients", "Clients that wait for changes now: sse, websocket or poll.", ["transport"], registry=REGISTRY
)
CLIENTS_DROPPED: Final = Counter(
    "streamproc_clients_dropped", "Clients that were closed because they took too little.", registry=REGISTRY
)
ProcessCollector(registry=REGISTRY)
