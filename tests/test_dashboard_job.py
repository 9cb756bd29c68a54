"""The page of one job in a real browser: all that is known of it, live, and when something is wrong."""

import json
import re
import zlib
from pathlib import Path
from typing import Any

import httpx
import msgspec
from anyio.from_thread import start_blocking_portal

from tests.support.axe import violations
from tests.support.browsing import MARKUP, Browser, Page, Request, Route, expect, opened, report, says
from tests.support.gateways import PARTITIONS, serving
from tests.support.identities import auth_file, key_of, toml_key
from tests.support.processes import Gateway
from tests.support.stack import Stack

STAGES = [{"name": "Upload"}, {"name": "Parse", "weight": 3}]


def progressed(job: str, percent: float, **more: object) -> dict[str, object]:
    return {"job": job, "type": "job.progressed", "percent": percent, **more}


def show(page: Page, stack: Stack, job: str) -> None:
    page.goto(f"{stack.http}/#/jobs/{job}")
    page.locator(".event").first.wait_for()


def requests_of(page: Page, part: str) -> list[Request]:
    """The requests that a page makes from now on of a part of a job's."""
    found: list[Request] = []
    page.on("request", lambda request: found.append(request) if f"/{part}" in request.url else None)
    return found


def units_of(stack: Stack, job: str) -> list[dict[str, Any]]:
    units: list[dict[str, Any]] = httpx.get(f"{stack.http}/v1/jobs/{job}/units?limit=500").json()["units"]
    return units


def partition_of(job: str) -> int:
    return zlib.crc32(job.encode()) % PARTITIONS


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
        says(page, ".amiss", "Not connected: this is how it was at")
        expect(page).to_have_title(re.compile("not connected · 10 %"))
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
    says(page, ".actions", "Asked to pause.")
    says(page, ".actions", "; the worker hasn't answered yet")
    expect(page.locator("button:text-is('Resume')")).to_be_visible()
    expect(page.locator("button:text-is('Retry')")).to_be_hidden()
    page.click("button:text-is('Cancel')")
    page.click("text=Let it go on")
    page.click("button:text-is('Cancel')")
    page.click("dialog[open]", position={"x": 8, "y": 8})
    expect(page.locator("dialog[open]")).to_be_visible()
    page.mouse.click(8, 8)
    expect(page.locator("dialog[open]")).to_have_count(0)
    page.click("button:text-is('Cancel')")
    assert violations(page) == ""
    page.fill("#reason", "the wrong file")
    page.click("text=Ask it to stop")
    says(page, ".actions", "Asked to stop: “the wrong file”.")
    assert [wish.get("reason") for wish in stack.said(job_id)[1:]] == [None, "the wrong file"]
    report(stack, {"job": job_id, "type": "job.canceled"})
    page.click("button:text-is('Retry')")
    says(page, ".job-title", "queued")
    report(stack, {"job": job_id, "type": "job.started", "attempt": 2}, {"job": job_id, "type": "job.finished"})
    says(page, ".attempts", "Attempt 2")
    page.click("button:text-is('Run again')")
    page.click("text=Run it again")
    says(page, ".fact", "attempt 3")


def test_what_the_gateway_says_against_a_wish_is_shown(browser: Browser, stack: Stack, job_id: str) -> None:
    report(stack, {"job": job_id, "type": "job.started"})
    with opened(browser, refused=(409,)) as page:
        show(page, stack, job_id)

        def end_it_first(route: Route) -> None:
            report(stack, {"job": job_id, "type": "job.canceled"})
            route.continue_()

        page.route("**/pause", end_it_first)
        page.click("button:text-is('Pause')")
        says(page, ".actions", "It was not asked to: job")
        expect(page.locator("button:text-is('Pause')")).to_be_hidden()
        report(stack, {"job": job_id, "type": "job.noted"})
        says(page, ".event", "job.noted")
        says(page, ".actions", "It was not asked to: job")


def test_a_key_that_may_only_read_is_told_so_and_shares_what_it_reads(
    browser: Browser, stack: Stack, job_id: str, tmp_path: Path
) -> None:
    report(stack, {"job": job_id, "type": "job.started", "title": "Read by many"})
    config = msgspec.structs.replace(stack.config, auth_file=auth_file(tmp_path, toml_key("reader", "jobs:read")))
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(serving(config)) as http,
        opened(browser, refused=(401, 403), permissions=["clipboard-read", "clipboard-write"]) as page,
    ):
        page.goto(f"{str(http.base_url).rstrip('/')}/#/jobs/{job_id}")
        page.fill("#key", key_of("reader"))
        page.click("text=Sign in")
        page.click("button:text-is('Pause')")
        says(page, ".actions", "Your key may not do this")
        expect(page.locator("button:text-is('Cancel')")).to_be_disabled()
        page.click("text=Share link")
        says(page, "dialog[open]", "It holds until")
        assert violations(page) == ""
        page.select_option("#share-hours", "1")
        page.click("dialog[open] button:text-is('Copy'):enabled")
        says(page, "dialog[open]", "Copied")
        link = page.evaluate("navigator.clipboard.readText()")
        with opened(browser, refused=(401,)) as other:
            other.goto(link)
            expect(other.locator("h1")).to_have_text("Read by many")
            says(other, ".actions", "Shared with you, to read.")
            other.locator(".event").first.wait_for()
            assert other.locator(".actions button").count() == 0


def test_ten_thousand_units_scroll_with_those_that_failed_first_and_are_read_once(
    page: Page, stack: Stack, job_id: str
) -> None:
    error = {"type": "E", "detail": "torn"}
    units = [{"job": job_id, "type": "unit.added", "unit": f"page {number}"} for number in range(10_000)]
    report(stack, *units, {"job": job_id, "type": "unit.failed", "unit": "page 9999", "error": error})
    page.goto(f"{stack.http}/#/jobs/{job_id}")
    says(page, ".unit[aria-posinset='1']", "torn")
    box = page.locator("[aria-label='Units of the job']")
    box.evaluate("box => { box.scrollTop = box.scrollHeight }")
    says(page, ".unit[aria-posinset='10000']", "page 9998")
    assert page.locator(".unit").count() < 60
    box.evaluate("box => { box.scrollTop = 0 }")
    asked = requests_of(page, f"jobs/{job_id}/")
    report(stack, {"job": job_id, "type": "unit.started", "unit": "page 5000"})
    says(page, ".unit[aria-posinset='2']", "page 5000")
    report(stack, {"job": job_id, "type": "unit.failed", "unit": "page 5000", "error": error})
    says(page, ".chip", "failed2")
    assert len(asked) <= 6, [request.url for request in asked]
    assert not [request.url for request in asked if "/units" in request.url]
    page.click(".chip:has-text('failed')")
    expect(page.locator(".unit")).to_have_count(2)
    page.fill("[aria-label='Search units']", "E 99")
    expect(page.locator(".unit")).to_have_text([re.compile("page 9999")])
    says(page, ".told", "1 of 10,000 units")
    page.click(".unit button")
    says(page, ".detail", "torn")


def test_units_move_on_by_events_as_the_gateway_has_them(page: Page, stack: Stack, job_id: str) -> None:
    def of(unit: str, kind: str, **more: Any) -> dict[str, Any]:
        return {"job": job_id, "type": f"unit.{kind}", "unit": unit, **more}

    def shown() -> list[str]:
        rows = page.locator(".unit").all()
        return sorted(" ".join(row.locator(".plain, .badge, .amount").all_text_contents()) for row in rows)

    def told(unit: dict[str, Any]) -> str:
        how_far = "" if unit["status"] == "pending" else f"{unit['percent']:.4g} %"
        return f"{unit['unit']} {unit['status']} {how_far}"

    report(stack, of("a", "added"), of("b", "progressed", percent=20), of("c", "failed"), of("d", "finished"))
    show(page, stack, job_id)
    expect(page.locator(".unit")).to_have_count(4)
    asked = requests_of(page, f"{job_id}/units")
    report(
        stack,
        of("a", "progressed", done=1, total=8),
        of("b", "finished"),
        of("b", "progressed", percent=3),
        of("c", "progressed", percent=40, attempt=2),
        of("d", "failed", attempt=2, error={"type": "E"}),
        of("d", "finished", attempt=1),
        of("e", "started"),
        of("e", "progressed", percent=150),
        {"job": job_id, "type": "job.counted", "indicator": "rows", "unit": "b", "attempt": 2, "done": 1},
        {"job": job_id, "type": "job.counted", "indicator": "rows", "unit": "nobody", "done": 1},
        of("last", "added"),
    )
    expect(page.locator(".unit")).to_have_count(6)
    assert shown() == sorted(map(told, units_of(stack, job_id)))
    says(page, ".event", "last")
    assert not asked
    report(stack, {"job": job_id, "type": "job.failed"}, {"job": job_id, "type": "job.started", "attempt": 2})
    report(stack, of("anew", "started"))
    expect(page.locator(".unit")).to_have_text([re.compile("anew")])
    page.locator("#moment").press("Home")
    says(page, ".told", "These are the units as they are now")


def test_an_event_that_a_unit_was_read_after_does_nothing_more(page: Page, stack: Stack) -> None:
    page.goto(stack.http)
    units = page.evaluate("""async () => {
      const { Members } = await import("/static/dashboard/members.js");
      const members = new Members();
      const take = (event, mark = null) => members.take({ event, mark, time: "2026-11-22T08:00:00Z" });
      members.put([{ unit: "a", status: "finished", percent: 100 }]);
      members.put([{ unit: "b", status: "running", percent: 5, attempt: 2 }]);
      take({ type: "unit.started", unit: "a" });
      take({ type: "unit.progressed", unit: "a", percent: 5 });
      take({ type: "unit.failed", unit: "b", attempt: 1 });
      take({ type: "unit.finished", unit: "b" }, "late");
      return [members.get("a"), members.get("b")].map(({ status, percent }) => `${status} ${percent}`);
    }""")
    assert units == ["finished 100", "running 5"]


def test_units_keep_their_places_while_somebody_reads_them(page: Page, stack: Stack, job_id: str) -> None:
    report(stack, *({"job": job_id, "type": "unit.added", "unit": f"u{number}"} for number in range(50)))
    show(page, stack, job_id)
    page.locator(".chart canvas").last.wait_for()  # it takes its room above
    page.hover(".unit[aria-posinset='3']")
    report(stack, {"job": job_id, "type": "unit.failed", "unit": "u2"})
    says(page, ".unit[aria-posinset='3']", "failed")
    says(page, ".told", "they stay in their places while you read")
    page.hover("h1")
    says(page, ".unit[aria-posinset='1']", "u2")
    page.locator("[aria-label='Units of the job']").evaluate("box => { box.scrollTop = 200 }")
    report(stack, {"job": job_id, "type": "unit.failed", "unit": "u1"})
    page.click("text=Sort again")
    says(page, ".unit[aria-posinset='1']", "u1")


def test_a_long_history_is_read_in_pages_and_a_search_says_what_it_covers(
    page: Page, stack: Stack, job_id: str
) -> None:
    needle = {"job": job_id, "type": "job.noted", "message": "the needle"}
    report(stack, needle, *(progressed(job_id, number / 200, src="s", seq=number) for number in range(20_000)))
    asked = requests_of(page, f"{job_id}/events")
    show(page, stack, job_id)
    says(page, ".told", "The newest 200 of 20,001 events")
    assert len(asked) == 1
    page.locator(".event[aria-posinset='14']").wait_for()
    page.locator("[aria-label='Events of the job']").evaluate("box => { box.scrollTop = box.scrollHeight }")
    says(page, ".told", "The newest 1,200 of 20,001 events")
    page.fill("#find", "needle")
    says(page, ".told", "0 of the newest 1,200 events. 18,801 older ones aren't searched yet.")
    page.click("text=Search older ones too")
    says(page, ".told", "1 of 20,001 events.")
    says(page, ".event", "the needle")
    assert len(asked) <= 25
    report(stack, needle | {"message": "another needle"})
    says(page, ".event[aria-posinset='1']", "another needle")
    page.fill("#find", "")
    says(page, ".told", "20,002 events, the newest first")
    assert page.locator(".event").count() < 60


def test_an_event_is_shown_whole_with_why_it_had_no_effect_and_is_copied(
    browser: Browser, stack: Stack, job_id: str
) -> None:
    again = progressed(job_id, 20, src="s", seq=1)
    report(stack, progressed(job_id, 10, src="s", seq=2), again, {"job": job_id, "type": "job.noted", "message": "hi"})
    with opened(browser, permissions=["clipboard-read", "clipboard-write"]) as page:
        show(page, stack, job_id)
        says(page, "#find-type", "job.progressed (2)")
        page.select_option("#find-type", "job.noted")
        expect(page.locator(".event")).to_have_count(1)
        page.select_option("#find-type", label="Without effect (1)")
        expect(page.locator(".event")).to_have_count(1)
        page.click(".event button")
        says(page, ".detail", "Without effect (duplicate): It had been sent before")
        page.click(".detail:visible button:text-is('Copy')")
        says(page, ".detail", "Copied")
        assert json.loads(page.evaluate("navigator.clipboard.readText()"))["event"] == again
        page.keyboard.press("Escape")
        expect(page.locator(".detail:visible")).to_have_count(0)
        expect(page.locator(".event button")).to_be_focused()


def test_new_events_wait_above_while_somebody_reads_older_ones(page: Page, stack: Stack, job_id: str) -> None:
    report(stack, *(progressed(job_id, number) for number in range(50)))
    show(page, stack, job_id)
    page.locator("[aria-label='Events of the job']").evaluate("box => { box.scrollTop = 400 }")
    report(stack, progressed(job_id, 99))
    page.click("text=1 newer")
    says(page, ".event[aria-posinset='1']", "percent 99")


def test_stages_tell_how_long_they_usually_take_and_why_they_did_not_come_about(
    page: Page, stack: Stack, job_id: str
) -> None:
    kind = f"staged {job_id}"[:256]
    for run in range(3):
        done = f"{job_id}-{run}"
        report(
            stack,
            {"job": done, "type": "job.started", "kind": kind, "stages": STAGES},
            *({"job": done, "type": f"stage.{type_}", "stage": "Upload"} for type_ in ("started", "finished")),
            {"job": done, "type": "job.finished"},
        )
    report(
        stack,
        {"job": job_id, "type": "job.started", "kind": kind, "stages": STAGES},
        {"job": job_id, "type": "stage.skipped", "stage": "Thumbnails", "message": "there are no pictures"},
        {"job": job_id, "type": "stage.failed", "stage": "Mail", "error": {"type": "OSError", "detail": "no route"}},
        {"job": job_id, "type": "stage.started", "stage": "Upload"},
        {"job": job_id, "type": "stage.started", "stage": "Beside it"},
    )
    show(page, stack, job_id)
    says(page, ".stage:has-text('Upload')", "usually")
    says(page, ".stage:has-text('Upload')", "overdue")
    expect(page.locator(".stage:has-text('Upload') .usual")).to_be_visible()
    expect(page.locator(".stage:has-text('Beside it') .late")).to_have_text("")
    expect(page.locator(".stage.is-current")).to_have_count(2)
    says(page, ".stage:has-text('Thumbnails')", "there are no pictures")
    says(page, ".stage:has-text('Mail')", "OSError: no route")
    report(stack, {"job": job_id, "type": "job.paused"})
    says(page, ".job-title", "paused")
    expect(page.locator(".stage:has-text('Upload') .late")).to_have_text("")


def test_of_five_hundred_stages_the_current_one_is_in_sight(page: Page, stack: Stack, job_id: str) -> None:
    stages = [{"name": f"Step {number}"} for number in range(500)]
    report(stack, {"job": job_id, "type": "job.queued", "stages": stages})
    report(stack, {"job": job_id, "type": "stage.started", "stage": "Step 321"})
    show(page, stack, job_id)
    expect(page.locator(".stage.is-current")).to_be_in_viewport()


def test_what_a_job_failed_of_is_the_first_thing_that_one_sees(page: Page, stack: Stack, job_id: str) -> None:
    detail = "\n".join(f"line {number} has no date" for number in range(40))
    report(stack, {"job": job_id, "type": "job.started", "title": "Import of April", "labels": {"env": "prod"}})
    report(stack, progressed(job_id, 62.5))
    show(page, stack, job_id)
    expect(page).to_have_title("62.5 % · Import of April")
    report(stack, {"job": job_id, "type": "job.failed", "error": {"type": "ValueError", "detail": detail}})
    expect(page).to_have_title("failed · Import of April")
    expect(page.locator(".failure")).to_be_in_viewport(ratio=1)
    says(page, ".failure", "ValueError")
    short = page.locator(".failure-text").bounding_box()
    page.click("text=Show all of it")
    whole = page.locator(".failure-text").bounding_box()
    assert short is not None
    assert whole is not None
    assert whole["height"] > 4 * short["height"]
    says(page, ".standing", "failed after")
    page.click(".label")
    page.wait_for_url("**/#/jobs?label=env%3Aprod")


def test_the_head_says_what_there_is_to_wait_for(page: Page, stack: Stack, job_id: str) -> None:
    report(stack, {"job": job_id, "type": "job.queued", "title": "Waits", "max_attempts": 3})
    show(page, stack, job_id)
    says(page, ".standing", "Waits in the queue")
    says(page, ".fact", "attempt 1 of 3")
    expect(page).to_have_title("queued · Waits")
    report(stack, {"job": job_id, "type": "job.started"}, {"job": job_id, "type": "job.progressed", "message": "on"})
    says(page, ".standing", "Nobody knows how far it is")
    stalled = {"job": job_id, "type": "job.stalled", "silent_seconds": 0}
    stack.log.client.xadd(f"{stack.namespace}:{{{partition_of(job_id)}}}:log", {"e": json.dumps(stalled)})
    says(page, ".amiss", "No progress for")
    says(page, ".amiss", "ago: job.progressed, on.")
    expect(page).to_have_title("stalled · Waits")
    report(stack, progressed(job_id, 50), {"job": job_id, "type": "job.paused"})
    expect(page).to_have_title("paused 50 % · Waits")
    expect(page.locator(".amiss")).to_be_hidden()
    says(page, ".standing", "Paused since")
    says(page, ".standing", "left once it goes on")
    report(stack, {"job": job_id, "type": "job.resumed"}, {"job": job_id, "type": "job.finished"})
    says(page, ".standing", "took")
    expect(page).to_have_title("finished · Waits")


def test_addresses_of_the_web_in_a_result_are_links_and_nothing_else_is(page: Page, stack: Stack, job_id: str) -> None:
    result = {
        "https://example.com/key": 'a "quoted" text: https://example.com/within',
        "report": "https://example.com/report?a=1&b=2",
        "bad": ["javascript:alert(1)", " https://example.com/", "data:text/html,hi", "https://"],
        "plain": "HTTP://example.com/%22",
    }
    report(stack, {"job": job_id, "type": "job.started"}, {"job": job_id, "type": "job.finished", "result": result})
    show(page, stack, job_id)
    section = page.locator("section:has(h2:text-is('Result'))")
    assert json.loads(section.locator("pre").inner_text()) == result
    links = section.locator("a")
    assert [link.get_attribute("href") for link in links.all()] == [
        "https://example.com/report?a=1&b=2",
        "http://example.com/%22",
    ]
    assert {link.get_attribute("rel") for link in links.all()} == {"noopener noreferrer"}


def test_attempts_are_told_with_who_did_them_and_how_they_ended(page: Page, stack: Stack, job_id: str) -> None:
    report(
        stack,
        {"job": job_id, "type": "job.started", "worker": "w1"},
        {"job": job_id, "type": "job.failed", "error": {"type": "TimeoutError", "detail": "no answer"}},
        {"job": job_id, "type": "job.started", "attempt": 2, "worker": "w2"},
        {"job": job_id, "type": "job.started", "attempt": 3, "worker": "w3"},
    )
    show(page, stack, job_id)
    rows = page.locator(".attempts li")
    told = ["3running.*w3", "2given up.*w2", "1failed.*w1.*TimeoutError: no answer"]
    expect(rows).to_have_text([re.compile(each) for each in told])


def test_markup_is_text_wherever_a_job_has_any(page: Page, stack: Stack, job_id: str) -> None:
    error = {"type": MARKUP, "detail": MARKUP * 10}
    report(
        stack,
        {
            "job": job_id,
            "type": "job.queued",
            "kind": MARKUP,
            "title": MARKUP,
            "labels": {MARKUP: MARKUP},
            "owner": MARKUP,
        },
        {"job": job_id, "type": "job.started", "worker": MARKUP},
        {"job": job_id, "type": "job.failed", "error": error},
        {"job": job_id, "type": "job.started", "attempt": 2, "worker": MARKUP, "message": MARKUP},
        {"job": job_id, "type": "stage.failed", "stage": MARKUP, "error": error},
        {"job": job_id, "type": "stage.skipped", "stage": f"{MARKUP}2", "message": MARKUP},
        {"job": job_id, "type": "unit.failed", "unit": MARKUP, "error": error, "worker": MARKUP},
        {"job": job_id, "type": "job.counted", "indicator": MARKUP, "done": 1, "total": 2},
        {"job": job_id, "type": MARKUP, "message": MARKUP, MARKUP: MARKUP, "details": {MARKUP: MARKUP}},
        {"job": job_id, "type": "job.noted", "details": {MARKUP: f"https://example.com/{MARKUP}"}},
        {"job": job_id, "type": "job.cancel_requested", "by": MARKUP, "reason": MARKUP},
    )
    show(page, stack, job_id)
    for button in (".unit button", ".event button"):
        page.locator(button).first.click()
    assert violations(page) == ""
    says(page, ".actions", MARKUP)
    says(page, ".attempts", MARKUP)
    says(page, "#find-type", MARKUP)
    report(stack, {"job": job_id, "type": "job.failed", "error": error, "result": {MARKUP: MARKUP}})
    says(page, ".failure", MARKUP)
    assert page.locator("main img, main script, dialog img, dialog script").count() == 0
    assert MARKUP in page.title()
