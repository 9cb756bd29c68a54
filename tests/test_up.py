"""``streamproc up``: everything at once, and its end."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.commands import Up, run_command, runs, start_up
from tests.support.servers import Server


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.02)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def up(data: Path) -> Iterator[Up]:
    with start_up(data) as running:
        yield running


def events(count: int) -> str:
    lines = [{"job": f"job-{n % 7}", "type": "job.counted", "indicator": "rows", "done": 1} for n in range(count)]
    return "\n".join(map(json.dumps, lines))


def rows(up: Up) -> int:
    """How many rows all jobs have counted."""
    listed = up.command("jobs", "--json").stdout.splitlines()
    return int(sum(json.loads(line)["indicators"][0]["done"] for line in listed))


def test_an_event_reaches_a_snapshot(up: Up) -> None:
    assert up.command("emit", "job.progressed", "--job", "a", "percent=50").returncode == 0
    wait_for(lambda: up.command("show", "a").returncode == 0, "the job")
    assert json.loads(up.command("show", "a", "--json").stdout)["percent"] == 50


def test_it_tells_people_where_it_is_on_stderr(up: Up) -> None:
    assert up.gateway in up.talk
    assert up.redis in up.talk
    assert up.data is not None
    assert up.data in up.talk


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_everything_with_nothing_lost(data: Path, number: int) -> None:
    with start_up(data) as up:
        children = up.children()
        assert up.command("emit", "-", input=events(2000)).returncode == 0
        assert up.stop(number) == 0
        assert up.talk.splitlines()[-1] == "stopping"
    wait_for(lambda: not any(map(runs, children)), "the end of every process")
    with start_up(data) as again:
        wait_for(lambda: rows(again) == 2000, "folding all events")


def test_killing_it_leaves_no_process_and_loses_nothing(data: Path) -> None:
    with start_up(data) as up:
        assert up.command("emit", "-", input=events(2000)).returncode == 0
        children = up.children()
        up.stop(signal.SIGKILL)
    wait_for(lambda: not any(map(runs, children)), "the end of every process")
    with start_up(data) as again:
        wait_for(lambda: rows(again) == 2000, "folding all events")


def test_a_second_one_on_the_same_data_says_who_has_it(up: Up, data: Path) -> None:
    refused = run_command("up", "--data", str(data), "--port", "0", "--redis-port", "0")
    assert refused.returncode == 5
    assert f"in use by process {up.process.pid}, serving at {up.gateway}" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


def test_a_projector_that_dies_is_replaced(up: Up) -> None:
    (projector,) = up.children("streamproc projector")
    projector.kill()
    wait_for(lambda: "a projector ended (exit code -9); another starts in" in up.talk, "saying so")
    wait_for(
        lambda: len([child for child in up.children("streamproc projector") if child.pid != projector.pid]) == 1,
        "another",
    )
    up.command("emit", "job.progressed", "--job", "a", "percent=50")
    wait_for(lambda: up.command("show", "a").returncode == 0, "folding again")


def test_a_server_that_dies_ends_it_with_an_error(up: Up) -> None:
    (server,) = [child for child in up.children("valkey") if "valkey" in child.name()]
    server.kill()
    assert up.process.wait(30) == 3
    assert "Error: the embedded server ended" in up.talk
    assert "Traceback" not in up.talk
    assert not up.talk.count("another starts in")


def test_several_projectors_share_the_partitions(data: Path) -> None:
    with start_up(data, "--projectors", "2") as up:
        assert len(up.children("streamproc projector")) == 2


def test_it_needs_little_memory_when_idle(up: Up) -> None:
    processes = [psutil.Process(up.process.pid), *up.children()]
    assert sum(process.memory_info().rss for process in processes) <= 150_000_000


def test_with_a_server_of_its_own_nothing_is_embedded(server: Server, namespace: str, data: Path) -> None:
    with start_up(data, "--redis", server.url, "--namespace", namespace) as up:
        assert up.redis == server.url
        assert up.data is None
        assert not up.children("valkey")
        assert not data.exists()
        assert up.command("emit", "job.started", "--job", "a").returncode == 0
        assert up.stop(signal.SIGTERM) == 0


def test_a_server_that_does_not_answer_is_named(data: Path) -> None:
    unreachable = run_command("up", "--redis", "redis://127.0.0.1:1/0", "--data", str(data), "--port", "0")
    assert unreachable.returncode == 3
    assert "no Redis server answers at redis://127.0.0.1:1/0" in unreachable.stderr
    assert len(unreachable.stderr.splitlines()) == 1


def test_a_taken_port_stops_what_has_started(up: Up, tmp_path: Path) -> None:
    port = up.gateway.rpartition(":")[2]
    refused = run_command("up", "--data", str(tmp_path / "other"), "--port", port, "--redis-port", "0")
    assert refused.returncode == 2
    assert "port:" in refused.stderr
    assert port in refused.stderr
    with start_up(tmp_path / "other"):
        pass  # the data is free again, so the server was stopped


def test_no_setting_reaches_a_command_line_that_everybody_can_read(server: Server, namespace: str, data: Path) -> None:
    with start_up(data, "--redis", server.url, "--namespace", namespace) as up:
        for child in up.children("streamproc projector"):
            assert server.url not in " ".join(child.cmdline())
            assert child.environ()["STREAMPROC_REDIS"] == server.url


def test_stopping_twice_is_faster_and_still_in_order(up: Up) -> None:
    (projector,) = up.children("streamproc projector")
    projector.suspend()  # it can't end by itself
    up.process.send_signal(signal.SIGINT)
    wait_for(lambda: "\nstopping\n" in up.talk, "stopping")
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(8) == 0  # without the second it waits 10 s for the projector
    assert not runs(projector)
    assert os.path.exists(f"{up.data}/lock")
