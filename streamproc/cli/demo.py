"""``demo``: real work on real files, followed from the first event to the last."""

import os
import secrets
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import anyio
import click
import msgspec

from streamproc.cli.options import Command, Failure, Setting, config_of, run, say
from streamproc.cli.stopping import Stopping, stopping_by_signals
from streamproc.demo import KIND, STAGES

if TYPE_CHECKING:  # they cost time and memory that other commands don't need
    from streamproc.cli.following import Following
    from streamproc.client import Client

__all__ = ["demo"]

Json = dict[str, Any]

_JOBS: Final = 6
_LINKED: Final = 1
"""The job that meets a link to a file that is gone, counted from 0."""
_CANCELED: Final = 4
_MOST_BYTES: Final = 96 * 1024 * 1024
"""So much work takes two cores some ten seconds."""
_LARGEST_BYTES: Final = 8 * 1024 * 1024
_SKIPPED: Final = frozenset({"__pycache__", "site-packages", "node_modules"})


class Task(msgspec.Struct, frozen=True):
    """One job's work: the names of its files, from the folder."""

    job: str
    folder: Path
    names: list[str]


@click.command(cls=Command)
@click.option(
    "--path",
    cls=Setting,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=lambda: sysconfig.get_paths()["stdlib"],
    help="The folder whose files are worked on. They are only read.",
)
@click.option("--workers", cls=Setting, type=click.IntRange(1, 64), default=2, help="How many processes work at once.")
@click.option("--redis", cls=Setting, metavar="URL", help="Use this server instead of a temporary one.")
@click.option("--port", cls=Setting, type=int, default=0, help="The gateway's port; 0 takes a free one.")
@click.option("--json", "as_json", cls=Setting, is_flag=True, help="The summary as one line of JSON a job.")
def demo(path: Path, workers: int, redis: str | None, port: int, as_json: bool) -> None:
    """See it work: six jobs scan, hash and compress real files.

    Each job is a process. One meets a file that can't be read, and goes on without it; one is canceled on its way.
    """
    from streamproc.access import open_client
    from streamproc.cli.bars import jobs_table, show, width
    from streamproc.cli.following import Following
    from streamproc.cli.stack import Embedding, running

    config = config_of(port=port, **({"redis": redis} if redis else {}))

    async def main() -> list[Json]:
        with tempfile.TemporaryDirectory(prefix="streamproc-demo-") as temporary:
            tasks = _tasks(path, Path(temporary))
            embedding = None if redis else Embedding(Path(temporary) / "data", port=0)
            async with stopping_by_signals() as stopping, running(config, embedding, 1, stopping) as where:
                say(f"{_JOBS} jobs over {path}, {workers} at a time; the gateway is at {where.gateway}")
                async with open_client(where.gateway) as client:
                    await _queue(client, tasks)
                    with Following(client) as following:
                        await _work(following, tasks, where.redis, workers, stopping)
                    return [msgspec.json.decode(await client.snapshot(task.job)) for task in tasks]

    summary = run(main)
    if as_json:
        for job in summary:
            click.echo(msgspec.json.encode(job))
    else:
        show(jobs_table(summary, width()))
    _judge(summary)


def _judge(summary: list[Json]) -> None:
    """Say how it ended, and fail where it isn't as the demo promises."""
    statuses = [job["status"] for job in summary]
    failed = sum(job["units"]["failed"] for job in summary)
    events = sum(job["events"] for job in summary)
    say(
        f"{statuses.count('finished')} jobs finished, {statuses.count('canceled')} canceled; "
        f"{failed} file failed; {events:,} events folded"
    )
    if statuses[_CANCELED] == "finished":
        say(f"{summary[_CANCELED]['job_id']} was quicker than the wish to cancel it; give it more files by --path")
    del statuses[_CANCELED]
    if statuses.count("finished") != _JOBS - 1 or failed != 1:
        raise Failure("that isn't how the demo should end")


# The work ------------------------------------------------------------------------------------------------------------


def _tasks(folder: Path, temporary: Path) -> list[Task]:
    """Deal the files of a folder to the jobs, about equal in bytes, and one bad link to one of them."""
    sized = list(_files(folder))
    if len(sized) < 2 * _JOBS:
        raise Failure(f"{folder} has {len(sized)} files to work on; the demo takes at least {2 * _JOBS}")
    dealt: list[list[str]] = [[] for _ in range(_JOBS)]
    loads = [0] * _JOBS
    for name, size in sorted(sized, key=itemgetter(1), reverse=True):
        least = loads.index(min(loads))
        dealt[least].append(name)
        loads[least] += size + 1
    link = temporary / "rotated.log"
    link.symlink_to("rotated.log.1")
    dealt[_LINKED].append(str(link))
    run_id = secrets.token_hex(3)
    return [Task(f"demo-{run_id}-{number}", folder, sorted(names)) for number, names in enumerate(dealt, 1)]


def _files(folder: Path) -> Iterator[tuple[str, int]]:
    """Files and their sizes, from the folder down, up to what the demo has time for."""
    total = 0
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(set(folders) - _SKIPPED)
        for name in sorted(names):
            path = Path(parent) / name
            relative = str(path.relative_to(folder))
            size = path.stat().st_size if path.is_file() and os.access(path, os.R_OK) else None
            # The name is a unit's, too: at most 256 characters that can be printed.
            if size is None or size > _LARGEST_BYTES or len(relative) > 256 or not relative.isprintable():
                continue
            total += size
            if total > _MOST_BYTES:
                return
            yield relative, size


async def _queue(client: "Client", tasks: list[Task]) -> None:
    stages = [{"name": name, "weight": weight} for name, weight in STAGES.items()]
    for task in tasks:
        title = f"Pack {len(task.names)} files of {task.folder}"
        await _append(client, job=task.job, type="job.queued", kind=KIND, title=title[:1000], stages=stages)


async def _append(client: "Client", **event: Any) -> None:
    await client.append([msgspec.json.encode(event)])


async def _work(following: "Following", tasks: list[Task], redis: str, workers: int, stopping: Stopping) -> None:
    """Run the workers, follow each job to its end, and cancel one on its way."""
    limiter = anyio.CapacityLimiter(workers)
    async with anyio.create_task_group() as background:
        background.start_soon(_fail_when_asked_to_stop, stopping)
        async with anyio.create_task_group() as jobs:
            for number, task in enumerate(tasks):
                jobs.start_soon(following.follow, task.job)
                jobs.start_soon(_run_worker, task, redis, limiter)
                if number == _CANCELED:
                    jobs.start_soon(_cancel_on_its_way, following, task.job)
        background.cancel_scope.cancel()


async def _cancel_on_its_way(following: "Following", job: str) -> None:
    await following.wait_until(job, lambda state: state["current_stage"] == "Compress")
    await _append(following.client, job=job, type="job.cancel_requested", by="demo", reason="to show how it stops")


async def _fail_when_asked_to_stop(stopping: Stopping) -> None:
    await stopping.asked.wait()
    raise Failure("stopped before the end")


async def _run_worker(task: Task, redis: str, limiter: anyio.CapacityLimiter) -> None:
    async with limiter:
        process = await anyio.open_process(
            [sys.executable, "-m", "streamproc.demo", task.job, str(task.folder)],
            env=os.environ | {"STREAMPROC_URL": redis},
            stdout=None,
            stderr=None,
            start_new_session=True,  # the terminal's Ctrl-C is for us, and we tell the workers
        )
        assert process.stdin is not None  # noqa: S101 - anyio opens a pipe unless told otherwise
        try:
            with suppress(anyio.BrokenResourceError):  # it ended before it read its names; its exit code says so
                await process.stdin.send("\n".join(task.names).encode())
                await process.stdin.aclose()
            code = await process.wait()
        finally:
            if process.returncode is None:
                process.terminate()
                with anyio.CancelScope(shield=True), anyio.move_on_after(5):
                    await process.wait()
            await process.aclose()
    if code:
        raise Failure(f"the worker of {task.job} ended with exit code {code}")
