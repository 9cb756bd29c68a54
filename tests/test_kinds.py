"""What is learned of kinds is read once for all that ask, and kept."""

from collections.abc import Sequence
from typing import Any, cast

import anyio
import pytest
from anyio.lowlevel import checkpoint

from streamproc.kinds import Kinds
from streamproc.store import Store

pytestmark = pytest.mark.anyio


class Runs:
    """A store that counts how often it is read."""

    def __init__(self) -> None:
        self.reads = 0

    async def runs(self, kind: str, most: int) -> tuple[list[bytes], int]:
        self.reads += 1
        await checkpoint()
        return [kind.encode()], 0


async def test_many_that_ask_at_once_read_and_learn_once() -> None:
    store, learned, answers = Runs(), list[Sequence[bytes]](), list[Any]()

    def learn(runs: Sequence[bytes]) -> str:
        learned.append(runs)
        return "known"

    kinds = Kinds(cast("Store", store), learn, 3600.0)

    async def ask() -> None:
        answers.append(await kinds.learned("import"))

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(ask)
    assert answers == ["known"] * 20
    assert (store.reads, learned) == (1, [[b"import"]])
