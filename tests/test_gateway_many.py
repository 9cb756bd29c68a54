"""Live streams of many jobs over one connection: those that are named, and those that match something."""

import json
from collections.abc import AsyncIterator

import anyio
import pytest

from streamproc import hub
from streamproc.gateway import clients, fanout, sets
from tests.support.gateways import Message, Service, messages, serving, serving_with_projector
from tests.support.servers import Server

pytestmark = pytest.mark.anyio


@pytest.fixture
async def service(server: Server, namespace: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Service]:
    monkeypatch.setattr(sets, "_LOOK_SECONDS", 0.05)
    monkeypatch.setattr(hub, "ROUND_SECONDS", 0.05)
    async with serving_with_projector(server.url, namespace) as running:
        yield running


def noted(job: str, number: int = 0) -> dict[str, object]:
    return {"job": job, "type": "job.noted", "n": number}


def started(*jobs: str, **fields: object) -> list[dict[str, object]]:
    return [{"job": job, "type": "job.started", **fields} for job in jobs]


def finished(*jobs: str) -> list[dict[str, object]]:
    return [{"job": job, "type": "job.finished"} for job in jobs]


def query(*jobs: str, **more: str) -> str:
    return "/v1/stream?" + "&".join(
        [f"job={job}" for job in jobs] + [f"{name}={value}" for name, value in more.items()]
    )


class Reader:
    """A client that reads message by message."""

    def __init__(self, stream: AsyncIterator[Message]) -> None:
        self._stream = stream
        self.token: str | None = None

    async def next(self) -> Message:
        with anyio.fail_after(15):
            message = await anext(self._stream)
        self.token = message.id or self.token
        return message

    async def some(self, count: int) -> list[Message]:
        return [await self.next() for _ in range(count)]

    async def rest(self) -> list[Message]:
        with anyio.fail_after(15):
            return [message async for message in self._stream]


def job_of(message: Message) -> str:
    data = message.data
    return str(data["event"]["job"] if message.event == "event" else data.get("job_id") or data.get("job"))


async def test_snapshots_of_many_jobs_come_over_one_connection_up_to_their_ends(service: Service) -> None:
    await service.append(*started("a", "b"))
    async with service.http.stream("GET", query("a", "b", "late")) as response:
        reader = Reader(messages(response))
        first = await reader.next()
        assert (first.event, first.data) == ("unknown", {"jobs": ["late"]})
        assert {job_of(message) for message in await reader.some(2)} == {"a", "b"}
        await service.append({"job": "b", "type": "job.progressed", "percent": 7})
        message = await reader.next()
        assert (message.event, message.data["job_id"], message.data["percent"]) == ("snapshot", "b", 7)
        await service.append(*started("late"))
        assert job_of(await reader.next()) == "late"
        await service.append(*finished("a", "b", "late"))
        rest = await reader.rest()
    assert [m.event for m in rest].count("end") == 3
    for job in ("a", "b", "late"):
        of_job = [m for m in rest if job_of(m) == job]
        assert [m.event for m in of_job] == ["snapshot", "end"]
        assert of_job[0].data["status"] == "finished"
    assert (rest[-1].event, rest[-1].data) == ("closed", {"reason": "end"})


@pytest.mark.parametrize("mode", [{}, {"events": "all"}], ids=["snapshots", "events"])
async def test_of_a_job_that_has_ended_nothing_more_comes(service: Service, mode: dict[str, str]) -> None:
    await service.append(*started("a", "b"))
    async with service.http.stream("GET", query("a", "b", **mode)) as response:
        reader = Reader(messages(response))
        await reader.some(2)
        await service.append(*finished("a"))
        assert [(job_of(message)) for message in await reader.some(2)] == ["a", "a"]
        await service.append(noted("a"))
        await service.append(*finished("b"))
        assert [job_of(message) for message in (await reader.rest())[:-1]] == ["b", "b"]


async def test_who_comes_back_gets_what_has_changed_and_nothing_twice(service: Service) -> None:
    await service.append(*started("a", "b", "c"))
    async with service.http.stream("GET", query("a", "b", "c")) as response:
        reader = Reader(messages(response))
        await reader.some(3)
    await service.append(noted("b"))
    headers = {"last-event-id": reader.token or ""}
    async with service.http.stream("GET", query("a", "b", "c"), headers=headers) as response:
        again = Reader(messages(response))
        assert job_of(await again.next()) == "b"
        await service.append(*finished("c"))
        assert job_of(await again.next()) == "c"


@pytest.mark.parametrize("round_seconds", [10.0, 0.02], ids=["no horizons", "horizons"])
async def test_every_event_of_many_jobs_comes_once_however_often_the_client_breaks_off(
    service: Service, monkeypatch: pytest.MonkeyPatch, round_seconds: float
) -> None:
    monkeypatch.setattr(hub, "ROUND_SECONDS", round_seconds)
    jobs = [f"j{number}" for number in range(12)]
    expected: dict[str, list[str]] = {job: [] for job in jobs}

    async def append(*events: dict[str, object]) -> None:
        positions = await service.append(*events)
        for event, position in zip(events, positions, strict=True):
            expected[str(event["job"])].append(position)

    async def write() -> None:
        for turn in range(30):
            known = jobs if turn > 10 else jobs[:-1]  # the last one appears later
            await append(*[noted(job, turn) for job in known for _ in range(1 + turn % 7)])
        await append(*finished(*jobs))

    async def follow(every: int, into: dict[str, list[str]]) -> None:
        token: str | None = None
        while True:
            left = every
            headers = {"last-event-id": token} if token else {}
            async with service.http.stream("GET", query(*jobs, events="all"), headers=headers) as response:
                unsure: list[Message] = []
                async for message in messages(response):
                    if message.event == "closed":
                        return
                    if message.event == "event":
                        unsure.append(message)
                    left -= message.event == "event"
                    if message.id != token:
                        token = message.id
                        for each in unsure:  # what came before a token is what the token says
                            into[job_of(each)].append(each.data["position"])
                        unsure = []
                        if left <= 0:
                            break

    await append(*started(*jobs[:-1]))
    seen: list[dict[str, list[str]]] = [{job: [] for job in jobs} for _ in range(4)]
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write)
            for every, into in zip((10_000, 97, 41, 7), seen, strict=True):
                tasks.start_soon(follow, every, into)
    for into in seen:
        assert into == expected


async def test_a_token_is_short_once_all_is_known(service: Service) -> None:
    jobs = [f"a-job-with-a-long-name-{number:03}" for number in range(200)]
    await service.append(*started(*jobs))
    async with service.http.stream("GET", query(*jobs)) as response:
        reader = Reader(messages(response))
        assert len({job_of(message) for message in await reader.some(200)}) == 200
        assert reader.token is not None
        assert len(reader.token) < 2000
        with anyio.fail_after(15):
            while len(reader.token) > 200:
                await service.append(noted(jobs[0]))
                await reader.next()
    headers = {"last-event-id": reader.token}
    await service.append(*finished(jobs[7]))
    async with service.http.stream("GET", query(*jobs), headers=headers) as response:
        again = Reader(messages(response))
        assert [job_of(message) for message in await again.some(2)] == [jobs[7]] * 2


async def test_of_a_log_begun_anew_each_job_is_reset(service: Service) -> None:
    await service.append(*started("a", "b"))
    async with service.http.stream("GET", query("a", "b")) as response:
        reader = Reader(messages(response))
        await reader.some(2)
    keys = service.keys.of("a")
    await service.client.hset(keys.group, "incarnation", "0bad0bad")
    headers = {"last-event-id": reader.token or ""}
    of_a = [job for job in ("a", "b") if service.keys.of(job) is keys]
    async with service.http.stream("GET", query("a", "b"), headers=headers) as response:
        again = Reader(messages(response))
        found = await again.some(2 * len(of_a))
        assert [message.event for message in found if job_of(message) == "a"] == ["reset", "snapshot"]


async def test_a_token_of_other_jobs_or_of_none_is_refused(service: Service) -> None:
    await service.append(*started("a", "b"))
    async with service.http.stream("GET", query("a", "b")) as response:
        reader = Reader(messages(response))
        await reader.some(2)
    for path, token in (
        (query("a"), reader.token),
        (query("a", "b"), "x"),
        (query("a", "b"), "AAAA"),
        (query("a"), ""),
    ):
        response = await service.http.get(path + "&after=" + (token or "%00"))
        assert response.status_code == 400, path
    for path in ("/v1/stream?job=a%20b", "/v1/stream?status=never", query(*[f"j{n}" for n in range(201)])):
        assert (await service.http.get(path)).status_code == 400, path


async def test_a_moving_set_is_joined_and_left_as_jobs_come_and_go(service: Service) -> None:
    await service.append(*started("a", kind="import"), *started("x", kind="render"), *started("old", kind="import"))
    await service.append(*finished("old"))
    async with service.http.stream("GET", "/v1/stream?kind=import") as response:
        reader = Reader(messages(response))
        first = await reader.next()
        assert (first.event, first.data) == ("jobs", {"jobs": ["a"]})
        assert job_of(await reader.next()) == "a"
        await service.append(*started("b", kind="import"), *started("y", kind="render"))
        joined, shown = await reader.some(2)
        assert (joined.event, joined.data, job_of(shown)) == ("joined", {"job": "b"}, "b")
        await service.append(*finished("b"))
        assert [(m.event, job_of(m)) for m in await reader.some(2)] == [("snapshot", "b"), ("end", "b")]
        await service.append({"job": "a", "type": "job.queued", "kind": "render"})
        await service.append(*started("c", kind="import"), *finished("c"))
        seen = []
        while len([m for m in seen if m[1] == "c"]) < 3:
            message = await reader.next()
            seen.append((message.event, job_of(message)))
        assert [m for m in seen if m[1] == "c"] == [("joined", "c"), ("snapshot", "c"), ("end", "c")]


async def test_a_moving_set_sends_every_event_of_what_joins(service: Service) -> None:
    await service.append(*started("a", labels={"team": "x"}))
    async with service.http.stream("GET", "/v1/stream?label=team:x&events=all") as response:
        reader = Reader(messages(response))
        assert [m.event for m in await reader.some(2)] == ["jobs", "event"]
        await service.append(*started("b", labels={"team": "x"}), noted("b", 1), noted("b", 2))
        found = await reader.some(4)
        assert [m.event for m in found] == ["joined", "event", "event", "event"]
        assert [m.data["event"].get("n") for m in found[1:]] == [None, 1, 2]


async def test_a_job_that_no_longer_matches_is_left(service: Service) -> None:
    await service.append(*started("a", worker="w1"), *started("b", worker="w1"))
    async with service.http.stream("GET", "/v1/stream?worker=w1") as response:
        reader = Reader(messages(response))
        await reader.some(3)
        await service.append({"job": "a", "type": "job.noted", "worker": "w2"})
        seen = []
        while ("left", "a") not in seen:
            message = await reader.next()
            seen.append((message.event, job_of(message)))
        await service.append({"job": "a", "type": "job.noted", "worker": "w2"}, noted("b"))
        assert job_of(await reader.next()) == "b"


async def test_a_moving_set_without_jobs_says_that_it_lives_and_ends_when_the_gateway_stops(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "_HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr(fanout, "_TICK_SECONDS", 0.05)
    alive, rest = anyio.Event(), list[str]()
    async with anyio.create_task_group() as tasks, serving(service.config) as http:

        async def listen() -> None:
            async with http.stream("GET", "/v1/stream?kind=nothing") as response:
                async for line in response.aiter_lines():
                    rest.append(line)
                    if rest.count(":") == 3:
                        alive.set()

        tasks.start_soon(listen)
        with anyio.fail_after(10):
            await alive.wait()
    assert any(line.startswith("retry: ") for line in rest[rest.index(":") :])


async def test_what_others_sent_makes_no_event_of_its_own(service: Service) -> None:
    payload = b'{"job":"a",\r\n\n"type":"job.finished","message":"x\\n\\nevent: end\\ndata: {}\\n\\n"}'
    await service.client.xadd(service.keys.of("a").log, {"e": payload})
    await service.append(noted("b"))
    for mode in ("snapshot", "event"):
        path = query("a", events="all") if mode == "event" else query("a")
        async with service.http.stream("GET", path) as response:
            found = await Reader(messages(response)).rest()
        assert [message.event for message in found if message.event != "unknown"] == [mode, "end", "closed"]
        assert json.dumps(found[-3].data)
