"""The screen of ``top``: which rows it has, what keys do, and how it is drawn."""

import time
from collections.abc import Callable
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from streamproc.cli import bars
from streamproc.cli.clock import Clock
from streamproc.cli.details import details
from streamproc.cli.live import FINAL, Board, link_line
from streamproc.cli.rates import Events, Rates
from streamproc.cli.sorting import KEYS, SORTS, Order, silent_since
from streamproc.cli.texts import clean
from streamproc.cli.typical import Typical
from streamproc.client import Change
from streamproc.crowd import MOST_JOBS
from streamproc.durations import duration
from streamproc.filters import ACTIVE
from streamproc.links import Link

__all__ = ["Screen"]

Json = dict[str, Any]

_WISHES: Final = {"c": "cancel", "p": "pause", "r": "resume"}
_FOOT: Final = "q ends  ? keys  / filters  Enter opens"
_HELP: Final = (
    ("up, down, k, j", "choose a job; page up and down, home and end too"),
    ("Enter", "open it; Esc or q goes back"),
    ("c  p  r", "cancel, pause or resume it, once you have said y"),
    ("/", "filter by words, up to Enter; Esc shows all"),
    ("T P R A S", "sort by time left, percent, rate, age, silence; again the other way round"),
    ("J K G W !", "sort by job, kind, stage, worker, stalled"),
    ("s", "sort by what comes next"),
    ("q", "end"),
)
_SAID_SECONDS: Final = 10.0


class Screen:
    """Active jobs, sorted and filtered.

    Args:
        sort: by which of `SORTS`.
        link: how they come.
        typical: what is usual of their kinds.
        ask: called with a job and ``cancel``, ``pause`` or ``resume``, once somebody has said so twice.
        more: whether there are more jobs than come.

    Attributes:
        board: their newest states.
        ended: somebody has typed q.
        warning: what is wrong with the system; empty where nothing is.
    """

    def __init__(
        self,
        sort: str,
        link: Link,
        typical: Typical,
        ask: Callable[[str, str], None],
        more: Callable[[], bool] = bool,
    ) -> None:
        self.board = Board()
        self.ended = False
        self.warning = ""
        self._order = Order(sort)
        self._link = link
        self._clock = Clock(link)
        self._typical = typical
        self._ask = ask
        self._more = more
        self._rates = Rates()
        self._events = Events()
        self._words = ""
        self._typing = False
        self._help = False
        self._chosen: str | None = None
        self._open: Json | None = None
        self._question: tuple[str, str] | None = None
        self._said: tuple[Text, float] | None = None
        self._page = 1

    # What comes ------------------------------------------------------------------------------------------------------

    def take(self, change: Change) -> None:
        """Something became of a job."""
        if change.snapshot is not None:
            self.board.put(change.job, change.snapshot)
            return
        last = self.board.drop(change.job)
        self._rates.drop(change.job)
        self._events.drop(change.job)
        if self._open is not None and last is not None and self._open["job_id"] == change.job:
            self._open = last

    def say(self, text: str, style: str = "yellow") -> None:
        """Say something for a while."""
        self._said = bars.text(text, style), time.monotonic()
        self.board.touch()

    # What is typed ---------------------------------------------------------------------------------------------------

    def key(self, key: str) -> None:
        """Do what a key is for."""
        if self._question is not None:
            self._answer(key)
        elif self._typing:
            self._type(key)
        elif self._help:
            self._help = False
        elif key in ("q", "escape") and self._open is not None:
            self._open = None
        elif key in _WISHES:
            self._wish(_WISHES[key])
        elif key == "q":
            self.ended = True
        elif key in ("?", "h"):
            self._help = True
        elif self._open is None:
            self._of_table(key)
        self.board.touch()

    def _of_table(self, key: str) -> None:
        if key == "escape":
            self._words = ""
        elif key == "/":
            self._typing = True
        elif key == "enter" and self._chosen is not None and self._chosen in self.board:
            self._open = self.board[self._chosen]
        elif key == "s":
            self._order = Order(SORTS[(SORTS.index(self._order.name) + 1) % len(SORTS)])
        elif key in KEYS:
            again = KEYS[key] == self._order.name
            self._order = Order(KEYS[key], reverse=again and not self._order.reverse)
        else:
            self._move(key)

    def _move(self, key: str) -> None:
        jobs = [job["job_id"] for job in self.rows()]
        at = jobs.index(self._chosen) if self._chosen in jobs else -1
        last = len(jobs) - 1
        to = {
            "up": max(0, at - 1),
            "k": max(0, at - 1),
            "down": at + 1,
            "j": at + 1,
            "page up": max(0, at - self._page),
            "page down": at + self._page,
            "home": 0,
            "end": last,
        }.get(key)
        if to is not None and jobs:
            self._chosen = jobs[min(to, last)]

    def _type(self, key: str) -> None:
        if key == "escape":
            self._typing, self._words = False, ""
        elif key == "enter":
            self._typing = False
        elif key == "backspace":
            self._words = self._words[:-1]
        elif len(key) == 1:
            self._words += key

    def _wish(self, wish: str) -> None:
        job = self._chosen if self._open is None else self._open["job_id"]
        if job is None or job not in self.board:
            self.say("choose a job first, by the arrow keys")
        else:
            self._question = job, wish

    def _answer(self, key: str) -> None:
        assert self._question is not None  # noqa: S101  (so it is called)
        job, wish = self._question
        self._question = None
        if key in ("y", "Y"):
            self.say(f"asking {job} to {wish}", "dim")
            self._ask(job, wish)

    # What is seen ----------------------------------------------------------------------------------------------------

    def picture(self, columns: int, rows: int) -> RenderableType:
        """The whole screen."""
        now = time.monotonic()
        for job in self.board.take():
            self._rates.put(job, now)
            self._events.put(job, now)
        jobs = list(self.board)
        found = self._found(jobs)
        head: list[RenderableType] = [self._head(jobs, now)]
        if self.warning:
            head.append(bars.text(self.warning, "bold yellow"))
        foot = self._foot(len(found), now)
        room = max(1, rows - len(head) - 1)
        if self._help:
            return Group(*head, self._keys(), Text(" "), Text("any key goes back", "dim"))
        if self._open is not None:
            return Group(*head, self._opened(columns, room), foot)
        return Group(*head, self.table(self._window(found, room - 1), columns), foot)

    def rows(self) -> list[Json]:
        """The jobs that have all the words somewhere, in their order."""
        return self._found(list(self.board))

    def _found(self, jobs: list[Json]) -> list[Json]:
        words = self._words.lower().split()
        found = [job for job in jobs if all(word in _words(job) for word in words)]
        return self._order.sorted(found, self._rates, self._clock, time.monotonic())

    def table(self, jobs: list[Json], columns: int) -> Group:
        """A row for each job, with as much as fits so many columns."""
        now = time.monotonic()
        cells: dict[str, tuple[int, str, Callable[[Json], Text]]] = {
            "JOB": (0, "job", lambda job: bars.text(job["job_id"])),
            "KIND": (96, "kind", lambda job: bars.text(job["kind"])),
            "STATUS": (0, "stalled", bars.status),
            "": (56, "", lambda job: bars.bar(job, 20 if columns >= 140 else 10)),
            "%": (0, "percent", lambda job: bars.text(bars.percent(job["percent"]))),
            "RATE": (88, "rate", lambda job: bars.text(self._rates.text(job, now))),
            "LEFT": (64, "left", lambda job: bars.text(bars.left(job))),
            "AGE": (112, "age", lambda job: bars.text(self._since(job["created_at"]))),
            "SILENT": (126, "silent", lambda job: bars.text(self._since(silent_since(job)))),
            "STAGE": (76, "stage", lambda job: bars.text(job["current_stage"])),
            "WORKER": (104, "worker", lambda job: bars.text(job["worker"])),
        }
        mark = bars.MARKS[self._order.reverse]
        shown = {
            name: cell for name, (least, sort, cell) in cells.items() if columns >= least or sort == self._order.name
        }
        named = [f"{name}{mark}" if cells[name][1] == self._order.name else name for name in shown]
        chosen = next((at for at, job in enumerate(jobs) if job["job_id"] == self._chosen), None)
        return bars.table_of(named, [[cell(job) for cell in shown.values()] for job in jobs], columns, chosen)

    def _since(self, instant: str | None) -> str:
        seconds = self._clock.since(instant)
        return "" if seconds is None else duration(seconds, 0)

    def _window(self, found: list[Json], rows: int) -> list[Json]:
        """So many rows, with the chosen one among them."""
        self._page = max(1, rows)
        at = next((at for at, job in enumerate(found) if job["job_id"] == self._chosen), 0)
        first = max(0, at - rows + 1)
        return found[first : first + self._page]

    def _opened(self, columns: int, rows: int) -> RenderableType:
        assert self._open is not None  # noqa: S101  (so it is called)
        if self._open["job_id"] in self.board:
            self._open = self.board[self._open["job_id"]]
        job = self._open
        return details(
            job, self._clock, columns, rows=max(1, (rows - 9) // 2), typical=self._typical.stages(job["kind"])
        )

    def _head(self, found: list[Json], now: float) -> Text:
        counts = {status: sum(job["status"] == status for job in found) for status in ACTIVE}
        told = [f"{count:,} {status}" for status, count in counts.items() if count]
        if stalled := sum(bool(job["stalled"]) for job in found):
            told.append(f"{stalled:,} stalled")
        more = f" of more than {MOST_JOBS:,}" if self._more() else ""
        speed = self._events.per_second(now)
        rate = "" if speed is None else f"; {speed:,.0f} events/s"
        which = f": {', '.join(told)}" if told else ""
        return link_line(self._link, f": {len(found):,} active{more}{which}{rate}")

    def _foot(self, shown: int, now: float) -> Text:
        if self._question is not None:
            job, wish = self._question
            return bars.text(f"{wish} {job}? y or n", "bold yellow")
        if self._typing:
            return Text(f"/{clean(self._words)}_", "bold", no_wrap=True)
        if self._said is not None and now - self._said[1] < _SAID_SECONDS:
            return self._said[0]
        if self._open is not None:
            over = " (it has ended)" if self._open["status"] in FINAL else ""
            return bars.text(f"Esc goes back  c cancels  p pauses  r resumes{over}", "dim")
        words = f"  /{clean(self._words)}: {shown:,} shown, Esc shows all" if self._words else ""
        return bars.text(f"{self._order.said}{words}  {_FOOT}", "dim")

    def _keys(self) -> Table:
        table = Table.grid(padding=(0, 3))
        for keys, does in _HELP:
            table.add_row(Text(keys, "bold"), does)
        return table


def _words(job: Json) -> str:
    fields = ("job_id", "kind", "title", "status", "current_stage", "worker")
    return " ".join(job[name] or "" for name in fields).lower()
