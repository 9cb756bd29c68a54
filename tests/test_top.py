"""``top``: the active jobs on the whole screen, and what keys do."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from streamproc.cli.keys import keys_of
from streamproc.cli.overview import system_warning
from streamproc.cli.rates import Events, Rates
from streamproc.cli.screen import Screen
from streamproc.cli.sorting import KEYS
from streamproc.cli.typical import Typical
from streamproc.client import Change
from streamproc.links import Link
from tests.support.commands import run_command
from tests.support.stack import Stack
from tests.support.terminals import Terminal, emit, row_of
from tests.test_drawn import shown, state
from tests.test_shown import HOSTILE, JOB

Json = dict[str, Any]


@pytest.fixture
def job(namespace: str) -> str:
    """The id of a job that no other test has; its kind is the namespace."""
    return f"job-{namespace}"


# On a terminal -------------------------------------------------------------------------------------------------------


def test_top_shows_sorts_filters_and_opens_what_is_active_until_q(stack: Stack, job: str, namespace: str) -> None:
    slow, fast = f"{job}-slow", f"{job}-fast"
    emit(
        stack,
        {"job": slow, "type": "job.started", "kind": namespace, "worker": "w one"},
        {"job": slow, "type": "stage.progressed", "stage": "Read", "percent": 10, "worker": "w one"},
        {"job": fast, "type": "job.started", "kind": namespace},
        {"job": fast, "type": "job.progressed", "percent": 90},
    )
    with Terminal("top", "--kind", namespace, "--sort", "percent", "--url", stack.http) as terminal:
        seen = terminal.wait_for(lambda seen: "live: 2 active: 2 running" in seen and "%↓" in seen)
        assert seen.index(fast) < seen.index(slow)
        for told in (namespace, "running", "10.0", "Read", "w one"):
            assert told in row_of(slow, seen)
        emit(stack, {"job": slow, "type": "stage.progressed", "stage": "Read", "percent": 95})
        terminal.wait_for(lambda seen: "95.0" in seen and seen.index(slow) < seen.index(fast))
        terminal.type("J")
        terminal.wait_for(lambda seen: "JOB↓" in seen and seen.index(fast) < seen.index(slow))
        terminal.type("/SLOW read\n")
        seen = terminal.wait_for(lambda seen: "/SLOW read: 1 shown" in seen)
        assert fast not in seen
        terminal.type("\x1b[B\n")
        terminal.wait_for(lambda seen: "Esc goes back" in seen and "  Read" in seen)
        emit(stack, {"job": slow, "type": "job.finished"})
        terminal.wait_for(lambda seen: "took " in seen and "it has ended" in seen)
        terminal.type("\x1b")
        terminal.wait_for(lambda seen: "/SLOW read: 0 shown" in seen)
        terminal.type("\x1b")
        terminal.wait_for(lambda seen: fast in seen)
        terminal.type("?")
        terminal.wait_for(lambda seen: "any key goes back" in seen)
        terminal.type("xq")
        assert terminal.wait() == 0
        assert terminal.shows_cursor
        assert b"\x1b[?1049l" in terminal.written


def test_a_job_is_asked_to_stop_once_somebody_has_said_so_twice(stack: Stack, job: str, namespace: str) -> None:
    emit(stack, {"job": job, "type": "job.started", "kind": namespace})
    with Terminal("top", "--kind", namespace, "--url", stack.http, columns=100) as terminal:
        terminal.wait_for(lambda seen: job in seen)
        terminal.type("c")
        terminal.wait_for(lambda seen: "choose a job first" in seen)
        terminal.type("jcn")
        terminal.wait_for(lambda seen: "choose a job first" not in seen)
        terminal.type("p")
        terminal.wait_for(lambda seen: f"pause {job}? y or n" in seen)
        assert stack.snapshot(job)["requested"] is None
        terminal.type("y")
        terminal.wait_for(lambda seen: f"{job} is asked to pause" in seen)
        stack.wait_for(job, requested="pause")


def test_top_is_printed_once_where_there_is_no_terminal(stack: Stack, job: str, namespace: str) -> None:
    a, b = f"{job}-a", f"{job}-b"
    emit(stack, *({"job": each, "type": "job.started", "kind": namespace} for each in (b, a)))
    for url in (stack.http, stack.redis):
        arguments = ("--kind", namespace, "--sort", "job", "--url", url, "--namespace", stack.namespace)
        done = run_command("top", *arguments)
        assert done.returncode == 0, done.stderr
        assert [line.split()[0] for line in done.stdout.splitlines()] == ["JOB↓", a, b]


# Its screen ----------------------------------------------------------------------------------------------------------


class Asked(list[tuple[str, str]]):
    """What jobs were asked for."""

    def __call__(self, job: str, wish: str) -> None:
        self.append((job, wish))


def screen_of(sort: str, *snapshots: bytes, asked: Asked | None = None) -> Screen:
    link = Link()
    link.hear()
    typical = Typical(None, lambda: None)  # type: ignore[arg-type]  (nothing is asked for)
    screen = Screen(sort, link, typical, asked if asked is not None else Asked())
    for at, snapshot in enumerate(snapshots):
        screen.take(Change("abcdefghijklmnopqrstuvwxyz"[at], snapshot))
    return screen


def press(screen: Screen, *keys: str) -> None:
    for key in keys:
        screen.key(key)


def order_of(screen: Screen) -> str:
    return "".join(job["job_id"] for job in screen.rows())


AT = "2026-01-0{}T00:00:00.000Z"


@pytest.mark.parametrize(
    ("sort", "order", "turned"),
    [
        ("left", "cab", "acb"),
        ("percent", "bac", "abc"),
        ("age", "bca", "cba"),
        ("silent", "cab", "acb"),
        ("job", "abc", "cba"),
        ("kind", "bca", "acb"),
        ("stage", "bac", "abc"),
        ("worker", "acb", "bca"),
        ("stalled", "cab", "bac"),
    ],
)
def test_each_column_sorts_both_ways_with_the_unknown_at_the_end(sort: str, order: str, turned: str) -> None:
    eta = JOB["eta"]
    screen = screen_of(
        sort,
        state("a", percent=50, eta=eta | {"remaining_seconds": {"p50": 9, "p90": 9}}, kind="z", worker="1",
              current_stage="y", created_at=None, started_at=AT.format(3)),
        state("b", percent=60, eta=None, kind="x", worker="3", current_stage="x", created_at=AT.format(1),
              status="queued", progressed_at=AT.format(1)),
        state("c", percent=None, eta=eta | {"remaining_seconds": {"p50": 3, "p90": 9}}, kind="y", worker="2",
              stalled=True, current_stage=None, created_at=AT.format(2), progressed_at=AT.format(2)),
    )  # fmt: skip
    assert order_of(screen) == order
    key = {"left": "T", "percent": "P", "age": "A", "silent": "S", "job": "J", "kind": "K", "stage": "G", "worker": "W",
           "stalled": "!"}[sort]  # fmt: skip
    press(screen, key)
    assert order_of(screen) == turned
    press(screen, key)
    assert order_of(screen) == order


def test_keys_go_into_the_filter_while_it_is_typed() -> None:
    screen = screen_of("job", state("a", title="quick"), state("b", title="slow"))
    press(screen, *"/quic", "x", "backspace", "down", "k")
    assert not screen.ended
    assert order_of(screen) == "a"
    press(screen, "enter", "q")
    assert screen.ended


def test_the_chosen_job_stays_the_same_one_and_in_sight_while_others_come_and_rows_move() -> None:
    screen = screen_of("percent", *(state(f"{letter}", percent=50 - at) for at, letter in enumerate("abcdefghij")))

    def seen() -> str:
        lines = shown(screen.picture(80, 7)).splitlines()
        return "".join(line.split()[0] for line in lines[2:-1])

    assert seen() == "abcd"
    press(screen, "down", "down", "page down", "j", "up")
    assert "f" in seen()
    screen.take(Change("k", state("k", percent=99)))
    assert "f" in seen()
    asked = Asked()
    screen._ask = asked
    press(screen, "c", "y")
    assert asked == [("f", "cancel")]
    press(screen, "end", "r", "y", "home", "p", "Y", "c", "n")
    assert asked[1:] == [("j", "resume"), ("k", "pause")]
    screen.take(Change("k", None))
    press(screen, "c", "y")
    assert len(asked) == 3
    assert "choose a job first" in shown(screen.picture(80, 7))


def test_the_head_counts_by_status_and_tells_what_is_wrong_with_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = screen_of("job", state("a"), state("b", status="queued"), state("c", stalled=True))
    screen.warning = "nobody folds 1 of 4 partitions"
    told = shown(screen.picture(120, 20)).splitlines()
    assert told[0] == "live: 3 active: 1 queued, 2 running, 1 stalled"
    assert told[1] == screen.warning


def test_what_is_wrong_with_the_system_is_told() -> None:
    fine = {"owner": "p", "lag": 3, "dead_letters": 0}
    assert system_warning({"partitions": [fine, fine | {"lag": None}]}) == ""
    told = system_warning({"partitions": [fine | {"owner": None}, fine | {"lag": 10_001}, fine | {"dead_letters": 2}]})
    assert told == (
        "nobody folds 1 of 3 partitions: start a projector; 10,007 events are not folded yet; 2 dead letters; "
        "see streamproc doctor"
    )


@pytest.mark.parametrize("columns", [30, 40, 80, 120, 160])
def test_the_screen_fits_any_terminal(columns: int) -> None:
    long = dict.fromkeys(("kind", "title", "current_stage", "worker", "message"), "x" * 256)
    screen = screen_of("kind", *(state(str(n) * 200, **long) for n in range(9)))
    for keys in ((), ("down", "enter"), ("?",)):
        press(screen, *keys)
        lines = shown(screen.picture(columns, 12), columns=columns).splitlines()
        assert max(map(len, lines)) <= columns
        if keys != ("?",):
            assert len(lines) <= 12


def test_nothing_that_somebody_has_named_or_typed_moves_the_terminal() -> None:
    named = {"kind": HOSTILE, "message": HOSTILE, "current_stage": HOSTILE, "worker": HOSTILE, "title": HOSTILE}
    screen = screen_of("job", state("a", **named))
    screen.say(HOSTILE)
    told = [shown(screen.picture(300, 20), columns=300)]
    press(screen, "down", "enter")
    told.append(shown(screen.picture(300, 20), columns=300))
    for each in told:
        assert HOSTILE[:10] in each
        assert "\x1b" not in each
        assert "\u202e" not in each


def test_keys_are_told_by_what_a_terminal_sends_for_them() -> None:
    sent = "aé\x1b[A\x1bOB\x1b[5~\x1b[6~\x1b[1;5C\x1b[200~b\r\x7f\x01\x1b[H\x1b[4~\x1b"
    assert list(keys_of(sent)) == [
        "a", "é", "up", "down", "page up", "page down", "b", "enter", "backspace", "home", "end", "escape",
    ]  # fmt: skip


def test_the_page_about_the_terminal_tells_of_every_key_and_exit_code() -> None:
    page = (Path(__file__).parent.parent / "docs" / "terminal.md").read_text()
    for key in (*KEYS, "c", "p", "r", "s", "/", "?", "q", "Enter", "Esc"):
        assert f"`{key}`" in page, key
    for code in (0, 1, 4, 6, 130):
        assert f"\n| {code} | " in page
    help_ = shown(screen_of("job")._keys())
    assert all(key in help_ for key in KEYS)


# Rates ---------------------------------------------------------------------------------------------------------------


def test_a_rate_is_of_the_last_half_minute_and_falls_while_nothing_comes() -> None:
    rates, job = Rates(), JOB | {"items": {"done": 0, "total": None}}
    rates.put(job, 0)
    assert rates.text(job, 0.5) == ""
    for second in range(1, 61):
        job = job | {"items": {"done": 1000 * second, "total": None}}
        rates.put(job, second)
    assert rates.text(job, 60) == "1,000/s"
    assert rates.per_second(job, 75) == pytest.approx(500, rel=0.1)
    again = job | {"items": {"done": 1, "total": None}, "attempt": 2}
    rates.put(again, 61)
    assert rates.text(again, 61) == ""
    unknown = JOB | {"job_id": "other", "percent": None}
    rates.put(unknown, 0)
    assert rates.text(unknown, 5) == ""


def test_events_a_second_are_those_of_the_last_seconds_and_of_no_job_before_it_is_known() -> None:
    events = Events()
    events.put(JOB | {"events": 1_000_000}, 0)
    assert events.per_second(0.5) is None
    assert events.per_second(2) == 0
    events.put(JOB | {"events": 1_000_100}, 2)
    assert events.per_second(2) == 50
    assert events.per_second(6) == 20
    assert events.per_second(8) == 0


# Every command -------------------------------------------------------------------------------------------------------


def test_no_command_lets_a_name_or_a_word_reach_the_terminal_as_more_than_text(
    stack: Stack, job: str, namespace: str
) -> None:
    hack = "\x1b]0;pwned\x07\u009b2J\u202eolleh"
    kind = f"{namespace}\u202e"
    for fields in (
        {"type": "job.started", "kind": kind},
        {"type": "job.started", "title": hack, "stages": [{"name": hack}], "labels": {"a": hack}, "worker": hack},
        {"type": "job.progressed", "percent": 1, "message": hack, "worker": "w\u202e", "details": {hack: hack}},
        {"type": "stage.failed", "stage": "s\u202e", "error": {"type": hack, "detail": hack}},
        {"type": "unit.failed", "unit": "u\u202e", "error": {"type": hack, "detail": hack}},
        {"type": "job.counted", "indicator": "i\u202e", "done": 1},
        {"type": "job.noted", hack: hack},
        {"type": "job.finished", "result": {hack: hack}},
    ):  # what a gateway refuses of it, nobody can be shown
        httpx.post(f"{stack.http}/v1/events", json={"job": job} | fields, trust_env=False)
    stack.wait_for(job, status="finished")
    commands = [
        ("jobs",), ("jobs", "--json"), ("show", job), ("show", job, "--json"), ("watch", job), ("watch", job, "--json"),
        ("kinds",), ("kinds", kind), ("replay", job),
    ]  # fmt: skip
    terminals = [Terminal(*command, "--url", stack.http, columns=200, rows=60) for command in commands]
    for command, terminal in zip(commands, terminals, strict=True):
        with terminal:
            assert terminal.wait() == 0, terminal.text
        written = terminal.written.decode()
        assert "olleh" in written or command[0] == "kinds", command
        for sign in ("\x1b]", "\x07", "\u009b", "\u202e"):
            assert sign not in written, command
