"""The embedded server: whose data it is, what it keeps, and how it ends."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import psutil
import pytest

from streamproc.connection import connect
from streamproc.embedded import Durability, default_data, embedded_server
from streamproc.errors import ConfigError, DataInUse, ServerError
from streamproc.inspection import report_server

pytestmark = pytest.mark.anyio

HOLDER = """
import anyio, sys
from pathlib import Path
from streamproc.connection import connect
from streamproc.embedded import embedded_server

async def main():
    async with embedded_server(Path(sys.argv[1]), port=0) as server:
        client = connect(server.url)
        await client.set("kept", "yes")
        await client.aclose()
        print(server.url, flush=True)
        await anyio.sleep_forever()

anyio.run(main)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has a server running on `tmp_path` and has written to it."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("redis://127.0.0.1:")
        yield process
        process.kill()


def servers_of(pid: int) -> list[psutil.Process]:
    """The processes of servers that a process started."""
    return psutil.Process(pid).children(recursive=True)


def runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def get(url: str, key: str) -> bytes | None:
    client = connect(url)
    try:
        value: bytes | None = await client.get(key)
        return value
    finally:
        await client.aclose()


async def test_data_stays_for_the_next_start(tmp_path: Path) -> None:
    async with embedded_server(tmp_path, port=0) as server:
        client = connect(server.url)
        await client.set("kept", "yes")
        await client.aclose()
    async with embedded_server(tmp_path, port=0) as server:
        assert await get(server.url, "kept") == b"yes"


async def test_the_folder_is_for_its_owner_only(tmp_path: Path) -> None:
    async with embedded_server(tmp_path / "made", port=0) as server:
        assert server.data.stat().st_mode & 0o077 == 0


async def test_leaving_ends_every_process_of_the_server(tmp_path: Path) -> None:
    others = servers_of(os.getpid())  # of the session's fixtures
    async with embedded_server(tmp_path, port=0):
        started = [process for process in servers_of(os.getpid()) if process not in others]
        assert any("valkey-server" in process.cmdline()[0] for process in started)
    with anyio.fail_after(10):
        while any(map(runs, started)):  # noqa: ASYNC110 - no event tells of it
            await anyio.sleep(0.01)


async def test_it_listens_on_loopback_only_and_evicts_nothing(tmp_path: Path) -> None:
    others = servers_of(os.getpid())  # of the session's fixtures
    async with embedded_server(tmp_path, port=0) as server:
        listening = [
            connection.laddr.ip
            for process in servers_of(os.getpid())
            if process not in others
            for connection in process.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        ]
        assert listening == ["127.0.0.1"]
        client = connect(server.url)
        report = await report_server(client)
        await client.aclose()
    assert report.fit
    assert report.kind == "valkey"
    assert report.eviction == "noeviction"


@pytest.mark.parametrize(
    ("durability", "aof", "fsync"),
    [("memory", False, None), ("everysec", True, "everysec"), ("always", True, "always")],
)
async def test_durability_is_what_was_asked_for(
    tmp_path: Path, durability: Durability, aof: bool, fsync: str | None
) -> None:
    async with embedded_server(tmp_path, port=0, durability=durability) as server:
        client = connect(server.url)
        report = await report_server(client)
        await client.aclose()
    assert report.aof is aof
    if fsync is not None:
        assert report.fsync == fsync


async def test_a_second_start_on_the_same_data_says_who_has_it(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    with pytest.raises(DataInUse) as refused:
        async with embedded_server(tmp_path, port=0):
            pass
    assert f"in use by process {holder.pid}, serving at redis://127.0.0.1:" in str(refused.value)


async def test_a_second_start_tells_the_address_that_the_first_announced(tmp_path: Path) -> None:
    async with embedded_server(tmp_path, port=0) as server:
        server.announce("http://127.0.0.1:8700")
        with pytest.raises(DataInUse, match=r"serving at http://127\.0\.0\.1:8700"):
            async with embedded_server(tmp_path, port=0):
                pass


async def test_killing_its_owner_stops_the_server_and_frees_its_data(
    holder: subprocess.Popen[str], tmp_path: Path
) -> None:
    (server_process,) = [process for process in servers_of(holder.pid) if "valkey" in process.name()]
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    async with embedded_server(tmp_path, port=0) as server:  # at once: it waits for the old one to be gone
        assert not runs(server_process)
        assert await get(server.url, "kept") == b"yes"


async def test_a_server_that_ends_by_itself_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    async def run_until_killed() -> None:
        async with embedded_server(tmp_path, port=0) as server:
            client = connect(server.url)
            pid = (await client.info("server"))["process_id"]
            await client.aclose()
            os.kill(pid, signal.SIGKILL)
            await anyio.sleep_forever()

    with pytest.raises(ExceptionGroup) as ended:
        await run_until_killed()
    (error,) = ended.value.exceptions
    assert isinstance(error, ServerError)
    assert "the embedded server ended" in str(error)
    assert str(tmp_path / "valkey.log") in str(error)


async def test_a_server_that_does_not_start_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    (tmp_path / "appendonlydir").write_text("not a folder")
    with pytest.raises(ServerError, match="the embedded server ended"):
        async with embedded_server(tmp_path, port=0):
            pass


async def test_a_port_that_is_asked_for_and_taken_is_refused(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"redis_port: {port} can't be used"):
            async with embedded_server(tmp_path, port=port):
                pass


async def test_the_usual_port_is_not_insisted_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setattr("streamproc.embedded.DEFAULT_REDIS_PORT", taken.getsockname()[1])
        async with embedded_server(tmp_path) as server:
            assert not server.url.endswith(f":{taken.getsockname()[1]}/0")


async def test_a_folder_that_can_not_be_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"data: .* can't be used"):
        async with embedded_server(tmp_path / "file", port=0):
            pass


async def test_elsewhere_than_on_linux_and_macos_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", "win32")
    with pytest.raises(ConfigError, match="needs Linux or macOS; give --redis URL"):
        async with embedded_server(tmp_path, port=0):
            pass


def test_data_goes_where_the_desktop_wants_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_data() == tmp_path / "streamproc"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert default_data() == Path("/home/somebody/.local/share/streamproc")
