"""``watch``: what somebody in front of a terminal sees, and what scripts read."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from anyio.from_thread import start_blocking_portal

from streamproc.config import Config
from tests.support.commands import environment, run_command
from tests.support.servers import free_port
from tests.support.stack import Stack, gateway_on
from tests.support.terminals import Terminal, emit, row_of


@pytest.fixture
def job(namespace: str) -> str:
    """The id of a job that no other test has; its kind is the namespace."""
    return f"job-{namespace}"


@contextmanager
def command(*arguments: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "streamproc", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**variables),
    ) as process:
        try:
            yield process
        finally:
            process.kill()


# One job -------------------------------------------------------------------------------------------------------------


def test_a_watched_job_is_drawn_with_its_stages_counts_words_and_time_left_as_they_change(
    stack: Stack, job: str, namespace: str
) -> None:
    past = f"{job}-past"
    stages = [{"name": "Read"}, {"name": "Write"}]
    emit(
        stack,
        {"job": past, "type": "job.started", "kind": namespace, "stages": stages},
        {"job": past, "type": "stage.started", "stage": "Read"},
        {"job": past, "type": "stage.finished", "stage": "Read"},
        {"job": past, "type": "job.finished"},
        {"job": job, "type": "job.started", "kind": namespace, "title": "Of April", "stages": stages, "worker": "w 1"},
        {"job": job, "type": "stage.progressed", "stage": "Read", "percent": 10, "message": "row 1"},
        {"job": job, "type": "job.counted", "indicator": "bytes", "done": 5, "total": 10**15},
        *({"job": job, "type": f"unit.{verb}", "unit": verb} for verb in ("added", "failed", "finished")),
    )
    with Terminal("watch", job, "--url", stack.http) as terminal:
        seen = terminal.wait_for(lambda seen: seen.rstrip().endswith("live") and "typically" in seen)
        assert " left, ends " in seen or "overdue: " in seen  # by how long the one before took
        for told in ("Of April", "bytes: 5/1,000,000,000,000,000", "attempt 1, 6 events", "worker w 1"):
            assert told in seen
        assert "10.0" in row_of("  Read   running", seen)
        assert "pending" in row_of("  Write", seen)
        assert "units: 1 failed, 1 pending, 1 finished of 3" in seen
        emit(stack, {"job": job, "type": "stage.progressed", "stage": "Read", "percent": 90, "message": "row 9"})
        terminal.wait_for(lambda seen: "45.0" in row_of("running", seen) and "90.0" in row_of("  Read   running", seen))
        assert "Read: row 9" in terminal.text
        assert row_of("row 1", terminal.text).split()[1:] == ["row", "1"]  # what it said before, and when
        emit(stack, {"job": job, "type": "job.failed", "error": {"type": "OSError", "detail": "disk full"}})
        assert terminal.wait() == 1
        assert "OSError: disk full" in terminal.text
        assert "took " in row_of("failed  ", terminal.text)
        assert f"Error: {job} failed" in terminal.text
        assert "live" not in terminal.text
        assert terminal.shows_cursor


def test_a_result_stays_on_the_terminal(stack: Stack, job: str) -> None:
    emit(stack, {"job": job, "type": "job.finished", "result": {"rows": 80, "said": "\u009b2J"}})
    with Terminal("watch", job, "--url", stack.http) as terminal:
        assert terminal.wait() == 0
        assert 'result: {"rows":80,"said":" 2J"}' in terminal.text


def test_ctrl_c_leaves_the_last_state_and_a_terminal_as_it_was(stack: Stack, job: str) -> None:
    emit(stack, {"job": job, "type": "job.progressed", "percent": 42.5})
    with Terminal("watch", job, "--url", stack.http) as terminal:
        terminal.wait_for(lambda seen: seen.rstrip().endswith("live"))
        assert not terminal.shows_cursor
        terminal.signal(signal.SIGINT)
        assert terminal.wait() == 130
        assert "42.5" in row_of("running", terminal.text)
        assert "Aborted" not in terminal.text
        assert terminal.shows_cursor


def test_a_terminal_says_that_it_lost_the_gateway_and_catches_up_once_that_is_back(
    stack: Stack, job: str, namespace: str
) -> None:
    config = Config(redis=stack.redis, namespace=stack.namespace, port=free_port(), drain_seconds=0)
    here = f"http://127.0.0.1:{config.port}"
    emit(stack, {"job": job, "type": "job.started", "kind": namespace})
    emit(stack, {"job": job, "type": "job.progressed", "percent": 10})
    with start_blocking_portal() as portal:
        with gateway_on(portal, config):
            one = Terminal("watch", job, "--url", here)
            every = Terminal("watch", "--kind", namespace, "--url", here)
            one.wait_for(lambda seen: seen.rstrip().endswith("live"))
            every.wait_for(lambda seen: "live: 1 active" in seen)
        with one, every:
            for each in (one, every):
                each.wait_for(lambda seen: "reconnecting; stale since " in seen and "10.0" in seen)
            emit(stack, {"job": job, "type": "job.progressed", "percent": 20})
            with gateway_on(portal, config):
                for each in (one, every):
                    each.wait_for(lambda seen: "caught up" in seen and "20.0" in seen)
                emit(stack, {"job": job, "type": "job.finished"})
                assert one.wait() == 0
                assert "100.0" in row_of("finished", one.text)
                assert "reconnecting" not in one.text
                every.wait_for(lambda seen: f"{job} finished 100%" in seen and ": 0 active" in seen)


def test_another_size_is_filled_and_nothing_is_wider_than_it(stack: Stack, job: str) -> None:
    stages = [{"name": f"A stage with the name {n}"} for n in range(60)]
    emit(
        stack,
        {"job": job, "type": "job.started", "title": "A title that is long " * 9, "stages": stages},
        *({"job": job, "type": "job.counted", "indicator": f"i{n}", "done": 1, "total": 2} for n in range(60)),
        {"job": job, "type": "stage.progressed", "stage": stages[30]["name"], "percent": 50, "message": "م🙂" * 200},
    )
    with Terminal("watch", job, "--url", stack.http, rows=24, columns=80) as terminal:
        for rows, columns in ((24, 80), (40, 120), (20, 40), (10, 40)):
            terminal.resize(rows, columns)
            emit(stack, {"job": job, "type": "job.progressed", "message": f"now {columns} by {rows}"})
            terminal.wait_for(
                lambda seen, said=f"now {columns} by {rows}": said in seen and seen.rstrip().endswith("live")
            )
            if rows > 10:
                assert "running" in terminal.text[terminal.text.index("stages before") :]
                assert "stages after" in terminal.text
                assert "indicators more" in terminal.text


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=["NO_COLOR", "dumb"])
def test_who_wants_no_colours_gets_none(stack: Stack, job: str, variables: dict[str, str]) -> None:
    emit(stack, {"job": job, "type": "job.progressed", "percent": 10})
    with Terminal("watch", job, "--url", stack.http, **variables) as terminal:
        terminal.wait_for(lambda seen: "running" in seen)
        emit(stack, {"job": job, "type": "job.failed", "error": {"type": "E"}})
        assert terminal.wait() == 1
        assert all(terminal.colors(row) == {"default"} for row in range(24))
        if "TERM" in variables:
            assert b"\x1b" not in terminal.written


def test_without_a_terminal_each_percent_and_stage_of_a_job_is_a_line(stack: Stack, job: str) -> None:
    emit(stack, {"job": job, "type": "job.progressed", "percent": 10})
    with command("watch", job, "--url", stack.http, FORCE_COLOR="1") as process:
        assert process.stderr is not None
        assert process.stderr.readline() == f"{job} running 10%\n"
        emit(stack, {"job": job, "type": "job.progressed", "percent": 10.5, "message": "row 2"})
        emit(stack, {"job": job, "type": "job.progressed", "percent": 11})
        assert process.stderr.readline() == f"{job} running 11% row 2\n"


# Jobs by their names -------------------------------------------------------------------------------------------------


def test_several_jobs_are_followed_until_the_last_has_ended_and_all_of_them_count(stack: Stack, job: str) -> None:
    a, b = f"{job}-a", f"{job}-b"
    emit(stack, *({"job": each, "type": "job.started"} for each in (a, b)))
    with Terminal("watch", a, b, "--url", stack.http) as terminal:
        terminal.wait_for(lambda seen: "live: 2 active" in seen)
        emit(stack, {"job": a, "type": "job.finished"})
        terminal.wait_for(lambda seen: "live: 1 active" in seen and "finished" in row_of(a, seen))
        emit(stack, {"job": b, "type": "job.canceled"})
        assert terminal.wait() == 1
        assert "finished" in row_of(a, terminal.text)
        assert "canceled" in row_of(b, terminal.text)
        assert f"Error: {b} canceled" in terminal.text
        assert a not in row_of("Error", terminal.text)


def test_a_job_that_is_not_there_yet_is_waited_for_where_that_is_asked(stack: Stack, job: str) -> None:
    done = run_command("watch", job, "--url", stack.http)
    assert done.returncode == 4
    assert done.stderr == f"Error: there is no job {job}; --wait waits for it\n"
    with Terminal("watch", job, "--wait", "--url", stack.http) as terminal:
        terminal.wait_for(lambda seen: f"{job} isn't there yet" in seen)
        emit(stack, {"job": job, "type": "job.finished"})
        assert terminal.wait() == 0


def test_jobs_that_take_too_long_are_an_exit_code_of_its_own(stack: Stack, job: str) -> None:
    a, b = f"{job}-a", f"{job}-b"
    emit(stack, {"job": a, "type": "job.started"}, {"job": b, "type": "job.finished"})
    done = run_command("watch", a, b, "--timeout", "1", "--url", stack.http)
    assert done.returncode == 6
    assert done.stderr.endswith(f"Error: not ended within 1 s: {a}\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("a", "--kind", "import"), "a JOB, or what jobs have to match"),
        (("--wait",), "--wait and --timeout are for JOBs"),
        (("--timeout", "3"), "--wait and --timeout are for JOBs"),
        (("--label", "env"), "must be NAME=VALUE"),
        (tuple(f"j{n}" for n in range(201)), "up to 200 JOBs"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: tuple[str, ...], said: str) -> None:
    done = run_command("watch", *arguments, "--url", "http://127.0.0.1:1")
    assert done.returncode == 2
    assert said in done.stderr


# All jobs ------------------------------------------------------------------------------------------------------------


def test_all_active_jobs_are_drawn_until_ctrl_c_and_a_line_stays_of_each_that_ended(
    stack: Stack, job: str, namespace: str
) -> None:
    a, b, later = f"{job}-a", f"{job}-b", f"{job}-later"
    emit(stack, *({"job": each, "type": "job.started", "kind": namespace} for each in (a, b)))
    with Terminal("watch", "--kind", namespace, "--url", stack.http) as terminal:
        terminal.wait_for(lambda seen: "live: 2 active" in seen)
        emit(stack, {"job": a, "type": "job.progressed", "percent": 42.5})
        terminal.wait_for(lambda seen: "42.5" in row_of(a, seen))
        emit(stack, {"job": later, "type": "job.queued", "kind": namespace}, {"job": b, "type": "job.canceled"})
        seen = terminal.wait_for(lambda seen: "live: 2 active" in seen and later in seen and f"{b} canceled" in seen)
        assert "━" not in row_of(b, seen)
        terminal.signal(signal.SIGINT)
        assert terminal.wait() == 0
        assert "42.5" in row_of(a, terminal.text)


def test_jobs_are_chosen_as_in_a_list(stack: Stack, job: str, namespace: str) -> None:
    facts = {"kind": namespace, "labels": {"env": "prod"}, "worker": "w1", "owner": "ada", "title": f"Report {job}"}
    chosen, other = f"{job}-chosen", f"{job}-other"
    emit(stack, {"job": chosen, "type": "job.started"} | facts, {"job": other, "type": "job.queued"} | facts)
    flags = ("--status", "started", "--label", "env=prod", "--worker", "w1", "--owner", "ada", "-q", f"report {job}")
    for way, arguments in (("watch", ("--json",)), ("top", ())):
        with command(way, *flags, "--kind", namespace, *arguments, "--url", stack.http) as process:
            assert process.stdout is not None
            if way == "top":
                assert process.stdout.readline().split()[0] == "JOB"
            first = process.stdout.readline()
            assert chosen in first
            assert other not in first
            process.send_signal(signal.SIGINT)
            assert other not in process.stdout.read()


def test_more_jobs_than_a_stream_takes_are_all_followed_and_those_that_do_not_fit_are_counted(
    stack: Stack, namespace: str
) -> None:
    jobs = [f"{namespace}-{n}" for n in range(450)]
    emit(stack, *({"job": each, "type": "job.queued", "kind": namespace} for each in jobs))
    with Terminal("watch", "--kind", namespace, "--url", stack.http, rows=14) as terminal:
        seen = terminal.wait_for(lambda seen: "live: 450 active, 440 not shown" in seen)
        assert len([row for row in seen.splitlines() if namespace in row]) == 10
        emit(stack, {"job": jobs[0], "type": "job.progressed", "percent": 42.5})  # not among the newest 200
        terminal.wait_for(lambda seen: "42.5" in row_of(jobs[0], seen))
        emit(stack, {"job": jobs[0], "type": "job.failed"}, {"job": f"{namespace}-new", "type": "job.queued",
             "kind": namespace})  # fmt: skip
        terminal.wait_for(lambda seen: f"{jobs[0]} failed" in seen and "live: 450 active" in seen)


@pytest.mark.parametrize("way", ["http", "redis"])
def test_scripts_read_all_snapshots_of_all_active_jobs_until_they_stop_it(
    stack: Stack, job: str, namespace: str, way: str
) -> None:
    emit(stack, {"job": job, "type": "job.started", "kind": namespace})
    arguments = ("--kind", namespace, "--url", getattr(stack, way), "--namespace", stack.namespace)
    with command("watch", "--json", *arguments) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["job_id"] == job
        emit(stack, {"job": job, "type": "job.finished"})
        assert json.loads(process.stdout.readline())["status"] == "finished"
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


def test_a_reader_that_goes_away_ends_it_quietly(stack: Stack, job: str, namespace: str) -> None:
    emit(stack, {"job": job, "type": "job.started", "kind": namespace})
    with command("watch", "--json", "--kind", namespace, "--url", stack.http) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        emit(stack, {"job": job, "type": "job.finished"})
        assert process.stderr.read() == ""
        process.wait(30)


def test_without_a_terminal_new_statuses_and_stages_of_all_jobs_are_said_in_lines(
    stack: Stack, job: str, namespace: str
) -> None:
    emit(stack, {"job": job, "type": "job.started", "kind": namespace})
    with command("watch", "--kind", namespace, "--url", stack.http) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == f"{job} started\n"
        emit(stack, {"job": job, "type": "job.progressed", "percent": 10})
        assert process.stderr.readline() == f"{job} running 10%\n"
        emit(stack, {"job": job, "type": "job.progressed", "percent": 20})
        emit(stack, {"job": job, "type": "stage.started", "stage": "Read"})
        assert process.stderr.readline() == f"{job} running 0% Read\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


@pytest.mark.parametrize("way", ["watch", "top"])
@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "redis://127.0.0.1:1/0"])
def test_where_nobody_answers_at_first_one_line_says_so(way: str, url: str) -> None:
    done = run_command(way, "--url", url)
    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1
