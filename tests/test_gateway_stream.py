"""Live streams: snapshots and events over SSE, resumed, reset, and ended."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import anyio
import pytest

from streamproc import hub
from streamproc.gateway import clients, fanout
from tests.support.gateways import Message, Service, messages, serving, serving_with_projector
from tests.support.running import caught_up
from tests.support.servers import Server

pytestmark = pytest.mark.anyio


@pytest.fixture
async def service(server: Server, namespace: str) -> AsyncIterator[Service]:
    async with serving_with_projector(server.url, namespace) as running:
        yield running


async def read(service: Service, path: str, token: str | None = None, most: int | None = None) -> list[Message]:
    """What a stream says up to its end, or its first `most` messages."""
    found = []
    headers = {"last-event-id": token} if token else {}
    with anyio.fail_after(15):
        async with service.http.stream("GET", path, headers=headers) as response:
            assert response.status_code == 200, await response.aread()
            async for message in messages(response):
                found.append(message)
                if len(found) == most:
                    break
    return found


def noted(count: int, job: str = "a") -> list[dict[str, object]]:
    return [{"job": job, "type": "job.noted", "n": number} for number in range(count)]


async def test_the_headers_say_that_it_is_a_stream(service: Service) -> None:
    await service.append({"job": "a", "type": "job.finished"})
    response = await service.http.get("/v1/jobs/a/stream")
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-accel-buffering"] == "no"
    assert response.text.startswith("retry: ")
    head = await service.http.head("/v1/jobs/a/stream")
    assert (head.status_code, head.content) == (200, b"")


async def test_a_stream_begins_with_the_snapshot_goes_on_with_changes_and_ends_when_final(service: Service) -> None:
    await service.append({"job": "a", "type": "job.started"})
    found: list[Message] = []
    async with service.http.stream("GET", "/v1/jobs/a/stream") as response:
        with anyio.fail_after(15):
            async for message in messages(response):
                found.append(message)
                if message.event == "snapshot" and message.data["status"] != "finished":
                    percent = len(found) * 10
                    await service.append(
                        {"job": "a", "type": "job.finished"}
                        if percent == 30
                        else {"job": "a", "type": "job.progressed", "percent": percent}
                    )
    assert [message.event for message in found] == ["snapshot"] * 4 + ["end"]
    assert [message.data["percent"] for message in found[:4]] == [None, 10, 20, 100]
    for message in found[:4]:
        assert message.id is not None
        assert message.id.endswith("." + message.data["position"])
    stored = await service.client.hget(service.keys.of("a").state("a"), "snapshot")
    assert found[3].data == json.loads(stored)


async def test_a_client_whose_position_is_current_gets_nothing_until_a_change(service: Service) -> None:
    await service.append({"job": "a", "type": "job.started"})
    (first,) = await read(service, "/v1/jobs/a/stream", most=1)
    (again,) = await read(service, "/v1/jobs/a/stream", most=1)
    assert again == first
    async with service.http.stream("GET", "/v1/jobs/a/stream", headers={"last-event-id": first.id or ""}) as response:
        stream = messages(response)
        await service.append({"job": "a", "type": "job.progressed", "percent": 7})
        with anyio.fail_after(10):
            message = await anext(stream)
        assert (message.event, message.data["percent"]) == ("snapshot", 7)


async def test_a_client_that_has_the_final_snapshot_gets_only_the_end(service: Service) -> None:
    await service.append({"job": "a", "type": "job.finished"})
    snapshot, _ = await read(service, "/v1/jobs/a/stream")
    assert [message.event for message in await read(service, "/v1/jobs/a/stream", token=snapshot.id)] == ["end"]


async def test_every_event_is_sent_up_to_the_one_that_made_the_job_final(service: Service) -> None:
    positions = await service.append(*noted(250), {"job": "a", "type": "job.finished"})
    found = await read(service, "/v1/jobs/a/stream?events=all")
    assert [message.event for message in found] == ["event"] * 251 + ["end"]
    assert [message.data["position"] for message in found[:251]] == positions
    assert [message.data["event"].get("n") for message in found[:251]] == [*range(250), None]


async def test_events_go_on_after_the_position_of_the_client(service: Service) -> None:
    positions = await service.append(*noted(250), {"job": "a", "type": "job.failed"})
    incarnation = (await service.client.hget(service.keys.of("a").group, "incarnation")).decode()
    path = "/v1/jobs/a/stream?events=all&after="
    for at in (0, 99, 100, 180, 249):
        token = f"{incarnation}.{positions[at]}"
        for found in (
            await read(service, path + token),
            await read(service, path + positions[at]),
            await read(service, path + "1-1", token),  # the header is what it had last
        ):
            assert [message.data["position"] for message in found[:-1]] == positions[at + 1 :]


async def test_replay_meets_live_without_gap_or_repeat(service: Service) -> None:
    """Clients join, and break off and come back, while events are written as fast as it goes."""
    total, positions = 3000, []

    async def write() -> None:
        for start in range(0, total, 100):
            positions.extend(await service.append(*noted(100)))
            assert len(positions) == start + 100
        positions.extend(await service.append({"job": "a", "type": "job.finished"}))

    async def follow(every: int, into: list[str]) -> None:
        token: str | None = None
        while True:
            left = every
            async with service.http.stream(
                "GET", "/v1/jobs/a/stream?events=all", headers={"last-event-id": token} if token else {}
            ) as response:
                async for message in messages(response):
                    if message.event == "end":
                        return
                    into.append(message.data["position"])
                    token = message.id
                    left -= 1
                    if left == 0:
                        break

    await service.append({"job": "a", "type": "job.started"})
    first = (await service.http.get("/v1/jobs/a/events")).json()["events"][0]["position"]
    seen: list[list[str]] = [[] for _ in range(5)]
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write)
            for every, into in zip((10_000, 10_000, 700, 333, 101), seen, strict=True):
                tasks.start_soon(follow, every, into)
    for into in seen:
        assert into == [first, *positions]


async def test_many_clients_of_a_job_share_one_subscription(service: Service) -> None:
    await service.append({"job": "a", "type": "job.started"})
    found: list[Message] = []
    joined, all_joined = 0, anyio.Event()

    async def follow() -> None:
        nonlocal joined
        async with service.http.stream("GET", "/v1/jobs/a/stream") as response:
            stream = messages(response)
            await anext(stream)
            joined += 1
            if joined == 20:
                all_joined.set()
            found.extend([message async for message in stream])

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(follow)
        with anyio.fail_after(10):
            await all_joined.wait()
        channel = service.keys.of("a").live("a")
        assert await service.client.execute_command("PUBSUB", "SHARDNUMSUB", channel) == [channel.encode(), 1]
        await service.append({"job": "a", "type": "job.finished"})
    assert [message.event for message in found].count("snapshot") == 20
    assert [message.event for message in found].count("end") == 20


@pytest.mark.parametrize("mode", ["", "?events=all"])
async def test_who_stays_is_told_on_when_another_goes(service: Service, mode: str) -> None:
    await service.append({"job": "a", "type": "job.started"})
    async with AsyncExitStack() as first, service.http.stream("GET", f"/v1/jobs/a/stream{mode}") as staying:
        going = await first.enter_async_context(service.http.stream("GET", f"/v1/jobs/a/stream{mode}"))
        stream = messages(staying)
        await anext(stream)
        await anext(messages(going))
        await first.aclose()
        for percent in (1, 2):
            await service.append({"job": "a", "type": "job.progressed", "percent": percent})
            with anyio.fail_after(10):
                data = (await anext(stream)).data
            assert (data["event"] if mode else data)["percent"] == percent


async def test_a_position_that_is_gone_is_a_reset_and_then_everything(service: Service) -> None:
    positions = await service.append(*noted(3), {"job": "a", "type": "job.finished"})
    incarnation = (await service.client.hget(service.keys.of("a").group, "incarnation")).decode()
    for token, reason in (
        ("0bad0bad.1-1", "incarnation"),
        (f"{incarnation}.99999999999999-0", "position"),
        ("99999999999999-0", "position"),
    ):
        found = await read(service, "/v1/jobs/a/stream", token)
        assert [message.event for message in found] == ["reset", "snapshot", "end"]
        assert found[0].data["reason"] == reason
        found = await read(service, "/v1/jobs/a/stream?events=all", token)
        assert [message.event for message in found] == ["reset", "snapshot", *["event"] * 4, "end"]
        assert [message.data["position"] for message in found[2:-1]] == positions
        assert found[1].id is None, "who breaks off here has not had the history up to this snapshot"


@pytest.mark.parametrize("mode", ["", "?events=all"])
async def test_a_log_begun_anew_is_a_reset_for_those_who_watch(
    own_server: Server, namespace: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "ROUND_SECONDS", 0.2)
    async with serving_with_projector(own_server.url, namespace) as service:
        await service.append({"job": "a", "type": "job.started"})
        async with service.http.stream("GET", f"/v1/jobs/a/stream{mode}") as response:
            stream = messages(response)
            with anyio.fail_after(30):
                assert (await anext(stream)).event == ("event" if mode else "snapshot")
                keys = service.keys.of("a")
                await service.client.delete(*[key async for key in service.client.scan_iter(f"{keys.prefix}*")])
                await service.client.xadd(keys.log, {"e": b'{"job":"a","type":"job.progressed","percent":9}'})
                while (await anext(stream)).event != "reset":
                    pass
                after = await anext(stream)
                assert (after.event, after.data["percent"], after.data["events"]) == ("snapshot", 9, 1)
                if mode:
                    assert (await anext(stream)).data["event"]["percent"] == 9


async def test_a_bad_parameter_is_refused(service: Service) -> None:
    await service.append({"job": "a", "type": "job.started"})
    for query in ("after=x", "after=1-1%0d%0aevent:x", "events=some", "after=zz.1-1"):
        assert (await service.http.get(f"/v1/jobs/a/stream?{query}")).status_code == 400, query
    assert (await service.http.get("/v1/jobs/a/stream", headers={"last-event-id": "x"})).status_code == 400


async def test_nothing_that_was_sent_makes_an_event_of_its_own(service: Service) -> None:
    payload = (
        b'{"job":"a",\r\n\n"type":"job.finished","message":"x\\n\\nevent: end\\ndata: {}\\n\\n","mine":\r"\\u0000"}'
    )
    await service.client.xadd(service.keys.of("a").log, {"e": payload})
    await caught_up(service.client, service.keys)
    for mode in ("", "?events=all"):
        found = await read(service, f"/v1/jobs/a/stream{mode}")
        assert [message.event for message in found] == ["event" if mode else "snapshot", "end"]
    assert (await read(service, "/v1/jobs/a/stream?events=all"))[0].data["event"] == json.loads(payload)


async def test_a_silent_stream_says_that_it_lives(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "_HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr(fanout, "_TICK_SECONDS", 0.05)
    await service.append({"job": "a", "type": "job.started"})
    comments = 0
    async with service.http.stream("GET", "/v1/jobs/a/stream") as response:
        with anyio.fail_after(10):
            async for line in response.aiter_lines():
                comments += line == ":"
                if comments == 3:
                    break


async def test_a_reopened_job_streams_on(service: Service) -> None:
    await service.append({"job": "a", "type": "job.failed"})
    await service.append({"job": "a", "type": "job.started", "attempt": 2})
    (message,) = await read(service, "/v1/jobs/a/stream", most=1)
    assert (message.event, message.data["status"], message.data["attempt"]) == ("snapshot", "started", 2)


async def test_stopping_ends_streams_so_that_clients_go_elsewhere(server: Server, namespace: str) -> None:
    async with serving_with_projector(server.url, namespace) as service:
        await service.append({"job": "a", "type": "job.started"})
        ended: list[list[str]] = []

        async def follow(mode: str, open_: anyio.Event) -> None:
            async with second.stream("GET", f"/v1/jobs/a/stream{mode}") as response:
                stream = messages(response)
                await anext(stream)
                open_.set()
                ended.append([message.event async for message in stream])

        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks, serving(service.config) as second:
                for mode in ("", "?events=all"):
                    opened = anyio.Event()
                    tasks.start_soon(follow, mode, opened)
                    await opened.wait()
        assert ended == [[], []]
