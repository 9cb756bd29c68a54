"""Record traces of real programs, for `benchmarks.eta`.

    python -m benchmarks.record_traces fetch    # what the programs work on: 1.5 GB from PyPI and Debian
    python -m benchmarks.record_traces record   # about an hour on two cores; more runs are added to what is there
    python -m benchmarks.record_traces pack     # benchmarks/traces/*.ndjson.xz and their hashes

Needs gcc, git, rsync, ffmpeg, node with npm, sqlite3, xz, zstd and apt (Debian or Ubuntu). Each run is a process of
its own. One is recorded after another, and for most of the time others beside it (`--at-once`), or a compiler.
"""

import argparse
import hashlib
import lzma
import os
import random
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import monotonic, sleep
from typing import Final

import msgspec

import streamproc
from benchmarks.trace_files import FOLDER, SUMS, kinds, load
from benchmarks.workloads import WORKLOADS
from benchmarks.workloads.material import Material
from benchmarks.workloads.recorder import Recorder
from benchmarks.workloads.run import Mishap, ProgramFailed, Run

_RUN_SECONDS: Final = 180
_LATEST_BACKOFF: Final = 3.0
_ENDS: Final = ("job.finished", "job.failed", "job.canceled")


def record_one(kind: str, number: int, seed: int, material: Material) -> bytes:
    """Do one run. Returns its line of the trace file."""
    workload = WORKLOADS[kind]
    chance = random.Random(seed)
    scale, mishap = chance.random(), Mishap.drawn(chance)
    began, load, job_id = datetime.now(UTC), os.getloadavg()[0], f"{kind}-{number}"
    with Recorder() as recorder:
        for attempt in (1, 2):
            with tempfile.TemporaryDirectory(prefix="trace-", ignore_cleanup_errors=True) as folder:
                handle = recorder.job(
                    job_id, kind=kind, stages=workload.stages, attempt=attempt if attempt > 1 else None
                )
                try:
                    with handle as job:
                        run = Run(recorder, job, attempt, seed, scale, Path(folder), material)
                        if attempt == 1:
                            run.befall(mishap)
                        workload.work(run)
                    break
                except streamproc.JobCanceled:
                    break
                except ProgramFailed:
                    if mishap.what == "fail":
                        break
            sleep(chance.uniform(0.1, _LATEST_BACKOFF))
        recorder.flush()
        events = list(recorder.tape.events)
    while events[-1][1]["type"] not in _ENDS:
        events.pop()  # somebody asked something of it when it was over
    facts = {"kind": kind, "run": number, "began": began, "scale": round(scale, 3), "load": load, "events": events}
    return msgspec.json.encode(facts)


class Recording:
    """Many runs, into one file a kind.

    Args:
        raw: the folder of the files; runs there already count.
        runs: of each kind.
        at_once: how many there are at most at any time.
        seconds: after which no more are begun.
    """

    def __init__(
        self, raw: Path, material: Material, kinds: list[str], runs: int, at_once: int, seconds: float
    ) -> None:
        self._raw, self._material, self._runs, self._at_once = raw, material, runs, at_once
        self._deadline = monotonic() + seconds
        self._lock = threading.Lock()
        self._chance = random.Random()
        raw.mkdir(parents=True, exist_ok=True)
        self._taken = {kind: _last_number(raw / f"{kind}.ndjson") for kind in kinds}

    def record(self) -> None:
        besides = [threading.Thread(target=self._record_beside) for _ in range(self._at_once - 1)]
        for beside in besides:
            beside.start()
        while (taken := self._take()) is not None:
            self._start(*taken)
        for beside in besides:
            beside.join()

    def _take(self) -> tuple[str, int] | None:
        """A kind of which there are few runs, and the number of its next."""
        with self._lock:
            left = {kind: self._runs - number for kind, number in self._taken.items() if number < self._runs}
            if not left or monotonic() > self._deadline:
                return None
            kind = self._chance.choices(list(left), [number**2 for number in left.values()])[0]
            self._taken[kind] += 1
            return kind, self._taken[kind]

    def _start(self, kind: str, number: int) -> None:
        seed = self._chance.randrange(2**32)
        command = [sys.executable, "-m", "benchmarks.record_traces", "--material", str(self._material.root)]
        command += ["one", kind, str(number), str(seed)]
        began = monotonic()
        with open(self._raw / "errors.txt", "ab") as errors:
            try:
                done = subprocess.run(command, stdout=subprocess.PIPE, stderr=errors, timeout=_RUN_SECONDS, check=False)
            except subprocess.TimeoutExpired:
                print(kind, number, "took too long")
                return
        if done.returncode:
            print(kind, number, "could not be recorded")
            return
        with open(self._raw / f"{kind}.ndjson", "ab") as file:
            file.write(done.stdout.strip() + b"\n")
        print(f"{datetime.now():%H:%M:%S} {kind} {number}: {monotonic() - began:.1f} s", flush=True)

    def _record_beside(self) -> None:
        while monotonic() < self._deadline:
            match self._chance.choices(("run", "compile", "nothing"), (10, 1, 1))[0]:
                case "run":
                    if (taken := self._take()) is None:
                        return
                    self._start(*taken)
                case "compile":
                    for source in self._chance.sample(self._material.native_sources, 6):
                        folders = [
                            f"-I{self._material.native / name}"
                            for name in ("abseil-cpp", "boringssl-with-bazel/include")
                        ]
                        command = ["g++", "-O2", "-w", *folders, "-c", str(source), "-o", "/dev/null"]
                        subprocess.run(command, stderr=subprocess.DEVNULL, check=False)
                case _:
                    sleep(self._chance.uniform(5, 15))


def _last_number(path: Path) -> int:
    if not path.exists():
        return 0
    return max((msgspec.json.decode(line)["run"] for line in path.read_bytes().splitlines()), default=0)


def pack(raw: Path) -> None:
    """Write the trace files and their hashes."""
    FOLDER.mkdir(exist_ok=True)
    sums = []
    for path in sorted(raw.glob("*.ndjson")):
        packed = lzma.compress(path.read_bytes(), preset=9 | lzma.PRESET_EXTREME)
        target = FOLDER / f"{path.name}.xz"
        target.write_bytes(packed)
        sums.append(f"{hashlib.sha256(packed).hexdigest()}  {target.name}\n")
    SUMS.write_text("".join(sums))


def print_table() -> None:
    """What there is of each kind, in Markdown."""
    print("| kind | runs | finished, failed, canceled | tried again | paused | median s | min | max | events |")
    print("|---|---|---|---|---|---|---|---|---|")
    for kind in kinds():
        runs = load(kind)
        ends = Counter(run.events[-1][1].type for run in runs)
        ended = ", ".join(str(ends[f"job.{word}"]) for word in ("finished", "failed", "canceled"))
        again = sum(any((event.attempt or 1) > 1 for _, event in run.events) for run in runs)
        paused = sum(any(event.type == "job.paused" for _, event in run.events) for run in runs)
        seconds = [run.seconds for run in runs]
        spread = f"{median(seconds):.1f} | {min(seconds):.1f} | {max(seconds):.1f}"
        events = sum(len(run.events) for run in runs)
        print(f"| `{kind}` | {len(runs)} | {ended} | {again} | {paused} | {spread} | {events:,} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--material", type=Path, default=Path("traces-material"), help="what programs work on")
    parser.add_argument("--raw", type=Path, default=Path("traces-raw"), help="what is recorded, before it is packed")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("fetch")
    record = commands.add_parser("record")
    record.add_argument("--kinds", nargs="*", choices=WORKLOADS, default=list(WORKLOADS))
    record.add_argument("--runs", type=int, default=32, help="of each kind")
    record.add_argument("--at-once", type=int, default=3)
    record.add_argument("--minutes", type=float, default=90)
    one = commands.add_parser("one")
    one.add_argument("kind", choices=WORKLOADS)
    one.add_argument("number", type=int)
    one.add_argument("seed", type=int)
    commands.add_parser("pack")
    options = parser.parse_args()
    material = Material(options.material)
    match options.command:
        case "fetch":
            material.fetch()
        case "record":
            seconds = 60 * options.minutes
            Recording(options.raw, material, options.kinds, options.runs, options.at_once, seconds).record()
        case "one":
            sys.stdout.buffer.write(record_one(options.kind, options.number, options.seed, material))
        case "pack":
            pack(options.raw)
            print_table()


if __name__ == "__main__":
    main()
