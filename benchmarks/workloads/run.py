"""One run of a workload: its job, its programs, and what may befall it."""

import os
import random
import selectors
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import sleep
from typing import IO, Any, Final, NamedTuple

import streamproc
from benchmarks.workloads.material import Material
from benchmarks.workloads.recorder import Recorder

__all__ = ["MISHAPS", "Mishap", "ProgramFailed", "Run"]

MISHAPS: Final = {"none": 74, "retry": 8, "fail": 4, "pause": 9, "cancel": 5}
"""What befalls runs, and how many of a hundred. For a retry and a failure, a program is killed."""

_POLL_SECONDS: Final = 0.1


class ProgramFailed(Exception):
    """A program ended with a code other than 0, or by a signal: a code below 0."""

    def __init__(self, program: str, code: int) -> None:
        super().__init__(f"{program} ended with {code}")
        self.code = code


class Mishap(NamedTuple):
    """What befalls a run, after how many seconds, and how long a pause is."""

    what: str
    after: float
    seconds: float

    @classmethod
    def drawn(cls, chance: random.Random) -> "Mishap":
        what = chance.choices(list(MISHAPS), list(MISHAPS.values()))[0]
        return cls(what, after=0.5 * 12 ** chance.random(), seconds=2 * 5 ** chance.random())


class Run:
    """What a workload is given.

    Args:
        scale: 0 to 1, how large this run is among those of its kind; drawn uniformly, so sizes are log-uniform.
        folder: an empty folder, gone after the run.
    """

    def __init__(
        self,
        recorder: Recorder,
        job: streamproc.Job,
        attempt: int,
        seed: int,
        scale: float,
        folder: Path,
        material: Material,
    ) -> None:
        self._recorder = recorder
        self.job = job
        self.attempt = attempt
        self.random = random.Random(seed)
        self.scale = scale
        self.folder = folder
        self.material = material
        self._running: list[subprocess.Popen[bytes]] = []

    def size(self, least: float, most: float) -> float:
        """A size between two, by the run's scale, on a logarithmic axis."""
        return float(least * (most / least) ** self.scale)

    def count(self, least: int, most: int) -> int:
        return round(self.size(least, most))

    def some(self, things: list[Path], number: int) -> list[Path]:
        """So many of them, at random, in the order of their names."""
        return sorted(self.random.sample(things, min(number, len(things))))

    # Programs ----------------------------------------------------------------------------------------------------

    @contextmanager
    def program(
        self, *command: str | Path, cwd: Path | None = None, **options: Any
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Start a program, and see it end well.

        Raises:
            ProgramFailed: it did not.
        """
        process = subprocess.Popen(
            [str(word) for word in command],
            cwd=cwd or self.folder,
            process_group=0,
            **options,
        )
        self._running.append(process)
        try:
            with suppress(BrokenPipeError):  # it has ended before it had read everything
                yield process
            process.wait()
        finally:
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            self._running.remove(process)
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with suppress(BrokenPipeError):
                        pipe.close()
        if process.returncode:
            raise ProgramFailed(Path(command[0]).name, process.returncode)

    def lines(self, *command: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> Iterator[str]:
        """What a program says on stdout and stderr, line by line; a carriage return ends a line too."""
        environment = {**os.environ, **(env or {})}
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        with self.program(*command, cwd=cwd, env=environment, **pipes) as process:
            assert process.stdout is not None
            yield from self.read_lines(process.stdout)

    def read_lines(self, pipe: IO[bytes]) -> Iterator[str]:
        kept = b""
        while piece := self.read(pipe):
            *whole, kept = (kept + piece).replace(b"\r", b"\n").split(b"\n")
            for line in whole:
                yield line.decode(errors="replace")
        if kept:
            yield kept.decode(errors="replace")

    def read(self, pipe: IO[bytes]) -> bytes:
        """What a program says next; nothing at its end."""
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            while not selector.select(_POLL_SECONDS):
                self.checkpoint()
        self.checkpoint()
        return os.read(pipe.fileno(), 65536)

    def quietly(self, *command: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> None:
        """Run a program, whatever it says."""
        for _ in self.lines(*command, cwd=cwd, env=env):
            pass

    def checkpoint(self) -> None:
        """Where the job may pause, its programs with it, or be canceled."""
        if self.job.requested == "pause":
            self._signal(signal.SIGSTOP)
            self.job.checkpoint()
            self._signal(signal.SIGCONT)
        else:
            self.job.checkpoint()

    # What befalls it ---------------------------------------------------------------------------------------------

    def befall(self, mishap: Mishap) -> None:
        """Let something happen to the run after a while, in a thread of its own."""
        if mishap.what != "none":
            threading.Thread(target=self._happen, args=(mishap,), daemon=True).start()

    def _happen(self, mishap: Mishap) -> None:
        sleep(mishap.after)
        match mishap.what:
            case "pause":
                self._recorder.ask(self.job.id, "pause")
                sleep(mishap.seconds)
                self._recorder.ask(self.job.id, "resume")
            case "cancel":
                self._recorder.ask(self.job.id, "cancel")
            case _:
                self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        for process in list(self._running):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
