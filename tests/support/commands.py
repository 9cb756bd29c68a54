"""The command line as users run it: in processes of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

__all__ = ["Up", "run_command", "runs", "start_up"]

DEADLINE = 60.0


def environment(**variables: str) -> dict[str, str]:
    """Ours, without settings of whoever runs the tests, and the size of a terminal that isn't the command's."""
    foreign = ("STREAMPROC_", "COLUMNS", "LINES")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return kept | variables


def run_command(*arguments: str, input: str | bytes = b"", **variables: str) -> subprocess.CompletedProcess[str]:  # noqa: A002
    """Run ``streamproc`` with these arguments and variables, to its end."""
    payload = input.encode() if isinstance(input, str) else input
    done = subprocess.run(
        [sys.executable, "-m", "streamproc", *arguments],
        input=payload,
        capture_output=True,
        env=environment(**variables),
        timeout=DEADLINE,
        check=False,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def runs(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


class Up:
    """A running ``streamproc up``."""

    def __init__(self, process: subprocess.Popen[str], said: dict[str, Any], talk: Path) -> None:
        self.process = process
        self.gateway: str = said["gateway"]
        self.redis: str = said["redis"]
        self.data: str | None = said["data"]
        self._talk = talk

    @property
    def talk(self) -> str:
        """What it has said on stderr."""
        return self._talk.read_text()

    def children(self, name: str = "") -> list[psutil.Process]:
        """Its processes, those whose command line has a word."""
        found = psutil.Process(self.process.pid).children(recursive=True)
        return [child for child in found if name in " ".join(child.cmdline())]

    def stop(self, number: int) -> int:
        """Send a signal and wait; Ctrl-C goes to the whole group, as a terminal sends it. Returns the exit code."""
        if number == signal.SIGINT:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)
        return self.process.wait(DEADLINE)

    def command(self, *arguments: str, input: str | bytes = b"") -> subprocess.CompletedProcess[str]:  # noqa: A002
        """Run a reading command against its gateway."""
        return run_command(*arguments, input=input, STREAMPROC_URL=self.gateway)


@contextmanager
def start_up(data: Path, *arguments: str, **variables: str) -> Iterator[Up]:
    """Run ``streamproc up`` on free ports, in a context in which it is ready."""
    talk = data.parent / f"{data.name}.talk"
    with (
        talk.open("w") as stderr,
        subprocess.Popen(
            [sys.executable, "-m", "streamproc", "up", "--json", "--data", str(data), *arguments],
            stdout=subprocess.PIPE,
            stderr=stderr,
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
            env=environment(STREAMPROC_PORT="0", STREAMPROC_REDIS_PORT="0", **variables),
        ) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, f"it didn't start: {talk.read_text()}"
            yield Up(process, json.loads(line), talk)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(DEADLINE)
