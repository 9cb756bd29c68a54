"""What the SDK keeps while nobody takes it: bounded in memory, and the rest in order on disk."""

import logging
import os
import tempfile
from pathlib import Path
from typing import IO, Any

import pytest

import streamproc
from tests.support.processes import run_worker, start_worker
from tests.support.producing import LogReader
from tests.support.servers import Server

SECONDS = 60.0
UNITS = 2000
NO_ROOM = "no room on disk"


def say_much(job: streamproc.Job, start: int = 0, stop: int = UNITS) -> None:
    for number in range(start, stop):
        with job.unit(str(number)) as unit:
            unit.percent(50)
            unit.count("rows", done=1)


def assert_all_arrived(url: str, namespace: str) -> None:
    with LogReader(url, namespace) as log:
        events, snapshot = log.once("j"), log.snapshot("j")
    said = [(verb, str(number)) for number in range(UNITS) for verb in ("unit.started", "unit.finished")]
    kept = [event for event in events if event["type"] not in ("unit.progressed", "job.counted")]
    assert [(event["type"], event.get("unit")) for event in kept] == [
        ("job.started", None),
        *said,
        ("job.finished", None),
    ]
    assert snapshot["indicators"] == [{"label": "rows", "done": UNITS, "total": 0}]
    assert snapshot["units"]["finished"] == UNITS


def test_a_process_that_says_much_to_nobody_stays_small() -> None:
    done = run_worker("says_much", "2000000")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 9_000_000  # about 4 MB; all of it in memory would be 20 MB
    assert done.stderr.count("kept and sent again") == 1


def test_jobs_that_have_ended_leave_nothing_behind_but_what_waits() -> None:
    sp = streamproc.connect("redis://127.0.0.1:1/0", required=False, buffer_bytes=1_000_000, flush_seconds=0)
    for number in range(3000):
        with sp.job(f"j{number}") as job:
            job.percent(50)
    assert not sp._outbox._held
    assert not list(sp._outbox._pulse._jobs)
    sp.close(0)


def test_what_has_no_room_in_memory_goes_through_a_file_that_is_gone_afterwards(
    own_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = tempfile.TemporaryFile
    files: list[IO[bytes]] = []

    def temporary_file(*arguments: Any, **named: Any) -> IO[bytes]:
        files.append(make(*arguments, dir=tmp_path, **named))
        return files[-1]

    monkeypatch.setattr(tempfile, "TemporaryFile", temporary_file)
    with streamproc.connect(own_server.url, buffer_bytes=1_000_000) as sp, sp.job("j") as job:
        own_server.stop()
        say_much(job, stop=UNITS - 200)
        assert not files[-1].closed
        assert os.fstat(files[-1].fileno()).st_size > 100_000
        own_server.start()
        for number in range(UNITS - 200, UNITS):  # while what waits there goes out
            say_much(job, number, number + 1)
            sp.flush(0.01)
        job.finish()
        assert sp.flush(SECONDS)
        assert all(file.closed for file in files)
        assert list(tmp_path.iterdir()) == []
    assert_all_arrived(own_server.url, "sp")


def test_without_a_folder_for_temporary_files_all_is_kept_in_memory(
    own_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.WARNING, "streamproc"),
        streamproc.connect(own_server.url, buffer_bytes=20_000) as sp,
    ):
        own_server.stop()
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
        with sp.job("j") as job:
            say_much(job)
        own_server.start()
        assert sp.flush(SECONDS)
    assert sum(NO_ROOM in record.message for record in caplog.records) == 1
    assert_all_arrived(own_server.url, "sp")


@pytest.mark.parametrize("room", [0, 1000, 50_000])
def test_a_disk_that_is_full_loses_and_doubles_nothing(own_server: Server, room: int) -> None:
    own_server.stop()
    with start_worker("says_much_on_a_small_disk", own_server.url, "sp", str(room)) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "said\n"
            own_server.start()
            _, stderr = process.communicate(timeout=SECONDS)
        finally:
            process.kill()
    assert process.returncode == 0, stderr
    assert stderr.count(NO_ROOM) == 1
    assert_all_arrived(own_server.url, "sp")
