"""A job that was found, as people read it: at a prompt, printed, and in a notebook."""

from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest

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
    "eta": {"remaining_seconds": {"p50": 4.4, "p90": 9}, "finish_at": None, "basis": "rate", "reason": None},
    "created_at": None,
    "started_at": None,
    "updated_at": None,
    "finished_at": None,
    "events": 57,
    "late": 0,
    "duplicates": 0,
    "position": "1-0",
}


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


def test_printed_it_has_its_stages_indicators_units_and_the_time_left() -> None:
    assert str(found(stalled=True)).splitlines() == [
        "import-42 running, stalled ████████░░░░░░░░░░░░ 41.2 % Parse: row 33/80",
        "  Parse  ████████░░░░░░░░░░░░  running 41.2 % 3.1 s",
        "  Load   ░░░░░░░░░░░░░░░░░░░░  pending 0.0 %",
        "  bytes: 1,000/1,000,000,000,000,000",
        "  units: 1/3, 1 failed",
        "  time left: 4 s to 9 s (p50 to p90)",
    ]


def test_of_a_job_that_failed_it_is_shown_why() -> None:
    job = found(status="failed", error={"type": "OSError", "detail": "disk full"}, eta=None)
    assert "failed" in repr(job)
    assert "Parse: OSError: disk full" in repr(job)
    assert "OSError: disk full" in Page(job._repr_html_()).text


def test_a_notebook_shows_a_bar_with_stages() -> None:
    page = Page(found()._repr_html_())
    assert page.bars == [("Import of April", "41.25"), ("Parse", "41.25"), ("Load", "0")]
    for told in ("Import of April", "running", "41.2 %", "Parse: row 33/80", "units: 1/3, 1 failed", "4 s to 9 s"):
        assert told in page.text


def test_a_bar_in_a_notebook_has_no_value_where_nobody_knows_it() -> None:
    assert Page(found(percent=None, stages=[])._repr_html_()).bars == [("Import of April", None)]


def test_nothing_that_somebody_has_named_is_markup_or_moves_a_terminal() -> None:
    job = found(
        title=HOSTILE,
        message=HOSTILE,
        current_stage=HOSTILE,
        stages=[STAGE | {"name": HOSTILE, "error": {"type": HOSTILE, "detail": HOSTILE}}],
        indicators=[{"label": HOSTILE, "done": 1, "total": 2}],
    )
    page = Page(job._repr_html_())
    assert set(page.tags) == {"div", "b", "span", "table", "tr", "td"}
    assert {name for each in page.attributes for name in each} <= {
        "style", "dir", "role", "aria-label", "aria-valuemin", "aria-valuemax", "aria-valuenow",
    }  # fmt: skip
    assert "<img src=x onerror=alert(1)>\"'&" in page.text
    for shown in (repr(job), str(job), page.text):
        assert "\x1b" not in shown
        assert "\u202e" not in shown


def test_it_needs_nothing_but_inline_styles_and_the_colors_of_the_notebook() -> None:
    html = found()._repr_html_()
    assert "<style" not in html
    assert "class=" not in html
    styles = [each["style"] or "" for each in Page(html).attributes if "style" in each]
    assert not [style for style in styles if style.startswith("color:") or ";color:" in style]


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
