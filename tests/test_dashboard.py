"""The list of jobs in a real browser: live, at any length, in its place while it is read, and there at once."""

import re
from collections.abc import Iterator

import httpx
import pytest

from tests.support.browsing import PHONE, Browser, Page, Route, expect, opened, report, says
from tests.support.processes import Gateway
from tests.support.stack import Stack, running_stack


def queued(job: str, **more: object) -> dict[str, object]:
    return {"job": job, "type": "job.queued", **more}


def progressed(job: str, percent: float, **more: object) -> dict[str, object]:
    return {"job": job, "type": "job.progressed", "percent": percent, **more}


def row_of(job: str) -> str:
    return f'.row:has(a[href="#/jobs/{job}"])'


def bar_of(job: str) -> str:
    return f"{row_of(job)} [role=progressbar]"


def top_of(page: Page, job: str) -> float:
    """Where the row of a job is on the screen."""
    box = page.locator(row_of(job)).bounding_box()
    assert box is not None
    return box["y"]


@pytest.fixture(scope="module")
def long(server_url: str) -> Iterator[Stack]:
    """A namespace with 5,000 jobs."""
    with running_stack(server_url) as stack:
        report(stack, *(queued(f"j{number}", kind="long") for number in range(5_000)))
        yield stack


def test_a_bar_moves_while_the_list_is_open(page: Page, stack: Stack, job_id: str) -> None:
    report(stack, progressed(job_id, 10, message="row 1"))
    page.goto(stack.http)
    bar = page.locator(bar_of(job_id))
    expect(bar).to_have_attribute("aria-valuenow", "10")
    says(page, "#connection", "Live")
    page.route(re.compile(r"/v1/jobs\?"), lambda _: None)  # what comes now comes by the stream
    report(stack, progressed(job_id, 60, message="row 6"))
    expect(bar).to_have_attribute("aria-valuenow", "60")
    expect(bar).to_have_attribute("aria-valuetext", re.compile("60.*running"))
    expect(bar).to_have_css("background-size", "60% 100%")
    says(page, ".row", "row 6")
    report(stack, {"job": job_id, "type": "job.finished"})
    says(page, row_of(job_id), "finished")


def test_a_job_that_comes_while_the_list_is_open_is_shown(page: Page, stack: Stack, job_id: str) -> None:
    page.goto(stack.http)
    says(page, "#connection", "Live")
    report(stack, progressed(job_id, 5))
    expect(page.locator(bar_of(job_id))).to_have_attribute("aria-valuenow", "5")


def test_all_rows_in_sight_show_what_comes_at_once(browser: Browser, stack: Stack, job_id: str) -> None:
    jobs = [f"{job_id}-{number}" for number in range(100)]
    report(stack, *(queued(job, kind=job_id) for job in jobs))
    with opened(browser, (1360, 8000)) as page:
        page.goto(f"{stack.http}/#/jobs?kind={job_id}")
        says(page, "#connection", "Live")
        report(stack, *(progressed(job, 77) for job in jobs))
        expect(page.locator("[role=progressbar][aria-valuenow='77']")).to_have_count(100)


def test_filters_and_search_are_in_the_address(page: Page, stack: Stack, job_id: str) -> None:
    report(
        stack,
        queued(f"{job_id}-a", title="Quarterly sums", kind="sums"),
        queued(f"{job_id}-b", title="Quarterly sums", kind="sums"),
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
    expect(page.locator(".chip[aria-pressed=true]")).to_have_text("started")
    expect(page.locator(".row")).to_have_count(1)
    page.fill("#q", "nobody is called so")
    says(page, ".state", "No job is like that")
    page.click("text=Clear the filters")
    page.locator(".row").first.wait_for()
    assert page.url.endswith("#/jobs")


def test_jobs_are_found_by_kind_label_worker_and_owner_which_are_offered(page: Page, stack: Stack, job_id: str) -> None:
    mine = {"kind": f"k {job_id}"[:256], "labels": {"team": job_id}, "owner": f"o-{job_id}"}
    report(stack, queued(job_id, **mine), {"job": job_id, "type": "job.started", "worker": f"w-{job_id}"})
    page.goto(f"{stack.http}/#/jobs?q={job_id}")
    expect(page.locator(".row")).to_have_count(1)
    for name, value in (
        ("kind", mine["kind"]),
        ("label", f"team:{job_id}"),
        ("worker", f"w-{job_id}"),
        ("owner", mine["owner"]),
    ):
        field = page.locator(f"#{name}")
        field.focus()
        assert page.locator(f"#{name}-offered option").evaluate_all("all => all.map((one) => one.value)") == [value]
        field.fill(value)
        field.press("Enter")
        page.wait_for_url(f"**{name}=**")
        expect(page.locator(".row a")).to_have_attribute("href", f"#/jobs/{job_id}")
        field.fill("another:one")
        field.press("Enter")
        says(page, ".state", "No job is like that")
        page.go_back()
        page.go_back()
        expect(page.locator(".row")).to_have_count(1)


def test_every_status_is_counted_and_the_title_tells_how_many_run(page: Page, stack: Stack, job_id: str) -> None:
    report(stack, *(queued(f"{job_id}-{name}", kind=job_id) for name in "abc"))
    report(stack, progressed(f"{job_id}-b", 5), {"job": f"{job_id}-c", "type": "job.failed"})
    stack.wait_for(f"{job_id}-b", percent=5.0)
    page.goto(f"{stack.http}/#/jobs?kind={job_id}")
    counts = {"all": 3, "active": 2, "queued": 1, "started": 0, "running": 1, "paused": 0}
    counts |= {"finished": 0, "failed": 1, "canceled": 0, "stalled": 0}
    expect(page.locator(".chip")).to_have_text([f"{status}{count}" for status, count in counts.items()])
    expect(page).to_have_title("1 running · Jobs · streamproc")
    says(page, row_of(f"{job_id}-c"), "failed")  # nobody tells of it any more: this was in the list
    page.click(".chip:has-text('active')")
    expect(page.locator(".row")).to_have_count(2)
    page.click(".chip:has-text('stalled')")
    says(page, ".state", "No job is like that")
    expect(page.locator(".chip")).to_have_text([f"{status}{count}" for status, count in counts.items()])


def test_the_list_is_used_by_keys_and_tells_which(page: Page, stack: Stack, job_id: str) -> None:
    report(stack, queued(job_id, title=f"By keys {job_id}"))
    page.goto(stack.http)
    page.locator(".row").first.wait_for()
    page.keyboard.press("?")
    says(page, "dialog", "next job")
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_be_hidden()
    page.keyboard.press("/")
    page.keyboard.type(job_id)
    expect(page.locator(".row")).to_have_count(1)
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text(f"By keys {job_id}")


def test_rows_stay_in_their_places_while_they_are_read(page: Page, stack: Stack, job_id: str) -> None:
    report(stack, *(queued(f"{job_id}-{number}", kind=job_id) for number in range(30)))
    page.goto(f"{stack.http}/#/jobs?kind={job_id}")
    page.locator(".row").nth(2).wait_for()
    second, third = (page.locator(".row a").nth(at).inner_text() for at in (1, 2))
    page.locator(row_of(third)).hover()
    page.keyboard.press("j")
    page.keyboard.press("j")
    before = top_of(page, third)
    report(stack, queued(f"{job_id}-new", kind=job_id), progressed(third, 33))
    expect(page.locator(bar_of(third))).to_have_attribute("aria-valuenow", "33")
    expect(page.locator(".fresh")).to_have_text("↑ 1 new job")
    assert top_of(page, third) == before
    expect(page.locator(f"{row_of(second)} a")).to_be_focused()
    page.keyboard.press("End")
    expect(page.locator("[aria-posinset='30'] a")).to_be_focused()
    report(stack, queued(f"{job_id}-newer", kind=job_id))
    expect(page.locator(".fresh")).to_have_text("↑ 2 new jobs")
    expect(page.locator("[aria-posinset='30'] a")).to_be_focused()
    page.click(".fresh")
    expect(page.locator(f"{row_of(f'{job_id}-newer')} a")).to_be_focused()
    expect(page.locator(".fresh")).to_be_hidden()
    assert page.evaluate("scrollY") == 0


def test_who_comes_back_from_a_job_finds_the_list_as_it_was(page: Page, long: Stack) -> None:
    page.goto(long.http)
    says(page, ".chip >> nth=0", "5,000")
    there = "row => { scrollTo(0, 68 * 1000); return document.querySelector(row) }"
    page.wait_for_function(there, arg="[aria-posinset='1000']")
    row = page.locator("[aria-posinset='1000'] a")
    row.scroll_into_view_if_needed()
    job, before = row.inner_text(), page.evaluate("scrollY")
    row.click()
    expect(page.locator("h1")).to_have_text(job)
    page.go_back()
    expect(page.locator("h1")).to_have_text("Jobs")
    expect(row).to_be_focused()
    assert row.inner_text() == job
    assert page.evaluate("scrollY") == before
    page.click("nav >> text=System")
    page.click("nav >> text=Jobs")
    expect(page.locator("[aria-posinset='1']")).to_be_in_viewport()


def test_five_thousand_jobs_scroll_to_the_last(page: Page, long: Stack) -> None:
    page.goto(long.http)
    says(page, ".chip >> nth=0", "5,000")
    page.wait_for_function(
        "last => { scrollTo(0, document.body.scrollHeight); return document.querySelector(last) }",
        arg="[aria-posinset='5000']",
    )
    assert page.locator(".row").count() < 60


def test_the_list_stays_while_the_gateway_is_away(page: Page, stack: Stack, job_id: str) -> None:
    report(stack, queued(f"{job_id}-a", kind=job_id), progressed(f"{job_id}-a", 10))
    gateway = Gateway(stack.redis, stack.namespace).start()
    try:
        page.goto(f"{gateway.url}/#/jobs?kind={job_id}")
        bar = page.locator(bar_of(f"{job_id}-a"))
        expect(bar).to_have_attribute("aria-valuenow", "10")
        with page.expect_event("requestfailed", lambda request: "limit=100" in request.url):
            gateway.kill()
        says(page, "#connection", "Stale since")
        assert bar.get_attribute("aria-valuenow", timeout=1000) == "10"
        report(stack, progressed(f"{job_id}-a", 70), queued(f"{job_id}-b", kind=job_id))
        gateway.start()
        expect(bar).to_have_attribute("aria-valuenow", "70")
        expect(page.locator(".row")).to_have_count(2)
        says(page, "#connection", "Live")
    finally:
        gateway.kill()


def test_on_a_phone_the_filters_are_folded_until_they_are_wanted(browser: Browser, stack: Stack, job_id: str) -> None:
    report(stack, queued(job_id, kind=f"k-{job_id}"))
    with opened(browser, PHONE) as page:
        page.goto(stack.http)
        page.locator(".row").first.wait_for()
        assert top_of_list(page) < PHONE[1] * 0.4
        expect(page.locator("#kind")).to_be_hidden()
        page.click("button:has-text('Filters')")
        page.fill("#kind", f"k-{job_id}")
        page.press("#kind", "Enter")
        expect(page.locator(".row")).to_have_count(1)
        expect(page.locator(".unfold")).to_have_text("Filters (1)")


def top_of_list(page: Page) -> float:
    box = page.locator(".row").first.bounding_box()
    assert box is not None
    return box["y"]


def test_the_list_is_asked_for_before_the_modules_that_show_it_are_there(page: Page, stack: Stack, job_id: str) -> None:
    report(stack, queued(job_id))
    asked: list[str] = []
    held: list[Route] = []
    page.on("request", lambda request: asked.append(request.url) if "limit=100" in request.url else None)
    page.route("**/app.js", lambda route: held.append(route))
    with page.expect_response(lambda response: "limit=100" in response.url):
        page.goto(f"{stack.http}/#/jobs?q={job_id}&status=queued", wait_until="commit")
    held[0].continue_()
    page.locator(row_of(job_id)).wait_for()
    assert len(asked) == 1


def test_what_the_first_page_imports_is_asked_for_at_once_and_once(page: Page, stack: Stack, job_id: str) -> None:
    report(stack, queued(job_id))
    preloaded = re.findall(r'rel="modulepreload" href="([^"]+)"', httpx.get(stack.http).text)
    loaded: list[str] = []
    page.on("request", lambda request: loaded.append(request.url.removeprefix(stack.http)))
    page.goto(stack.http)
    page.locator(".row").first.wait_for()
    modules = [url for url in loaded if url.endswith(".js")]
    assert sorted(modules) == sorted(preloaded)
    page.goto("about:blank")
    page.goto(stack.http)
    page.locator(".row").first.wait_for()
    files = "performance.getEntriesByType('resource').filter((one) => one.name.includes('/static/'))"
    assert page.evaluate(f"{files}.length") >= len(modules)
    assert page.evaluate(f"{files}.filter((one) => one.transferSize > 0).length") == 0


def test_files_are_kept_for_good_by_the_version_that_a_page_names_and_by_no_other(stack: Stack) -> None:
    [path] = re.findall(r'src="([^"]+app\.js)"', httpx.get(stack.http).text)
    kept, unversioned = httpx.get(stack.http + path), httpx.get(f"{stack.http}/static/dashboard/app.js")
    other = httpx.get(f"{stack.http}/static/~another/dashboard/app.js")
    assert "immutable" in kept.headers["cache-control"]
    assert kept.content == unversioned.content == other.content
    assert {unversioned.headers["cache-control"], other.headers["cache-control"]} == {"no-cache"}
    assert httpx.get(stack.http).headers["cache-control"] == "no-cache"
    assert httpx.get(f"{stack.http}/static/~another/nope.js").status_code == 404
