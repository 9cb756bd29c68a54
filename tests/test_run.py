"""``streamproc run``: real commands, run as jobs of a running system."""

import functools
import http.server
import os
import pty
import shutil
import signal
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from click.testing import CliRunner

from streamproc.cli import main
from tests.support.commands import DEADLINE, environment
from tests.support.producing import wait_until
from tests.support.stack import Stack

FINAL = ("finished", "failed", "canceled")


def ended(stack: Stack, job: str) -> dict[str, Any]:
    """The job's snapshot, once it has ended."""
    wait_until(lambda: stack.snapshot(job).get("status") in FINAL)
    return stack.snapshot(job)


def where(stack: Stack) -> dict[str, str]:
    return environment(STREAMPROC_URL=stack.redis, STREAMPROC_NAMESPACE=stack.namespace)


def command_line(job: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "streamproc", "run", "--job", job, *arguments]


def run(stack: Stack, job: str, *arguments: str, input: bytes = b"") -> subprocess.CompletedProcess[bytes]:  # noqa: A002
    """Run a command as a job, to its end."""
    return subprocess.run(
        command_line(job, *arguments),
        input=input,
        capture_output=True,
        env=where(stack),
        timeout=DEADLINE,
        start_new_session=True,  # whatever terminal the tests have
        check=False,
    )


@contextmanager
def running(stack: Stack, job: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A command as a job, while it runs."""
    with subprocess.Popen(
        command_line(job, *arguments),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=where(stack),
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                for each in [*psutil.Process(process.pid).children(recursive=True), process]:
                    each.kill()


def line(process: subprocess.Popen[bytes]) -> bytes:
    """The next line of its stdout; the command prints one to say that it is where the test wants it."""
    assert process.stdout is not None
    return process.stdout.readline()


def end_stdin(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()


# How it ends ---------------------------------------------------------------------------------------------------------


def test_a_command_is_a_job_that_starts_runs_and_finishes(stack: Stack, job_id: str) -> None:
    done = run(stack, job_id, "--kind", "backup", "--label", "host=a", "--label", "disk=b=c", "--", "true", "pass=x")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert stack.said(job_id) == [
        {"type": "job.started", "kind": "backup", "title": "true", "labels": {"host": "a", "disk": "b=c"}},
        {"type": "job.progressed"},
        {"type": "job.finished", "result": {"exit_code": 0}},
    ]


def test_the_arguments_are_told_only_if_asked_for_as_they_may_be_secret(stack: Stack) -> None:
    command = [sys.executable, "-m", "streamproc", "run", "--show-command", "--url", stack.http, "--", "echo", "a  b"]
    subprocess.run(command, env=environment(), capture_output=True, check=True)
    found = httpx.get(f"{stack.http}/v1/jobs?kind=echo", trust_env=False).json()["jobs"]
    assert [job["title"] for job in found] == ["echo 'a  b'"]
    assert found[0]["job_id"].startswith("echo-")


def test_a_command_that_fails_has_its_exit_code_and_what_it_said_last(stack: Stack, job_id: str) -> None:
    script = r"printf '10%%\r20%%\r' >&2; printf '\033[31mno space\033[0m left\n' >&2; exit 3"
    done = run(stack, job_id, "--", "sh", "-c", script)
    assert done.returncode == 3
    failed = ended(stack, job_id)
    assert failed["status"] == "failed"
    assert failed["error"] == {"type": "ExitStatus", "detail": "exit status 3\nno space left"}


def test_a_command_that_a_signal_ends_is_128_and_the_signal(stack: Stack, job_id: str) -> None:
    done = run(stack, job_id, "--", "sh", "-c", "echo bad >&2; kill -SEGV $$")
    assert done.returncode == 128 + signal.SIGSEGV
    assert ended(stack, job_id)["error"] == {"type": "Signal", "detail": "SIGSEGV\nbad"}


def test_a_command_that_does_not_exist_is_127_and_a_failed_job(stack: Stack, job_id: str) -> None:
    done = run(stack, job_id, "--", "no-such-program")
    assert (done.returncode, done.stderr) == (127, b"Error: no-such-program: No such file or directory\n")
    assert ended(stack, job_id)["error"]["type"] == "FileNotFoundError"


def test_a_command_that_can_not_be_run_is_126_and_a_failed_job(stack: Stack, job_id: str, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    done = run(stack, job_id, "--", str(tmp_path / "text"))
    assert done.returncode == 126
    assert b"Permission denied" in done.stderr
    assert ended(stack, job_id)["status"] == "failed"


# What passes through -------------------------------------------------------------------------------------------------

WRITES = """
import os, sys
os.write(1, bytes(range(256)) * 999 + b"\\r50%\\r")
os.write(2, bytes(range(256)) * 999 + b"\\r\\n60%")
sys.exit(os.read(0, 99) != b"input")
"""


@pytest.mark.parametrize("reading", [[], ["--stdout", "--percent-regex", r"(\d+)%"]])
def test_what_the_command_writes_and_reads_passes_byte_for_byte(stack: Stack, job_id: str, reading: list[str]) -> None:
    done = run(stack, job_id, *reading, "--", sys.executable, "-c", WRITES, input=b"input")
    assert done.returncode == 0
    assert done.stdout == bytes(range(256)) * 999 + b"\r50%\r"
    assert done.stderr == bytes(range(256)) * 999 + b"\r\n60%"


def test_what_the_command_writes_passes_at_once(stack: Stack, job_id: str) -> None:
    with running(stack, job_id, "--stdout", "--", "sh", "-c", "printf name?; read name; printf hello,$name") as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.read(5) == b"name?"
        process.stdin.write(b"ann\n")
        process.stdin.flush()
        assert process.stdout.read(9) == b"hello,ann"


def test_a_slow_reader_that_does_not_wait_gets_everything(stack: Stack, job_id: str) -> None:
    source, theirs = os.pipe()
    os.set_blocking(theirs, False)  # as whoever shares our stdout may make it
    command = command_line(job_id, "--stdout", "--", sys.executable, "-c", "print('x' * 1_000_000)")
    with subprocess.Popen(command, stdout=theirs, env=where(stack)) as process, open(source, "rb") as output:
        os.close(theirs)
        assert len(output.read()) == 1_000_001
        assert process.wait(DEADLINE) == 0


def test_a_command_whose_reader_is_gone_learns_that(stack: Stack, job_id: str) -> None:
    with running(stack, job_id, "--stdout", "--", "yes") as process:
        assert line(process) == b"y\n"
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(DEADLINE) == 128 + signal.SIGPIPE


def test_the_job_ends_with_the_command_and_who_is_left_behind_still_passes(stack: Stack, job_id: str) -> None:
    with running(stack, job_id, "--", "sh", "-c", "exec 4<&0; { read word <&4; echo $word >&2; } & exit 0") as process:
        assert ended(stack, job_id)["status"] == "finished"
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(b"late\n")
        process.stdin.flush()
        assert process.stderr.read() == b"late\n"
        assert process.wait(DEADLINE) == 0


def test_a_signal_ends_the_waiting_for_who_is_left_behind(stack: Stack, job_id: str) -> None:
    with running(stack, job_id, "--", "sh", "-c", "trap '' INT; sleep 600 & echo $!; exit 0") as process:
        left_behind = int(line(process))
        ended(stack, job_id)
        wait_until(lambda: not psutil.Process(process.pid).net_connections())  # everything is delivered
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE) == 0
        os.kill(left_behind, signal.SIGKILL)


def test_a_server_that_is_gone_is_one_warning_and_the_command_runs_all_the_same() -> None:
    done = subprocess.run(
        command_line("j", "--url", "redis://127.0.0.1:1/0", "--", "sh", "-c", "echo work; exit 4"),
        capture_output=True,
        env=environment(),
        timeout=DEADLINE,
        check=False,
    )
    assert (done.returncode, done.stdout) == (4, b"work\n")
    assert done.stderr.startswith(b"warning: ")
    assert b"127.0.0.1:1" in done.stderr
    assert len(done.stderr.splitlines()) == 1


# What is asked of it -------------------------------------------------------------------------------------------------

TREE = "sleep 60 & echo $! $$; wait"
"""A command that has started another one; it prints both."""


@pytest.mark.parametrize("way", ["redis", "http"])
def test_a_wish_to_cancel_ends_the_command_and_all_that_it_has_started(stack: Stack, job_id: str, way: str) -> None:
    with running(stack, job_id, "--url", getattr(stack, way), "--", "sh", "-c", TREE) as process:
        pids = [int(pid) for pid in line(process).split()]
        stack.ask(job_id, "cancel")
        assert process.wait(DEADLINE) == 128 + signal.SIGTERM
        canceled = ended(stack, job_id)
        assert (canceled["status"], canceled["message"]) == ("canceled", "by request")
        wait_until(lambda: not any(psutil.pid_exists(pid) for pid in pids))


def test_a_command_that_will_not_be_canceled_is_killed_after_the_grace(stack: Stack, job_id: str) -> None:
    script = "trap '' TERM; echo; while :; do sleep 1; done"
    with running(stack, job_id, "--grace", "0.1", "--", "sh", "-c", script) as process:
        line(process)
        stack.ask(job_id, "cancel")
        assert process.wait(DEADLINE) == 128 + signal.SIGKILL
        assert ended(stack, job_id)["status"] == "canceled"


def test_a_wish_to_pause_stops_all_of_the_command_until_it_is_to_resume(stack: Stack, job_id: str) -> None:
    with running(stack, job_id, "--", "sh", "-c", "sleep 60 & echo $! $$; read x; kill $!; exit 0") as process:
        tree = [psutil.Process(int(pid)) for pid in line(process).split()]
        stack.ask(job_id, "pause")
        stack.wait_for(job_id, status="paused")
        wait_until(lambda: all(each.status() == psutil.STATUS_STOPPED for each in tree))
        stack.ask(job_id, "resume")
        stack.wait_for(job_id, status="running")
        end_stdin(process)
        assert process.wait(DEADLINE) == 0
    types = [event["type"] for event in stack.said(job_id)]
    assert types[-4:] == ["job.paused", "job.resume_requested", "job.resumed", "job.finished"]


def test_what_a_paused_command_had_still_to_say_does_not_make_it_run(stack: Stack, job_id: str) -> None:
    # It is in a session of its own when it says so, and isn't stopped.
    left_behind = "import os, sys; os.setsid(); print(flush=True); sys.stdin.readline(); os.write(2, b'50%\\n')"
    script = f'exec 4<&0; {sys.executable} -c "{left_behind}" <&4 & wait'
    with running(stack, job_id, "--percent-regex", r"(\d+)%", "--", "sh", "-c", script) as process:
        line(process)
        stack.ask(job_id, "pause")
        stack.wait_for(job_id, status="paused")
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert process.stderr.readline() == b"50%\n"
        stack.ask(job_id, "cancel")
        assert process.wait(DEADLINE) == 128 + signal.SIGTERM
    assert percents(stack, job_id) == []


@pytest.mark.parametrize("by", ["wish", "signal"])
def test_a_paused_command_can_be_ended(stack: Stack, job_id: str, by: str) -> None:
    with running(stack, job_id, "--", "sh", "-c", TREE) as process:
        line(process)
        stack.ask(job_id, "pause")
        stack.wait_for(job_id, status="paused")
        if by == "wish":
            stack.ask(job_id, "cancel")
        else:
            process.terminate()
        assert process.wait(DEADLINE) == 128 + signal.SIGTERM
        assert ended(stack, job_id)["status"] == "canceled"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_passed_on_and_the_job_is_canceled(stack: Stack, job_id: str, number: signal.Signals) -> None:
    with running(stack, job_id, "--", "sh", "-c", "echo; exec sleep 60") as process:
        line(process)
        process.send_signal(number)
        assert process.wait(DEADLINE) == 128 + number
        canceled = ended(stack, job_id)
        assert (canceled["status"], canceled["message"]) == ("canceled", f"by {number.name}")


def test_a_command_that_ends_well_by_a_signal_has_finished(stack: Stack, job_id: str) -> None:
    with running(stack, job_id, "--", "sh", "-c", "trap 'exit 0' TERM; echo; while :; do sleep 0.05; done") as process:
        line(process)
        process.terminate()
        assert process.wait(DEADLINE) == 0
        assert ended(stack, job_id)["status"] == "finished"


def test_a_signal_that_is_ignored_stays_so(stack: Stack, job_id: str) -> None:
    nohup = ["sh", "-c", "trap '' HUP; exec \"$@\"", "sh"]
    command = [*nohup, *command_line(job_id, "--", "sh", "-c", "echo; read line; exit 3")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env=where(stack), start_new_session=True, **pipes) as process:
        line(process)
        process.send_signal(signal.SIGHUP)
        end_stdin(process)
        assert process.wait(DEADLINE) == 3
    assert ended(stack, job_id)["status"] == "failed"


def test_other_signals_are_for_the_command(stack: Stack, job_id: str) -> None:
    with running(stack, job_id, "--", "sh", "-c", "trap 'exit 7' USR1; echo; while :; do sleep 0.05; done") as process:
        line(process)
        process.send_signal(signal.SIGUSR1)
        assert process.wait(DEADLINE) == 7
        assert ended(stack, job_id)["status"] == "failed"


# On a terminal -------------------------------------------------------------------------------------------------------


class Terminal:
    """A terminal with a command on it, as a job."""

    def __init__(self, stack: Stack, job: str, *arguments: str) -> None:
        self.ours, theirs = pty.openpty()
        self.resize(24, 80)
        take_it = "import os, sys; os.login_tty(0); os.execv(sys.executable, sys.argv[1:])"
        self.process = subprocess.Popen(
            [sys.executable, "-c", take_it, *command_line(job, *arguments)],
            stdin=theirs,
            env=where(stack),
        )
        os.close(theirs)
        self.shown = b""

    def type(self, keys: bytes) -> None:
        os.write(self.ours, keys)

    def resize(self, rows: int, columns: int) -> None:
        termios.tcsetwinsize(self.ours, (rows, columns))

    def wait_for(self, shown: bytes) -> None:
        while shown not in self.shown:
            self.shown += os.read(self.ours, 1024)

    def wait(self) -> int:
        """Wait for the command's end, and see all of what it has shown."""
        with suppress(OSError):  # so ends a terminal that nobody has open any more
            while True:
                self.shown += os.read(self.ours, 1024)
        return self.process.wait(DEADLINE)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.ours)


@contextmanager
def on_terminal(stack: Stack, job: str, *arguments: str) -> Iterator[Terminal]:
    terminal = Terminal(stack, job, *arguments)
    try:
        yield terminal
    finally:
        terminal.close()


def test_on_a_terminal_the_command_has_one_and_reads_from_it(stack: Stack, job_id: str) -> None:
    script = "[ -t 0 ] && [ -t 1 ] && [ -t 2 ] && printf name? >&2; read name; echo hello $name >&2; exit 5"
    with on_terminal(stack, job_id, "--stdout", "--", "sh", "-c", script) as terminal:
        terminal.wait_for(b"name?")
        terminal.type(b"ann\n")
        assert terminal.wait() == 5
        assert terminal.shown == b"name?ann\r\nhello ann\r\n"  # as without us; the first line is the terminal's echo
        assert ended(stack, job_id)["error"]["detail"] == "exit status 5\nname?hello ann"


def test_on_a_terminal_the_command_knows_its_size_as_it_changes(stack: Stack, job_id: str) -> None:
    script = "trap 'stty size <&2' WINCH; stty size <&2; while :; do sleep 0.05; done"
    with on_terminal(stack, job_id, "--", "sh", "-c", script) as terminal:
        terminal.wait_for(b"24 80")
        terminal.resize(33, 99)
        terminal.wait_for(b"33 99")


COUNTS_CTRL_C = """
import os, select, signal, sys
source, heard = os.pipe()
os.set_blocking(heard, False)
signal.set_wakeup_fd(heard)
signal.signal(signal.SIGINT, lambda *_: None)
print("ready")
count = len(os.read(source, 9))
print("heard")
while select.select([source], [], [], 0.5)[0]:  # a second one would come at once
    count += len(os.read(source, 9))
print("count:", count)
sys.exit(6)
"""


def test_on_a_terminal_ctrl_c_reaches_the_command_once_and_cancels_the_job(stack: Stack, job_id: str) -> None:
    with on_terminal(stack, job_id, "--", sys.executable, "-c", COUNTS_CTRL_C) as terminal:
        terminal.wait_for(b"ready")
        terminal.process.send_signal(signal.SIGSTOP)  # so that two signals can't become one
        terminal.type(b"\x03")
        terminal.wait_for(b"heard")
        terminal.process.send_signal(signal.SIGCONT)
        assert terminal.wait() == 6
        assert b"count: 1" in terminal.shown
        canceled = ended(stack, job_id)
        assert (canceled["status"], canceled["message"]) == ("canceled", "by SIGINT")


def test_on_a_terminal_a_wish_to_cancel_leaves_the_others_on_it_alone(stack: Stack, job_id: str) -> None:
    with on_terminal(stack, job_id, "--", "sh", "-c", "echo ready >&2; exec sleep 60") as terminal:
        terminal.wait_for(b"ready")
        stack.ask(job_id, "cancel")
        assert terminal.wait() == 128 + signal.SIGTERM
        assert ended(stack, job_id)["message"] == "by request"


# What is read --------------------------------------------------------------------------------------------------------


def percents(stack: Stack, job: str) -> list[float]:
    return [event["percent"] for event in stack.said(job) if "percent" in event]


def test_progress_is_read_from_stderr_by_a_regular_expression(stack: Stack, job_id: str) -> None:
    run(stack, job_id, "--percent-regex", r"(\d+)%", "--", "sh", "-c", "echo 10%; echo '30% of it' >&2")
    assert percents(stack, job_id) == [30]


def test_done_and_total_are_read_from_stdout_where_that_is_to_be_read(stack: Stack, job_id: str) -> None:
    pattern = r"(?P<message>\w+) (?P<done>\d+)/(?P<total>\d+)"
    run(stack, job_id, "--percent-regex", pattern, "--stdout", "--", "echo", "row 33/80")
    state = ended(stack, job_id)
    assert (state["items"], state["message"]) == ({"done": 33, "total": 80}, "row")


def test_progress_is_read_from_a_descriptor_of_its_own(stack: Stack, job_id: str) -> None:
    done = run(
        stack, job_id, "--format", "apt", "--status-fd", "3", "--", "sh", "-c", "echo pmstatus:hello:40:Unpacking >&3"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert percents(stack, job_id) == [70]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder with a file of 1 MiB in it, and its address."""
    folder = tmp_path_factory.mktemp("source")
    (folder / "file").write_bytes(os.urandom(1024 * 1024))
    handler = functools.partial(Silent, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}/file"
        server.shutdown()
        thread.join()


class Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


PROGRAMS = {
    "rsync": "rsync -a --info=progress2 --no-inc-recursive {folder}/ {out}/",
    "pv": "pv -n -i 0.1 {folder}/file",
    "curl": "curl -o {out} {url}",
    "wget": "wget -O {out} {url}",
    "ffmpeg": "ffmpeg -nostdin -f s16le -i {folder}/file {out}.wav",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_progress_of_a_real_program_is_read(
    stack: Stack, job_id: str, source: tuple[Path, str], tmp_path: Path, name: str
) -> None:
    folder, url = source
    program, *arguments = PROGRAMS[name].format(folder=folder, url=url, out=tmp_path / "out").split()
    if shutil.which(program) is None:
        pytest.skip(f"no {program} on this machine; `apt-get install {program}` brings it")
    done = run(stack, job_id, "--format", program, "--", program, *arguments)
    assert done.returncode == 0, done.stderr
    assert percents(stack, job_id)[-1] == pytest.approx(100, abs=1)


# What is refused -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--percent-regex", "(", "--", "true"], "--percent-regex: it isn't a regular expression"),
        (["--percent-regex", "x", "--", "true"], "needs a group"),
        (["--percent-regex", "(x)", "--format", "pv", "--", "true"], "one of them"),
        (["--duration", "3", "--format", "pv", "--", "true"], "for --format ffmpeg"),
        (["--format", "tar", "--", "true"], "'tar' is not one of"),
        (["--label", "a", "--", "true"], "NAME=VALUE"),
        (["--job", "a b", "--", "true"], "job"),
        (["--url", "ftp://x", "--", "true"], "url:"),
        (["--status-fd", "2", "--", "true"], "range"),
        ([], "Missing argument"),
    ],
)
def test_what_can_not_work_is_refused_before_anything_runs(arguments: list[str], said: str) -> None:
    result = CliRunner().invoke(main, ["run", *arguments])
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_descriptor_that_is_in_use_is_refused() -> None:
    with open(os.devnull) as file:
        result = CliRunner().invoke(main, ["run", "--status-fd", str(file.fileno()), "--", "true"])
    assert result.exit_code == 2
    assert "in use" in result.stderr


def test_the_help_has_an_example_of_each_format() -> None:
    text = CliRunner().invoke(main, ["run", "--help"], terminal_width=200).stdout
    for name in ("apt", "curl", "ffmpeg", "pv", "rsync", "wget"):
        assert f"streamproc run --format {name} " in text
