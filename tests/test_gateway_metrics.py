"""What Prometheus is told, and what the access log says."""

import logging
from collections.abc import AsyncIterator

import anyio
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from starlette.types import Message, Receive, Scope, Send

from streamproc.gateway.measured import Measured
from streamproc.telemetry import gateway, projector
from tests.support.gateways import Service, messages, serving_with_projector
from tests.support.running import eventually
from tests.support.servers import Server

pytestmark = pytest.mark.anyio

Values = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
async def service(server: Server, namespace: str) -> AsyncIterator[Service]:
    async with serving_with_projector(server.url, namespace) as running:
        yield running


async def scrape(service: Service) -> Values:
    response = await service.http.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain")
    families = text_string_to_metric_families(response.text)
    return {(each.name, frozenset(each.labels.items())): each.value for family in families for each in family.samples}


def value(values: Values, name: str, **labels: str) -> float:
    return values.get((f"streamproc_{name}", frozenset(labels.items())), 0.0)


def total(registry: CollectorRegistry, name: str) -> float:
    return registry.get_sample_value(f"streamproc_{name}") or 0.0


async def test_requests_and_events_are_counted_by_route(service: Service) -> None:
    before = await scrape(service)
    await service.http.post("/v1/events", json=[{"job": "a-job", "type": "job.noted"}] * 3)
    await service.http.post("/v1/jobs", json={"job_id": "b-job"})
    for path in ("/v1/jobs/b-job", "/v1/jobs/no-job", "/nowhere/a-job"):
        await service.http.get(path)
    after = await scrape(service)

    def more(name: str, **labels: str) -> float:
        return value(after, name, **labels) - value(before, name, **labels)

    assert more("events_appended_total", route="/v1/events") == 3
    assert more("events_appended_total", route="/v1/jobs") == 1
    assert more("requests_total", method="POST", route="/v1/events", status="201") == 1
    assert more("requests_total", method="GET", route="/v1/jobs/{job}", status="200") == 1
    assert more("requests_total", method="GET", route="/v1/jobs/{job}", status="404") == 1
    assert more("requests_total", method="GET", route="other", status="404") == 1


async def test_no_label_names_a_job(service: Service) -> None:
    await service.append({"job": "secretive", "type": "job.started", "kind": "secretive", "worker": "secretive"})
    await service.http.get("/v1/jobs/secretive?x=secretive")
    assert "secretive" not in (await service.http.get("/metrics")).text
    assert "secretive" not in str(list(projector.REGISTRY.collect()))


async def test_partitions_tell_their_lag_events_and_dead_letters(service: Service) -> None:
    keys = service.keys.of("a")
    await service.append({"job": "a", "type": "job.started"})
    await service.client.xadd(keys.log, {"e": "no event"})
    number = str(keys.partition)

    async def buried() -> bool:
        return value(await scrape(service), "dead_letters", partition=number) == 1

    await eventually(buried)
    values = await scrape(service)
    assert value(values, "log_events", partition=number) == 2
    assert value(values, "lag_events", partition=number) == 0
    owned = [value(values, "partition_owned", partition=str(each.partition)) for each in service.keys.partitions]
    assert owned == [1] * len(service.keys.partitions)


async def test_a_partition_that_nobody_folds_lags(service: Service) -> None:
    for group in await service.client.xinfo_groups(service.keys.of("a").log):
        assert group["lag"] in (0, None)
    await service.append({"job": "a", "type": "job.started"})
    keys = service.keys.of("a")
    await service.client.xgroup_setid(keys.log, service.keys.GROUP, "0", entries_read=0)
    assert value(await scrape(service), "lag_events", partition=str(keys.partition)) == 1


async def test_projectors_count_and_time_what_they_fold(service: Service) -> None:
    names = ("events_folded_total", "fold_seconds_count", "commit_seconds_count", "events_buried_total")
    before = [total(projector.REGISTRY, name) for name in names]
    await service.client.xadd(service.keys.of("a").log, {"e": "no event"})
    await service.append(*[{"job": "a", "type": "job.noted"}] * 10)

    async def counted() -> bool:
        return total(projector.REGISTRY, names[0]) == before[0] + 10

    await eventually(counted)
    folded, folds, commits, dead = (
        total(projector.REGISTRY, name) - old for name, old in zip(names, before, strict=True)
    )
    assert (folded, dead) == (10, 1)
    assert 1 <= commits == folds <= 11


async def test_clients_that_wait_are_counted_while_they_do(service: Service) -> None:
    await service.append({"job": "a", "type": "job.started"})

    def clients() -> float:
        return gateway.REGISTRY.get_sample_value("streamproc_clients", {"transport": "sse"}) or 0.0

    before = clients()
    async with service.http.stream("GET", "/v1/jobs/a/stream") as response:
        with anyio.fail_after(10):
            await anext(messages(response))
        assert clients() == before + 1

    async def gone() -> bool:
        return clients() == before

    await eventually(gone)


async def test_open_metrics_are_told_to_who_asks_for_them(service: Service) -> None:
    response = await service.http.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert response.headers["content-type"].startswith("application/openmetrics-text")
    assert response.text.count("# EOF") == 1


async def test_the_access_log_tells_the_template_and_never_what_was_asked(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="streamproc.access"):
        await service.http.get("/v1/jobs/secret?ticket=secret&share=secret", headers={"authorization": "Bearer secret"})
    [record] = [record for record in caplog.records if record.name == "streamproc.access"]
    assert record.route == "/v1/jobs/{job}"  # type: ignore[attr-defined]
    assert record.ms >= 0  # type: ignore[attr-defined]
    assert "secret" not in str(record.__dict__)


async def test_what_breaks_counts_as_500() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError

    async def nothing(*_: object) -> Message:
        return {}

    def count() -> float:
        labels = {"method": "other", "route": "other", "status": "500"}
        return gateway.REGISTRY.get_sample_value("streamproc_requests_total", labels) or 0.0

    before = count()
    with pytest.raises(ZeroDivisionError):
        await Measured(broken)({"type": "http", "method": "BREW", "headers": []}, nothing, nothing)  # type: ignore[arg-type]
    assert count() == before + 1
