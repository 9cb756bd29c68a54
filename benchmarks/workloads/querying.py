"""Workloads on databases: loading with SQLite, reporting with DuckDB."""

import random
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE, STDOUT
from typing import Final

from benchmarks.workloads.run import Run

__all__ = ["load_sqlite", "report_duckdb"]

_ROWS: Final = 2000

_REPORT: Final = Path(__file__).with_name("report.py")


def load_sqlite(run: Run) -> None:
    """Load rows into SQLite, index and vacuum. Some inputs hold a row twice: the first try stops there."""
    rows = run.count(40_000, 800_000)
    twice = run.random.randrange(rows) if run.random.random() < 0.12 and run.attempt == 1 else -1
    with run.program(
        "stdbuf", "-oL", "sqlite3", "-bail", "data.sqlite", stdin=PIPE, stdout=PIPE, stderr=STDOUT
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        answers = run.read_lines(process.stdout)

        def do(sql: str) -> None:
            process.stdin.write(f"{sql};\n.print done\n".encode())  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
            if next(answers, "") != "done":
                raise BrokenPipeError

        with run.job.stage("create"):
            do("PRAGMA synchronous = OFF")
            do("CREATE TABLE reading (id INTEGER PRIMARY KEY, sensor TEXT, value REAL, place INTEGER, note TEXT)")
        with run.job.stage("load") as stage:
            for first, values in _values(run, rows, twice):
                do(f"INSERT INTO reading VALUES {values}")  # noqa: S608  (made of numbers)
                stage.items(min(first + _ROWS, rows), rows)
        with run.job.stage("index") as stage:
            for column in stage.track(("sensor", "value", "place", "note, place")):
                do(f"CREATE INDEX [by {column}] ON reading ({column})")
        with run.job.stage("vacuum") as stage:
            stage.indeterminate()
            do("VACUUM; ANALYZE")
        process.stdin.close()


def _values(run: Run, rows: int, twice: int) -> Iterator[tuple[int, str]]:
    """Rows to insert, some thousand at once, and the number of the first; one id comes twice."""
    chance = run.random
    for first in range(0, rows, _ROWS):
        numbers = list(range(first, min(first + _ROWS, rows)))
        if first <= twice < first + _ROWS:
            numbers.append(twice)
        yield first, ",".join(_row(number, chance) for number in numbers)


def _row(number: int, chance: random.Random) -> str:
    sensor, place = chance.randrange(9999), chance.randrange(500)
    return f"({number},'sensor {sensor}',{chance.random():.6f},{place},'note {chance.random()}')"


def report_duckdb(run: Run) -> None:
    """Five queries over generated sales; DuckDB says how far a query is, in percent, and is often wrong."""
    stage = None
    for line in run.lines(run.material.python, "-u", _REPORT, str(run.count(150_000, 3_000_000))):
        word, _, value = line.partition(" ")
        if word == "stage":
            if stage is not None:
                stage.finish()
            stage = run.job.stage(value).start()
        elif word == "percent" and stage is not None and float(value) >= 0:
            stage.percent(float(value))
    if stage is not None:
        stage.finish()
