"""The SDK while the server is gone, cut off, or refusing: nothing is raised into the work, and nothing is lost."""

import logging
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

import streamproc
from streamproc import ConfigError, ServerUnavailable
from streamproc.append import Appender
from streamproc.errors import ServerError, UnfitServer
from tests.support.producing import LogReader, wait_until
from tests.support.servers import Server, free_port


@pytest.fixture
def log(server_url: str, namespace: str) -> Iterator[LogReader]:
    reader = LogReader(server_url, namespace)
    yield reader
    reader.client.close()


@pytest.fixture
def own_log(own_server: Server) -> Iterator[LogReader]:
    reader = LogReader(own_server.url, "sp")
    yield reader
    reader.client.close()


# Connecting --------------------------------------------------------------------------------------------------------


def test_connecting_to_nothing_says_what_to_do() -> None:
    url = f"redis://:secret@127.0.0.1:{free_port()}/0"
    with pytest.raises(ServerUnavailable, match=r"^nothing answers at redis://127.0.0.1:\d+/0: start it with `strea"):
        streamproc.connect(url)


def test_the_url_comes_from_the_environment(
    server_url: str, namespace: str, log: LogReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMPROC_URL", server_url)
    with streamproc.connect(namespace=namespace) as sp, sp.job("j"):
        pass
    assert log.types("j") == ["job.started", "job.finished"]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ftp://example.org", "redis"),
        ("redis://127.0.0.1:port/0", "url"),
        ("redis://127.0.0.1/zero?socket_timeout=soon", "url"),
    ],
)
def test_a_url_that_cannot_work_is_refused(url: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        streamproc.connect(url)


def test_a_namespace_of_another_format_is_refused(server_url: str, namespace: str, log: LogReader) -> None:
    log.client.hset(f"{namespace}:meta", mapping={"format": "2", "partitions": "16"})
    with pytest.raises(UnfitServer, match="format"):
        streamproc.connect(server_url, namespace=namespace)
    log.client.hset(f"{namespace}:meta", mapping={"format": "1", "partitions": "0"})
    with pytest.raises(UnfitServer, match="partitions"):
        streamproc.connect(server_url, namespace=namespace)


def test_a_refused_password_is_told_from_no_answer(own_server: Server) -> None:
    with redis.Redis(port=own_server.port) as admin:
        admin.config_set("requirepass", "right")
    with pytest.raises(ServerError, match="refuses the user or password"):
        streamproc.connect(own_server.url.replace("redis://", "redis://:wrong@"))
    with pytest.raises(ServerError, match="refuses the user or password"):
        streamproc.connect(own_server.url)
    with streamproc.connect(own_server.url.replace("redis://", "redis://:right@")):
        pass


# The server goes ---------------------------------------------------------------------------------------------------


def test_a_server_that_is_not_needed_yet_gets_everything_when_it_comes(
    own_server: Server, own_log: LogReader, caplog: pytest.LogCaptureFixture
) -> None:
    own_server.stop()
    with (
        caplog.at_level(logging.INFO, "streamproc"),
        streamproc.connect(own_server.url, required=False) as sp,
        sp.job("j") as job,
    ):
        job.percent(50)
        with job.unit("doc") as unit:
            unit.count("pages", done=1, total=1)
        assert not sp.flush(0.2)
        assert not sp.flush(0.2)
        own_server.start()
    assert own_log.types("j")[0] == "job.started"
    assert own_log.types("j")[-1] == "job.finished"
    assert own_log.snapshot("j")["units"]["finished"] == 1
    outages = [record.message for record in caplog.records if "kept and sent again" in record.message]
    assert len(outages) == 1
    assert "takes events again" in caplog.records[-1].message
    assert "events could not be delivered" in caplog.text


def test_cut_connections_lose_and_double_nothing(server_url: str, namespace: str, log: LogReader) -> None:
    with streamproc.connect(server_url, namespace=namespace) as sp, sp.job("j") as job:
        for number in range(600):
            with job.unit(str(number)) as unit:
                unit.percent(50)
                unit.count("bytes", done=1, total=1)
            if number % 60 == 0:
                for client in log.client.client_list():
                    if client["name"] == "streamproc":
                        log.client.client_kill_filter(_id=client["id"])
    snapshot = log.snapshot("j")
    assert snapshot["status"] == "finished"
    assert snapshot["units"]["finished"] == 600
    assert snapshot["indicators"] == [{"label": "bytes", "done": 600, "total": 600}]
    assert snapshot["late"] == 0


def test_an_answer_that_was_lost_makes_duplicates_that_change_nothing(
    server_url: str, namespace: str, log: LogReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = Appender.append
    lost: list[int] = []

    def lossy(self: Appender, batch: list[tuple[str, bytes]]) -> dict[int, ServerError]:
        refused = append(self, batch)
        if len(lost) < 3:
            lost.append(len(batch))
            raise ServerUnavailable("the answer was lost")
        return refused

    monkeypatch.setattr(Appender, "append", lossy)
    with streamproc.connect(server_url, namespace=namespace) as sp, sp.job("j") as job:
        for number in range(100):
            job.indicator("bytes").add(number)
    snapshot = log.snapshot("j")
    assert snapshot["duplicates"] == sum(lost)
    assert snapshot["indicators"] == [{"label": "bytes", "done": 0, "total": 4950}]


def test_an_error_that_nobody_thought_of_is_waited_out_like_any_other(
    server_url: str,
    namespace: str,
    log: LogReader,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    append = Appender.append
    errors = iter([ValueError("odd"), KeyError("index"), AssertionError()])

    def faulty(self: Appender, batch: list[tuple[str, bytes]]) -> dict[int, ServerError]:
        for error in errors:
            raise error
        return append(self, batch)

    monkeypatch.setattr(Appender, "append", faulty)
    with caplog.at_level(logging.WARNING, "streamproc"), streamproc.connect(server_url, namespace=namespace) as sp:
        with sp.job("j"):
            pass
        assert sp.flush()
    assert log.types("j") == ["job.started", "job.finished"]
    (record,) = caplog.records
    assert record.getMessage() == "odd; the work goes on, and its events are kept and sent again"
    assert record.exc_info
    assert record.exc_info[0] is ValueError


def test_memory_stays_bounded_while_the_server_is_gone(own_server: Server, own_log: LogReader) -> None:
    with streamproc.connect(own_server.url, buffer_bytes=100_000, min_interval=0) as sp:
        job = sp.job("j").start()
        bytes_ = job.indicator("bytes")
        sp.flush()
        own_server.stop()
        for number in range(20_000):
            job.items(number, 20_000, "x" * 200)
            bytes_.done(1)
        assert sp._outbox._queue.bytes < 150_000  # numbering adds to the batch on its way
        assert sum(len(held.events) for held in sp._outbox._held.values()) <= 2
        job.fail("gone")
        own_server.start()
    assert own_log.snapshot("j")["indicators"] == [{"label": "bytes", "done": 20_000, "total": 0}]
    assert own_log.snapshot("j")["status"] == "failed"
    assert len(own_log.types("j")) < 1000


def test_closing_is_bounded_and_says_what_was_not_delivered(
    own_server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    sp = streamproc.connect(own_server.url)
    own_server.stop()
    job = sp.job("j").start()
    job.finish()
    with caplog.at_level(logging.WARNING, "streamproc"):
        sp.close(timeout=0.3)
        sp.close()
    assert [record.message for record in caplog.records if "could not be delivered" in record.message] == [
        f"2 events could not be delivered to {own_server.url} within 0.3 s"
    ]


def test_a_server_that_comes_back_empty_gets_its_facts_anew(own_server: Server, own_log: LogReader) -> None:
    with streamproc.connect(own_server.url, partitions=16) as sp, sp.job("j") as job:
        sp.flush()
        own_log.client.flushall()
        own_server.stop()
        job.note("still here")
        assert not sp.flush(0.1)
        own_server.start()
    assert own_log.client.hgetall("sp:meta") == {b"format": b"1", b"partitions": b"16"}
    assert own_log.types("j") == ["job.noted", "job.finished"]


def test_a_log_of_another_type_is_named_and_keeps_its_events_until_it_is_mended(
    server_url: str, namespace: str, log: LogReader, caplog: pytest.LogCaptureFixture
) -> None:
    key = log.keys.of("j").log
    assert log.keys.of("k").log != key
    log.client.set(key, "not a stream")
    with caplog.at_level(logging.WARNING, "streamproc"), streamproc.connect(server_url, namespace=namespace) as sp:
        with sp.job("j"), sp.job("k"):
            assert not sp.flush(0.1)
        wait_until(lambda: "job.finished" in log.types("k"))
        assert any(key in record.message and "kept" in record.message for record in caplog.records)
        log.client.delete(key)
    assert log.types("j") == ["job.started", "job.finished"]
    assert log.types("k") == ["job.started", "job.finished"]


def test_a_snapshot_that_cannot_be_read_does_not_stop_reports(server_url: str, namespace: str, log: LogReader) -> None:
    log.serve("j", {"requested": 7})
    with streamproc.connect(server_url, namespace=namespace) as sp, sp.job("j") as job:
        assert job.requested is None
    assert log.types("j") == ["job.started", "job.finished"]


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())
    assert streamproc.__version__ == project["project"]["version"]


def test_importing_the_package_is_cheap() -> None:
    code = "import streamproc, sys; sys.exit(any(name in sys.modules for name in ('redis', 'msgspec', 'asyncio')))"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30, env=os.environ)
