"""``run``: any command as a job."""

import logging
import os
import re
import secrets
import shlex
import signal
import sys
import threading
from typing import TYPE_CHECKING, Final

import click

import streamproc
from streamproc.cli import outputs
from streamproc.cli.lines import Lines, Tail
from streamproc.cli.options import Command, Failure, Setting, warn
from streamproc.cli.outputs import FORMATS, Parser
from streamproc.cli.reading import source

if TYPE_CHECKING:
    from streamproc import Job
    from streamproc.cli.child import Child, Reader

__all__ = ["run"]

_NOT_EXECUTABLE: Final = 126
_NOT_FOUND: Final = 127
_BY_SIGNAL: Final = 128
"""The exit codes of shells; to the last one the signal's number is added."""
_TAIL_LINES: Final = 20
_TAIL_CHARACTERS: Final = 2000
_NAME_CHARACTERS: Final = 256
_TITLE_CHARACTERS: Final = 1000
_ID_CHARACTERS: Final = 150
_DELIVERY_SECONDS: Final = 5.0
"""How long the end may wait for a server that is gone."""

_EPILOG: Final = "\n".join(
    ["\b", "Formats:", *(f"  streamproc run --format {name} {each.example}" for name, each in FORMATS.items())]
)


class ExitStatus(Exception):
    """The command said that it failed."""


class Signal(Exception):
    """A signal ended the command."""


@click.command(cls=Command, context_settings={"allow_interspersed_args": False}, epilog=_EPILOG)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND [ARGUMENT]...")
@click.option(
    "--job", "job_id", cls=Setting, metavar="ID", help="The job's id, new for each run; made up unless given."
)
@click.option("--kind", cls=Setting, help="What sort of job it is; the program's name unless it is given.")
@click.option("--title", cls=Setting, help="For people; the program's name unless it is given.")
@click.option("--show-command", cls=Setting, is_flag=True, help="The whole command as the title, with its secrets.")
@click.option("--label", "labels", cls=Setting, multiple=True, metavar="NAME=VALUE", help="To find it by. Repeatable.")
@click.option("--format", "format_", cls=Setting, type=click.Choice(list(FORMATS)), help="Whose progress to read.")
@click.option("--percent-regex", cls=Setting, metavar="REGEX", help=r"Reads a line's progress, such as '(\d+)%'.")
@click.option("--stdout/--no-stdout", cls=Setting, default=None, help="Read stdout too; stderr always is.")
@click.option("--status-fd", cls=Setting, type=click.IntRange(3, 255), help="Read this descriptor of COMMAND, too.")
@click.option(
    "--duration", cls=Setting, type=click.FloatRange(0, min_open=True), help="Of ffmpeg's output, in seconds."
)
@click.option("--grace", cls=Setting, type=click.FloatRange(0), default=10.0, help="Seconds from SIGTERM to SIGKILL.")
@source
def run(
    command: tuple[str, ...],
    job_id: str | None,
    kind: str | None,
    title: str | None,
    show_command: bool,
    labels: tuple[str, ...],
    format_: str | None,
    percent_regex: str | None,
    stdout: bool | None,
    status_fd: int | None,
    duration: float | None,
    grace: float,
    url: str,
    namespace: str,
) -> None:
    """Run COMMAND as a job: its start, its progress, and its end.

    \b
    streamproc run --kind backup -- tar czf backup.tar.gz /srv
    streamproc run --percent-regex '(?P<done>\\d+) of (?P<total>\\d+)' -- ./import.sh

    What it writes passes through unchanged, and stdout isn't touched unless it is to be read. Its exit code is ours;
    127 where there is no such command, 126 where it can't be run. When it fails, the job has the last lines of its
    stderr. Without a server it runs all the same.

    To cancel the job is SIGTERM for COMMAND and later SIGKILL, to pause it SIGSTOP: for all that it has started, but
    on a terminal, where it must stay in our process group, for itself alone. Our signals are passed on to it; when it
    doesn't end with 0 then, the job is canceled.

    A group in REGEX is called percent, or done and total, and perhaps message; else the first is the percentage.
    """
    if sys.platform == "win32":
        raise Failure("run needs the signals and process groups of POSIX, which Windows doesn't have")
    from streamproc.cli.child import Child

    parse, on_stdout = _parser(format_, percent_regex, duration)
    descriptors = [2]
    if on_stdout if stdout is None else stdout:
        descriptors.append(1)
    if status_fd is not None:
        descriptors.append(status_fd)
    program = _printable(os.path.basename(command[0]))[:_NAME_CHARACTERS] or "command"
    if title is None:
        title = _printable(shlex.join(command))[:_TITLE_CHARACTERS] if show_command else program
    try:
        child = Child(command, descriptors)  # before anything of ours takes such a descriptor
    except OSError as error:
        raise click.UsageError(f"--status-fd {error.filename}: {error.strerror}") from error

    logging.getLogger("streamproc").addHandler(_Once())
    connection = streamproc.connect(url, namespace=namespace, required=False)
    try:
        running = Running(child, parse, grace)
        try:
            running.job = connection.job(
                job_id or _make_id(program),
                kind=kind or program,
                title=title,
                labels=dict(map(_label, labels)) or None,
                on_request=running.heed,
            )
        except ValueError as error:
            raise click.UsageError(str(error)) from error
        code = running.to_the_end(command[0])
    finally:
        connection.close(_DELIVERY_SECONDS)
    child.leave(code)


def _parser(name: str | None, pattern: str | None, duration: float | None) -> tuple[Parser | None, bool]:
    """What reads a line, and whether there are such lines on stdout."""
    if name is not None and pattern is not None:
        raise click.UsageError("--format and --percent-regex: one of them, please")
    if duration is not None and name != "ffmpeg":
        raise click.UsageError("--duration is for --format ffmpeg")
    if pattern is not None:
        try:
            return outputs.percent_regex(pattern), False
        except ValueError as error:
            raise click.UsageError(f"--percent-regex: it {error}") from error
    if name is None:
        return None, False
    return outputs.ffmpeg(duration) if duration else FORMATS[name].make(), FORMATS[name].on_stdout


def _label(said: str) -> tuple[str, str]:
    name, equals, value = said.partition("=")
    if not equals or not name:
        raise click.UsageError(f"--label {said}: must be NAME=VALUE")
    return name, value


def _printable(said: str) -> str:
    """An argument as text for people; it may be any bytes."""
    text = os.fsencode(said).decode(errors="replace")
    return "".join(character if character.isprintable() else " " for character in text)


def _make_id(program: str) -> str:
    return f"{re.sub('[^A-Za-z0-9._-]', '-', program)[:_ID_CHARACTERS]}-{secrets.token_hex(4)}"


class _Once(logging.Handler):
    """Says the first warning. More of them would only tear holes into what the command draws."""

    def emit(self, record: logging.LogRecord) -> None:
        if self.level <= record.levelno:
            self.setLevel(logging.CRITICAL)
            warn(record.getMessage())


class Running:
    """A command and its job.

    Args:
        child: the command.
        parse: reads progress out of a line.
        grace: seconds from SIGTERM to SIGKILL.
    """

    job: "Job"

    def __init__(self, child: "Child", parse: Parser | None, grace: float) -> None:
        self._child = child
        self._parse = parse
        self._grace = grace
        self._tail = Tail(_TAIL_LINES, _TAIL_CHARACTERS)
        self._paused = False
        self._changing = threading.Lock()

    def to_the_end(self, program: str) -> int:
        """Run the command, and report. Returns the exit code that a shell has for it.

        Raises:
            Failure: it can't be run; its job has failed.
        """
        self.job.start().indeterminate()
        try:
            self._child.start(self._reader)
        except OSError as error:
            self.job.fail(error)
            missing = isinstance(error, FileNotFoundError)
            raise Failure(f"{program}: {error.strerror}", _NOT_FOUND if missing else _NOT_EXECUTABLE) from error
        code = self._child.wait()
        self._tell_the_end(code)
        return code if code >= 0 else _BY_SIGNAL - code

    def _reader(self, number: int) -> "Reader":
        """What reads a descriptor of the command."""
        return Lines(self._read_stderr if number == 2 else self._read)

    def _read_stderr(self, line: str, drawn_over: bool) -> None:
        self._tail.add(line, drawn_over)
        self._read(line, drawn_over)

    def _read(self, line: str, _drawn_over: bool) -> None:
        progress = None if self._parse is None else self._parse(line)
        if progress is None:
            return
        with self._changing:
            if self._paused:
                return  # it was written before, and would say that the command runs
            if progress.percent is not None:
                self.job.percent(progress.percent, progress.message)
            elif progress.done is not None:
                self.job.items(progress.done, progress.total, progress.message)
            else:
                self.job.indeterminate(progress.message)

    def _tell_the_end(self, code: int) -> None:
        if code == 0:
            self.job.finish({"exit_code": 0})
        elif self._child.asked is not None:
            self.job.cancel(f"by {self._child.asked}")
        elif code > 0:
            self.job.fail(ExitStatus(f"exit status {code}\n{self._tail}".rstrip()))
        else:
            self.job.fail(Signal(f"{_signal_name(-code)}\n{self._tail}".rstrip()))

    def heed(self, wish: str) -> None:
        """Do what is asked of the job. It may be told twice."""
        with self._changing:
            if wish == "cancel":
                self._child.cancel(self._grace)
            elif wish == "pause" and not self._paused:
                self._paused = True
                self._child.pause()
                self.job.paused()
            elif wish == "resume" and self._paused:
                self._paused = False
                self._child.resume()
                self.job.resumed()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"
