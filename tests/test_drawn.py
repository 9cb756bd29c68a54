"""What is drawn in a terminal: pictures in their place, jobs in so many columns, times, and how the connection is."""

import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pyte
import pytest
from rich.console import Console, Group
from rich.text import Text

from streamproc.cli import bars, tables, texts
from streamproc.cli.canvas import Canvas
from streamproc.cli.clock import Clock
from streamproc.cli.details import details
from streamproc.cli.live import Board, Note, Notes, link_line
from streamproc.durations import amount, percent
from streamproc.errors import ServerUnavailable
from streamproc.links import Link
from tests.test_shown import HOSTILE, JOB, STAGE

Json = dict[str, Any]

TIMES: Json = {"resumed_at": None, "progressed_at": None, "heard_at": None}
LONG = "x" * 256


def state(job: str, **fields: Any) -> bytes:
    return json.dumps(JOB | TIMES | {"job_id": job} | fields).encode()


def shown(*pictures: Any, columns: int = 120) -> str:
    console = Console(width=columns, color_system=None)
    with console.capture() as captured:
        for picture in pictures:
            console.print(picture)
    return captured.get()


# In its place --------------------------------------------------------------------------------------------------------


class Screen(io.StringIO):
    """A terminal that takes what is written to it at once."""

    def __init__(self, columns: int, rows: int) -> None:
        super().__init__()
        self.seen = pyte.Screen(columns, rows)
        self._stream = pyte.Stream(self.seen)
        self.written = ""

    def write(self, text: str) -> int:
        self.written += text
        self._stream.feed(text.replace("\r\n", "\n").replace("\n", "\r\n"))
        return len(text)

    @property
    def rows(self) -> list[str]:
        return [row.rstrip() for row in self.seen.display if row.strip()]


def console_on(screen: Screen, columns: int, rows: int) -> Console:
    return Console(file=screen, force_terminal=True, width=columns, height=rows, color_system=None)


@pytest.mark.parametrize("whole", [True, False])
def test_only_lines_that_have_changed_are_written(whole: bool) -> None:
    screen = Screen(20, 10)
    with Canvas(console_on(screen, 20, 10), whole=whole) as canvas:
        canvas.draw(Group("one", "two", "three"))
        screen.written = ""
        canvas.draw(Group("one", "2", "three"))
        assert "2" in screen.written
        assert "one" not in screen.written
        assert "three" not in screen.written
        assert screen.rows == ["one", "2", "three"]
        screen.written = ""
        canvas.draw(Group("one", "2", "three"))
        assert screen.written == ""
        canvas.draw(Group("one"))
        assert screen.rows == ["one"]
        canvas.draw(Group("one", "two"))
        assert screen.rows == ["one", "two"]


def test_a_line_is_said_above_the_picture_and_the_last_picture_stays_whole() -> None:
    screen = Screen(20, 4)
    with Canvas(console_on(screen, 20, 4)) as canvas:
        canvas.draw(Group(*"abcdef"))
        assert screen.rows == ["a", "b", "f"]
        canvas.draw("a")
        canvas.say(Text("said"))
        assert screen.rows == ["said", "a"]
        canvas.leave(Group("a", "b"))
        assert screen.rows == ["said", "a", "b"]
        assert screen.seen.cursor.hidden
    assert not screen.seen.cursor.hidden


def test_the_whole_screen_is_given_back() -> None:
    screen = Screen(20, 4)
    with Canvas(console_on(screen, 20, 4), whole=True) as canvas:
        canvas.draw(Group(*"abcdef"))
        assert screen.rows == ["a", "b", "c", "f"]
        assert "\x1b[?1049h" in screen.written
    assert screen.written.endswith("\x1b[?1049l\x1b[?25h")


def test_another_width_leaves_nothing_of_the_picture_before() -> None:
    screen = Screen(40, 12)
    console = console_on(screen, 40, 12)
    with Canvas(console) as canvas:
        canvas.draw(Group("x" * 40, "y" * 40))
        screen.seen.resize(12, 20)
        screen.seen.reset()  # a terminal that breaks lines anew has them in four rows then
        screen.write("x" * 20 + "\n" + "x" * 20 + "\n" + "y" * 20 + "\n" + "y" * 20 + "\n")
        console.width = 20
        canvas.draw("short")
        assert screen.rows == ["short"]


# In so many columns --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 100, 160])
def test_nothing_is_wider_than_the_terminal_and_no_row_is_broken(columns: int) -> None:
    eta = {"p50": 1e9, "p90": 9e9}
    never = "9999-12-31T23:59:59.000Z"
    jobs = [
        JOB | TIMES | {"job_id": LONG[:200], "kind": LONG, "title": LONG, "message": LONG, "current_stage": LONG}
        | {"eta": JOB["eta"] | {"remaining_seconds": eta, "finish_at": {"p50": never, "p90": never}}},
        JOB | TIMES | {"percent": None, "title": "🙂" * 200, "message": "م" * 900, "stalled": True},
    ]  # fmt: skip
    table = shown(bars.jobs_table(jobs, columns), columns=columns)
    assert len(table.splitlines()) == 1 + len(jobs)
    stages = [STAGE | {"name": LONG, "status": "running", "error": {"type": LONG, "detail": LONG}}] * 500
    one = shown(*(details(job | {"stages": stages}, Clock(), columns, rows=3) for job in jobs), columns=columns)
    for line in (*table.splitlines(), *one.splitlines()):
        assert bars.text(line).cell_len <= columns
        assert "nan" not in line.lower()


def test_narrow_terminals_have_what_matters_most() -> None:
    job = JOB | TIMES
    heads = {columns: shown(bars.jobs_table([job], columns), columns=columns).splitlines()[0].split() for columns in
             (40, 80, 120)}  # fmt: skip
    assert heads[40] == ["JOB", "STATUS", "%"]
    assert heads[80] == ["JOB", "STATUS", "%", "LEFT", "WHAT"]
    assert heads[120] == ["JOB", "KIND", "STATUS", "%", "LEFT", "UNITS", "WHAT"]
    one = shown(details(job, Clock(), 40), columns=40)
    assert "running  41.2" in one
    assert "4 s to 9 s left" in one


def test_of_500_stages_those_around_the_current_one_are_drawn() -> None:
    stages = [
        STAGE | {"name": f"S{n}", "status": "finished" if n < 250 else "running" if n == 250 else "pending"}
        for n in range(500)
    ]
    told = shown(details(JOB | TIMES | {"stages": stages}, Clock(), 100, rows=5))
    assert [line.split()[0] for line in told.splitlines() if line.startswith("  S")] == [
        "S248", "S249", "S250", "S251", "S252",
    ]  # fmt: skip
    assert "248 stages before" in told
    assert "247 stages after" in told


def test_nothing_that_somebody_has_named_moves_the_terminal() -> None:
    named = dict.fromkeys(("kind", "title", "message", "current_stage", "worker", "owner", "requested"), HOSTILE)
    error = {"type": HOSTILE, "detail": HOSTILE}
    job = JOB | TIMES | named | {"job_id": "a", "error": error, "labels": {HOSTILE: HOSTILE}, "result": [HOSTILE]}
    job |= {"stages": [STAGE | {"name": HOSTILE, "error": error}]}
    job |= {"indicators": [{"label": HOSTILE, "done": 1, "total": 2}]}
    kind = {
        "kind": HOSTILE, "active": {}, "average_percent": None, "runs": 1, "duration_seconds": None,
        "failure_rate": None, "last_ended_at": None, "stages": [{"name": HOSTILE, "runs": 1, "duration_seconds": None,
        "skipped": None}], "latest": [], "waited_seconds": None, "calibration": {"predictions": 0},
    }  # fmt: skip
    link = Link()
    link.error = ServerUnavailable(HOSTILE)
    told = shown(
        bars.jobs_table([job], 160),
        details(job, Clock(), 300, notes=[Note(HOSTILE, "14:02:10")]),
        Text(bars.plain_line(job)),
        tables.kind_details(kind),
        link_line(link),
        columns=300,
    )
    assert told.count(HOSTILE[:10]) > 15
    assert "\x1b" not in told
    assert "\u202e" not in told


def test_json_on_a_terminal_has_its_unseen_characters_escaped_and_means_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line = '{"a":"\u009b2J\u202e\x7f é🙂"}'
    assert texts.one_line(line.encode()) == line
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert texts.one_line(line.encode()) == '{"a":"\\u009b2J\\u202e\\u007f é🙂"}'


# Time and numbers ----------------------------------------------------------------------------------------------------


def test_time_left_passes_also_where_nothing_comes_but_not_while_paused(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    board = Board()
    board.put("a", state("a"))
    board.put("b", state("b", status="paused"))
    now += 3
    assert board["a"]["eta"]["remaining_seconds"] == {"p50": pytest.approx(1.4), "p90": 6}
    assert board["b"]["eta"]["remaining_seconds"] == {"p50": 4.4, "p90": 9}
    now += 30
    assert board["a"]["eta"]["remaining_seconds"] == {"p50": 0, "p90": 0}
    assert "overdue: it takes longer than nine in ten would" in shown(details(board["a"], Clock(), 120))


def test_instants_are_told_by_the_clock_of_who_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    link = Link()
    far = datetime.now(UTC) + timedelta(hours=5)
    link.set_clock(f"{far:%a, %d %b %Y %H:%M:%S} GMT")
    assert link.ahead == pytest.approx(5 * 3600, abs=2)
    about = {Clock().tell((datetime.now(UTC) + timedelta(seconds=more)).isoformat()) for more in range(-3, 4)}
    assert Clock(link).tell(far.isoformat()) in about
    assert Clock(link).since(far.isoformat()) == pytest.approx(0, abs=2)
    link.set_clock(f"{datetime.now(UTC):%a, %d %b %Y %H:%M:%S} GMT")
    link.set_clock("not a date")
    link.set_clock(None)
    assert link.ahead == 0
    assert Clock().tell("9999-12-31T23:59:59.000Z") == "9999-12-31"


def test_a_running_stage_says_for_how_long_and_how_long_it_is_as_a_rule() -> None:
    began = (datetime.now(UTC) - timedelta(seconds=100)).isoformat()
    job = JOB | TIMES | {"stages": [STAGE | {"started_at": began}]}
    assert "1:40  typically 1:30" in shown(details(job, Clock(), 120, typical={"Parse": 90.0}))
    assert "3.1 s" in shown(details(job | {"status": "paused"}, Clock(), 120))
    then = (datetime.now(UTC) - timedelta(seconds=90)).isoformat()
    assert "10 s" in shown(details(job, Clock(stopped=then), 120))


def test_what_a_job_said_before_is_kept_the_newest_first() -> None:
    notes = Notes()
    for said in ("a", None, "b", "b", "c", "d", "e"):
        notes.put(JOB | {"message": said})
    assert [note.text for note in notes] == ["d", "c", "b"]


def test_what_is_not_done_never_looks_so() -> None:
    assert [percent(done) for done in (0, 41.25, 99.99, 100.0, 0.3)] == ["0.0", "41.2", "99.9", "100.0", "0.3"]


def test_amounts_have_no_more_places_than_they_need() -> None:
    assert [amount(value) for value in (10**15, 0.1 + 0.2, 2.0, 1234.5)] == [
        "1,000,000,000,000,000", "0.3", "2", "1,234.5",
    ]  # fmt: skip


# The connection ------------------------------------------------------------------------------------------------------


def test_a_silent_connection_is_stale_a_lost_one_says_why_and_one_that_is_back_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    link = Link()
    assert link_line(link).plain == "connecting"
    link.hear()
    assert link_line(link, ": 3 active").plain == "live: 3 active"
    now += 25
    assert link_line(link).plain.startswith("stale since ")
    assert link_line(link).plain.endswith(", 25 s ago")
    link.error = ServerUnavailable("no answer")
    assert link_line(link).plain.startswith("reconnecting; stale since ")
    assert link_line(link).plain.endswith(", 25 s ago: no answer")
    link.hear()
    assert link_line(link).plain == "caught up"
    now += 5
    assert link_line(link).plain == "live"
