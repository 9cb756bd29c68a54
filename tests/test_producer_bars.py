"""Bars on this terminal, of loops that are reported too."""

import io
import os
import sys
import threading
from collections.abc import Iterator
from typing import Self

import pytest

import streamproc
from streamproc import Job
from tests.support.producing import wait_until


@pytest.fixture
def job(server_url: str, namespace: str) -> Iterator[Job]:
    with streamproc.connect(server_url, namespace=namespace) as sp:
        yield sp.job("j")


class Terminal:
    """A terminal for stderr within ``with``, and what is drawn on it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch
        self._drawn: list[bytes] = []
        for name, value in {"TERM": "xterm", "COLUMNS": "120", "NO_COLOR": "1"}.items():
            monkeypatch.setenv(name, value)

    def __enter__(self) -> Self:
        self._ours, its = os.openpty()
        self._stderr = os.fdopen(its, "w")
        self._patch.setattr("sys.stderr", self._stderr)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._patch.undo()
        self._stderr.close()
        self._reader.join()
        os.close(self._ours)

    @property
    def drawn(self) -> str:
        return b"".join(self._drawn).decode()

    def _read(self) -> None:
        while True:
            try:
                self._drawn.append(os.read(self._ours, 4096))
            except OSError:  # the other side is closed
                return


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    return Terminal(monkeypatch)


def test_a_bar_is_drawn_on_a_terminal(job: Job, terminal: Terminal) -> None:
    with terminal:
        assert len(list(job.track(range(50), "[b]rows[/b]", unit="[i]row", bar=True))) == 50
    assert "[b]rows[/b]" in terminal.drawn
    assert "50/50" in terminal.drawn
    assert "[i]row" in terminal.drawn


def test_a_bar_without_a_name_is_called_as_what_it_is_of(job: Job, terminal: Terminal) -> None:
    with terminal:
        list(job.stage("Parse").track(range(3), bar=True))
        list(job.track(range(3), bar=True))
    assert "Parse" in terminal.drawn
    assert "\x1b[2Kj " in terminal.drawn


def test_bars_are_drawn_together_and_without_a_total_too(job: Job, terminal: Terminal) -> None:
    with terminal:
        for _ in job.track(range(2), "outer", bar=True):
            for _ in job.track((n for n in range(3)), "inner", bar=True):
                pass
    assert "2/2" in terminal.drawn.rpartition("outer")[2]
    assert terminal.drawn.count("3/?") >= 2


def test_a_bar_moves_while_its_loop_is_at_an_item(job: Job, terminal: Terminal) -> None:
    with terminal:
        for row in job.track(range(3), bar=True):
            wait_until(lambda row=row: f"{row}/3" in terminal.drawn)  # type: ignore[misc]


async def test_async_loops_have_bars_too(job: Job, terminal: Terminal) -> None:
    with terminal:
        assert [row async for row in job.track(range(3), bar=True)] == [0, 1, 2]
    assert "3/3" in terminal.drawn


def test_nothing_is_drawn_unless_somebody_asks(job: Job, terminal: Terminal) -> None:
    with terminal:
        list(job.track(range(3)))
    assert terminal.drawn == ""


def test_nothing_is_drawn_where_stderr_is_no_terminal(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = io.StringIO()
    monkeypatch.setattr("sys.stderr", stderr)
    list(job.track(range(3), bar=True))
    assert stderr.getvalue() == ""
    monkeypatch.setattr("sys.stderr", None)  # as of a Windows program without a console
    list(job.track(range(3), bar=True))


def test_what_is_printed_meanwhile_goes_where_it_would_have_gone(
    job: Job, terminal: Terminal, capsys: pytest.CaptureFixture[str]
) -> None:
    with terminal:
        for row in job.track(range(2), bar=True):
            print(f"row,{row}")  # noqa: T201  (it is what is tested)
    assert capsys.readouterr().out == "row,0\nrow,1\n"
    assert "row,0" not in terminal.drawn


def test_the_work_goes_on_when_stderr_is_closed(job: Job, terminal: Terminal) -> None:
    with terminal:
        sys.stderr.close()
        assert list(job.track(range(3), bar=True)) == [0, 1, 2]
