"""The client of the gateway: streams are parsed as they come in pieces, and taken up where they broke."""

from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from streamproc.client import Client, Refused
from streamproc.errors import ServerUnavailable, UnknownJob
from streamproc.links import Link

pytestmark = pytest.mark.anyio

Handler = Callable[[httpx.Request], httpx.Response]


def client(handler: Handler) -> Client:
    return Client(
        httpx.AsyncClient(base_url="http://gateway", transport=httpx.MockTransport(handler)), "http://gateway"
    )


def pieces(*parts: bytes) -> httpx.Response:
    async def body() -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    return httpx.Response(200, content=body())


async def test_messages_may_come_in_any_pieces() -> None:
    snapshot = b'id: t.1-0\r\nevent: snapshot\r\ndata: {"a":\r\ndata: "\xe2\x80\xa8"}\r\n\r\n'
    text = b": hello\r\n\r\n" + snapshot + b"event: end\ndata: {}\n\n"
    for size in range(1, len(text)):
        parts = [text[at : at + size] for at in range(0, len(text), size)]
        found = [each async for each in client(lambda _, parts=parts: pieces(*parts)).watch("a")]  # type: ignore[misc]
        assert found == [b'{"a":\n"\xe2\x80\xa8"}']


async def test_a_stream_that_breaks_is_taken_up_after_the_last_message() -> None:
    answers = [
        pieces(b"id: t.1-0\nevent: snapshot\ndata: 1\n\nid: t.2-0\nevent: snapshot\nda"),
        pieces(b"id: t.2-0\nevent: snapshot\ndata: 2\n\n"),
        httpx.Response(503, json={"detail": "not now"}),
        pieces(b"event: end\ndata: {}\n\n"),
    ]
    resumed = []

    def handle(request: httpx.Request) -> httpx.Response:
        resumed.append(request.headers.get("last-event-id"))
        return answers[len(resumed) - 1]

    assert [each async for each in client(handle).watch("a")] == [b"1", b"2"]
    assert resumed == [None, "t.1-0", "t.2-0", "t.2-0"]


async def test_a_reset_begins_anew() -> None:
    answers = [
        pieces(b"id: t.1-0\nevent: snapshot\ndata: 1\n\nevent: reset\ndata: {}\n\n"),
        pieces(b"id: u.1-0\nevent: snapshot\ndata: 2\n\nevent: end\ndata: {}\n\n"),
    ]
    resumed = []

    def handle(request: httpx.Request) -> httpx.Response:
        resumed.append(request.headers.get("last-event-id"))
        return answers[len(resumed) - 1]

    assert [each async for each in client(handle).watch("a")] == [b"1", b"2"]
    assert resumed == [None, None]


async def test_a_gateway_that_never_answered_is_an_error_at_once() -> None:
    asked = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        raise httpx.ConnectError("refused")

    with pytest.raises(ServerUnavailable, match="is `streamproc up` running there"):
        _ = [each async for each in client(handle).watch("a")]
    assert len(asked) == 1


async def test_a_job_id_can_not_leave_its_place_in_the_path() -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        assert request.url.raw_path == b"/v1/jobs/..%2Fkinds%3Fa"
        return httpx.Response(404, json={"detail": "no such job"})

    with pytest.raises(UnknownJob):
        await client(handle).snapshot("../kinds?a")


async def test_a_past_that_takes_several_requests_is_asked_for_again() -> None:
    pending = httpx.Response(503, json={"type": "urn:streamproc:problem:past-pending", "detail": "so far"})
    answers = [pending, pending, httpx.Response(200, content=b"{}")]
    asked = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return answers[len(asked) - 1]

    assert await client(handle).snapshot("a", "1-0") == b"{}"
    assert asked == ["http://gateway/v1/jobs/a?at=1-0"] * 3


async def test_what_is_asked_for_more_than_once_is_sent_so() -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        assert request.url.params.get_list("label") == ["a:b", "c:d"]
        return httpx.Response(200, json={"jobs": [{"job_id": "a"}], "next": None})

    assert [job async for job in client(handle).jobs(3, label=["a:b", "c:d"], sort="created")] == [{"job_id": "a"}]


async def test_jobs_that_ended_or_left_while_there_was_no_connection_are_told_of() -> None:
    def sse(*told: tuple[str, str]) -> httpx.Response:
        return pieces(*(f"event: {name}\ndata: {data}\n\n".encode() for name, data in told))

    streams = [
        sse(
            ("jobs", '{"jobs":["a","b","c"]}'),
            ("snapshot", '{"job_id":"a","n":1}'),
            ("snapshot", '{"job_id":"b","n":1}'),
            ("snapshot", '{"job_id":"c","n":1}'),
            ("left", '{"job":"c"}'),
        ),
        httpx.Response(502, content=b"from a proxy"),
        sse(("jobs", '{"jobs":["a"]}'), ("snapshot", '{"job_id":"a","n":2}'), ("end", '{"job":"a"}')),
        httpx.Response(403, json={"detail": "no more"}),
    ]
    asked = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        if request.url.path == "/v1/jobs/b":
            return httpx.Response(200, content=b'{"job_id":"b","n":2}')
        return streams.pop(0)

    found = list[tuple[str, bytes | None]]()

    async def follow() -> None:
        async for change in client(handle).follow({"kind": "x"}, Link()):
            found.append((change.job, change.snapshot))

    with pytest.raises(Refused, match="no more"):
        await follow()
    first = [(job, b'{"job_id":"%b","n":1}' % job.encode()) for job in "abc"]
    assert found == [
        *first,
        ("c", None),
        ("b", b'{"job_id":"b","n":2}'),
        ("b", None),
        ("a", b'{"job_id":"a","n":2}'),
        ("a", None),
    ]
    assert asked[0] == "http://gateway/v1/stream?kind=x"


async def test_with_a_link_a_lost_connection_is_tried_for_as_long_as_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamproc.links._RETRY_SECONDS", (0.0,))
    link, lost = Link(), []

    def handle(request: httpx.Request) -> httpx.Response:
        lost.append(link.error)
        if len(lost) == 1:
            return pieces(b"id: t.1-0\nevent: snapshot\ndata: 1\n\n")
        if len(lost) < 20:
            raise httpx.ConnectError("refused")
        return pieces(b"event: snapshot\ndata: 2\n\nevent: end\ndata: {}\n\n")

    assert [each async for each in client(handle).watch("a", link)] == [b"1", b"2"]
    assert isinstance(lost[-1], ServerUnavailable)
    assert link.error is None
