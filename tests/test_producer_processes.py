"""The SDK in processes that fork, or end early: what was said arrives once, and nobody waits for ever."""

from collections.abc import Iterator

import pytest

from tests.support.processes import Gateway, run_worker
from tests.support.producing import LogReader
from tests.support.workers import FORKS


@pytest.fixture
def log(server_url: str, namespace: str) -> Iterator[LogReader]:
    with LogReader(server_url, namespace) as reader:
        yield reader


@pytest.fixture(params=["redis", "http"])
def url(request: pytest.FixtureRequest, server_url: str, namespace: str) -> Iterator[str]:
    if request.param == "redis":
        yield server_url
    else:
        gateway = Gateway(server_url, namespace).start()
        yield gateway.url
        gateway.kill()


# Forks -------------------------------------------------------------------------------------------------------------


def test_forks_while_a_thread_reports_end_and_report_once(url: str, namespace: str, log: LogReader) -> None:
    done = run_worker("forks", url, namespace)
    assert done.returncode == 0, done.stderr
    snapshot = log.snapshot("j")
    assert snapshot["result"]["children"] == [0] * FORKS
    assert snapshot["units"]["finished"] == FORKS
    counters = {counter["label"]: counter["done"] for counter in snapshot["indicators"]}
    assert counters == {"parent": snapshot["result"]["reported"], "children": FORKS}
    assert snapshot["duplicates"] == 0
    assert len({event["src"] for event in log.events("j")}) == 1 + FORKS


def test_what_waits_when_a_process_forks_is_sent_by_the_parent_alone(
    server_url: str, namespace: str, log: LogReader
) -> None:
    done = run_worker("forks_and_goes_on", server_url, namespace)
    assert done.returncode == 0, done.stderr
    events = log.events("j")
    parent = events[0]["src"]
    own = [(event["type"], event.get("unit", event.get("percent"))) for event in events if event["src"] == parent]
    assert own == [
        ("job.started", None),
        ("job.progressed", 10),
        ("job.progressed", 20),
        ("unit.started", "parent"),
        ("unit.finished", "parent"),
    ]
    others = [(event["type"], event["unit"], event["seq"]) for event in events if event["src"] != parent]
    assert others == [("unit.started", "child", 1), ("unit.finished", "child", 2)]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_what_is_handed_to_a_process_reports_there_as_another_source(
    server_url: str, namespace: str, log: LogReader, method: str
) -> None:
    done = run_worker("processes", server_url, namespace, method)
    assert done.returncode == 0, done.stderr
    events = log.events("j")
    parent = events[0]["src"]
    (child,) = {event["src"] for event in events if event["type"] == "job.noted"}
    assert {event["type"] for event in events if event["src"] == child} == {
        "job.noted",
        "stage.progressed",
        "job.counted",
    }
    assert [event["src"] for event in log.events("k")] == [child]
    members = {event["src"] for event in events} - {parent, child}
    assert 1 <= len(members) <= 2
    assert [event["percent"] for event in events if event["src"] == parent and "percent" in event] == [10, 20]
    (count,) = [event for event in events if event.get("unit") == "doc" and event["type"] == "job.counted"]
    assert (count["attempt"], count["done"]) == (2, 3)
    snapshot = log.snapshot("j")
    assert {"label": "members", "done": 6, "total": 0} in snapshot["indicators"]
    assert (snapshot["status"], snapshot["late"], snapshot["duplicates"]) == ("finished", 0, 0)


# Ends --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("program", "code", "types"),
    [
        ("ends", 0, ["job.started", "job.progressed", "job.progressed"]),
        ("exits_in_a_pool", 0, ["job.started", "job.failed"]),
        ("raises", 1, ["job.started", "stage.started", "stage.failed", "job.failed"]),
        ("leaves_by_a_handler", 5, ["job.started", "job.progressed", "job.failed"]),
    ],
)
def test_a_program_that_ends_without_closing_delivers_all_the_same(
    server_url: str, namespace: str, log: LogReader, program: str, code: int, types: list[str]
) -> None:
    done = run_worker(program, server_url, namespace)
    assert done.returncode == code, done.stderr
    assert log.types("j") == types
    assert done.stderr.count("Traceback") == (1 if program == "raises" else 0)


def test_threads_that_go_on_reporting_do_not_keep_an_interpreter_from_its_end(
    server_url: str, namespace: str, log: LogReader
) -> None:
    done = run_worker("leaves_daemons", server_url, namespace)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert log.types("j")[0] == "job.started"
    assert log.snapshot("j")["indicators"][0]["done"] > 0
    assert log.snapshot("j")["duplicates"] == 0


@pytest.mark.parametrize(("how", "code"), [("at once", 0), ("by SIGTERM", -15)])
def test_an_end_that_no_program_sees_loses_no_more_than_what_was_not_flushed(
    server_url: str, namespace: str, log: LogReader, how: str, code: int
) -> None:
    done = run_worker("is_ended", server_url, namespace, how)
    assert done.returncode == code, done.stderr
    assert [event.get("percent") for event in log.events("j")] == [None, 10, 20]
