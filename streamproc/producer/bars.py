"""Local bars: what a loop reports, drawn on this terminal too."""

import logging
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TextIO

from streamproc.producer.track import Track

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.progress import Progress, TaskID

    from streamproc.producer.target import Target

__all__ = ["hide", "show"]

_log = logging.getLogger("streamproc")


class _Bars:
    """The bars of this process, drawn together while there is any; rich's own thread looks how far they are."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a loop may end while one begins, by the garbage collector
        self._shown: dict[Track[Any], TaskID] = {}
        self._progress: Progress | None = None

    def show(self, loop: Track[Any], label: str) -> None:
        with self._lock:
            if self._progress is None:
                self._progress = self._make()
                self._progress.start()
            self._shown[loop] = self._progress.add_task(loop.desc or label, total=loop.total, items=loop.unit)

    def hide(self, loop: Track[Any]) -> None:
        with self._lock:
            task = self._shown.pop(loop, None)
            progress = self._progress
            if task is None or progress is None:
                return
            if not self._shown:
                self._progress = None
            progress.update(task, completed=loop.done)
            progress.stop_task(task)
            if not self._shown:
                progress.stop()

    def _make(self) -> "Progress":
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TaskProgressColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        shown = self._shown

        class Bars(Progress):
            def get_renderables(self) -> "Iterable[RenderableType]":
                for loop, task in list(shown.items()):
                    self.update(task, completed=loop.done)
                yield from super().get_renderables()

        return Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[items]}", markup=False),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            redirect_stdout=_is_terminal(sys.stdout),  # what goes to a file isn't for the terminal
        )


_bars: Final = _Bars()


def show(loop: Track[Any], target: "Target") -> None:
    """Draw a loop, where stderr is a terminal."""
    with _spared():
        if _is_terminal(sys.stderr):
            _bars.show(loop, target.label)


def hide(loop: Track[Any]) -> None:
    """Leave a loop's bar as it is."""
    with _spared():
        _bars.hide(loop)


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()


@contextmanager
def _spared() -> Iterator[None]:
    """The work doesn't learn that stderr is closed, or that its terminal has gone."""
    try:
        yield
    except (OSError, ValueError) as error:
        _log.warning("a bar can't be drawn: %s", error)
