"""Live streams over a WebSocket: what is asked for, what comes, and what is refused."""

import json
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from streamproc.config import Config
from streamproc.gateway import sets
from tests.support.gateways import Service, serving, serving_with_projector
from tests.support.running import eventually
from tests.support.servers import Server, free_port

pytestmark = pytest.mark.anyio


@pytest.fixture
async def service(server: Server, namespace: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Service]:
    monkeypatch.setattr(sets, "_LOOK_SECONDS", 0.05)
    async with serving_with_projector(server.url, namespace) as running:
        yield running


def at(service: Service) -> connect:
    return connect(f"ws://127.0.0.1:{service.http.base_url.port}/v1/ws", proxy=None)


class Talk:
    """A WebSocket, message by message."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def say(self, **message: Any) -> None:
        await self.socket.send(json.dumps(message))

    async def hear(self) -> dict[str, Any]:
        with anyio.fail_after(15):
            message: dict[str, Any] = json.loads(await self.socket.recv())
        assert message.keys() == {"event", "job", "id", "data"}
        return message

    async def ask(self, **message: Any) -> dict[str, Any]:
        """Say something, and hear the answer."""
        await self.say(**message, request=7)
        while (answer := await self.hear())["job"] is not None:
            pass
        assert answer["data"]["request"] == 7
        return answer

    async def some(self, count: int) -> list[tuple[str, str]]:
        return [(message["event"], message["job"]) for message in [await self.hear() for _ in range(count)]]


def started(*jobs: str, **fields: object) -> list[dict[str, object]]:
    return [{"job": job, "type": "job.started", **fields} for job in jobs]


async def test_snapshots_of_jobs_come_after_the_answer_up_to_their_ends(service: Service) -> None:
    await service.append(*started("a", "b"))
    async with at(service) as socket:
        talk = Talk(socket)
        answer = await talk.ask(type="subscribe", jobs=["a", "late"])
        assert (answer["event"], answer["data"]["jobs"]) == ("subscribed", ["a", "late"])
        message = await talk.hear()
        assert (message["event"], message["job"], message["data"]["status"]) == ("snapshot", "a", "started")
        assert message["id"].endswith("." + message["data"]["position"])
        await service.append(*started("late"))
        assert await talk.some(1) == [("snapshot", "late")]
        await service.append({"job": "a", "type": "job.finished"})
        assert await talk.some(2) == [("snapshot", "a"), ("end", "a")]
        await service.append(*started("a", attempt=2))
        await talk.ask(type="subscribe", jobs=["a"])
        assert (await talk.hear())["data"]["attempt"] == 2


async def test_events_go_on_after_the_token_of_each_job(service: Service) -> None:
    await service.append(*started("a", "b"))
    async with at(service) as socket:
        talk = Talk(socket)
        await talk.ask(type="subscribe", jobs=["a", "b"], mode="events")
        tokens = {message["job"]: message["id"] for message in [await talk.hear(), await talk.hear()]}
    await service.append({"job": "a", "type": "job.noted"}, {"job": "a", "type": "job.finished"})
    async with at(service) as socket:
        talk = Talk(socket)
        await talk.ask(type="resume", after=tokens, mode="events")
        assert [(await talk.hear())["data"]["event"]["type"] for _ in range(2)] == ["job.noted", "job.finished"]
        assert await talk.some(1) == [("end", "a")]


async def test_a_token_of_a_log_begun_anew_is_a_reset(service: Service) -> None:
    await service.append(*started("a"))
    async with at(service) as socket:
        talk = Talk(socket)
        await talk.ask(type="resume", after={"a": "0bad0bad.1-1"})
        message = await talk.hear()
        assert (message["event"], message["data"]["reason"]) == ("reset", "incarnation")
        assert await talk.some(1) == [("snapshot", "a")]


async def test_a_job_that_is_unsubscribed_is_silent(service: Service) -> None:
    await service.append(*started("a", "b"))
    async with at(service) as socket:
        talk = Talk(socket)
        await talk.ask(type="subscribe", jobs=["a", "b"])
        await talk.some(2)
        answer = await talk.ask(type="unsubscribe", jobs=["a", "never"])
        assert (answer["event"], answer["data"]["jobs"]) == ("unsubscribed", ["a"])
        await service.append({"job": "a", "type": "job.noted"})
        await service.append({"job": "b", "type": "job.noted"})
        assert await talk.some(1) == [("snapshot", "b")]
        assert (await talk.ask(type="ping"))["event"] == "pong"


async def test_a_filter_is_followed_as_jobs_come_and_go(service: Service) -> None:
    await service.append(*started("a", kind="import"), *started("x", kind="render"))
    async with at(service) as socket:
        talk = Talk(socket)
        answer = await talk.ask(type="subscribe", filter="kind=import")
        assert answer["data"]["jobs"] == ["a"]
        assert await talk.some(1) == [("snapshot", "a")]
        await service.append(*started("b", kind="import"))
        assert await talk.some(2) == [("joined", "b"), ("snapshot", "b")]
        answer = await talk.ask(type="unsubscribe", filter="kind=import")
        assert answer["data"]["jobs"] == ["a", "b"]
        await service.append(*started("c", kind="import"), {"job": "a", "type": "job.noted"})
        await talk.ask(type="subscribe", jobs=["x"])
        assert await talk.some(1) == [("snapshot", "x")]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[" * 20_000,
        '"subscribe"',
        '{"type":"subscribe"}',
        '{"type":"never"}',
        '{"type":"subscribe","jobs":["a"],"filter":"kind=x"}',
        '{"type":"subscribe","jobs":["a b"]}',
        '{"type":"subscribe","jobs":["a"],"mode":"some"}',
        '{"type":"subscribe","jobs":["a"],"more":1}',
        '{"type":"subscribe","filter":"status=never"}',
        '{"type":"unsubscribe","filter":"kind=x"}',
        '{"type":"resume","after":{"a":"x"}}',
        json.dumps({"type": "subscribe", "jobs": [f"j{number}" for number in range(201)]}),
    ],
    ids=lambda text: text[:40],
)
async def test_what_makes_no_sense_is_an_error_and_the_socket_stays(service: Service, text: str) -> None:
    async with at(service) as socket:
        talk = Talk(socket)
        await socket.send(text)
        message = await talk.hear()
        assert (message["event"], message["data"]["status"]) == ("error", 400)
        assert (await talk.ask(type="ping"))["event"] == "pong"


async def test_a_job_is_followed_once(service: Service) -> None:
    await service.append(*started("a"))
    async with at(service) as socket:
        talk = Talk(socket)
        await talk.ask(type="subscribe", jobs=["a"])
        await talk.some(1)
        answer = await talk.ask(type="subscribe", jobs=["a"])
        assert answer["event"] == "error"
        assert "unsubscribe first" in answer["data"]["detail"]


async def test_a_message_that_is_too_long_or_binary_ends_it(service: Service) -> None:
    for message in ("x" * 70_000, b"binary"):
        async with at(service) as socket:
            await socket.send(message)
            with pytest.raises(ConnectionClosed):
                await socket.recv()


async def test_who_goes_leaves_nothing_behind(service: Service) -> None:
    await service.append(*started("a"))
    channel = service.keys.of("a").live("a")

    async def let_go() -> bool:
        reply: list[int] = await service.client.execute_command("PUBSUB", "SHARDNUMSUB", channel)
        return reply[1] == 0

    async with at(service) as socket:
        talk = Talk(socket)
        await talk.ask(type="subscribe", jobs=["a"])
        await talk.some(1)
        assert not await let_go()
    await eventually(let_go)


async def test_stopping_says_to_come_back(server: Server, namespace: str) -> None:
    async with serving_with_projector(server.url, namespace) as service:
        await service.append(*started("a"))
        async with serving(service.config) as http:
            socket = await connect(f"ws://127.0.0.1:{http.base_url.port}/v1/ws", proxy=None)
            talk = Talk(socket)
            await talk.ask(type="subscribe", jobs=["a"])
            await talk.some(1)
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert socket.close_code == 1012


async def test_without_a_server_the_handshake_is_refused(namespace: str) -> None:
    config = Config(redis=f"redis://127.0.0.1:{free_port()}/0", namespace=namespace, port=0)
    async with serving(config) as http:
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://127.0.0.1:{http.base_url.port}/v1/ws", proxy=None)
        assert refused.value.response.status_code == 503
