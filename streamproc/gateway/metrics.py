"""``/metrics`` for Prometheus: what this gateway has counted, and how the partitions stand."""

from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response

from streamproc.gateway.backend import Backend
from streamproc.inspection import PartitionReport
from streamproc.telemetry.gateway import REGISTRY

__all__ = ["get_metrics"]


async def get_metrics(request: Request) -> Response:
    """The metrics, in the text format or by ``Accept`` as OpenMetrics."""
    backend: Backend = request.app.state.backend
    registry = CollectorRegistry()
    registry.register(REGISTRY)
    registry.register(_Partitions(await backend.get().inspector.partitions()))
    encode, media_type = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(registry), 200, {"cache-control": "no-store"}, media_type)


class _Partitions(Collector):
    """How the partitions stand at the moment of a scrape."""

    def __init__(self, reports: Sequence[PartitionReport]) -> None:
        self._reports = reports

    def collect(self) -> Iterator[Metric]:
        events = _by_partition("streamproc_log_events", "Events that the log holds.")
        lag = _by_partition("streamproc_lag_events", "Events that are not folded yet.")
        dead = _by_partition("streamproc_dead_letters", "Entries that could not be folded, and are kept.")
        owned = _by_partition("streamproc_partition_owned", "Whether a projector has the partition.")
        for report in self._reports:
            name = [str(report.partition)]
            events.add_metric(name, report.events)
            dead.add_metric(name, report.dead_letters)
            owned.add_metric(name, report.owner is not None)
            if report.lag is not None:
                lag.add_metric(name, report.lag)
        yield from (events, lag, dead, owned)


def _by_partition(name: str, documentation: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, documentation, labels=["partition"])
