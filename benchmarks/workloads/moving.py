"""Workloads that move and squeeze data: compressors, sort, rsync, git, ffmpeg."""

import re
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE
from time import monotonic
from typing import Final

import streamproc
from benchmarks.workloads.run import Run

__all__ = ["compress", "copy_tree", "encode_video", "repack_git", "sort_lines"]

_PIECE: Final = 64 * 1024
_TELL_SECONDS: Final = 0.1


def compress(run: Run) -> None:
    """Compress files of all sorts through a pipe: bytes done of a total that is known from the start."""
    command, least, most = run.random.choice(
        (
            (("xz", "-6"), 1e6, 16e6),
            (("gzip", "-9"), 5e6, 90e6),
            (("zstd", "-q", "-15"), 3e6, 50e6),
            (("bzip2",), 3e6, 45e6),
        )
    )
    goal = run.size(least, most)
    chosen, size = [], 0
    for path in run.random.sample(run.material.binaries, len(run.material.binaries)):
        if size >= goal:
            break
        if path.stat().st_size < goal / 3:
            chosen.append(path)
            size += path.stat().st_size
    done = 0
    with open(run.folder / "packed", "wb") as packed, run.program(*command, stdin=PIPE, stdout=packed) as process:
        assert process.stdin is not None
        for piece in _pieces(chosen):
            process.stdin.write(piece)
            done += len(piece)
            run.job.items(done, size)
            run.checkpoint()
        process.stdin.close()


def _pieces(paths: list[Path]) -> Iterator[bytes]:
    for path in paths:
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                yield piece


def sort_lines(run: Run) -> None:
    """Sort lines of text: read, known by bytes; sort, of which nothing is known; write, known by bytes."""
    goal = int(run.size(8e6, 160e6))
    texts = [path for path in run.material.site_packages.rglob("*.py") if path.stat().st_size > 2000]
    seed = "".join(path.read_text(errors="replace") for path in run.some(texts, 400)).encode()
    rest = goal
    command = ["sort", "-S", run.random.choice(("5%", "16M", "64M")), "-T", ".", "--parallel=1", "-k", "2"]
    read, arrange, write = (run.job.stage(name) for name in ("read", "sort", "write"))
    read.start()
    with run.program(*command, stdin=PIPE, stdout=PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        while rest > 0:
            at = run.random.randrange(len(seed))
            piece = seed[at : at + min(rest, _PIECE)]
            process.stdin.write(piece)
            rest -= len(piece)
            read.items(goal - rest, goal)
            run.checkpoint()
        process.stdin.close()
        read.finish()
        arrange.start().indeterminate()
        written = 0
        while piece := run.read(process.stdout):
            if not written:
                arrange.finish()
                write.start()
            written += len(piece)
            write.percent(min(100.0, 100 * written / goal))
    write.finish()


def copy_tree(run: Run) -> None:
    """Copy a tree with rsync, compressed on the way. It counts while it copies, so the number of files grows."""
    goal = run.size(8e6, 250e6)
    folders = [path for root in ("/usr/lib", "/usr/share") for path in Path(root).iterdir() if path.is_dir()]
    folders += [path for path in run.material.site_packages.iterdir() if path.is_dir()]
    chosen: list[Path] = []
    size = 0
    for folder in run.random.sample(folders, len(folders)):
        weight = sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
        if size + weight < 1.2 * goal:
            chosen.append(folder)
            size += weight
        if size > goal:
            break
    shell = run.folder / "shell"  # the other side is this machine, and still at the end of a pipe
    shell.write_text('#!/bin/sh\nshift\nexec "$@"\n')
    shell.chmod(0o755)
    files = run.job.indicator("files")
    known = checked = 0
    told = monotonic()
    level = f"--compress-level={run.random.choice((1, 4, 6))}"
    for line in run.lines("rsync", "-rtz", level, "--info=progress2", "--outbuf=L", "-e", shell, *chosen, "here:copy"):
        found = re.search(r"(?:ir|to)-chk=(\d+)/(\d+)", line)
        if found and (monotonic() - told > _TELL_SECONDS or found[1] == "0"):
            told = monotonic()
            left, total = int(found[1]), int(found[2])
            files.add(max(0, total - known))
            files.done(max(0, total - left - checked))
            known, checked = max(known, total), max(checked, total - left)


def repack_git(run: Run) -> None:
    """Commit files to a repository, repack and check it. Git says percents; its phases become stages as they come."""
    files = run.some(sorted(run.material.native.rglob("*.[hc]*")), run.count(100, 900))
    with run.job.stage("commit") as stage:
        run.quietly("git", "init", "-q", "repo")
        repo = run.folder / "repo"
        for key, value in (("user.name", "nobody"), ("user.email", "nobody@example.org"), ("gc.auto", "0")):
            run.quietly("git", "-C", repo, "config", key, value)
        commits = run.count(4, 30)
        for number in range(commits):
            for place, file in enumerate(files[number::commits] + files[:number:3]):
                copy = repo / f"{place % 50}" / f"{place}-{file.name}"
                copy.parent.mkdir(exist_ok=True)
                copy.write_bytes(file.read_bytes() + b"\n// %d\n" % number)
            run.quietly("git", "add", ".", cwd=repo)
            run.quietly("git", "commit", "-q", "-m", str(number), cwd=repo)
            stage.items(number + 1, commits)
    window = run.random.choice((10, 20, 50))
    commands = (
        (
            "git",
            "pack-objects",
            "--all",
            "--progress",
            "--no-reuse-delta",
            f"--window={window}",
            "--threads=1",
            "../pack",
        ),
        ("git", "fsck", "--full", "--progress"),
        ("git", "clone", "--progress", "--no-local", ".", "../clone"),
    )
    for command in commands:
        _follow_git(run, command, repo)


def _follow_git(run: Run, command: tuple[str, ...], repo: Path) -> None:
    stage: streamproc.Stage | None = None
    # Git says progress only after a while, or to a terminal: the first is asked to do it at once.
    for line in run.lines(*command, cwd=repo, env={"GIT_PROGRESS_DELAY": "0"}):
        if found := re.match(r"(?:remote: )?([A-Z][\w ]+): +(\d+)% \((\d+)/(\d+)\)", line):
            name = f"{command[1]}: {found[1].lower()}"
            if stage is None or stage.name != name:
                if stage is not None:
                    stage.finish()
                stage = run.job.stage(name).start()
            stage.percent(int(found[2]))
    if stage is not None:
        stage.finish()


def encode_video(run: Run) -> None:
    """Make a film and look at it, encode it, and pack it again, with weights as somebody guessed them."""
    frames = run.count(25, 420)
    width = run.random.choice((320, 400, 480))
    source = run.random.choice(("mandelbrot", "testsrc2", "life", "cellauto"))
    size = f"size={width}x{width * 9 // 16}:rate=25"
    if source == "life":
        size += ":mold=10:ratio=0.3:death_color=#C83232:life_color=#00ff00"
    codec = run.random.choice(
        (
            ("libx264", "-preset", "veryfast"),
            ("libx264", "-preset", "medium"),
            ("libvpx-vp9", "-deadline", "realtime", "-cpu-used", "7"),
            ("libx265", "-preset", "ultrafast"),
        )
    )
    ffmpeg = ("ffmpeg", "-hide_banner", "-loglevel", "error", "-nostats", "-nostdin", "-progress", "pipe:1", "-y")
    with run.job.stage("make") as stage:
        made = ("-f", "lavfi", "-i", f"{source}={size}", "-frames:v", str(frames), "-c:v", "ffv1", "raw.mkv")
        _follow_ffmpeg(run, stage, frames, *ffmpeg, *made)
    with run.job.stage("probe") as stage:
        stage.indeterminate()
        run.quietly("ffprobe", "-v", "error", "-count_frames", "-show_streams", "raw.mkv")
    with run.job.stage("encode") as stage:
        _follow_ffmpeg(run, stage, frames, *ffmpeg, "-i", "raw.mkv", "-c:v", *codec, "-threads", "2", "film.mkv")
    with run.job.stage("remux") as stage:
        _follow_ffmpeg(run, stage, frames, *ffmpeg, "-i", "film.mkv", "-c", "copy", "film.mp4")


def _follow_ffmpeg(run: Run, stage: streamproc.Stage, frames: int, *command: str) -> None:
    for line in run.lines(*command):
        if line.startswith("frame="):
            stage.items(min(int(line[6:]), frames), frames)
