"""Numbers for clients that know no names."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from streamproc import numbers
from streamproc.connection import Redis, call, connect
from streamproc.log import open_namespace
from streamproc.numbers import Numbers

pytestmark = pytest.mark.anyio


@pytest.fixture
async def ours(server_url: str, namespace: str) -> AsyncIterator[Numbers]:
    async with connect(server_url) as client:
        yield Numbers(client, await open_namespace(client, namespace, 4))


async def test_who_ask_for_a_kinds_number_at_once_are_told_the_same(
    ours: Numbers, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int | None] = []
    reached, go_on = anyio.Event(), anyio.Event()

    async def held_up(client: Redis, *command: Any) -> Any:
        """As ever, but who gives the kind a number first is held up just before."""
        if command[0].startswith("HSET") and command[2] == "kind:import" and not reached.is_set():
            reached.set()
            await go_on.wait()
        return await call(client, *command)

    async def ask() -> None:
        told.append(await ours.number("import"))

    monkeypatch.setattr(numbers, "call", held_up)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        await reached.wait()
        await ask()
        go_on.set()
    assert told == [2, 2]
    assert [await ours.kind(number) for number in (1, 2)] == ["import", "import"]


async def test_tasks_are_numbered_from_1(ours: Numbers) -> None:
    assert [await ours.task() for _ in range(3)] == [1, 2, 3]


async def test_a_number_that_was_not_given_leads_nowhere(ours: Numbers) -> None:
    assert await ours.kind(1) is None


async def test_so_many_kinds_get_numbers_and_no_more(ours: Numbers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbers, "_MOST_TYPES", 2)
    assert [await ours.number(kind) for kind in ("a", "b", "c", "a", "c")] == [1, 2, None, 1, None]
    assert await ours.kind(3) is None
