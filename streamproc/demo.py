"""The demo's worker: a job that scans, hashes and compresses files. It is also the example to copy from.

It is a program of its own, ``python -m streamproc.demo JOB FOLDER``, takes the paths of its files below the folder
from stdin, one a line, and reports to the server that STREAMPROC_URL names.
"""

import hashlib
import os
import signal
import sys
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import streamproc

__all__ = ["KIND", "STAGES"]

KIND: Final = "pack"
STAGES: Final = {"Scan": 1, "Hash": 3, "Compress": 16}
_CHUNK: Final = 256 * 1024


def main(job_id: str, folder: Path, names: list[str]) -> None:
    """Do one job. An exception inside the ``with`` reports the failure, a wish to cancel the cancellation."""
    with streamproc.connect() as sp:
        try:
            with sp.job(job_id, kind=KIND, stages=STAGES) as job:
                pack(job, folder, names)
        except streamproc.JobCanceled:
            return  # somebody wanted that; it has been reported


def pack(job: streamproc.Job, folder: Path, names: list[str]) -> None:
    """The work, and how far it is."""
    files, volume = job.indicator("files"), job.indicator("bytes")

    with job.stage("Scan") as stage:
        sizes = {name: os.lstat(folder / name).st_size for name in stage.track(names)}
        units = [job.add_unit(name, weight=size, stage="Compress") for name, size in sizes.items()]
    files.add(len(sizes))
    volume.add(sum(sizes.values()))

    with job.stage("Hash") as stage:
        content = hashlib.sha256()
        for name in stage.track(names):
            with suppress(OSError):  # its unit will fail, below
                content.update(digest(folder / name))
    job.result({"sha256": content.hexdigest()})

    with job.stage("Compress"):
        for unit in units:
            job.checkpoint()  # stops here, if somebody wants the job canceled
            try:
                with unit:
                    for done in compress(folder / unit.name):
                        unit.items(done, sizes[unit.name])
            except OSError:
                continue  # the unit has failed, and says why; the job goes on with the next file
            files.done(1)
            volume.done(sizes[unit.name])


def digest(path: Path) -> bytes:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def compress(path: Path) -> Iterator[int]:
    """Compress a file, and tell after each piece how many bytes have been read."""
    packer = zlib.compressobj(9)
    done = 0
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            packer.compress(piece)
            done += len(piece)
            yield done
    packer.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # leave by an exception, so that the job is reported
    main(sys.argv[1], Path(sys.argv[2]), sys.stdin.read().splitlines())
