"""The clients of `benchmarks.gateway`: a process of their own, over plain sockets, so as not to be what is measured.

``python -m benchmarks.http_load URL`` reads commands, one JSON array a line, and answers each with a line of JSON:
``["get", path, connections, seconds]``: how many answers came;
``["follow", [path, …]]``: one live stream of each; answers once all have begun;
``["count"]``: messages since the last count, and how long those that say when they were sent were on their way, in ms;
``["resumed"]``: breaks all streams off and opens them again at their tokens; seconds until all have begun, and errors;
``["replay", path]``: how many lines a history has, and how many seconds it took;
``["close"]``: closes all streams.
"""

import asyncio
import json
import re
import resource
import sys
import time
from typing import Any
from urllib.parse import urlsplit

import uvloop

__all__ = ["raise_descriptors"]

_SENT = re.compile(rb'"message":"(\d{12,})"')
_ID = re.compile(rb"\nid: ([^\n]+)\n")
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


def raise_descriptors() -> None:
    """Let this process and those that it starts have as many descriptors as the system lets them."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Getter(asyncio.Protocol):
    """Asks for a path again and again over one connection."""

    transport: asyncio.Transport

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._rest = b""
        self.answers = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        head = data.find(b"\r\n\r\n")
        length = _LENGTH.search(data, 0, head)
        if head < 0 or length is None or len(data) < head + 4 + int(length[1]):
            self._rest = data
            return
        assert data.startswith(b"HTTP/1.1 200"), data[:200]
        self._rest = b""
        self.answers += 1
        self.transport.write(self._request)


class Tally:
    """What all live streams of this process have had since the last count."""

    def __init__(self) -> None:
        self.messages = 0
        self.waits: list[float] = []
        self.errors: list[str] = []
        self.lost = 0


class Follower(asyncio.Protocol):
    """One live stream."""

    transport: asyncio.Transport

    def __init__(self, path: str, host: str, token: bytes, tally: Tally) -> None:
        last = b"Last-Event-ID: %b\r\n" % token if token else b""
        self._request = b"GET %b HTTP/1.1\r\nHost: %b\r\nAccept: text/event-stream\r\n%b\r\n" % (
            path.encode(),
            host.encode(),
            last,
        )
        self._tally = tally
        self.path = path
        self.token = token
        self.closing = False
        self.begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if not self.begun.done():
            if not data.startswith(b"HTTP/1.1 200"):
                self._tally.errors.append(data[:300].decode(errors="replace"))
            self.begun.set_result(None)
        tally = self._tally
        tally.messages += data.count(b"\ndata: ")
        at = data.rfind(b"id: ")
        if at >= 0:
            self.token = data[at + 4 : data.find(b"\n", at)] or self.token
        now = 0
        for sent in _SENT.finditer(data):
            now = now or time.perf_counter_ns()
            tally.waits.append((now - int(sent[1])) / 1e6)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closing:
            self._tally.lost += 1
        if not self.begun.done():
            self._tally.errors.append(f"lost before it began: {exc}")
            self.begun.set_result(None)


class Replay(asyncio.Protocol):
    """Reads a response of many lines to its end."""

    def __init__(self, request: bytes, done: "asyncio.Future[int]") -> None:
        self._request = request
        self._done = done
        self._lines = 0
        self._tail = b""

    def connection_made(self, transport: Any) -> None:
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._lines += data.count(b"}\n") + (self._tail[-1:] == b"}" and data[:1] == b"\n")
        self._tail = (self._tail + data[-7:])[-7:]
        if self._tail == b"\r\n0\r\n\r\n":
            self._done.set_result(self._lines)


class Load:
    """Obeys commands.

    Args:
        url: of the gateway.
    """

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._host, self._port = str(address.hostname), int(address.port or 80)
        self._netloc = address.netloc
        self._tally = Tally()
        self._followers: list[Follower] = []

    async def get(self, path: str, connections: int, seconds: float) -> int:
        loop = asyncio.get_running_loop()
        request = f"GET {path} HTTP/1.1\r\nHost: {self._netloc}\r\n\r\n".encode()
        getters = []
        for _ in range(connections):
            _, getter = await loop.create_connection(lambda: Getter(request), self._host, self._port)
            getters.append(getter)
        await asyncio.sleep(0.5)
        before = sum(getter.answers for getter in getters)
        await asyncio.sleep(seconds)
        answers = sum(getter.answers for getter in getters) - before
        for getter in getters:
            getter.transport.abort()
        return answers

    async def follow(self, paths: list[str], tokens: list[bytes] | None = None) -> dict[str, Any]:
        begin = time.perf_counter()
        await asyncio.gather(
            *(self._open(path, tokens[at] if tokens else b"") for at, path in enumerate(paths)),
        )
        await asyncio.gather(*(follower.begun for follower in self._followers))
        return {"seconds": time.perf_counter() - begin, "errors": self._tally.errors[:3], "lost": self._tally.lost}

    async def _open(self, path: str, token: bytes) -> None:
        _, follower = await asyncio.get_running_loop().create_connection(
            lambda: Follower(path, self._netloc, token, self._tally), self._host, self._port
        )
        self._followers.append(follower)

    async def replay(self, path: str) -> dict[str, float]:
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        begin = time.perf_counter()
        request = f"GET {path} HTTP/1.1\r\nHost: {self._netloc}\r\nAccept: application/x-ndjson\r\n\r\n".encode()
        await asyncio.get_running_loop().create_connection(lambda: Replay(request, done), self._host, self._port)
        lines = await done
        return {"lines": lines, "seconds": time.perf_counter() - begin}

    async def count(self) -> dict[str, Any]:
        tally = self._tally
        found = {"messages": tally.messages, "waits": tally.waits, "errors": tally.errors[:3], "lost": tally.lost}
        tally.messages, tally.waits = 0, []
        return found

    async def resumed(self) -> dict[str, Any]:
        before = self._followers
        await self.close()
        return await self.follow([each.path for each in before], [each.token for each in before])

    async def close(self) -> None:
        for follower in self._followers:
            follower.closing = True
            follower.transport.abort()
        self._followers = []


async def main(url: str) -> None:
    load = Load(url)
    reader = asyncio.StreamReader(limit=2**26)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        name, *arguments = json.loads(line)
        print(json.dumps(await getattr(load, name)(*arguments)), flush=True)


if __name__ == "__main__":
    raise_descriptors()
    uvloop.run(main(sys.argv[1]))
