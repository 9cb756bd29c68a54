"""The dashboard in a real browser: what people see of jobs, live, and when something is wrong."""

import re
from collections.abc import Iterator

import pytest

from tests.support.processes import Gateway
from tests.support.stack import Stack, running_stack
from tests.support.tasks import framework

framework("playwright")

from playwright.sync_api import Browser, Page, expect

from tests.support.browsing import chromium, opened, report, says

STAGES = [{"name": "Upload"}, {"name": "Parse", "weight": 3}]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with opened(browser) as tab:
        yield tab


def progressed(job: str, percent: float, **more: object) -> dict[str, object]:
    return {"job": job, "type": "job.progressed", "percent": percent, **more}


def bar_of(page: Page, job: str) -> str:
    return f'.row:has(a[href="#/jobs/{job}"]) [role=progressbar]'


def test_a_bar_moves_while_the_list_is_open(page: Page, stack: Stack, job_id: str) -> None:
    report(stack, progressed(job_id, 10, message="row 1"))
    page.goto(stack.http)
    bar = page.locator(bar_of(page, job_id))
    expect(bar).to_have_attribute("aria-valuenow", "10")
    report(stack, progressed(job_id, 60, message="row 6"))
    expect(bar).to_have_attribute("aria-valuenow", "60")
    expect(bar).to_have_attribute("aria-valuetext", re.compile("60.*running"))
    says(page, ".row", "row 6")
    report(stack, {"job": job_id, "type": "job.finished"})
    says(page, f'.row:has(a[href="#/jobs/{job_id}"])', "finished")


def test_a_job_that_comes_while_the_list_is_open_is_shown(page: Page, stack: Stack, job_id: str) -> None:
    page.goto(stack.http)
    says(page, "#connection", "Live")
    report(stack, progressed(job_id, 5))
    expect(page.locator(bar_of(page, job_id))).to_have_attribute("aria-valuenow", "5")


def test_a_bar_without_a_known_amount_has_no_value(page: Page, stack: Stack, job_id: str) -> None:
    report(stack, {"job": job_id, "type": "job.progressed"})
    page.goto(f"{stack.http}/#/jobs/{job_id}")
    bar = page.locator(".job-head [role=progressbar]")
    expect(bar).to_have_attribute("aria-valuetext", "running, not known how far")
    assert bar.get_attribute("aria-valuenow") is None


def test_a_page_that_is_loaded_in_mid_job_shows_the_state_and_all_parts_of_it(
    page: Page, stack: Stack, job_id: str
) -> None:
    report(
        stack,
        {"job": job_id, "type": "job.queued", "kind": "parts", "title": "All of it", "stages": STAGES},
        {"job": job_id, "type": "stage.started", "stage": "Upload", "worker": "w1"},
        {"job": job_id, "type": "stage.finished", "stage": "Upload"},
        {"job": job_id, "type": "stage.progressed", "stage": "Parse", "percent": 50},
        {"job": job_id, "type": "job.counted", "indicator": "pages", "done": 3, "total": 12},
    )
    page.goto(f"{stack.http}/#/jobs/{job_id}")
    page.reload()
    expect(page.locator("h1")).to_have_text("All of it")
    expect(page.locator(".huge")).to_have_text("62.5 %")
    expect(page.locator(".stage .badge")).to_have_text(["finished", "running"])
    says(page, ".indicators", "3 of 12")
    says(page, ".event", "stage.finished")
    page.fill("#find", "percent 50")
    says(page, "section", "1 of 5 events")
    page.click(".event button")
    says(page, ".whole", '"stage": "Parse"')


def test_a_page_catches_up_by_itself_when_the_gateway_was_killed(page: Page, stack: Stack, job_id: str) -> None:
    report(stack, progressed(job_id, 10))
    gateway = Gateway(stack.redis, stack.namespace).start()
    try:
        page.goto(f"{gateway.url}/#/jobs/{job_id}")
        says(page, "#connection", "Live")
        expect(page.locator(".huge")).to_have_text("10 %")
        gateway.kill()
        says(page, "#connection", "Stale since")
        expect(page.locator(".huge")).to_have_text("10 %")
        report(stack, *(progressed(job_id, percent) for percent in (20, 30, 40)))
        gateway.start()
        expect(page.locator(".huge")).to_have_text("40 %")
        says(page, "#connection", "Caught up")
        says(page, "#connection", "Live")
        says(page, "section", "4 events")
    finally:
        gateway.kill()


def test_filters_and_search_are_in_the_address(page: Page, stack: Stack, job_id: str) -> None:
    report(
        stack,
        {"job": f"{job_id}-a", "type": "job.queued", "title": "Quarterly sums", "kind": "sums"},
        {"job": f"{job_id}-b", "type": "job.queued", "title": "Quarterly sums", "kind": "sums"},
        {"job": f"{job_id}-b", "type": "job.started"},
    )
    page.goto(stack.http)
    page.fill("#q", "quarterly")
    page.wait_for_url("**/#/jobs?q=quarterly")
    expect(page.locator(".row")).to_have_count(2)
    page.click(".chip:has-text('started')")
    page.wait_for_url("**status=started**")
    expect(page.locator(".row")).to_have_count(1)
    expect(page.locator(".row a")).to_have_attribute("href", f"#/jobs/{job_id}-b")
    page.reload()
    expect(page.locator("#q")).to_have_value("quarterly")
    expect(page.locator(".row")).to_have_count(1)
    page.fill("#q", "nobody is called so")
    says(page, ".state", "No job is like that")
    page.click("text=Clear the filters")
    page.locator(".row").first.wait_for()
    assert page.url.endswith("#/jobs")


def test_the_list_is_used_by_keys(page: Page, stack: Stack, job_id: str) -> None:
    report(stack, {"job": job_id, "type": "job.queued", "title": f"By keys {job_id}"})
    page.goto(stack.http)
    page.locator(".row").first.wait_for()
    page.keyboard.press("/")
    page.keyboard.type(job_id)
    expect(page.locator(".row")).to_have_count(1)
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text(f"By keys {job_id}")


def test_a_wish_is_asked_for_where_it_makes_sense(page: Page, stack: Stack, job_id: str) -> None:
    report(stack, {"job": job_id, "type": "job.started"})
    page.goto(f"{stack.http}/#/jobs/{job_id}")
    page.click("button:text-is('Pause')")
    says(page, ".actions", "Asked to pause")
    expect(page.locator("button:text-is('Resume')")).to_be_visible()
    expect(page.locator("button:text-is('Retry')")).to_be_hidden()
    page.click("button:text-is('Cancel')")
    says(page, ".actions", "Asked to stop")
    report(stack, {"job": job_id, "type": "job.canceled"})
    page.click("button:text-is('Retry')")
    says(page, ".job-title", "queued")
    report(stack, {"job": job_id, "type": "job.started", "attempt": 2})
    says(page, ".attempts", "Attempt 2")


def test_the_slider_shows_the_job_as_it_was(page: Page, stack: Stack, job_id: str) -> None:
    report(stack, {"job": job_id, "type": "job.started"}, progressed(job_id, 25))
    report(stack, progressed(job_id, 75))
    page.goto(f"{stack.http}/#/jobs/{job_id}")
    expect(page.locator(".huge")).to_have_text("75 %")
    slider = page.locator("#moment")
    slider.press("Home")
    expect(page.locator(".huge")).not_to_have_text("75 %")
    report(stack, progressed(job_id, 90))
    expect(page.locator(".huge")).not_to_have_text("90 %")
    page.click("text=Back to now")
    expect(page.locator(".huge")).to_have_text("90 %")


def test_ten_thousand_units_scroll_with_those_that_failed_first(page: Page, stack: Stack, job_id: str) -> None:
    units = [{"job": job_id, "type": "unit.added", "unit": f"page {number}"} for number in range(10_000)]
    report(
        stack,
        *units,
        {"job": job_id, "type": "unit.failed", "unit": "page 9999", "error": {"type": "E", "detail": "torn"}},
    )
    page.goto(f"{stack.http}/#/jobs/{job_id}")
    says(page, ".unit[aria-posinset='1']", "torn")
    says(page, "h2", "10,000 in all")
    box = page.locator("[aria-label='Units of the job']")
    box.evaluate("box => { box.scrollTop = box.scrollHeight }")
    expect(page.locator(".unit[aria-posinset='10000']")).to_have_text(re.compile("page 9998"))
    assert page.locator(".unit").count() < 60


def test_five_thousand_jobs_scroll_to_the_last(browser: Browser, server_url: str) -> None:
    with running_stack(server_url) as stack, opened(browser) as page:
        report(stack, *({"job": f"j{number}", "type": "job.queued"} for number in range(5_000)))
        page.goto(stack.http)
        says(page, ".chip >> nth=0", "5,000")
        page.wait_for_function(
            "last => { scrollTo(0, document.body.scrollHeight); return document.querySelector(last) }",
            arg="[aria-posinset='5000']",
        )
        assert page.locator(".row").count() < 60


def test_dead_letters_are_told_with_their_reason(page: Page, stack: Stack) -> None:
    stack.log.client.xadd(f"{stack.namespace}:{{1}}:log", {"e": "<img src=x onerror=alert(1)>"})
    page.goto(f"{stack.http}/#/system")
    says(page, "details", "is not JSON")
    page.click("summary")
    says(page, "details pre", "<img src=x onerror=alert(1)>")
    says(page, ".wide", "Owner")


def test_a_slow_job_is_told_by_what_its_kind_took(page: Page, stack: Stack, job_id: str) -> None:
    kind = f"slow {job_id}"[:256]
    for run in range(3):
        done = f"{job_id}-{run}"
        report(stack, {"job": done, "type": "job.started", "kind": kind}, {"job": done, "type": "job.finished"})
    report(stack, {"job": job_id, "type": "job.started", "kind": kind})
    page.goto(f"{stack.http}/#/slow")
    says(page, "section:has(h2:text-is('Slow')) .row", job_id)
    page.goto(f"{stack.http}/#/kinds")
    page.click(f"text={kind}")
    says(page, ".figures", "p90 held")
    expect(page.locator(".chart canvas")).to_be_visible()
