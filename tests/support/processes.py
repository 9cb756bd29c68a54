"""What tests of faults start and break: gateways, programs that report, ports that answer nothing good."""

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.support.commands import DEADLINE, environment
from tests.support.servers import free_port

__all__ = ["Answering", "Gateway", "answering", "run_worker", "start_worker"]


class Gateway:
    """A gateway process that a test may kill and start again on the same port."""

    def __init__(self, redis: str, namespace: str = "sp") -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._command = [
            *(sys.executable, "-m", "streamproc", "gateway", "--redis", redis, "--namespace", namespace),
            *("--port", str(self.port), "--json"),
        ]
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> "Gateway":
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment()
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the gateway ended before it listened"
        assert json.loads(line)["gateway"] == self.url
        return self

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate(timeout=DEADLINE)
            self._process = None


def start_worker(program: str, *arguments: str) -> subprocess.Popen[str]:
    """A program of `tests.support.workers` in an interpreter of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.workers", program, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )


def run_worker(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The same, to its end."""
    with start_worker(program, *arguments) as process:
        try:
            stdout, stderr = process.communicate(timeout=DEADLINE)
        finally:
            process.kill()
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


class Answering:
    """A listening port that says the same to whatever it is asked, or nothing at all."""

    def __init__(self, listener: socket.socket, reply: bytes) -> None:
        self.port: int = listener.getsockname()[1]
        self.asked = 0
        self._listener = listener
        self._reply = reply
        self._clients: list[socket.socket] = []

    def accept(self) -> None:
        with suppress(OSError):  # closed at the end
            while True:
                client, _ = self._listener.accept()
                self._clients.append(client)
                threading.Thread(target=self._answer, args=(client,), daemon=True).start()

    def _answer(self, client: socket.socket) -> None:
        with suppress(OSError):
            while client.recv(1 << 20):
                self.asked += 1
                client.sendall(self._reply)

    def close(self) -> None:
        for connection in (self._listener, *self._clients):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()


@contextmanager
def answering(reply: bytes = b"", *, port: int = 0) -> Iterator[Answering]:
    """Listen, and answer all that comes with `reply`; nothing where that is empty."""
    with socket.create_server(("127.0.0.1", port)) as listener:
        answers = Answering(listener, reply)
        thread = threading.Thread(target=answers.accept)
        thread.start()
        try:
            yield answers
        finally:
            answers.close()
            thread.join(DEADLINE)
