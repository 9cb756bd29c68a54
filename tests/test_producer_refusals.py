"""The SDK while a server or a gateway is there and takes nothing: all is kept, said once, and sent again."""

import logging
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

import pytest
import redis
from redis import Redis

import streamproc
from tests.support.processes import Gateway, answering
from tests.support.producing import LogReader, wait_until
from tests.support.servers import Server, embedded_valkey

SECONDS = 60.0
KEPT = "kept and sent again"
AGAIN = "takes events again"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on a disk of 8 MiB, where this machine allows us one."""
    folder = tmp_path_factory.mktemp("small")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], capture_output=True)
    server = Server(embedded_valkey(), folder).start()
    yield server
    server.stop()
    if mounted.returncode == 0:
        subprocess.run(["umount", folder], check=True)


@pytest.fixture(scope="module")
def gateway(small: Server) -> Iterator[Gateway]:
    running = Gateway(small.url).start()
    yield running
    running.kill()


@pytest.fixture(params=["redis", "http"])
def url(request: pytest.FixtureRequest, small: Server) -> str:
    if request.param == "redis":
        return small.url
    gateway: Gateway = request.getfixturevalue("gateway")
    return gateway.url


@pytest.fixture
def log(small: Server) -> Iterator[LogReader]:
    with LogReader(small.url, "sp") as reader:
        yield reader


def said(caplog: pytest.LogCaptureFixture, what: str) -> list[str]:
    return [record.message for record in caplog.records if what in record.message]


def kinds(events: list[dict[str, Any]]) -> list[str]:
    """The types of events, but for progress, which has no place of its own among them."""
    return [event["type"] for event in events if not event["type"].endswith(".progressed")]


def http(status: str, body: str) -> bytes:
    return f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode()


# Refusals ----------------------------------------------------------------------------------------------------------

Trouble = Callable[[Server, Redis], AbstractContextManager[None]]


def commands(begin: str, end: str) -> Trouble:
    @contextmanager
    def trouble(server: Server, admin: Redis) -> Iterator[None]:
        admin.execute_command(*begin.split(" "))  # type: ignore[no-untyped-call]
        try:
            yield
        finally:
            admin.execute_command(*end.split(" "))  # type: ignore[no-untyped-call]

    return trouble


@contextmanager
def another_password(server: Server, admin: Redis) -> Iterator[None]:
    admin.config_set("requirepass", "new")
    admin.client_kill_filter(_type="normal", skipme=True)
    try:
        yield
    finally:
        admin.config_set("requirepass", "")


@contextmanager
def full_disk(server: Server, admin: Redis) -> Iterator[None]:
    if not server.folder.is_mount():
        pytest.skip("no disk of its own, as mounting isn't allowed here")
    ballast = server.folder / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    try:
        wait_until(lambda: refuses_writes(admin))
        yield
    finally:
        ballast.unlink()


def refuses_writes(admin: Redis) -> bool:
    try:
        admin.set("written", "x" * 4096)
    except redis.ResponseError as error:
        return "MISCONF" in str(error)
    return False


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        pytest.param(commands("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"), "maxmemory", id="no memory"),
        pytest.param(commands("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"), "read only replica", id="a replica"),
        pytest.param(
            commands("CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0"),
            "NOREPLICAS",
            id="no replicas",
        ),
        pytest.param(
            commands("ACL SETUSER default -@write", "ACL SETUSER default +@all"), "permission", id="no permission"
        ),
        pytest.param(another_password, "password|closed by server", id="another password"),
        pytest.param(full_disk, "No space left on device", id="a full disk"),
    ],
)
def test_what_is_refused_is_kept_and_arrives_once_when_it_is_taken_again(
    trouble: Trouble,
    reason: str,
    url: str,
    small: Server,
    log: LogReader,
    namespace: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    name = f"job-of-{namespace}"
    with caplog.at_level(logging.INFO, "streamproc"), streamproc.connect(url) as sp:
        job = sp.job(name).start()
        assert sp.flush(SECONDS)
        with trouble(small, log.client):
            with job.unit("doc") as unit:
                unit.percent(50)
                unit.count("pages", done=1, total=1)
            job.finish()
            assert not sp.flush(0.1)
            assert sp.waiting == 5
        assert sp.flush(SECONDS)
        assert sp.waiting == 0
    arrived = log.once(name)
    assert kinds(arrived) == ["job.started", "unit.started", "job.counted", "unit.finished", "job.finished"]
    assert len(arrived) == 6
    assert log.snapshot(name)["indicators"] == [{"label": "pages", "done": 1, "total": 1}]
    (warning,) = said(caplog, KEPT)
    assert re.search(reason, warning)
    assert len(said(caplog, AGAIN)) == 1


# Answers that are none ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("over", "answer", "reason"),
    [
        pytest.param("redis", b"-LOADING Redis is loading the dataset in memory\r\n", "loading", id="still loading"),
        pytest.param("redis", b"-CLUSTERDOWN The cluster is down\r\n", "cluster is down", id="a cluster that is down"),
        pytest.param("redis", b"HTTP/1.1 400 Bad Request\r\n\r\n", "no answer", id="another protocol"),
        pytest.param("http", http("502 Bad Gateway", "<html>"), "not from a streamproc gateway", id="a proxy alone"),
        pytest.param("http", http("429 Too Many Requests", "{}"), "asks to wait", id="too many requests"),
        pytest.param("http", http("401 Unauthorized", "{}"), "refuses us", id="another token"),
        pytest.param("http", b"-ERR unknown command\r\n\r\n", "no answer", id="another protocol there"),
    ],
)
def test_whatever_is_answered_instead_events_are_kept_until_somebody_takes_them(
    own_server: Server, over: str, answer: bytes, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    if over == "redis":
        own_server.kill()
    behind = own_server if over == "redis" else Gateway(own_server.url)
    try:
        with caplog.at_level(logging.INFO, "streamproc"), streamproc.connect(behind.url, required=False) as sp:
            with answering(answer, port=behind.port) as instead, sp.job("j") as job:
                with job.unit("doc"):
                    pass
                wait_until(lambda: instead.asked and said(caplog, KEPT), seconds=SECONDS)
            assert sp.waiting == 4
            behind.start()
            assert sp.flush(SECONDS)
    finally:
        if isinstance(behind, Gateway):
            behind.kill()
    with LogReader(own_server.url, "sp") as log:
        assert kinds(log.once("j")) == ["job.started", "unit.started", "unit.finished", "job.finished"]
    (warning,) = said(caplog, KEPT)
    assert re.search(reason, warning)
    assert len(said(caplog, AGAIN)) == 1


# No answer at all --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["redis", "http"])
def test_a_server_that_never_answers_holds_nobody_up(scheme: str, caplog: pytest.LogCaptureFixture) -> None:
    with answering() as silence:
        sp = streamproc.connect(f"{scheme}://127.0.0.1:{silence.port}", required=False, flush_seconds=0.1)
        with sp.job("j") as job, job.unit("doc"):
            assert not sp.flush(0.1)
            job.percent(50)
        job = sp.job("k").start()
        job.finish()
        assert sp.waiting == 7
        sp.close(0.1)
    assert said(caplog, "could not be delivered")


@pytest.mark.anyio
@pytest.mark.parametrize("scheme", ["redis", "http"])
async def test_a_server_that_never_answers_holds_no_task_up(scheme: str) -> None:
    with answering() as silence:
        sp = streamproc.connect_async(f"{scheme}://127.0.0.1:{silence.port}", required=False, flush_seconds=0.1)
        async with sp.job("j") as job, job.unit("doc"):
            assert not await sp.flush(0.1)
        assert sp.waiting == 4
        await sp.close(0.1)


def test_a_server_that_is_known_to_be_gone_holds_no_jobs_end_up(caplog: pytest.LogCaptureFixture) -> None:
    sp = streamproc.connect("redis://127.0.0.1:1/0", required=False, flush_seconds=3600)
    sp.job("j").start()
    wait_until(lambda: said(caplog, KEPT))
    ending = threading.Thread(target=sp.job("k").finish, daemon=True)
    ending.start()
    ending.join(SECONDS)
    assert not ending.is_alive()
    sp.close(0)


def test_what_was_coalesced_in_an_outage_is_said_at_its_end(
    own_server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "streamproc"), streamproc.connect(own_server.url, min_interval=3600) as sp:
        job = sp.job("j").start()
        stage = job.stage("Parse").start()
        job.items(0)
        stage.percent(0)
        wait_until(lambda: not sp.waiting)  # by themselves: the next of each waits an hour now
        for _ in range(2):
            before = sp.coalesced
            own_server.stop()
            job.note("still here")
            wait_until(lambda: not sp.flush(0.05) and said(caplog, KEPT))
            caplog.clear()
            for number in range(50):
                job.items(number)
                stage.percent(number)
            assert sp.coalesced - before == 98
            assert sp.waiting == 3
            own_server.start()
            assert sp.flush(SECONDS)
            assert sp.waiting == 0
            wait_until(lambda: said(caplog, AGAIN))
            assert ["98 reports were coalesced" in end for end in said(caplog, AGAIN)] == [True]
            assert not said(caplog, KEPT)
            caplog.clear()
    with LogReader(own_server.url, "sp") as log:
        assert [event.get("done", event.get("percent")) for event in log.once("j")][-2:] == [49, 49]
