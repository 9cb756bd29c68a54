"""A command that runs below us as if we weren't there, while we read what it says.

What is read goes on to our own output, byte for byte; it is a terminal to the command where ours is one, and a pipe
elsewhere, so that the command draws and buffers as it would without us.

Where a terminal is ours to read, the command stays in our process group: Ctrl-C and Ctrl-Z reach it from there, and it
may read. What we send then reaches it alone. Elsewhere it gets a group of its own, and all that it starts hears us.
"""

import errno
import fcntl
import os
import pty
import select
import signal
import subprocess
import termios
import threading
import tty
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from types import FrameType
from typing import Final, NoReturn

from streamproc.cli.options import warn

__all__ = ["Child", "Reader"]

Reader = Callable[[bytes], None]
"""Takes each piece of an output, and an empty one at its end."""

_CHUNK: Final = 64 * 1024
_LAST_SECONDS: Final = 0.5
"""How long to wait for what the command said last, where others hold its outputs open."""
_ENDING: Final = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
_OTHERS: Final = (signal.SIGUSR1, signal.SIGUSR2)
_FROM_TERMINALS: Final = (signal.SIGINT, signal.SIGQUIT)


class Output(threading.Thread):
    """Passes on what comes out of a pipe or a terminal, without delay.

    Args:
        source: to read, and to close at the end.
        to: to write to; None only reads.
        read: called with each piece once it was passed on.
    """

    def __init__(self, source: int, to: int | None, read: Reader) -> None:
        super().__init__(name="streamproc-output", daemon=True)
        self._source = source
        self._to = to
        self._read = read

    def run(self) -> None:
        # Whoever reads our output may be gone: then the command has to learn that, by its own output being closed.
        with suppress(OSError), os.fdopen(self._source, "rb", buffering=0):
            while piece := self._piece():
                if self._to is not None:
                    _write(self._to, piece)
                self._read(piece)
        self._read(b"")

    def _piece(self) -> bytes:
        try:
            return os.read(self._source, _CHUNK)
        except OSError:  # so ends a terminal that nobody has open any more
            return b""


def _write(to: int, piece: bytes) -> None:
    while piece:
        try:
            piece = piece[os.write(to, piece) :]
        except BlockingIOError:  # somebody we share it with made it so
            select.select([], [to], [])


class Child:
    """A command, to start once and wait for. It hears the signals that we get.

    Args:
        command: the program and its arguments.
        descriptors: which are read: 1 and 2 on their way to ours; another one is the command's to write to, for us
            alone.

    Raises:
        OSError: such a descriptor is in use.
    """

    def __init__(self, command: Sequence[str], descriptors: Iterable[int]) -> None:
        self._command = command
        # The highest first, as the pipes for the others would take its number.
        self._pairs = {number: _pair(number) for number in sorted(descriptors, reverse=True)}
        self._outputs: list[Output] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._started = threading.Event()
        self._early: list[int] = []
        """The signals that came while it was being started."""
        self._alone = not _terminal_is_ours()
        self._paused = False
        self._signaled = False
        self._left: SystemExit | None = None
        self.asked: str | None = None
        """Who asked it to end, if somebody did: the name of a signal, or ``request``."""

    def start(self, reader: Callable[[int], Reader]) -> None:
        """Start it, and a reader for each descriptor. Raises `OSError` where the command can't be run."""
        for heard in (*_ENDING, *_OTHERS, signal.SIGWINCH):
            if signal.getsignal(heard) is not signal.SIG_IGN:  # as by nohup: the command ignores it too
                signal.signal(heard, self._on_signal)
        theirs = {number: given for number, (_, given) in self._pairs.items()}
        try:
            self._process = subprocess.Popen(  # noqa: S603  (to run it is what we are for)
                self._command,
                stdout=theirs.get(1),
                stderr=theirs.get(2),
                pass_fds=[number for number in theirs if number > 2],
                process_group=0 if self._alone else None,
            )
            for number in self._early:
                self._send(number)
        finally:
            self._started.set()
            for given in theirs.values():
                os.close(given)
        for descriptor, (source, _) in self._pairs.items():
            output = Output(source, descriptor if descriptor <= 2 else None, reader(descriptor))
            output.start()
            self._outputs.append(output)

    def wait(self) -> int:
        """Wait for its end, and until what it said last is read. Returns its exit code, or minus a signal."""
        assert self._process is not None  # noqa: S101  (it was started)
        code = self._process.wait()
        for output in self._outputs:
            output.join(_LAST_SECONDS)
        return code

    def leave(self, status: int) -> NoReturn:
        """Exit, once nobody whom the command left behind says anything any more; at once where a signal wants us to."""
        self._left = SystemExit(status)
        if not self._signaled:
            for output in self._outputs:
                output.join()
        raise self._left

    # What is asked of it, by other threads ------------------------------------------------------------------------

    def pause(self) -> None:
        """Stop it where it is."""
        self._started.wait()
        self._paused = True
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._started.wait()
        self._go_on()

    def cancel(self, grace: float) -> None:
        """Ask it to end, and end it after `grace` seconds."""
        self._started.wait()
        self.asked = self.asked or "request"
        self._send(signal.SIGTERM)
        self._go_on()
        kill = threading.Timer(grace, self._send, [signal.SIGKILL])
        kill.daemon = True
        kill.start()

    # And by signals ----------------------------------------------------------------------------------------------

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGWINCH:
            for real, (source, _) in self._pairs.items():
                _copy_size(real, source)  # its own signal may have come before that, so it gets another
        if self._alone or number not in _FROM_TERMINALS:  # else Ctrl-C reaches it without us
            self._send(number)
        if number in _ENDING:
            self._signaled = True
            self.asked = self.asked or signal.Signals(number).name
            if self._paused:
                self._go_on()
            if self._left is not None:
                raise self._left

    def _go_on(self) -> None:
        """A stopped command hears nothing, not even that it should end."""
        self._paused = False
        self._send(signal.SIGCONT)

    def _send(self, number: int) -> None:
        if self._process is None:
            self._early.append(number)
            return
        try:
            if self._alone:
                os.killpg(self._process.pid, number)
            else:
                self._process.send_signal(number)
        except ProcessLookupError:
            pass  # it was quicker
        except PermissionError:
            warn(f"{self._command[0]} runs as somebody else, and can't be sent {signal.Signals(number).name}")


def _terminal_is_ours() -> bool:
    """Whether there is a terminal that sends us its Ctrl-C, and lets us read."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def _pair(number: int) -> tuple[int, int]:
    """What we read, and what the command writes to as its descriptor of this number."""
    if number > 2:
        return _pair_of_its_own(number)
    if not os.isatty(number):
        return os.pipe()
    source, given = pty.openpty()
    tty.setraw(given)  # else it would write a carriage return of its own before each line feed
    _copy_size(number, source)
    return source, given


def _pair_of_its_own(number: int) -> tuple[int, int]:
    """A pipe that the command finds open under this number; so it must be ours under that number too."""
    try:
        os.fstat(number)
    except OSError:
        pass
    else:
        raise FileExistsError(errno.EEXIST, "it is in use here; take another one", str(number))
    source, given = os.pipe()
    kept = fcntl.fcntl(source, fcntl.F_DUPFD_CLOEXEC, number + 1)
    os.close(source)
    if given != number:
        os.dup2(given, number)
        os.close(given)
    return kept, number


def _copy_size(real: int, ours: int) -> None:
    with suppress(termios.error):  # it isn't a terminal
        termios.tcsetwinsize(ours, termios.tcgetwinsize(real))
