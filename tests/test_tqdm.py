"""`streamproc.tqdm`: what tqdm draws is what it draws without us, and the job hears of it."""

import gc
import io
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pandas
import pytest
from tqdm.auto import tqdm as plain

import streamproc
import streamproc.tqdm
from streamproc import Job, Producer
from streamproc.tqdm import tqdm, trange
from tests.support.commands import DEADLINE, environment
from tests.support.producing import LogReader, wait_until


@pytest.fixture
def sp(server_url: str, namespace: str) -> Iterator[Producer]:
    with streamproc.connect(server_url, namespace=namespace, min_interval=0) as connection:
        yield connection


@pytest.fixture
def log(server_url: str, namespace: str) -> Iterator[LogReader]:
    with LogReader(server_url, namespace) as reader:
        yield reader


@pytest.fixture(autouse=True)
def no_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STREAMPROC_URL", raising=False)


@pytest.fixture
def own(server_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[LogReader]:
    """Bars have jobs of their own: STREAMPROC_URL is set."""
    monkeypatch.setenv("STREAMPROC_URL", server_url)
    with LogReader(server_url, "sp") as reader:
        yield reader
    connection = streamproc.tqdm._connection(server_url)
    assert connection is not None
    connection.close()
    streamproc.tqdm._connection.cache_clear()


def quiet(*args: Any, **kwargs: Any) -> tqdm[Any]:
    return tqdm(*args, file=io.StringIO(), **kwargs)


def said(sp: Producer, log: LogReader, job: str) -> list[tuple[Any, ...]]:
    """Done, total and message of each report."""
    sp.flush()
    progress = [event for event in log.events(job) if event["type"].endswith(".progressed")]
    return [(event.get("done"), event.get("total"), event.get("message")) for event in progress]


# What is drawn -------------------------------------------------------------------------------------------------------

Bar = Callable[..., Any]


def loop(bar: Bar) -> None:
    for _ in bar(range(50), desc="rows", unit="row"):
        pass


def by_hand(bar: Bar) -> None:
    progress = bar(total=10, initial=2)
    for _ in range(4):
        progress.update(2)
    progress.close()


def with_words(bar: Bar) -> None:
    with bar(total=3, leave=False) as progress:
        for number in range(3):
            progress.set_description(f"step {number}")
            progress.set_postfix(loss=0.5 / (number + 1))
            progress.update()
        progress.write("done", file=progress.fp)


def unknown_total(bar: Bar) -> None:
    for _ in bar(iter("abc")):
        pass


def again(bar: Bar) -> None:
    with bar(total=2) as progress:
        progress.update(2)
        progress.reset(total=4)
        progress.update(3)


def nested(bar: Bar) -> None:
    for _ in bar(range(3), desc="outer"):
        for _ in bar(range(4), desc="inner", leave=False):
            pass


def fails(bar: Bar) -> None:
    with suppress(ValueError):
        for each in bar("12x4"):
            int(each)


def disabled(bar: Bar) -> None:
    for _ in bar(range(3), disable=True):
        pass


def not_a_terminal(bar: Bar) -> None:
    for _ in bar(range(3), disable=None):
        pass


SCRIPTS = [loop, by_hand, with_words, unknown_total, again, nested, fails, disabled, not_a_terminal]


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("reports", [True, False])
def test_what_is_drawn_is_what_tqdm_draws(
    sp: Producer, monkeypatch: pytest.MonkeyPatch, script: Callable[[Bar], None], reports: bool
) -> None:
    def drawn(bar: Bar) -> str:
        file, now = io.StringIO(), iter(range(10**6))
        monkeypatch.setattr("tqdm.std.time", lambda: next(now) / 7)
        script(lambda *args, **kwargs: bar(*args, file=file, ncols=80, **kwargs))
        return file.getvalue()

    expected = drawn(plain)
    assert bool(expected) is (script not in (disabled, not_a_terminal))
    if reports:
        with sp.job("j"):
            assert drawn(tqdm) == expected
    else:
        assert drawn(tqdm) == expected


def test_it_is_tqdm_for_whoever_asks() -> None:
    bar = quiet(range(3))
    assert isinstance(bar, plain)
    assert len(bar) == 3
    assert list(bar) == [0, 1, 2]
    assert list(trange(2, 8, 3, file=io.StringIO())) == [2, 5]


async def test_it_counts_asynchronous_loops(sp: Producer, log: LogReader) -> None:
    async def letters() -> Any:
        for letter in "abc":
            yield letter

    with sp.job("j"):
        assert [each async for each in quiet(letters(), total=3)] == ["a", "b", "c"]
    assert said(sp, log, "j")[-1] == (3, 3, None)


def test_pandas_reports_by_it(sp: Producer, log: LogReader) -> None:
    with sp.job("j"):
        tqdm.pandas(desc="rows", file=io.StringIO())
        assert pandas.Series([1, 2, 3]).progress_apply(lambda x: x * 2).tolist() == [2, 4, 6]
    assert said(sp, log, "j")[-1][:2] == (3, 3)
    assert said(sp, log, "j")[0][2] == "rows"


# What is reported ----------------------------------------------------------------------------------------------------


def test_a_bar_reports_done_total_and_its_description(sp: Producer, log: LogReader) -> None:
    with sp.job("j"):
        for _ in quiet(range(5), desc="Parsing"):
            pass
    reports = said(sp, log, "j")
    assert reports[0] == (0, 5, "Parsing")
    assert reports[-1] == (5, 5, "Parsing")


def test_a_bar_that_stands_still_for_its_viewers_is_reported_as_it_moves(sp: Producer, log: LogReader) -> None:
    with sp.job("j"), quiet(total=3, mininterval=3600, desc="a") as bar:
        bar.update(1)
        wait_until(lambda: (1, 3, "a") in said(sp, log, "j"))
        bar.set_description("b", refresh=False)
        wait_until(lambda: (1, 3, "b") in said(sp, log, "j"))
        bar.total = 4
        wait_until(lambda: (1, 4, "b") in said(sp, log, "j"))
        bar.reset(total=9)
        wait_until(lambda: (0, 9, "b") in said(sp, log, "j"))


def test_the_postfix_is_in_the_details(sp: Producer, log: LogReader) -> None:
    with sp.job("j"), quiet(total=3) as bar:
        bar.set_postfix(loss=0.5, step="x")
        bar.update()
    sp.flush()
    assert log.snapshot("j")["details"] == {"postfix": "loss=0.5, step=x"}


def test_a_total_that_nobody_knows_is_not_reported(sp: Producer, log: LogReader) -> None:
    with sp.job("j"):
        for _ in quiet(iter("abc")):
            pass
    assert said(sp, log, "j")[-1] == (3, None, None)


@pytest.mark.parametrize("disable", [True, None])
def test_a_disabled_bar_reports_all_the_same(sp: Producer, log: LogReader, disable: bool | None) -> None:
    with sp.job("loop"):
        for _ in quiet(range(3), "rows", disable=disable):
            pass
    with sp.job("hand"), quiet(total=7, desc="rows", disable=disable) as bar:
        bar.update(2)
        bar.update()
    assert said(sp, log, "loop")[-1] == (3, 3, "rows")
    assert said(sp, log, "hand")[-1] == (3, 7, "rows")


def test_a_bar_reports_to_the_innermost_stage_or_unit(sp: Producer, log: LogReader) -> None:
    with sp.job("j") as job, job.stage("Parse"), job.unit("a.pdf"):
        for _ in quiet(range(2)):
            pass
    sp.flush()
    assert {event.get("unit") for event in log.events("j") if event["type"].endswith("progressed")} == {"a.pdf"}


def test_a_bar_reports_to_what_it_is_given(sp: Producer, log: LogReader) -> None:
    with sp.job("other") as other, sp.job("j"):
        for _ in quiet(range(2), job=other.stage("Parse")):
            pass
    assert said(sp, log, "other")[-1][:2] == (2, 2)
    assert said(sp, log, "j") == []


def test_of_bars_within_one_another_only_the_outer_one_is_reported(sp: Producer, log: LogReader) -> None:
    with sp.job("j"):
        for _ in quiet(range(3), desc="outer"):
            for _ in quiet(range(100), desc="inner"):
                pass
        for _ in quiet(range(2), desc="next"):
            pass
    reports = said(sp, log, "j")
    assert {total for _, total, _ in reports} == {3, 2}
    assert reports[-1] == (2, 2, "next")


def test_a_bar_on_a_stage_within_a_bar_of_the_job_moves_the_stage(sp: Producer, log: LogReader) -> None:
    with sp.job("j") as job:
        for name in quiet(["a", "b"]):
            with job.stage(name):
                for _ in quiet(range(7)):
                    pass
    assert {total for _, total, _ in said(sp, log, "j")} == {2, 7}


@pytest.mark.parametrize("cyclic", [False, True])
def test_a_bar_that_is_forgotten_is_closed(sp: Producer, log: LogReader, cyclic: bool) -> None:
    with sp.job("j"):
        bar = quiet(total=5, desc="forgotten")
        bar.itself = bar if cyclic else None
        bar.update(3)
        del bar
        gc.collect()
        for _ in quiet(range(2), desc="next"):
            pass
    reports = said(sp, log, "j")
    assert (3, 5, "forgotten") in reports
    assert reports[-1] == (2, 2, "next")


@pytest.mark.parametrize("total", [-1, float("inf"), float("nan"), 1e300])
def test_numbers_that_can_not_be_never_harm_the_loop(sp: Producer, log: LogReader, total: float) -> None:
    with sp.job("j"), quiet(total=total, disable=True) as bar:
        bar.update(2)
        bar.update(-3)
    assert said(sp, log, "j")[-1] == (None, None, None)


def test_words_that_can_not_be_never_harm_the_loop(sp: Producer, log: LogReader) -> None:
    with sp.job("j"), quiet(total=2) as bar:
        bar.set_description("\ud800" * 2000, refresh=False)
        bar.set_postfix_str("\ud800", refresh=False)
        bar.update(2)
    assert said(sp, log, "j")[-1][:2] == (2, 2)


@pytest.mark.parametrize(("wrong", "said"), [({"job": "j"}, "job: must be"), ({"kind": "a\nb"}, "kind")])
def test_what_is_no_job_and_what_is_no_kind_are_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises((TypeError, ValueError), match=said):
        quiet(range(3), **wrong)


# Jobs of their own ---------------------------------------------------------------------------------------------------


def job_here() -> Job:
    """The bar's own job, as the loop's body finds it."""
    job = streamproc.current_job()
    assert isinstance(job, Job)
    return job


def ends(own: LogReader, job: Job) -> dict[str, Any]:
    """How it ended."""
    wait_until(lambda: {"job.finished", "job.failed", "job.canceled"} & set(own.types(job.id)))
    return own.snapshot(job.id)


def test_a_bar_without_a_job_is_a_job(own: LogReader) -> None:
    for _ in quiet(range(5), desc="Parsing", kind="import"):
        job = job_here()
    ended = ends(own, job)
    assert (ended["kind"], ended["title"], ended["status"]) == ("import", "Parsing", "finished")
    assert ended["items"] == {"done": 5, "total": 5}
    assert streamproc.current() is None


def test_bars_in_a_bars_own_job_make_no_more_jobs(own: LogReader) -> None:
    jobs = set()
    for _ in quiet(range(2)):
        for _ in quiet(range(3)):
            jobs.add(job_here().id)
    assert len(jobs) == 1
    for _ in quiet(range(2)):
        jobs.add(job_here().id)
    assert len(jobs) == 2


def test_without_a_url_there_is_no_job() -> None:
    for _ in quiet(range(2)):
        assert streamproc.current() is None


def test_an_exception_out_of_with_fails_the_job(own: LogReader) -> None:
    with suppress(OSError), quiet(total=5):
        job = job_here()
        raise OSError("disk")
    assert ends(own, job)["error"] == {"type": "OSError", "detail": "disk"}


@pytest.mark.parametrize("disable", [False, True])
def test_an_exception_of_what_is_iterated_over_fails_the_job(own: LogReader, disable: bool) -> None:
    def lines() -> Iterator[str]:
        yield "a"
        raise OSError("disk")

    with suppress(OSError):
        for _ in quiet(lines(), disable=disable):
            job = job_here()
    assert ends(own, job)["error"] == {"type": "OSError", "detail": "disk"}


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="elsewhere it can't be told from break")
@pytest.mark.parametrize("disable", [False, True])
def test_an_exception_in_the_body_of_a_loop_fails_the_job(own: LogReader, disable: bool) -> None:
    def numbers() -> Iterator[int]:
        yield from quiet(range(5), disable=disable)

    with suppress(ValueError):
        for _ in quiet(range(5), disable=disable):
            job = job_here()
            int("x")
    assert ends(own, job)["error"] == {"type": "Error", "detail": "an exception left the loop"}
    with suppress(ZeroDivisionError):
        for number in numbers():
            job = job_here()
            assert 1 / (2 - number)
    assert ends(own, job)["status"] == "failed"


@pytest.mark.parametrize("disable", [False, True])
def test_a_loop_that_is_left_by_its_own_will_has_finished(own: LogReader, disable: bool) -> None:
    def numbers() -> Iterator[int]:
        for number in quiet(range(5), disable=disable):  # noqa: UP028 - with `yield from` there is no loop
            yield number

    def first(wanted: int) -> Job:
        for number in quiet(range(5), disable=disable):
            for _ in "ab":
                if number == wanted:
                    return job_here()
        raise AssertionError

    assert ends(own, first(3))["status"] == "finished"
    for _ in quiet(range(5), disable=disable):
        job = job_here()
        break
    assert ends(own, job)["status"] == "finished"
    for _ in zip(quiet(range(5), disable=disable), "ab", strict=False):
        job = job_here()
    assert ends(own, job)["status"] == "finished"
    for _ in numbers():
        job = job_here()
        break
    assert ends(own, job)["status"] == "finished"


def test_an_exception_that_is_handled_elsewhere_is_not_the_bars(own: LogReader) -> None:
    try:
        raise KeyError
    except KeyError:
        for _ in quiet(range(2)):
            job = job_here()
    assert ends(own, job)["status"] == "finished"


def test_threads_have_jobs_of_their_own(own: LogReader) -> None:
    jobs = []

    def work() -> None:
        with quiet(total=1):
            jobs.append(job_here())

    for _ in quiet(range(1)):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join(DEADLINE)
        jobs.append(job_here())
    assert jobs[0] is not jobs[1]


def test_a_bar_that_another_thread_closes_leaves_no_job_behind(own: LogReader) -> None:
    bar = quiet(total=2)
    job = job_here()
    thread = threading.Thread(target=bar.close)
    thread.start()
    thread.join(DEADLINE)
    assert ends(own, job)["status"] == "finished"
    for _ in quiet(range(2)):
        assert job_here() is not job


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system doesn't fork")
def test_a_forked_child_leaves_its_parents_bar_alone(own: LogReader) -> None:
    program = """
import atexit, io, os, streamproc
from streamproc.tqdm import tqdm
with tqdm(total=2, file=io.StringIO()) as bar:
    print(streamproc.current_job().id, flush=True)
    pid = os.fork()
    if pid == 0:
        bar.close()
        atexit._run_exitfuncs()
        os._exit(0)
    os.waitpid(pid, 0)
    bar.update(2)
"""
    job = run(program, own).split()[0]
    wait_until(lambda: "job.finished" in own.types(job))
    assert own.snapshot(job)["items"] == {"done": 2, "total": 2}
    assert own.types(job).count("job.finished") == 1


UNCLOSED = """
import io, streamproc
from streamproc.tqdm import tqdm
bar = tqdm(total=2, file=io.StringIO())
print(streamproc.current_job().id)
bar.update()
"""


def run(program: str, own: LogReader) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=environment(STREAMPROC_URL=os.environ["STREAMPROC_URL"]),
        timeout=DEADLINE,
        check=False,
    )
    return done.stdout


@pytest.mark.parametrize(("last", "status"), [("", "finished"), ("raise OSError('disk')", "failed")])
def test_a_bar_that_is_never_closed_ends_with_the_program(own: LogReader, last: str, status: str) -> None:
    job = run(UNCLOSED + last, own).strip()
    ended = own.snapshot(job)
    assert (ended["status"], ended["items"]) == (status, {"done": 1, "total": 2})
    assert (ended["error"] or {}).get("detail") == ("disk" if last else None)


def test_a_server_that_is_gone_is_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMPROC_URL", "redis://127.0.0.1:1/0")
    assert list(quiet(range(3))) == [0, 1, 2]
    connection = streamproc.tqdm._connection("redis://127.0.0.1:1/0")
    assert connection is not None
    connection.close(0)
    streamproc.tqdm._connection.cache_clear()


def test_a_url_that_can_not_be_is_said_and_no_harm(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("STREAMPROC_URL", "ftp://x")
    assert list(quiet(range(3))) == [0, 1, 2]
    assert "bars aren't reported: url: 'ftp://x'" in caplog.text
