"""CloudEvents in and out, beside the project's own SDK for them."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_structured, to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from streamproc.errors import InvalidEvent
from streamproc.gateway import cloudevents
from streamproc.wire import decode
from tests.support.gateways import Service, messages, serving_with_projector
from tests.support.running import caught_up
from tests.support.servers import Server

pytestmark = pytest.mark.anyio

STRUCTURED, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
FORMAT = JSONFormat()


@pytest.fixture
async def service(server: Server, namespace: str) -> AsyncIterator[Service]:
    async with serving_with_projector(server.url, namespace) as running:
        yield running


def cloud_event(**changes: Any) -> dict[str, Any]:
    event = {"specversion": "1.0", "id": "1", "source": "/w", "type": "job.progressed", "subject": "a"} | changes
    return {name: value for name, value in event.items() if value is not None}


async def post(service: Service, body: Any, kind: str, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await service.http.post("/v1/events", content=content, headers={"content-type": kind} | headers)


def of_the_sdk(number: int = 1) -> CloudEvent:
    attributes = {
        "id": f"e-{number}",
        "source": "https://shop.example/imports",
        "type": "streamproc.job.progressed",
        "subject": "a",
        "time": datetime(2026, 11, 21, 18, 33, 20, tzinfo=UTC),
        "datacontenttype": "application/json",
        "traceparent": TRACE,
        "sequence": str(number),
        "region": "eu west ü",
    }
    return CloudEvent(attributes, {"percent": 10 * number, "message": "grün"})


@pytest.mark.parametrize("mode", [to_structured, to_binary])
async def test_what_the_sdk_sends_is_an_event_and_comes_back_the_same(service: Service, mode: Any) -> None:
    sent = of_the_sdk()
    message = mode(sent, FORMAT)
    response = await service.http.post("/v1/events", content=message.body, headers=message.headers)
    assert response.status_code == 201, response.text
    await caught_up(service.client, service.keys)
    (event,) = (await service.http.get("/v1/jobs/a/events")).json()["events"]
    found = event["event"]
    assert (found["type"], found["percent"], found["trace"]) == ("job.progressed", 10, TRACE)
    assert (found["src"], found["seq"]) == ("https://shop.example/imports", 1)
    back = await service.http.get("/v1/jobs/a/events", headers={"accept": STRUCTURED})
    (line,) = back.text.splitlines()
    again = from_structured(HTTPMessage({"content-type": STRUCTURED}, line.encode()), FORMAT)
    assert again.get_extension("position") == event["position"]
    assert again.get_data() == sent.get_data()
    attributes = {name: value for name, value in again.get_attributes().items() if name != "position"}
    assert attributes == sent.get_attributes()


async def test_a_batch_is_appended_in_its_order_and_read_back_in_pages(service: Service) -> None:
    events = [json.loads(to_structured(of_the_sdk(number), FORMAT).body) for number in range(1, 8)]
    response = await post(service, events, BATCH)
    assert response.status_code == 201
    assert len(response.json()["events"]) == 7
    await caught_up(service.client, service.keys)
    found, url = [], "/v1/jobs/a/events?limit=3"
    while url:
        page = await service.http.get(url, headers={"accept": BATCH})
        assert page.headers["content-type"] == BATCH
        found += page.json()
        url = page.links.get("next", {}).get("url", "")
    assert [event["id"] for event in found] == [f"e-{number}" for number in range(1, 8)]


async def test_the_same_sequence_of_a_source_counts_once(service: Service) -> None:
    for percent in (10, 90):
        await post(service, cloud_event(sequence="5", data={"percent": percent}), STRUCTURED)
    await caught_up(service.client, service.keys)
    assert (await service.http.get("/v1/jobs/a")).json()["percent"] == 10
    lines = (await service.http.get("/v1/jobs/a/events", headers={"accept": STRUCTURED})).text.splitlines()
    assert [json.loads(line).get("mark") for line in lines] == [None, "duplicate"]


async def test_ids_are_no_order_and_dedupe_nothing(service: Service) -> None:
    for number in (9, 3):
        await post(service, cloud_event(id=str(number), data={"percent": number}), STRUCTURED)
    await caught_up(service.client, service.keys)
    assert (await service.http.get("/v1/jobs/a")).json()["percent"] == 3


async def test_events_of_other_producers_go_out_under_their_job_and_position(service: Service) -> None:
    payload = (
        '{"job":"a","type":"job.noted",\n"details":{"n":12345678901234567890123},"at":"2026-11-21T18:33:20+01:00"}'
    )
    await service.http.post("/v1/events", content=payload, headers={"content-type": "application/json"})
    await caught_up(service.client, service.keys)
    (line,) = (await service.http.get("/v1/jobs/a/events", headers={"accept": STRUCTURED})).text.splitlines()
    assert '"n":12345678901234567890123' in line
    event = json.loads(line)
    assert (event["source"], event["type"], event["subject"]) == ("/v1/jobs/a", "streamproc.job.noted", "a")
    assert event["id"] == event["position"]
    assert event["time"] == "2026-11-21T18:33:20+01:00"


async def test_the_log_is_told_as_cloud_events_and_leaves_out_what_is_none(service: Service) -> None:
    await service.append({"job": "a", "type": "job.noted", "cloudevent": "mine"}, {"job": "b", "type": "job.started"})
    await service.client.xadd(service.keys.of("a").log, {"e": b"no event"})
    lines = (await service.http.get("/v1/log", headers={"accept": STRUCTURED})).text.splitlines()
    events = [json.loads(line) for line in lines]
    assert sorted(event["subject"] for event in events) == ["a", "b"]
    assert {"cloudevent": "mine"} in [event["data"] for event in events]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "another version": ({"specversion": "0.3"}, "specversion"),
    "no id": ({"id": None}, "id"),
    "an id that is a number": ({"id": 7}, "id"),
    "no source": ({"source": ""}, "source"),
    "no type": ({"type": None}, "type"),
    "no subject": ({"subject": None}, "subject"),
    "a subject that is no job": ({"subject": "a b"}, "subject"),
    "a time that is none": ({"time": "yesterday"}, "time"),
    "a name that is none": ({"My-Extension": "x"}, "My-Extension"),
    "data of another type": ({"datacontenttype": "text/xml", "data": "<x/>"}, "datacontenttype"),
    "data that is a list": ({"data": [1]}, "data"),
    "base64 that is none": ({"data_base64": "%%"}, "data_base64"),
    "another job in the data": ({"data": {"job": "b"}}, "data.job"),
    "a field that is wrong": ({"data": {"percent": "9"}}, "data.percent"),
    "another source in the data": ({"sequence": "3", "data": {"src": "x"}}, "data.src"),
    "a sequence beyond numbers": ({"sequence": "9999999999999999"}, "sequence"),
}


async def test_what_is_no_cloud_event_is_refused_by_its_attribute(service: Service) -> None:
    for name, (changes, field) in REFUSED.items():
        bad = cloud_event(**changes)
        for index, body, kind in ((0, bad, STRUCTURED), (1, [cloud_event(), bad], BATCH)):
            response = await post(service, body, kind)
            assert response.status_code == 400, name
            assert [(error["index"], error["field"]) for error in response.json()["errors"]] == [(index, field)], name
    assert await service.log_length() == 0


async def test_decisions_of_the_server_are_refused_as_cloud_events_too(service: Service) -> None:
    for kind in ("job.claimed", "streamproc.job.stalled"):
        assert (await post(service, cloud_event(type=kind), STRUCTURED)).status_code == 403


async def test_odd_bodies_are_refused(service: Service) -> None:
    binary = {f"ce-{name}": value for name, value in cloud_event().items()}
    for body in (b"", b"[]", b"{", b"7", b"[" * 10_000, b'{"data":' * 10_000, b'{"id":"\xff"}'):
        for kind in (STRUCTURED, BATCH):
            assert (await post(service, body, kind)).status_code == 400, (kind, body[:20])
        response = await service.http.post("/v1/events", content=body, headers=binary)
        assert response.status_code == (400 if body else 201), body[:20]


async def test_the_trace_of_a_request_becomes_that_of_its_events(service: Service) -> None:
    other = TRACE.replace("7", "8")
    body = '{"job":"a","type":"job.noted"}\n{"job":"a","type":"job.noted","trace":null,"mine":1}\n'
    body += f'{{"job":"a","type":"job.noted","trace":"{other}"}} \n'
    await post(service, body.encode(), "application/x-ndjson", traceparent=TRACE)
    await service.http.post("/v1/jobs", json={"job_id": "b"}, headers={"traceparent": TRACE})
    await caught_up(service.client, service.keys)
    events = (await service.http.get("/v1/jobs/a/events")).json()["events"]
    assert [event["event"]["trace"] for event in events] == [TRACE, TRACE, other]
    assert events[1]["event"]["mine"] == 1
    assert (await service.http.get("/v1/jobs/b/events")).json()["events"][0]["event"]["trace"] == TRACE


async def test_a_trace_goes_with_its_event_to_whoever_follows_or_replays(service: Service) -> None:
    await post(service, {"job": "a", "type": "job.finished"}, "application/json", traceparent=TRACE)
    await caught_up(service.client, service.keys)
    async with service.http.stream("GET", "/v1/jobs/a/stream?events=all") as response:
        told = [message.data["event"] async for message in messages(response) if message.event == "event"]
    replayed = [json.loads(line)["event"] for line in (await service.http.get("/v1/log")).text.splitlines()]
    assert [event["trace"] for event in told + replayed] == [TRACE, TRACE]


async def test_a_trace_that_is_none_is_left_out(service: Service) -> None:
    for header in ("", "x", TRACE.upper(), TRACE.replace("00-", "ff-", 1), f"00-{'0' * 32}-{'1' * 16}-01"):
        await post(service, {"job": "a", "type": "job.noted"}, "application/json", traceparent=header)
    await caught_up(service.client, service.keys)
    events = (await service.http.get("/v1/jobs/a/events")).json()["events"]
    assert ["trace" in event["event"] for event in events] == [False] * 5


_TEXT = st.text(min_size=1, max_size=20).filter(lambda text: text.isprintable())
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(
    event=st.fixed_dictionaries(
        {
            "specversion": st.just("1.0"),
            "id": _TEXT,
            "source": _TEXT,
            "type": st.sampled_from(["streamproc.job.noted", "streamproc.own", "streamproc.streamproc.own"]),
            "subject": st.sampled_from(["a", "b:1"]),
            "time": st.sampled_from(["2026-11-21T18:33:20.5+01:00", "2026-11-21T18:33:20Z"]),
            "datacontenttype": st.sampled_from(["application/json", "text/json; charset=utf-8", "application/x+json"]),
            "data": st.dictionaries(st.text(max_size=3).map("x{}".format), _JSON, max_size=3),
        },
        optional={
            "sequence": st.integers(0, 2**53 - 1).map(str) | st.just("AZ"),
            "traceparent": st.just(TRACE),
            "own": st.booleans() | st.integers(-9, 9) | _TEXT,
        },
    )
)
def test_a_cloud_event_comes_back_as_it_was_sent(event: dict[str, Any]) -> None:
    payload = cloudevents.from_structured(json.dumps(event).encode())
    decode(payload)
    back = json.loads(cloudevents.cloud_event((b"1763750000000-0", [b"e", payload])))
    assert back.pop("position") == "1763750000000-0"
    assert back == event


@given(body=st.binary(max_size=60) | _JSON.map(lambda value: json.dumps(value).encode()))
def test_whatever_is_sent_is_an_event_or_refused(body: bytes) -> None:
    with pytest.raises(InvalidEvent):
        decode(cloudevents.from_structured(body))
