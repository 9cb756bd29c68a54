"""Slow, stalled and failed jobs in a real browser, and how one comes to know of them on other pages."""

import json
from pathlib import Path

import httpx
import pytest
from anyio.from_thread import start_blocking_portal

from streamproc.gateway import overdue
from streamproc.wire import partition_of
from tests.support.browsing import Browser, Page, Route, expect, opened, report, says
from tests.support.gateways import PARTITIONS
from tests.support.identities import auth_file, key_of, open_to, toml_key
from tests.support.processes import Gateway
from tests.support.producing import wait_until
from tests.support.stack import Stack, running_stack


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overdue, "_FRESH_SECONDS", 0.0)


def stall(stack: Stack, job: str) -> None:
    """Say that a job has fallen silent, as the server does."""
    event = json.dumps({"job": job, "type": "job.stalled", "silent_seconds": 0})
    stack.log.client.xadd(f"{stack.namespace}:{{{partition_of(job, PARTITIONS)}}}:log", {"e": event})
    stack.wait_for(job, stalled=True)


def slow(stack: Stack) -> int:
    found: int = httpx.get(f"{stack.http}/v1/slow").json()["slow"]
    return found


def test_what_is_wrong_is_told_of_each_and_counted_on_every_page(browser: Browser, server_url: str) -> None:
    with running_stack(server_url) as stack, opened(browser) as page:
        page.goto(f"{stack.http}/#/slow")
        says(page, "section.slow", "No job takes longer")
        expect(page.locator(".alarm")).to_be_hidden()
        for job in ("r1", "r2", "r3", "r4", "r5"):
            report(stack, {"job": job, "type": "job.started", "kind": "k"}, {"job": job, "type": "job.finished"})
        report(
            stack,
            {"job": "late", "type": "job.started", "kind": "k", "title": "A long one", "worker": "w7"},
            {"job": "late", "type": "stage.progressed", "stage": "Parse", "percent": 20},
            {"job": "silent", "type": "job.started", "kind": "k"},
            {"job": "broken", "type": "job.started", "kind": "other"},
            {"job": "broken", "type": "job.failed", "error": {"type": "ValueError", "detail": "line 7 has no date"}},
        )
        stall(stack, "silent")
        wait_until(lambda: slow(stack) == 1)
        row = page.locator("section.slow .trouble")
        expect(row).to_have_count(1)
        says(page, "section.slow .trouble", "A long one")
        says(page, "section.slow .trouble", "nine in ten")
        says(page, "section.slow .trouble", "Parse · w7")
        says(page, "section.stalled .trouble b", "silent for")
        says(page, "section.stalled .trouble", "runs of its kind are silent for up to")
        says(page, "section.failed .trouble", "ValueError")
        says(page, "section.failed .trouble", "line 7 has no date")
        page.goto(f"{stack.http}/#/jobs")
        page.reload()
        expect(page.locator("nav .alarm")).to_have_text("2")
        page.click("text=Slow & stalled")
        page.click("section.stalled .trouble a")
        expect(page.locator("h1")).to_have_text("silent")


def test_what_is_no_longer_wrong_goes_and_time_goes_on(browser: Browser, server_url: str) -> None:
    with running_stack(server_url) as stack, opened(browser) as page:
        report(stack, *({"job": job, "type": "job.started", "kind": "k"} for job in ("a", "b")))
        stall(stack, "a")
        stall(stack, "b")
        page.goto(f"{stack.http}/#/slow")
        expect(page.locator("section.stalled .trouble")).to_have_count(2)
        page.route("**/v1/**", lambda route: route.abort())
        says(page, "#connection", "Stale")
        before = page.inner_text("section.stalled .trouble b >> nth=0")
        expect(page.locator("section.stalled .trouble b").first).not_to_have_text(before)
        page.unroute_all(behavior="wait")
        report(stack, {"job": "a", "type": "job.progressed", "percent": 5})
        expect(page.locator("section.stalled .trouble")).to_have_count(1)
        says(page, "section.stalled .trouble", "b")


def test_jobs_that_never_said_anything_and_kinds_of_no_time_say_no_nan(browser: Browser, server_url: str) -> None:
    with running_stack(server_url) as stack, opened(browser) as page:
        for job in ("r1", "r2", "r3", "r4", "r5"):
            report(stack, {"job": job, "type": "job.started", "kind": "k"}, {"job": job, "type": "job.finished"})
        report(stack, {"job": "late", "type": "job.started", "kind": "k"}, {"job": "bare", "type": "job.failed"})
        report(stack, {"job": "mute", "type": "job.started"})
        stall(stack, "mute")
        wait_until(lambda: slow(stack) == 1)

        def usual(route: Route) -> None:
            found = (response := route.fetch()).json()
            for job in found["jobs"]:
                job |= {"usual_seconds": {"p50": 0.0, "p90": 0.0}, "times": None}
            route.fulfill(response=response, json=found)

        page.route("**/v1/slow?*", usual)
        page.goto(f"{stack.http}/#/slow")
        says(page, "section.slow .trouble b", "at work for")
        says(page, "section.failed .trouble", "It didn't say why")
        says(page, "section.stalled .trouble", "mute")
        assert "NaN" not in page.content()
        assert "null" not in page.inner_text("main")
        assert "undefined" not in page.inner_text("main")


def test_who_is_limited_to_some_jobs_is_told_why_nothing_is_slow(
    browser: Browser, stack: Stack, tmp_path: Path, job_id: str
) -> None:
    path = auth_file(tmp_path, toml_key("some", "jobs:read", jobs=[f"{job_id}*"]))
    report(stack, {"job": job_id, "type": "job.started"}, {"job": f"x-{job_id}", "type": "job.started"})
    stall(stack, job_id)
    stall(stack, f"x-{job_id}")
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(open_to(stack.redis, stack.namespace, path)) as http,
        opened(browser, extra_http_headers={"authorization": f"Bearer {key_of('some')}"}) as page,
    ):
        page.goto(f"{http.base_url}/#/slow")
        says(page, "section.slow", "limited to some")
        expect(page.locator("section.stalled .trouble")).to_have_count(1)


def test_what_was_wrong_stays_when_the_gateway_goes_and_it_goes_on_when_it_is_back(
    page: Page, stack: Stack, job_id: str
) -> None:
    def failed(job: str) -> None:
        report(stack, {"job": job, "type": "job.started"}, {"job": job, "type": "job.failed"})

    failed(f"{job_id}-1")
    gateway = Gateway(stack.redis, stack.namespace).start()
    try:
        page.goto(f"{gateway.url}/#/slow")
        says(page, "section.failed", f"{job_id}-1")
        gateway.kill()
        says(page, "#connection", "Stale")
        says(page, "section.failed", f"{job_id}-1")
        failed(f"{job_id}-2")
        gateway.start()
        says(page, "section.failed", f"{job_id}-2")
    finally:
        gateway.kill()
