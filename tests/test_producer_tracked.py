"""``@sp.tracked``: each call of a function is a job; and which job the running code is in."""

import functools
import inspect
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio.lowlevel
import pytest

import streamproc
from streamproc import AsyncJob, Job, JobCanceled, Producer
from tests.support.producing import LogReader


@pytest.fixture
def sp(server_url: str, namespace: str) -> Iterator[Producer]:
    with streamproc.connect(server_url, namespace=namespace) as connection:
        yield connection


@pytest.fixture
def log(server_url: str, namespace: str) -> Iterator[LogReader]:
    reader = LogReader(server_url, namespace)
    yield reader
    reader.client.close()


def job_here() -> Job | AsyncJob:
    job = streamproc.current_job()
    assert isinstance(job, Job | AsyncJob)
    return job


# A call is a job ---------------------------------------------------------------------------------------------------


def test_a_call_is_a_job_with_what_it_returns_as_its_result(sp: Producer, log: LogReader) -> None:
    @sp.tracked(id="add-{a}", title="{a} and {b}", stages=["Add"], labels={"team": "blue"}, owner="ann", worker="w1")
    def add(a: int, b: int = 2) -> dict[str, int]:
        return {"sum": a + b}

    assert add(1) == {"sum": 3}
    started, finished = log.events("add-1")
    assert {name: value for name, value in started.items() if name not in ("src", "seq", "at")} == {
        "job": "add-1",
        "type": "job.started",
        "kind": "add",
        "title": "1 and 2",
        "stages": [{"name": "Add", "weight": 1}],
        "labels": {"team": "blue"},
        "owner": "ann",
        "worker": "w1",
    }
    assert (finished["type"], finished["result"]) == ("job.finished", {"sum": 3})


async def test_a_coroutine_function_is_tracked_by_both_producers(
    sp: Producer, log: LogReader, server_url: str, namespace: str
) -> None:
    async def add(a: int) -> int:
        assert isinstance(streamproc.current_job(), AsyncJob)
        await anyio.lowlevel.checkpoint()
        return a + 1

    assert await sp.tracked(id="j-{a}")(add)(1) == 2
    async with streamproc.connect_async(server_url, namespace=namespace) as other:
        tracked = other.tracked(id="j-{a}")(add)
        assert inspect.iscoroutinefunction(tracked)
        assert tracked.__name__ == "add"
        assert await tracked(2) == 3
    assert [log.events(f"j-{a}")[-1]["result"] for a in (1, 2)] == [2, 3]


def test_methods_are_tracked_and_named_with_their_class(sp: Producer, log: LogReader) -> None:
    class Importer:
        name = "csv"

        @sp.tracked(id="{self.name}-{rows[0]}")
        def run(self, rows: list[int]) -> int:
            return len(rows)

        @staticmethod
        @sp.tracked(id="static")
        def check() -> bool:
            return True

        @classmethod
        @sp.tracked(id="{cls.name}-class", kind="made")
        def make(cls) -> str:
            return cls.name

    assert (Importer().run([7, 8]), Importer.check(), Importer.make()) == (2, True, "csv")
    kinds = [log.events(job)[0]["kind"] for job in ("csv-7", "static", "csv-class")]
    assert kinds == ["Importer.run", "Importer.check", "made"]


def test_without_an_id_each_call_is_a_job_of_its_own(sp: Producer) -> None:
    @sp.tracked()
    def who() -> str:
        return job_here().id

    assert len({who() for _ in range(10)}) == 10


def test_id_and_title_may_be_functions_of_the_same_arguments(sp: Producer, log: LogReader) -> None:
    @sp.tracked(id=lambda path, *, deep=False: f"{path}-{deep}", title=lambda path, deep: path.upper())
    def scan(path: str, job: Job | None = None, *, deep: bool = False) -> None:
        assert job is not None

    scan("tmp")
    scan(path="home", deep=True)
    assert [log.events(job)[0]["title"] for job in ("tmp-False", "home-True")] == ["TMP", "HOME"]


def test_a_title_made_of_data_is_made_to_fit(sp: Producer, log: LogReader) -> None:
    @sp.tracked(id="j", title="read {path}")
    def read(path: str) -> None: ...

    read("odd\nname" + "x" * 2000)
    title = log.events("j")[0]["title"]
    assert title.startswith("read odd namexxx")
    assert len(title) == 1000


def test_what_is_wrong_with_an_id_or_title_is_said_where_it_stands(sp: Producer) -> None:
    def read(path: str) -> None: ...

    with pytest.raises(ValueError, match=r"^id: 'j-\{file\}' names \{file\}, and there is path"):
        sp.tracked(id="j-{file}")(read)
    with pytest.raises(ValueError, match=r"^title: '\{\}' names"):
        sp.tracked(title="{}")(read)
    with pytest.raises(ValueError, match=r"^title: '\{path': expected '}'"):
        sp.tracked(title="{path")(read)
    with pytest.raises(ValueError, match=r"^title: '\{path.name\}' can't be made of this call's arguments: Attribute"):
        sp.tracked(title="{path.name}")(read)("a.csv")
    with pytest.raises(ValueError, match=r"^job: must be 1 to 200"):
        sp.tracked(id="{path}")(read)("a b.csv")
    with pytest.raises(ValueError, match=r"^kind"):
        sp.tracked(kind="a\nb")


def test_generators_and_classes_are_refused(sp: Producer) -> None:
    def rows() -> Iterator[int]:
        yield 1

    async def pages() -> AsyncIterator[int]:
        yield 1

    for wrong in (rows, functools.partial(rows), pages, Job, 7):
        with pytest.raises(TypeError, match=r"^tracked: .* must be a function"):
            sp.tracked()(wrong)  # type: ignore[type-var]


def test_the_function_keeps_its_name_text_and_signature(sp: Producer) -> None:
    @sp.tracked()
    def add(a: int, b: int = 2) -> int:
        """Add."""
        return a + b

    assert (add.__name__, add.__doc__, str(inspect.signature(add))) == ("add", "Add.", "(a: int, b: int = 2) -> int")
    with pytest.raises(TypeError, match="missing a required argument: 'a'"):
        add()  # type: ignore[call-arg]
    assert sp.waiting == 0


def test_partial_functions_and_callable_objects_are_tracked(sp: Producer, log: LogReader) -> None:
    class Adder:
        def __call__(self, a: int, b: int) -> int:
            return a + b

    assert sp.tracked(id="j-{b}")(functools.partial(Adder(), 1))(2) == 3
    assert sp.tracked(id="k-{b}")(Adder())(1, 2) == 3
    assert [log.events(job)[0]["kind"] for job in ("j-2", "k-2")] == ["partial", "Adder"]


# The job in the function -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "function",
    [
        lambda job: job,
        lambda job=None: job,
        lambda *, job: job,
        lambda *rest, job=None: job,
    ],
)
def test_a_parameter_called_job_is_given_the_job(sp: Producer, function: Callable[..., Any]) -> None:
    given = sp.tracked(result=False)(function)()
    assert isinstance(given, Job)
    assert sp.tracked(result=False)(function)(job=given) is given


def test_a_parameter_called_job_may_stand_anywhere(sp: Producer) -> None:
    @sp.tracked(result=False)
    def work(path: str, job: Job | None = None, mode: str = "r", *more: int, **options: int) -> Any:
        return path, isinstance(job, Job), mode, more, options

    assert work("a") == ("a", True, "r", (), {})
    assert work("a", None, "w", 1, 2, x=3) == ("a", True, "w", (1, 2), {"x": 3})
    assert work("a", mode="w", x=3) == ("a", True, "w", (), {"x": 3})


def test_only_a_plain_parameter_called_job_is_given_one(sp: Producer) -> None:
    assert sp.tracked(result=False)(lambda **job: job)() == {}
    assert sp.tracked(result=False)(lambda *job: job)() == ()


def test_what_the_function_says_of_its_result_stays_if_it_returns_nothing(sp: Producer, log: LogReader) -> None:
    @sp.tracked(id="j")
    def work(job: Job) -> None:
        job.result({"rows": 3})

    work()  # type: ignore[call-arg]
    assert log.events("j")[-1]["result"] == {"rows": 3}


def test_a_result_that_json_cannot_say_is_left_out_with_a_warning(
    sp: Producer, log: LogReader, caplog: pytest.LogCaptureFixture
) -> None:
    thing = object()
    with caplog.at_level(logging.WARNING, "streamproc"):
        assert sp.tracked(id="j")(lambda: thing)() is thing
        assert sp.tracked(id="k", result=False)(lambda: thing)() is thing
    assert log.types("j") == log.types("k") == ["job.started", "job.finished"]
    assert "result" not in log.events("j")[-1]
    (record,) = caplog.records
    assert "what job j returned is left out of its result: result: " in record.message


# How it ends -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("error", "end"), [(ValueError("odd"), "job.failed"), (JobCanceled(), "job.canceled")])
async def test_an_exception_ends_the_job_and_goes_on_up(
    sp: Producer, log: LogReader, error: Exception, end: str
) -> None:
    @sp.tracked(id="j")
    def work() -> None:
        raise error

    @sp.tracked(id="k")
    async def wait() -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        work()
    with pytest.raises(type(error)) as raised_async:
        await wait()
    assert raised.value is raised_async.value is error
    assert log.types("j") == log.types("k") == ["job.started", end]


def test_calls_in_threads_are_jobs_of_their_own(sp: Producer, log: LogReader) -> None:
    together = threading.Barrier(4)

    @sp.tracked(id="j-{n}")
    def work(n: int) -> str:
        together.wait(20)
        job_here().note(f"this is {n}")
        return job_here().id

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(work, range(4))) == ["j-0", "j-1", "j-2", "j-3"]
    assert [log.events(f"j-{n}")[1]["message"] for n in range(4)] == [f"this is {n}" for n in range(4)]


def test_calls_within_one_another_are_jobs_of_their_own(sp: Producer) -> None:
    @sp.tracked(id="j-{n}", result=False)
    def count(n: int) -> list[str]:
        inner = count(n - 1) if n else []
        return [job_here().id, *inner]

    assert count(2) == ["j-2", "j-1", "j-0"]
