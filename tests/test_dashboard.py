"""The dashboard in a real browser: what people see of jobs, live, and when something is wrong."""

import re

from tests.support.browsing import Browser, Page, expect, opened, report, says
from tests.support.stack import Stack, running_stack


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
