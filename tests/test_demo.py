"""The main job: real processes do real work on real files, and what they report is what happened."""

import json
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.commands import environment, run_command, runs

FILES = 60
LARGE = 50_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files that are small and yet take a while to compress: few letters, so many matches to try."""
    root = tmp_path_factory.mktemp("files")
    draw = random.Random(1)
    for number in range(FILES):
        place = root / f"part-{number % 4}"
        place.mkdir(exist_ok=True)
        (place / f"file-{number}.txt").write_text("".join(draw.choices("ab", k=LARGE)))
    skipped = root / "__pycache__"
    skipped.mkdir()
    (skipped / "ignored.pyc").write_bytes(b"x")
    return root


@pytest.fixture(scope="module")
def done(folder: Path) -> subprocess.CompletedProcess[str]:
    return run_command("demo", "--path", str(folder), "--json")


@pytest.fixture(scope="module")
def jobs(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_it_ends_well_with_a_summary_from_the_gateway(
    done: subprocess.CompletedProcess[str], jobs: list[dict[str, Any]]
) -> None:
    assert done.returncode == 0, done.stderr
    assert "the gateway is at http://127.0.0.1:" in done.stderr
    assert "5 jobs finished, 1 canceled; 1 file failed" in done.stderr
    assert len(jobs) == 6


def test_each_file_is_one_unit_of_one_job_weighted_by_its_size(jobs: list[dict[str, Any]]) -> None:
    assert sum(job["units"]["total"] for job in jobs) == FILES + 1
    for job in jobs:
        assert [(stage["name"], stage["weight"]) for stage in job["stages"]] == [
            ("Scan", 1),
            ("Hash", 3),
            ("Compress", 16),
        ]


def test_what_is_counted_is_what_was_done(jobs: list[dict[str, Any]]) -> None:
    for job in jobs:
        counted = {each["label"]: each["done"] for each in job["indicators"]}
        assert counted["files"] == job["units"]["finished"]
        assert counted["bytes"] == job["units"]["finished"] * LARGE


def test_one_job_meets_a_file_that_fails_and_goes_on(jobs: list[dict[str, Any]]) -> None:
    (job,) = [job for job in jobs if job["units"]["failed"]]
    assert job["status"] == "finished"
    assert job["units"]["failed"] == 1
    assert job["units"]["finished"] == job["units"]["total"] - 1


def test_one_job_is_canceled_on_its_way_and_stops(jobs: list[dict[str, Any]]) -> None:
    (job,) = [job for job in jobs if job["status"] == "canceled"]
    assert 20 <= job["percent"] < 100
    assert job["units"]["finished"] < job["units"]["total"]
    assert job["late"] == 0


def test_ctrl_c_ends_it_and_every_process_of_it(folder: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "streamproc", "demo", "--path", str(folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "Compress" in line:
                break
        children = psutil.Process(process.pid).children(recursive=True)
        assert any("streamproc.demo" in child.cmdline() for child in children)
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait(30) == 1
        assert "stopped before the end" in rest
        assert "Traceback" not in rest
        assert not any(map(runs, children))


def test_a_folder_with_too_few_files_is_refused(tmp_path: Path) -> None:
    done = run_command("demo", "--path", str(tmp_path))
    assert done.returncode == 1
    assert "has 0 files to work on" in done.stderr
