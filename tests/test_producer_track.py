"""Loops that report how far they are: used as tqdm's iterators are, and sampled by the sender."""

import threading
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

import streamproc
from streamproc import Job, Producer
from tests.support.producing import LogReader, wait_until


@pytest.fixture
def sp(server_url: str, namespace: str) -> Iterator[Producer]:
    with streamproc.connect(server_url, namespace=namespace, min_interval=0.01) as connection:
        yield connection


@pytest.fixture
def log(server_url: str, namespace: str) -> Iterator[LogReader]:
    reader = LogReader(server_url, namespace)
    yield reader
    reader.client.close()


@pytest.fixture
def job(sp: Producer) -> Job:
    return sp.job("j").start()


@pytest.fixture
def reported(sp: Producer, log: LogReader) -> Callable[[], list[tuple[float, float | None]]]:
    """What has been reported of the job's own bar: done and total, without what is told again."""

    def read() -> list[tuple[float, float | None]]:
        sp.flush()
        found = [(e["done"], e.get("total")) for e in log.events("j") if e["type"] == "job.progressed"]
        return [each for at, each in enumerate(found) if at == 0 or each != found[at - 1]]

    return read


Reported = Callable[[], list[tuple[float, float | None]]]


async def rows(many: int) -> AsyncIterator[int]:
    for row in range(many):
        yield row


# As tqdm -----------------------------------------------------------------------------------------------------------


def test_it_yields_the_items_and_reports_the_first_and_last_of_them(job: Job, reported: Reported) -> None:
    items = iter(job.track(["a", "b", "c"]))
    assert next(items) == "a"
    assert reported() == [(0, 3)]
    assert list(items) == ["b", "c"]
    assert reported()[-1] == (3, 3)


def test_it_takes_tqdms_arguments_by_place_and_by_name(job: Job, log: LogReader, reported: Reported) -> None:
    assert sum(1 for _ in job.track(range(2), "rows", 4)) == 2
    assert reported()[-1] == (2, 4)
    assert sum(1 for _ in job.track(iterable=range(2), total=8, desc="pages", unit="page")) == 2
    assert reported()[-1] == (2, 8)
    said = [event["message"] for event in log.events("j") if "message" in event]
    assert said == ["rows", "pages"]


def test_it_has_the_length_and_the_truth_of_its_items(job: Job) -> None:
    assert len(job.track([1, 2])) == 2
    assert len(job.track(iter([1, 2]), total=5)) == 5
    with pytest.raises(TypeError, match="list_iterator that is tracked has no length"):
        len(job.track(iter([1])))
    assert job.track(iter([1]))
    assert not job.track([])


def test_items_without_a_length_are_counted_without_a_total(job: Job, reported: Reported) -> None:
    assert list(job.track(range(4))) == [0, 1, 2, 3]
    assert list(job.track(n * n for n in range(3))) == [0, 1, 4]
    assert reported()[-1] == (3, None)
    assert next(iter(job.track(range(10**30)))) == 0  # so long that Python has no length for it
    assert reported()[-1] == (0, None)


def test_it_takes_whatever_for_takes(job: Job) -> None:
    class Old:
        def __getitem__(self, at: int) -> int:
            return [7, 8][at]

    assert list(job.track(Old())) == [7, 8]  # type: ignore[arg-type]
    assert list(job.track({"a": 1}.items())) == [("a", 1)]
    assert [*job.track(zip("ab", "cd", strict=True))] == [("a", "c"), ("b", "d")]


def test_what_cannot_be_iterated_over_is_refused_where_it_stands(job: Job) -> None:
    with pytest.raises(TypeError, match=r"^iterable: int can't be iterated over"):
        job.track(5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^total"):
        job.track([], total=-1)
    with pytest.raises(TypeError, match="async_generator is asynchronous: iterate with `async for`"):
        list(job.track(rows(1)))


def test_a_loop_that_breaks_off_reports_what_was_done(job: Job, reported: Reported) -> None:
    for row in job.track(range(10)):
        if row == 4:
            break
    assert reported()[-1] == (4, 10)


def test_a_loop_that_raises_reports_what_was_done(job: Job, reported: Reported) -> None:
    def work() -> None:
        for row in job.track(range(10)):
            if row == 4:
                raise ValueError(row)

    with pytest.raises(ValueError, match="4"):
        work()
    assert reported()[-1] == (4, 10)
    assert list(job.track(range(2))) == [0, 1]
    assert reported()[-1] == (2, 2)


def test_items_that_raise_report_what_was_done(job: Job, reported: Reported) -> None:
    def broken() -> Iterator[int]:
        yield 1
        yield 2
        raise OSError("unreadable")

    with pytest.raises(OSError, match="unreadable"):
        list(job.track(broken(), total=5))
    assert reported()[-1] == (2, 5)


def test_two_loops_one_after_the_other_are_reported_each(job: Job, reported: Reported) -> None:
    for many in (3, 5):
        for _ in job.track(range(many)):
            assert reported()[-1][1] == many
        assert reported()[-1] == (many, many)


def test_the_same_items_tracked_again_are_counted_anew(job: Job, reported: Reported) -> None:
    again = job.track(["a", "b", "c"])
    assert list(again) == list(again) == ["a", "b", "c"]
    assert reported()[-1] == (3, 3)
    assert max(done for done, _ in reported()) == 3


def test_an_iterator_that_is_taken_up_again_goes_on_being_counted(job: Job, reported: Reported) -> None:
    lines = job.track(iter(["head", "", "a", "b", "c"]), total=5)
    for line in lines:
        if not line:
            break
    assert list(lines) == ["a", "b", "c"]
    assert reported()[-1] == (4, 5)  # that at which the first loop was left was not done


def test_of_loops_within_one_another_the_outermost_is_reported(job: Job, reported: Reported) -> None:
    for _ in job.track(range(2)):
        for _ in job.track(range(7)):
            assert {total for _, total in reported()} == {2}
        assert {total for _, total in reported()} == {2}
    assert reported()[-1] == (2, 2)
    same = job.track(range(3))
    assert [(a, b) for a in same for b in same] == [(a, b) for a in range(3) for b in range(3)]
    assert reported()[-1] == (3, 3)
    assert max(done for done, _ in reported()) == 3


def test_stages_and_units_have_loops_of_their_own(job: Job, log: LogReader, sp: Producer) -> None:
    with job.stage("Parse") as stage, job.unit("doc") as unit:
        for _ in stage.track(range(2)):
            for _ in unit.track(range(3)):
                pass
    sp.flush()
    last = {event["type"]: event["done"] for event in log.events("j") if "progressed" in event["type"]}
    assert last == {"stage.progressed": 2, "unit.progressed": 3}


# Async -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_async_for_takes_both_kinds_of_items(job: Job, reported: Reported, anyio_backend: str) -> None:
    assert [row async for row in job.track(rows(3), total=3)] == [0, 1, 2]
    assert reported()[-1] == (3, 3)
    assert [row async for row in job.track([7, 8])] == [7, 8]
    assert reported()[-1] == (2, 2)


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_an_async_loop_that_breaks_off_has_ended_at_once(
    job: Job, reported: Reported, anyio_backend: str
) -> None:
    async for row in job.track(range(10)):
        if row == 4:
            break
    assert reported()[-1] == (4, 10)
    async for _ in job.track(range(3)):
        pass
    assert reported()[-1] == (3, 3)
    rest = aiter(job.track(rows(5), total=5))
    assert [row async for row in rest] == [0, 1, 2, 3, 4]
    assert reported()[-1] == (5, 5)


async def test_async_items_that_raise_report_what_was_done(job: Job, reported: Reported) -> None:
    async def broken() -> AsyncIterator[int]:
        yield 1
        raise OSError("unreadable")

    with pytest.raises(OSError, match="unreadable"):
        _ = [row async for row in job.track(broken(), total=5)]
    assert reported()[-1] == (1, 5)


async def test_async_loops_within_one_another_report_the_outermost(job: Job, reported: Reported) -> None:
    again = job.track(range(3))
    async for _ in again:
        assert [row async for row in again] == [0, 1, 2]
        assert [row async for row in job.track(rows(9))] == list(range(9))
    assert reported()[-1] == (3, 3)
    assert {total for _, total in reported()} == {3}


# In the background -------------------------------------------------------------------------------------------------


def test_a_slow_loop_is_reported_while_it_is_at_an_item(sp: Producer, log: LogReader, job: Job) -> None:
    def done() -> list[float]:
        return [event["done"] for event in log.events("j") if event["type"] == "job.progressed"]

    for row in job.track(range(3)):
        wait_until(lambda row=row: row in done())  # type: ignore[misc]


def test_a_quick_loop_is_not_reported_item_by_item(job: Job, reported: Reported) -> None:
    assert sum(1 for _ in job.track(range(100_000))) == 100_000
    assert reported()[-1] == (100_000, 100_000)
    assert len(reported()) < 10_000


def test_a_loop_in_a_thread_is_reported(job: Job, reported: Reported) -> None:
    thread = threading.Thread(target=lambda: list(job.track(range(50))))
    thread.start()
    thread.join()
    assert reported()[-1] == (50, 50)


def test_a_job_that_ends_within_its_loop_says_how_far_it_came(sp: Producer, log: LogReader, job: Job) -> None:
    for row in job.track(range(10)):
        if row == 4:
            job.finish()
    sp.flush()
    *_, progressed, finished = log.events("j")
    assert (progressed["done"], finished["type"]) == (4, "job.finished")
