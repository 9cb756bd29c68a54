"""The page of one job in a real browser: all that is known of it, live, and when something is wrong."""

import re

from tests.support.browsing import Page, expect, report, says
from tests.support.processes import Gateway
from tests.support.stack import Stack

STAGES = [{"name": "Upload"}, {"name": "Parse", "weight": 3}]


def progressed(job: str, percent: float, **more: object) -> dict[str, object]:
    return {"job": job, "type": "job.progressed", "percent": percent, **more}


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
