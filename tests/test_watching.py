"""``watch`` and ``top``: what somebody in front of a terminal sees, and what scripts read."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from streamproc.cli.live import Board, link_line
from streamproc.cli.rates import Rates
from streamproc.cli.screen import Screen
from streamproc.errors import ServerUnavailable
from streamproc.links import Link
from tests.support.commands import Up, environment, run_command, start_up
from tests.support.servers import free_port
from tests.support.terminals import DEADLINE, Terminal
from tests.test_shown import HOSTILE, JOB, STAGE

Json = dict[str, Any]


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with start_up(tmp_path_factory.mktemp("up") / "data") as running:
        yield running


@pytest.fixture
def job(namespace: str) -> str:
    """The id of a job that no other test has; its kind is the namespace."""
    return f"job-{namespace}"


def emit(up: Up, *events: Json) -> None:
    """Append events, and wait until they are folded."""
    with httpx.Client(base_url=up.gateway, trust_env=False) as http:
        last = {where["job"]: where["position"] for where in http.post("/v1/events", json=events).json()["events"]}
        for job, position in last.items():
            deadline = time.monotonic() + DEADLINE
            while position not in http.get(f"/v1/jobs/{job}").text:
                assert time.monotonic() < deadline
                time.sleep(0.02)


def row_of(job: str, seen: str) -> str:
    return next((row for row in seen.splitlines() if job in row), "")


# One job -------------------------------------------------------------------------------------------------------------


def test_a_watched_job_is_drawn_with_its_stages_indicators_and_time_left_as_they_change(up: Up, job: str) -> None:
    emit(
        up,
        {"job": job, "type": "job.started", "stages": [{"name": "Read"}, {"name": "Write"}]},
        {"job": job, "type": "stage.progressed", "stage": "Read", "percent": 10},
        {"job": job, "type": "job.counted", "indicator": "bytes", "done": 5, "total": 10**15},
    )
    with Terminal("watch", job, "--url", up.gateway) as terminal:
        seen = terminal.wait_for(lambda seen: seen.rstrip().endswith("live"))
        for told in ("10.0", "Write", "pending", "bytes: 5/1,000,000,000,000,000", "time left: "):
            assert told in seen
        emit(up, {"job": job, "type": "stage.progressed", "stage": "Read", "percent": 90})
        terminal.wait_for(lambda seen: "45.0" in row_of(job, seen) and "90.0" in row_of("Read   running", seen))
        emit(up, {"job": job, "type": "job.failed", "error": {"type": "OSError", "detail": "disk full"}})
        assert terminal.wait() == 1
        assert "OSError: disk full" in row_of(job, terminal.text)
        assert f"Error: {job} failed" in terminal.text
        assert "live" not in terminal.text


def test_a_terminal_says_that_it_lost_the_gateway_and_catches_up_once_that_is_back(
    tmp_path: Path, namespace: str
) -> None:
    job, port = f"job-{namespace}", free_port()
    arguments = (tmp_path / "data", "--port", str(port))
    with start_up(*arguments) as up:
        emit(up, {"job": job, "type": "job.progressed", "percent": 10})
        terminal = Terminal("watch", job, "--url", up.gateway)
        every = Terminal("watch", "--url", up.gateway)
        terminal.wait_for(lambda seen: seen.rstrip().endswith("live"))
        every.wait_for(lambda seen: "live: 1 active" in seen)
    with terminal, every:
        for each in (terminal, every):
            each.wait_for(lambda seen: "reconnecting; this is as it was" in seen and "10.0" in seen)
        with start_up(*arguments) as up:
            emit(up, {"job": job, "type": "job.finished"})
            assert terminal.wait() == 0
            assert "100.0" in row_of(job, terminal.text)
            assert "reconnecting" not in terminal.text
            every.wait_for(lambda seen: f"{job} finished 100%" in seen and "live: 0 active" in seen)


def test_a_kind_can_not_be_chosen_of_one_job() -> None:
    done = run_command("watch", "a", "--kind", "import", "--url", "http://127.0.0.1:1")
    assert done.returncode == 2
    assert "--kind is for all jobs" in done.stderr


# All jobs ------------------------------------------------------------------------------------------------------------


def test_all_active_jobs_are_drawn_until_ctrl_c_and_a_line_stays_of_each_that_ended(
    up: Up, job: str, namespace: str
) -> None:
    a, b, later = f"{job}-a", f"{job}-b", f"{job}-later"
    emit(up, *({"job": each, "type": "job.started", "kind": namespace} for each in (a, b)))
    with Terminal("watch", "--kind", namespace, "--url", up.gateway) as terminal:
        terminal.wait_for(lambda seen: "live: 2 active" in seen)
        emit(up, {"job": a, "type": "job.progressed", "percent": 42.5})
        terminal.wait_for(lambda seen: "42.5" in row_of(a, seen))
        emit(up, {"job": later, "type": "job.queued", "kind": namespace}, {"job": b, "type": "job.canceled"})
        seen = terminal.wait_for(lambda seen: "live: 2 active" in seen and later in seen and f"{b} canceled" in seen)
        assert "━" not in row_of(b, seen)
        terminal.signal(signal.SIGINT)
        assert terminal.wait() == 0


def test_more_jobs_than_fit_are_counted(up: Up, namespace: str) -> None:
    emit(up, *({"job": f"{namespace}-{n}", "type": "job.queued", "kind": namespace} for n in range(30)))
    with Terminal("watch", "--kind", namespace, "--url", up.gateway, rows=14) as terminal:
        seen = terminal.wait_for(lambda seen: "live: 30 active, 20 not shown" in seen)
        assert len([row for row in seen.splitlines() if namespace in row]) == 10


@pytest.mark.parametrize("way", ["gateway", "redis"])
def test_scripts_read_all_snapshots_of_all_active_jobs_until_they_stop_it(
    up: Up, job: str, namespace: str, way: str
) -> None:
    emit(up, {"job": job, "type": "job.started", "kind": namespace})
    with subprocess.Popen(
        [sys.executable, "-m", "streamproc", "watch", "--json", "--kind", namespace, "--url", getattr(up, way)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["job_id"] == job
        emit(up, {"job": job, "type": "job.finished"})
        assert json.loads(process.stdout.readline())["status"] == "finished"
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


def test_without_a_terminal_new_statuses_and_stages_of_all_jobs_are_said_in_lines(
    up: Up, job: str, namespace: str
) -> None:
    emit(up, {"job": job, "type": "job.started", "kind": namespace})
    with subprocess.Popen(
        [sys.executable, "-m", "streamproc", "watch", "--kind", namespace, "--url", up.gateway],
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == f"{job} started\n"
        emit(up, {"job": job, "type": "job.progressed", "percent": 10})
        assert process.stderr.readline() == f"{job} running 10%\n"
        emit(up, {"job": job, "type": "job.progressed", "percent": 20})
        emit(up, {"job": job, "type": "stage.started", "stage": "Read"})
        assert process.stderr.readline() == f"{job} running 0% Read\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


@pytest.mark.parametrize("command", ["watch", "top"])
@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "redis://127.0.0.1:1/0"])
def test_where_nobody_answers_at_first_one_line_says_so(command: str, url: str) -> None:
    done = run_command(command, "--url", url)
    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1


# top -----------------------------------------------------------------------------------------------------------------


def test_top_shows_sorts_and_filters_what_is_active_until_q(up: Up, job: str, namespace: str) -> None:
    slow, fast = f"{job}-slow", f"{job}-fast"
    emit(
        up,
        {"job": slow, "type": "job.started", "kind": namespace, "worker": "w one"},
        {"job": slow, "type": "stage.progressed", "stage": "Read", "percent": 10, "worker": "w one"},
        {"job": fast, "type": "job.started", "kind": namespace},
        {"job": fast, "type": "job.progressed", "percent": 90},
    )
    with Terminal("top", "--kind", namespace, "--sort", "percent", "--url", up.gateway) as terminal:
        seen = terminal.wait_for(lambda seen: "live: 2 of 2 active jobs, by percent" in seen)
        assert seen.index(fast) < seen.index(slow)
        for told in (namespace, "running", "10.0", "Read", "w one"):
            assert told in row_of(slow, seen)
        emit(up, {"job": slow, "type": "stage.progressed", "stage": "Read", "percent": 95})
        terminal.wait_for(lambda seen: "95.0" in seen and seen.index(slow) < seen.index(fast))
        terminal.type("s")
        terminal.wait_for(lambda seen: "by rate" in seen)
        terminal.type("/SLOW read\n")
        seen = terminal.wait_for(lambda seen: "live: 1 of 2" in seen)
        assert fast not in seen
        terminal.type("\x1b")
        terminal.wait_for(lambda seen: "live: 2 of 2" in seen)
        terminal.type("q")
        assert terminal.wait() == 0


def test_top_is_printed_once_where_there_is_no_terminal(up: Up, job: str, namespace: str) -> None:
    a, b = f"{job}-a", f"{job}-b"
    emit(up, *({"job": each, "type": "job.started", "kind": namespace} for each in (b, a)))
    for url in (up.gateway, up.redis):
        done = run_command("top", "--kind", namespace, "--sort", "job", "--url", url)
        assert done.returncode == 0, done.stderr
        assert [line.split()[0] for line in done.stdout.splitlines()] == ["JOB", a, b]


# Without a terminal or a server --------------------------------------------------------------------------------------


def state(job: str, **fields: Any) -> bytes:
    return json.dumps(JOB | {"job_id": job} | fields).encode()


def screen_of(sort: str, *snapshots: bytes) -> Screen:
    screen = Screen(sort, Link())
    for snapshot in snapshots:
        screen.board.put(snapshot)
    return screen


@pytest.mark.parametrize(
    ("sort", "order"),
    [("left", "cab"), ("percent", "bac"), ("job", "abc"), ("kind", "bca"), ("worker", "acb"), ("stalled", "cab")],
)
def test_each_column_sorts_with_the_unknown_at_its_end(sort: str, order: str) -> None:
    eta = JOB["eta"]
    screen = screen_of(
        sort,
        state("a", percent=50, eta=eta | {"remaining_seconds": {"p50": 9, "p90": 9}}, kind="z", worker="1"),
        state("b", percent=60, eta=None, kind="x", worker="3"),
        state("c", percent=None, eta=eta | {"remaining_seconds": {"p50": 3, "p90": 9}}, kind="y", worker="2",
              stalled=True),
    )  # fmt: skip
    assert "".join(job["job_id"] for job in screen.rows()) == order


def test_keys_go_into_the_filter_while_it_is_typed() -> None:
    screen = screen_of("job", state("quick"), state("slow"))
    for character in "/quicx\x7fk":
        screen.key(character)
    assert not screen.ended
    assert [job["job_id"] for job in screen.rows()] == ["quick"]
    for character in "\rq":
        screen.key(character)
    assert screen.ended


def test_nothing_that_somebody_has_named_moves_the_terminal(up: Up) -> None:
    from rich.console import Console

    from streamproc.cli import bars

    named = {"kind": HOSTILE, "message": HOSTILE, "current_stage": HOSTILE, "worker": HOSTILE}
    stages = [STAGE | {"name": HOSTILE, "error": {"type": HOSTILE, "detail": HOSTILE}}]
    indicators = [{"label": HOSTILE, "done": 1, "total": 2}]
    screen = screen_of("job", state("a", **named, stages=stages, indicators=indicators))
    (job,) = screen.rows()
    console = Console(width=300, color_system=None)
    with console.capture() as shown:
        for each in (screen.picture(20), bars.jobs_table([job]), bars.details(job)):
            console.print(each)
    assert HOSTILE[:10] in shown.get()
    assert "\x1b" not in shown.get()
    assert "\u202e" not in shown.get()


def test_of_500_stages_those_around_the_current_one_are_drawn() -> None:
    from rich.console import Console

    from streamproc.cli import bars

    stages = [
        STAGE | {"name": f"S{n}", "status": "finished" if n < 250 else "running" if n == 250 else "pending"}
        for n in range(500)
    ]
    console = Console(width=100, color_system=None)
    with console.capture() as shown:
        console.print(bars.details(JOB | {"stages": stages, "items": None} | ENDS, most=5))
    assert [line.split()[0] for line in shown.get().splitlines() if line.startswith("  S")] == [
        "S248", "S249", "S250", "S251", "S252",
    ]  # fmt: skip
    assert "248 stages before" in shown.get()
    assert "247 stages after" in shown.get()


ENDS: Json = {"resumed_at": None, "progressed_at": None, "heard_at": None}


def test_time_left_passes_also_where_nothing_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("streamproc.cli.live.time.monotonic", lambda: now)
    board = Board()
    board.put(state("a"))
    now += 3
    (aged,) = board
    assert aged["eta"]["remaining_seconds"] == {"p50": pytest.approx(1.4), "p90": 6}
    now += 30
    (aged,) = board
    assert aged["eta"]["remaining_seconds"] == {"p50": 0, "p90": 0}


def test_a_silent_connection_is_called_stale_and_a_lost_one_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    link = Link()
    assert link_line(link).plain == "connecting"
    link.hear()
    assert link_line(link).plain == "live"
    now += 25
    assert link_line(link).plain == "stale: nothing was heard for 25 s"
    link.error = ServerUnavailable("no answer")
    assert link_line(link).plain == "reconnecting; this is as it was 25 s ago: no answer"
    link.hear()
    assert link_line(link).plain == "live"


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
