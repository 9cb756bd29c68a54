"""The elements for pages: in plain HTML, under a strict policy, with whatever names people give."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.browsing import MARKUP, PHONE, Browser, Page, opened, put, wait_for
from tests.support.stack import Stack

SCRIPT = '<script type="module" src="/static/streamproc.js"></script>'
BAR = "document.querySelector('job-progress').shadowRoot.querySelector('[role=progressbar]')"
TEXT = "document.querySelector('job-progress').shadowRoot.textContent"
ROWS = "[...document.querySelector('job-list').shadowRoot.querySelectorAll('job-progress')]"


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with opened(browser, PHONE, refused=(404,)) as page:
        yield page


def report(stack: Stack, job: str, *events: dict[str, Any]) -> None:
    httpx.post(f"{stack.http}/v1/events", json=[{"job": job} | event for event in events]).raise_for_status()


def is_narrow(page: Page) -> bool:
    """Whether nothing sticks out of the page."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def test_an_element_is_a_progressbar_that_moves(page: Page, stack: Stack, job_id: str) -> None:
    report(stack, job_id, {"type": "job.started", "title": "Import of April"})
    put(page, stack.http, f'{SCRIPT}<job-progress job="{job_id}"></job-progress>')
    wait_for(page, f"{TEXT}.includes('Import of April')")
    bar = page.get_by_role("progressbar", name="Import of April")
    assert bar.get_attribute("aria-valuenow") is None  # how far it is isn't known yet
    assert bar.get_attribute("aria-valuetext") == "Started"
    report(stack, job_id, {"type": "job.progressed", "percent": 41.25, "message": "row 33/80"})
    wait_for(page, f"{BAR}.ariaValueNow === '41.25'")
    assert bar.get_attribute("aria-valuetext") == "41 % · Running"
    assert (bar.get_attribute("aria-valuemin"), bar.get_attribute("aria-valuemax")) == ("0", "100")
    wait_for(page, f"{TEXT}.includes('row 33/80')")
    report(stack, job_id, {"type": "job.finished"})
    wait_for(page, f"{BAR}.ariaValueNow === '100'")
    news = "document.querySelector('job-progress').shadowRoot.querySelector('[role=status]').textContent"
    assert page.evaluate(news) == "Import of April: Running"  # a change of status is said aloud; the next one in its time
    wait_for(page, f"{news} === 'Import of April: Finished'")


def test_the_job_of_an_element_may_change(page: Page, stack: Stack, job_id: str) -> None:
    report(stack, job_id, {"type": "job.progressed", "percent": 10})
    report(stack, f"{job_id}-2", {"type": "job.progressed", "percent": 20})
    put(page, stack.http, f'{SCRIPT}<job-progress job="{job_id}"></job-progress>')
    wait_for(page, f"{BAR}?.ariaValueNow === '10'")
    page.evaluate("job => document.querySelector('job-progress').setAttribute('job', job)", f"{job_id}-2")
    wait_for(page, f"{BAR}.ariaValueNow === '20'")


def test_an_element_takes_its_looks_from_the_page(page: Page, stack: Stack, job_id: str) -> None:
    report(stack, job_id, {"type": "job.progressed", "percent": 10})
    put(page, stack.http, f'{SCRIPT}<job-progress job="{job_id}"></job-progress>')
    wait_for(page, f"{BAR}?.ariaValueNow === '10'")
    color = f"getComputedStyle({BAR}.firstChild).backgroundColor"
    assert page.evaluate(color) == "rgb(36, 87, 214)"
    page.evaluate("document.body.style.setProperty('--job-accent', 'rgb(1, 2, 3)')")
    assert page.evaluate(color) == "rgb(1, 2, 3)"
    page.emulate_media(reduced_motion="reduce")
    assert page.evaluate(f"getComputedStyle({BAR}.firstChild).transitionDuration") == "0s"


def test_names_are_text_whatever_is_in_them(page: Page, stack: Stack, job_id: str) -> None:
    report(
        stack,
        job_id,
        {"type": "job.started", "kind": MARKUP, "title": MARKUP, "labels": {MARKUP: MARKUP}, "worker": MARKUP},
        {"type": "stage.progressed", "stage": MARKUP, "percent": 3, "message": MARKUP},
    )
    tags = f'<job-progress job="{job_id}"></job-progress><job-list jobs="{job_id}"></job-list>'
    put(page, stack.http, SCRIPT + tags)
    wait_for(page, f"{TEXT}.split('onerror').length > 3 && {ROWS}.length")
    assert page.evaluate(f"[{BAR}.getRootNode(), {ROWS}[0].shadowRoot].every(r => !r.querySelector('img, script'))")
    report(stack, job_id, {"type": "job.failed", "error": {"type": MARKUP, "detail": MARKUP}})
    wait_for(page, f"{TEXT}.includes('Failed')")
    assert is_narrow(page)


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ({"title": "W" * 256, "message": "M" * 1000, "percent": 1}, "1 %"),
        ({"title": "مرحبا بالعالم", "message": "🎉" * 100, "percent": 2}, "🎉"),
        ({"done": 10**15 - 1, "total": 10**15}, "100 %"),
        ({"done": 0, "total": 0}, "0 %"),
        ({}, "Running"),
    ],
    ids=["long", "right-to-left", "huge", "nothing", "indeterminate"],
)
def test_nothing_overflows_and_nothing_says_nan(
    page: Page, stack: Stack, job_id: str, event: dict[str, Any], said: str
) -> None:
    title = event.pop("title", "t")
    report(stack, job_id, {"type": "job.started", "title": title}, {"type": "job.progressed", **event})
    put(page, stack.http, f'{SCRIPT}<job-progress job="{job_id}"></job-progress>')
    wait_for(page, f"{TEXT}.includes('{said}')")
    shown = page.evaluate(TEXT) + page.evaluate(f"{BAR}.outerHTML")
    assert not [word for word in ("NaN", "undefined", "null", "Infinity", "Invalid") if word in shown]
    assert is_narrow(page)


WORDS = [
    ("duration(0)", "0 s"),
    ("duration(59.6)", "1 min"),
    ("duration(3_725)", "1 h 2 min"),
    ("duration(90 * 86_400)", "90 d"),
    ("duration(-5)", "0 s"),
    ("duration(NaN)", ""),
    ("duration(undefined)", ""),
    ("percentText(99.99)", "99 %"),
    ("percentText(null)", ""),
    ("instant('no time')", ""),
]


def test_what_is_odd_is_left_out(page: Page, stack: Stack) -> None:
    put(page, stack.http)
    for expression, said in WORDS:
        told = f"import('/static/look.js').then(({{duration, percentText, instant}}) => {expression})"
        assert page.evaluate(told) == said, expression


def test_a_list_shows_jobs_as_they_come_the_newest_first(page: Page, stack: Stack, job_id: str) -> None:
    put(page, stack.http, f'{SCRIPT}<job-list kind="{job_id}" most="2"></job-list>')
    wait_for(page, "document.querySelector('job-list').shadowRoot.textContent.includes('No jobs')")
    for number in (1, 2, 3):
        report(stack, f"{job_id}-{number}", {"type": "job.started", "kind": job_id, "title": f"n{number}"})
        wait_for(page, f"{ROWS}[0]?.snapshot?.title === 'n{number}'")
    assert page.evaluate(f"{ROWS}.map((row) => row.snapshot.title)") == ["n3", "n2"]
    wait_for(page, "document.querySelector('job-list').shadowRoot.textContent.includes('and 1 more')")
    report(stack, f"{job_id}-3", {"type": "job.progressed", "percent": 50})
    wait_for(page, f"{ROWS}[0].snapshot.percent === 50")
    report(stack, f"{job_id}-3", {"type": "job.finished"})
    wait_for(page, f"{ROWS}[0].snapshot.status === 'finished'")
    assert is_narrow(page)


def test_an_element_says_when_there_is_no_job(page: Page, stack: Stack, job_id: str) -> None:
    put(page, stack.http, f'{SCRIPT}<job-progress job="{job_id}"></job-progress>')
    wait_for(page, f"{TEXT}.includes('There is no such job')")
