"""A job that was found, as people read it: at a prompt, printed, and in a notebook."""

import re
import time
from collections.abc import Iterator
from datetime import datetime
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest

from streamproc.cli.clock import Clock
from streamproc.durations import duration, time_left
from streamproc.producer.found import JobSnapshot, decode_snapshot

HOSTILE = "<img src=x onerror=alert(1)>\"'&\x1b[2J\u202eolleh"
STAGE: dict[str, Any] = {
    "name": "Parse",
    "weight": 1,
    "status": "running",
    "percent": 41.25,
    "started_at": None,
    "finished_at": None,
    "duration_seconds": 3.1,
    "error": None,
}
ETA: dict[str, Any] = {
    "remaining_seconds": {"p50": 4.4, "p90": 9},
    "finish_at": None,
    "basis": "rate",
    "reason": None,
}
JOB: dict[str, Any] = {
    "job_id": "import-42",
    "kind": "import",
    "title": "Import of April",
    "status": "running",
    "percent": 41.25,
    "message": "row 33/80",
    "details": None,
    "current_stage": "Parse",
    "stages": [STAGE, STAGE | {"name": "Load", "status": "pending", "percent": 0, "duration_seconds": None}],
    "indicators": [{"label": "bytes", "done": 1000, "total": 10**15}],
    "items": None,
    "units": {"total": 3, "pending": 0, "running": 1, "finished": 1, "failed": 1},
    "worker": "w1",
    "attempt": 1,
    "labels": {},
    "owner": None,
    "result": None,
    "error": None,
    "requested": None,
    "stalled": False,
    "eta": ETA,
    "created_at": None,
    "started_at": None,
    "updated_at": None,
    "finished_at": None,
    "events": 57,
    "late": 0,
    "duplicates": 0,
    "position": "1-0",
}


@pytest.fixture
def east(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A zone in which it is later."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def found(**fields: Any) -> JobSnapshot:
    return decode_snapshot(msgspec.json.encode(JOB | fields))


class Page(HTMLParser):
    """What a notebook makes of HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[dict[str, str | None]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.append(dict(attrs))
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data + "\n"

    @property
    def bars(self) -> list[tuple[str | None, str | None]]:
        """The name and the value of each bar."""
        return [
            (each["aria-label"], each.get("aria-valuenow"))
            for each in self.attributes
            if each.get("role") == "progressbar"
        ]


def test_a_prompt_shows_a_job_in_a_line() -> None:
    assert repr(found()) == "<JobSnapshot import-42 running ████████░░░░░░░░░░░░ 41.2 % Parse: row 33/80>"
    assert repr([found(percent=None)]) == f"[<JobSnapshot import-42 running {'·' * 20} Parse: row 33/80>]"


def test_printed_it_has_all_that_there_is_to_know_a_line_each() -> None:
    job = found(
        stalled=True,
        started_at="2026-11-22T14:00:00Z",
        progressed_at="2026-11-22T14:01:00Z",
        items={"done": 1.5, "total": None},
        updated_at="2026-11-22T14:01:30Z",
        requested="cancel",
        result={"rows": 3},
        eta=ETA | {"finish_at": {"p50": "2026-11-22T14:02:00Z", "p90": "2026-11-22T14:05:00Z"}},
    )
    zone = f"{datetime.now().astimezone():%Z}"
    lines = str(job).splitlines()
    assert [re.sub(r"\d{4}-\d\d-\d\d \d\d:(\d\d:\d\d)", r"\1", line) for line in lines] == [
        "import-42 (Import of April, import) running, stalled ████████░░░░░░░░░░░░ 41.2 %",
        "  Parse: row 33/80",
        f"  4 s to 9 s left, ends 02:00 to 14:05:00 {zone}",
        "  Parse  ████████░░░░░░░░░░░░  running, 41.2 %, 3.1 s",
        "  Load   ░░░░░░░░░░░░░░░░░░░░  pending",
        f"  stalled: no progress since 01:00 {zone}",
        "  asked to cancel",
        "  units: 1 failed, 1 running, 1 finished of 3",
        "  bytes: 1,000/1,000,000,000,000,000",
        "  items: 1.5",
        '  result: {"rows":3}',
        f"  as of 01:30 {zone}",
    ]


def test_of_a_job_that_failed_it_is_shown_why_and_after_how_long() -> None:
    job = found(
        status="failed",
        error={"type": "OSError", "detail": "disk full"},
        started_at="2026-11-22T14:00:00Z",
        finished_at="2026-11-22T14:01:40Z",
    )
    assert "failed" in repr(job)
    for shown in (repr(job), str(job), Page(job._repr_html_()).text):
        assert "Parse: OSError: disk full" in shown
    for shown in (str(job), Page(job._repr_html_()).text):
        assert "took 1:40, ended " in shown


@pytest.mark.parametrize(
    ("eta", "said"),
    [
        (None, None),
        ({"remaining_seconds": None, "finish_at": None, "basis": None, "reason": "no_progress"}, "no progress yet"),
        ({"remaining_seconds": None, "finish_at": None, "basis": None, "reason": "queued"}, "waits in the queue"),
        ({"remaining_seconds": {"p50": 0, "p90": 0}, "finish_at": None, "basis": "rate", "reason": None}, "overdue"),
        (
            {"remaining_seconds": {"p50": 9, "p90": 9}, "finish_at": None, "basis": "rate", "reason": "paused"},
            "9 s left",
        ),
        (
            {
                "remaining_seconds": {"p50": 1e9, "p90": 1e12},
                "finish_at": {"p50": "2058-07-01T00:00:00Z", "p90": "9999-12-31T23:59:59Z"},
                "basis": "rate",
                "reason": None,
            },
            "11,574 days to 11,574,074 days left, ends 2058-0",
        ),
        (
            {
                "remaining_seconds": None,
                "finish_at": None,
                "basis": None,
                "reason": "queued",
                "start_at": {"p50": "2026-11-22T14:02:00Z", "p90": "2026-11-22T14:02:00Z"},
            },
            "starts 2026-11-2",
        ),
    ],
)
def test_when_it_ends_is_told_as_far_as_that_is_known(eta: Any, said: str | None) -> None:
    job = found(eta=eta)
    for shown in (str(job), Page(job._repr_html_()).text):
        if said is None:
            assert "left" not in shown
        else:
            assert said in shown


def test_the_last_instant_that_there_is_can_be_told_in_zones_that_have_none_later(east: None) -> None:
    never = "9999-12-31T23:59:59Z"
    job = found(eta=ETA | {"finish_at": {"p50": never, "p90": never}})
    assert "ends 9999-12-31 23:59:59 UTC" in str(job)
    assert Clock().tell(never) == "9999-12-31"


def test_a_notebook_shows_a_bar_with_stages() -> None:
    page = Page(found()._repr_html_())
    assert page.bars == [("Import of April", "41.25"), ("Parse", "41.25"), ("Load", "0")]
    for told in ("Import of April", "import-42", "running", "41.2 %", "Parse: row 33/80", "1 failed", "4 s to 9 s"):
        assert told in page.text


def test_a_bar_in_a_notebook_has_no_value_where_nobody_knows_it() -> None:
    assert Page(found(percent=None, stages=[])._repr_html_()).bars == [("Import of April", None)]


def test_of_500_stages_and_indicators_those_around_the_current_one_are_shown_and_the_others_counted() -> None:
    stages = [
        STAGE | {"name": f"S{n}", "status": "finished" if n < 250 else "running" if n == 250 else "pending"}
        for n in range(500)
    ]
    job = found(stages=stages, indicators=[{"label": f"i{n}", "done": 1, "total": 2} for n in range(500)])
    page = Page(job._repr_html_())
    for shown in (str(job), page.text):
        assert "235 stages before" in shown
        assert "S250" in shown
        assert "235 stages after" in shown
        assert "480 indicators more" in shown
    assert len(page.bars) == 31


def test_nothing_that_somebody_has_named_is_markup_or_moves_a_terminal() -> None:
    error = {"type": HOSTILE, "detail": HOSTILE}
    job = found(
        **dict.fromkeys(("title", "kind", "message", "current_stage", "requested", "worker", "owner"), HOSTILE),
        stages=[STAGE | {"name": HOSTILE, "error": error}],
        indicators=[{"label": HOSTILE, "done": 1, "total": 2}],
        error=error,
        result=[HOSTILE],
        labels={HOSTILE: HOSTILE},
        details={HOSTILE: HOSTILE},
    )
    page = Page(job._repr_html_())
    assert set(page.tags) == {"div", "b", "span"}
    assert {name for each in page.attributes for name in each} <= {
        "style", "dir", "role", "aria-label", "aria-valuemin", "aria-valuemax", "aria-valuenow", "aria-hidden",
    }  # fmt: skip
    assert "<img src=x onerror=alert(1)>\"'&" in page.text
    for shown in (repr(job), str(job), page.text, job._repr_html_()):
        assert "\x1b" not in shown
        assert "\u202e" not in shown
    assert len(repr(job).splitlines()) == 1


def test_it_needs_nothing_but_inline_styles_and_the_colors_of_the_notebook() -> None:
    html = found(error={"type": "E"})._repr_html_()
    assert not re.search(r"<style|class=|url\(|<script|on\w+=", html)
    page = Page(html)
    colored = [
        each for each in page.attributes if re.search(r"(^|;)color:", each.get("style") or "") and not
        each.get("aria-hidden")
    ]  # fmt: skip
    assert colored == []  # text has the notebook's own


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1:00"),
        (727, "12:07"),
        (11_100, "3:05:00"),
        (172_799, "47:59:59"),
        (172_800, "2 days"),
        (1e9, "11,574 days"),
    ],
)
def test_durations_are_told_as_people_tell_them(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_time_left_is_an_interval_or_overdue() -> None:
    assert time_left({"p50": 4.4, "p90": 100}) == "4 s to 1:40"
    assert time_left({"p50": 4.4, "p90": 4.4}) == "4 s"
    assert time_left({"p50": 0, "p90": 0.0}) == "overdue"
    assert time_left({"p50": 0, "p90": 5e6}) == "0 s to 58 days"
