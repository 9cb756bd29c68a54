"""The producers in other languages: each is run for real, and its job is what its events come to."""

import json
import os
import re
import shutil
import zlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import anyio
import pytest
import redis

from streamproc.config import Config
from streamproc.wire import partition_of
from tests.support.gateways import serving
from tests.support.losing import losing_replies
from tests.support.producing import LogReader
from tests.support.programs import absent, program
from tests.support.servers import Server, embedded_valkey

pytestmark = pytest.mark.anyio

PRODUCERS = Path(__file__).parent.parent / "examples" / "producers"
PARTITIONS = 7
AMOUNTS = [*range(1, 250), -7]
NO_CODE = re.compile(r"^import \([^)]*\)|^(import|package|require) .*|^\s*(#|//|/\*).*", re.MULTILINE)
"""Imports and comments."""
FACTS = {
    "kind": "sum",
    "title": "Sum of amounts",
    "status": "finished",
    "percent": 100.0,
    "indicators": [{"label": "amounts", "done": len(AMOUNTS), "total": len(AMOUNTS)}],
    "items": {"done": len(AMOUNTS), "total": len(AMOUNTS)},
    "result": {"sum": sum(AMOUNTS)},
    "error": None,
    "late": 0,
}


class Example(NamedTuple):
    """A program, what runs it, and a command that fails where something else that it needs is missing."""

    file: str
    command: tuple[str, ...]
    needs: tuple[str, ...]
    variable: str = "STREAMPROC_REDIS"


QUICK_START = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
EXAMPLES = [
    Example("bash_redis_cli.sh", ("bash",), ("redis-cli", "--version")),
    Example("bash_curl.sh", ("bash",), ("curl", "--version"), "STREAMPROC_URL"),
    Example("node/producer.js", ("node",), ("npm", "--version")),
    Example("producer.php", ("php",), ("php", "-r", "exit(extension_loaded('redis') ? 0 : 1);")),
    Example("producer.rb", ("ruby",), ("ruby", "-e", "require 'redis'")),
    Example("producer.go", ("go", "run"), ("go", "version"), "STREAMPROC_URL"),
    Example("Producer.java", ("java", *QUICK_START), ("java", "--version"), "STREAMPROC_URL"),
]


class Producer(NamedTuple):
    """An example that can be run, and where it reports to."""

    name: str
    command: list[str]
    variable: str
    url: str
    log: LogReader

    async def run(self, job: str, file: Path, url: str | None = None) -> CompletedProcess[bytes]:
        """Run the example to its end, maybe with another URL."""
        environment = os.environ | {self.variable: url or self.url}
        return await anyio.run_process([*self.command, job, str(file)], env=environment, check=False)


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with a password, and a log in its second database with an odd number of partitions."""
    running = Server(embedded_valkey(), tmp_path_factory.mktemp("examples")).start()
    with redis.Redis(port=running.port, db=1) as client:
        client.hset("sp:meta", mapping={"format": "1", "partitions": str(PARTITIONS)})
        client.config_set("requirepass", "s3cret@home")
    yield f"redis://default:s3cret%40home@127.0.0.1:{running.port}/1"
    running.stop()


@pytest.fixture(scope="module")
async def gateway_url(redis_url: str) -> AsyncIterator[str]:
    async with serving(Config(redis=redis_url, partitions=PARTITIONS, port=0)) as http:
        yield str(http.base_url)


@pytest.fixture(scope="module")
def log(redis_url: str) -> Iterator[LogReader]:
    reader = LogReader(redis_url, "sp", PARTITIONS)
    yield reader
    reader.client.close()


@pytest.fixture(scope="module", params=EXAMPLES, ids=lambda example: example.file)
async def producer(
    request: pytest.FixtureRequest,
    redis_url: str,
    gateway_url: str,
    log: LogReader,
    tmp_path_factory: pytest.TempPathFactory,
) -> Producer:
    example: Example = request.param
    name, *arguments = example.needs
    needed = await anyio.run_process([program(name), *arguments], check=False)
    if needed.returncode:
        absent(f"{' '.join(example.needs)} fails on this machine")
    path = PRODUCERS / example.file
    if name == "npm":
        path = await installed(path, tmp_path_factory.mktemp("node"))
    url = redis_url if example.variable == "STREAMPROC_REDIS" else gateway_url
    interpreter, *options = example.command
    command = [program(interpreter), *options, str(path)]
    return Producer(re.sub(r"\W", "-", example.file), command, example.variable, url, log)


async def installed(path: Path, folder: Path) -> Path:
    """A program for Node, in a folder with the packages that it depends on."""
    shutil.copytree(path.parent, folder, dirs_exist_ok=True)
    npm = [program("npm"), "install", "--no-audit", "--no-fund", "--prefix", str(folder)]
    done = await anyio.run_process(npm, check=False)
    if done.returncode:
        absent(f"npm can't install what {path.name} needs: {done.stderr.decode()}")
    return folder / path.name


@pytest.fixture(scope="module")
def amounts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("amounts") / "amounts.txt"
    file.write_text("".join(f"{amount}\n" for amount in AMOUNTS))
    return file


@pytest.fixture(scope="module")
async def job(producer: Producer, amounts: Path) -> str:
    """A job that the example has run. Its CRC-32 is one that would be negative as a signed number."""
    ids = (f"sum@{producer.name}:{number}" for number in range(100))
    job = next(one for one in ids if zlib.crc32(one.encode()) >= 2**31)
    done = await producer.run(job, amounts)
    assert (done.returncode, done.stderr) == (0, b"")
    return job


# What a run comes to ---------------------------------------------------------------------------------------------


async def test_the_snapshot_tells_the_whole_job(producer: Producer, job: str) -> None:
    snapshot = producer.log.snapshot(job)
    assert {name: snapshot[name] for name in FACTS} == FACTS
    stages = [(stage["name"], stage["weight"], stage["status"]) for stage in snapshot["stages"]]
    assert stages == [("Read", 1, "finished"), ("Add", 4, "finished")]
    assert snapshot["duplicates"] == 0


async def test_all_events_are_in_the_partition_of_the_job(producer: Producer, job: str) -> None:
    logs: list[Any] = [producer.log.client.xrange(keys.log) for keys in producer.log.keys.partitions]
    jobs = [{json.loads(fields[b"e"])["job"] for _, fields in entries} for entries in logs]
    assert [number for number, found in enumerate(jobs) if job in found] == [partition_of(job, PARTITIONS)]


async def test_the_events_are_numbered_under_one_source(producer: Producer, job: str) -> None:
    events = producer.log.events(job)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert len({event["src"] for event in events}) == 1


async def test_sending_everything_again_changes_nothing(producer: Producer, job: str) -> None:
    before = producer.log.snapshot(job)
    payloads = [payload for _, payload in producer.log.entries(job)]
    for payload in payloads:
        producer.log.client.xadd(producer.log.keys.of(job).log, {"e": payload})
    after = producer.log.snapshot(job)
    assert after["duplicates"] == before["duplicates"] + len(payloads)
    counted = ("events", "duplicates", "position")
    assert after == before | {name: after[name] for name in counted}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.file)
def test_a_program_is_short_enough_to_be_read_at_once(example: Example) -> None:
    code = NO_CODE.sub("", (PRODUCERS / example.file).read_text())
    assert sum(bool(line.strip()) for line in code.splitlines()) < 60


# What goes wrong -------------------------------------------------------------------------------------------------


async def test_replies_that_are_lost_make_duplicates_and_no_difference(producer: Producer, amounts: Path) -> None:
    job, server = f"lost-{producer.name}", urlsplit(producer.url).port
    assert server is not None
    async with losing_replies(server, b'"stage.started"', b'"job.finished"') as relay:
        done = await producer.run(job, amounts, producer.url.replace(f":{server}", f":{relay}"))
    assert done.returncode == 0
    snapshot = producer.log.snapshot(job)
    assert {name: snapshot[name] for name in FACTS} == FACTS
    assert snapshot["duplicates"] >= 2


async def test_work_that_fails_is_reported_and_is_the_exit_code(producer: Producer, tmp_path: Path) -> None:
    job = f"bad-{producer.name}"
    (tmp_path / "amounts.txt").write_text("1\n2\nthree\n4\n")
    done = await producer.run(job, tmp_path / "amounts.txt")
    assert done.returncode == 1
    snapshot = producer.log.snapshot(job)
    assert (snapshot["status"], snapshot["error"]["detail"]) == ("failed", "line 3 is not a whole number")
    assert snapshot["error"]["type"]
    assert 20 <= snapshot["percent"] < 100


def test_a_program_that_is_missing_skips_a_test_and_fails_it_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STREAMPROC_TEST_EVERYTHING", raising=False)
    with pytest.raises(pytest.skip.Exception):
        program("no-such-program")
    monkeypatch.setenv("STREAMPROC_TEST_EVERYTHING", "1")
    with pytest.raises(pytest.fail.Exception):
        program("no-such-program")
