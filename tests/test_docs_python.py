"""The pages about Python say what is so: their examples run as they stand."""

import re
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import streamproc
from streamproc import Producer
from tests.support.producing import LogReader
from tests.support.stack import Stack

DOCS = Path(__file__).parent.parent / "docs"
BLOCKS = re.findall(r"```python\n(.*?)```", (DOCS / "python.md").read_text(), re.DOTALL)
LOOKING = re.findall(r"```py\n(.*?)```", (DOCS / "python.md").read_text(), re.DOTALL)


@pytest.fixture
def sp(server_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Producer]:
    monkeypatch.setenv("STREAMPROC_URL", server_url)
    with streamproc.connect(server_url, namespace=namespace) as connection:
        yield connection


async def source() -> AsyncIterator[int]:
    for number in range(3):
        yield number


async def store(row: int) -> None:
    await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.strip().splitlines()[-1].strip()[:40])
def test_an_example_runs_as_it_stands(block: str, sp: Producer) -> None:
    def ignore(_: object) -> None:
        """What the example's work would do."""

    names: dict[str, Any] = {
        "sp": sp,
        "streamproc": streamproc,
        "rows": range(3),
        "files": ["a", "b"],
        "pages": lambda month: [1, 2],
        **dict.fromkeys(("parse", "draw", "copy"), ignore),
        "source": source,
        "store": store,
    }
    exec(block, names)  # noqa: S102  (it is our own page)
    if "work" in names:
        anyio.run(names["work"])


def test_the_examples_of_looking_at_jobs_run_where_there_is_one(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []
    notebook = ModuleType("IPython.display")
    notebook.display = lambda job, display_id: SimpleNamespace(update=shown.append)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", notebook)
    with streamproc.connect(stack.http) as sp:
        with sp.job("backup", kind="backup"):
            pass
        stack.wait_for("backup", status="finished")
        for block in LOOKING:
            exec(block, {"sp": sp})  # noqa: S102
    assert [job.status for job in shown] == ["finished"]


def test_the_examples_say_what_the_page_shows(sp: Producer, server_url: str, namespace: str) -> None:
    names: dict[str, Any] = {"sp": sp}
    exec(next(block for block in BLOCKS if "movie-7" in block), names)  # noqa: S102
    log = LogReader(server_url, namespace)
    snapshot = log.snapshot("movie-7")
    log.client.close()
    assert snapshot["status"] == "finished"
    assert [stage["status"] for stage in snapshot["stages"]] == ["finished", "finished", "skipped"]
    assert snapshot["indicators"] == [{"label": "frames", "done": 1800, "total": 1800}]
    assert snapshot["result"] == {"frames": 1800}


@pytest.mark.parametrize("name", ["min_interval", "heartbeat_interval", "flush_seconds", "buffer_bytes", "namespace"])
def test_the_page_names_each_setting(name: str) -> None:
    assert f"`{name}`" in (DOCS / "python.md").read_text()
