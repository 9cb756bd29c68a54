"""Bad input on the dashboard: names and numbers of any sort, clocks and zones of any reader."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.support.browsing import MARKUP, PHONE, Browser, Page, expect, opened, says
from tests.support.looks import sound
from tests.support.scene import Told, play
from tests.support.stack import Stack, running_stack

RTL = "تقرير المبيعات"
NAMES = {
    "markup": MARKUP,
    "long": "W" * 256,
    "emoji": ("👩🏽‍💻🏳️‍🌈🦄" * 40)[:256],
    "4711": (f"{RTL} " * 20)[:256],  # what follows is a number, which goes along with words from right to left
    "zalgo": "Z\u0351\u0336\u032a\u0357a\u0360\u0334\u033b\u030dl\u0358\u0321\u0348\u0301go" * 12,
}
DAY = 86_400.0
LISTS = {"/jobs": ".row", "/kinds": "tbody tr", "/slow": ".trouble", "/system": "tbody tr"}
CLOCK = """{
  const by = $hours * 3_600_000, Real = Date;
  globalThis.Date = class extends Real {
    constructor(...given) { super(...(given.length ? given : [Real.now() + by])); }
    static now() { return Real.now() + by; }
  };
}"""


def named(job: str, name: str) -> Iterator[Told]:
    """A job that has a name wherever there can be one."""
    error = {"type": name, "detail": name}
    labels = {name: name}
    yield 90, {"job": job, "type": "job.queued", "kind": name, "title": name, "labels": labels, "owner": name}
    yield 80, {"job": job, "type": "job.started", "worker": name}
    yield 70, {"job": job, "type": "stage.progressed", "stage": name, "percent": 40, "message": name, "details": labels}
    yield 60, {"job": job, "type": "job.counted", "indicator": name, "done": 1, "total": 10**15}
    yield 50, {"job": job, "type": "unit.failed", "unit": name, "stage": name, "error": error}
    yield 40, {"job": job, "type": "job.stalled", "silent_seconds": 30}


def odd() -> Iterator[Told]:
    """Jobs with numbers that are too much, or nothing at all."""
    yield 60, {"job": "bare", "type": "job.noted"}
    yield 60, {"job": "at-once", "type": "job.started", "kind": "quick"}
    yield 60, {"job": "at-once", "type": "stage.finished", "stage": "All"}
    yield 60, {"job": "at-once", "type": "job.finished", "result": None}
    yield 60, {"job": "too-much", "type": "job.progressed", "done": 10**15, "total": 10}
    yield 50, {"job": "too-much", "type": "job.counted", "indicator": "rows", "done": 7, "total": 0}
    yield 60, {"job": "nothing", "type": "job.progressed", "done": 0, "total": 0}
    yield 60, {"job": "whole", "type": "job.progressed", "percent": 100}
    yield 50, {"job": "whole", "type": "unit.progressed", "unit": "u", "percent": 0}
    for at in range(1, 101):
        yield (101 - at) * DAY, {"job": "months", "type": "job.progressed", "done": at, "total": 400}
        yield (404 - 4 * at) * DAY, {"job": "ages", "type": "job.progressed", "done": 6 * at, "total": 10**5}
    yield 60, {"job": "stages", "type": "job.queued", "stages": [{"name": f"Step {at}"} for at in range(500)]}
    yield 50, {"job": "stages", "type": "stage.started", "stage": "Step 3"}
    yield 60, {"job": "large", "type": "job.started", "labels": {f"label-{at}": "v" * 40 for at in range(32)}}
    yield 50, {"job": "large", "type": "job.finished", "result": {"text": "x" * 30_000, "rows": list(range(5_000))}}


def went() -> Iterator[Told]:
    """A job that is over, and one that has been silent for hours."""
    yield 9_000, {"job": "over", "type": "job.started"}
    yield 7_000, {"job": "over", "type": "job.finished"}
    yield 8_000, {"job": "silent", "type": "job.progressed", "percent": 20}
    yield 5_000, {"job": "silent", "type": "job.stalled", "silent_seconds": 3_000}


ODD = sorted({event["job"] for _, event in odd()})


@pytest.fixture(scope="module")
def strange(server_url: str) -> Iterator[Stack]:
    """A namespace of such jobs."""
    told = [*odd(), *went(), *(each for job, name in NAMES.items() for each in named(job, name))]
    with running_stack(server_url) as stack:
        play(stack, sorted(told, key=lambda each: -each[0]))
        stack.log.client.xadd(stack.log.keys.partitions[1].log, {"e": MARKUP})
        yield stack


def unfold(page: Page, stack: Stack, job: str) -> None:
    """Show all of a job: its page, with what is folded in it."""
    page.goto(f"{stack.http}/#/jobs/{job}")
    page.locator(".event").first.wait_for()
    page.locator(".event button").first.click()
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")


@pytest.mark.parametrize("job", NAMES)
def test_names_of_any_sort_are_only_text_and_break_out_of_nothing(browser: Browser, strange: Stack, job: str) -> None:
    with opened(browser, PHONE) as page:
        unfold(page, strange, job)
        assert NAMES[job].strip() in (page.text_content("h1") or "")
        sound(page)
        assert page.locator("main img, main script").count() == 0


def test_lists_of_such_names_are_only_text_too(browser: Browser, strange: Stack) -> None:
    with opened(browser, PHONE) as page:
        for path, ready in LISTS.items():
            page.goto(f"{strange.http}/#{path}")
            page.locator(ready).first.wait_for()
            says(page, "#connection", "Live")
            sound(page)
            assert page.locator("main img, main script").count() == 0


def test_numbers_of_any_sort_and_none_are_shown_as_such(browser: Browser, strange: Stack) -> None:
    with opened(browser, PHONE) as page:
        for job in ODD:
            unfold(page, strange, job)
            sound(page)
        page.goto(f"{strange.http}/#/jobs/months")
        expect(page.locator(".standing")).to_contain_text(re.compile(r"\d mo( \d+ d)? left"))
        day = r"[A-Z][a-z]{2} \d+|\d{4}"
        expect(page.locator(".standing time").first).to_have_text(re.compile(day))
        page.goto(f"{strange.http}/#/jobs/ages")
        expect(page.locator(".standing")).to_contain_text(re.compile(r"\d+ y( \d+ mo)? left"))


def test_a_title_from_right_to_left_leaves_what_is_beside_it_in_its_order(page: Page, strange: Stack) -> None:
    page.goto(strange.http)
    row = page.locator('.row:has(a[href="#/jobs/4711"])')
    row.wait_for()
    places: list[float] = row.locator("small").first.evaluate(
        """(small) => ["4711", "·"].map((text) => {
          const node = document.createTreeWalker(small, NodeFilter.SHOW_TEXT).nextNode();
          const range = new Range();
          range.setStart(node, node.data.lastIndexOf(text));
          range.setEnd(node, node.data.lastIndexOf(text) + text.length);
          return range.getBoundingClientRect().left;
        })"""
    )
    assert places[0] > places[1]  # first the kind, then the id


def shown(browser: Browser, stack: Stack, hours: float, **settings: Any) -> list[str]:
    """What the list says of two jobs, where the reader's clock is wrong."""
    with opened(browser, **settings) as page:
        page.add_init_script(CLOCK.replace("$hours", str(hours)))
        page.goto(stack.http)
        says(page, "#connection", "Live")
        silent = page.locator('.row:has(a[href="#/jobs/silent"]) .left')
        expect(silent).to_have_text(re.compile("^silent for 2 h"))  # as soon as the gateway has said what time it is
        found = []
        for job in ("over", "silent"):
            row = page.locator(f'.row:has(a[href="#/jobs/{job}"]) .until')
            found += [row.locator(".left").inner_text(), row.locator("time").inner_text()]
        return found


def test_times_are_right_where_the_readers_clock_is_not(browser: Browser, strange: Stack) -> None:
    told = [shown(browser, strange, hours) for hours in (0, 5, -5)]
    silent = [each.pop(2) for each in told]
    assert told[0] == told[1] == told[2]
    assert told[0][0] == "took 33 min 20 s"
    assert all(re.fullmatch(r"silent for 2 h 1[3-9] min", each) for each in silent), silent


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York"])
def test_instants_are_in_the_readers_zone(browser: Browser, strange: Stack, zone: str) -> None:
    finished = datetime.fromisoformat(strange.snapshot("over")["finished_at"]).astimezone(ZoneInfo(zone))
    today = datetime.now(ZoneInfo(zone)).date()
    _, when, *_ = shown(browser, strange, 0, timezone_id=zone, locale="en-US")
    form = "%I:%M:%S %p" if finished.date() == today else f"%b {finished.day}, %I:%M %p"
    assert when.replace("\u202f", " ") == finished.strftime(form)


@pytest.mark.parametrize("locale", ["de-DE", "ar-EG", "hi-IN"])
def test_other_locales_fit_too(browser: Browser, strange: Stack, locale: str) -> None:
    with opened(browser, PHONE, locale=locale) as page:
        for path in ("/jobs", "/jobs/months", "/jobs/large", "/kinds"):
            page.goto(f"{strange.http}/#{path}")
            says(page, "#connection", "Live")
            sound(page)
