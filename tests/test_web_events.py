"""The events of a job, as a page follows them: all of them, in order, each once, whatever becomes of the connection."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.browsing import Browser, Page, opened, put, wait_for
from tests.support.processes import Gateway
from tests.support.stack import Stack

FOLLOW = """async ([job, after]) => {
  const {connect} = await import("/static/streamproc.js");
  Object.assign(window, {seen: [], states: [], resets: [], client: connect()});
  window.following = client.followEvents(job, (entries, {token, ended}) => {
    seen.push(...entries);
    Object.assign(window, {token, ended});
  }, {after, onReset: (why) => { resets.push(why.reason); seen.length = 0; }, onState: (state) => states.push(state)});
}"""
SAID = "seen.map(({event}) => event.message ?? event.type).join()"


@pytest.fixture
def page(browser: Browser, stack: Stack) -> Iterator[Page]:
    with opened(browser, refused=(400, 404)) as page:
        put(page, stack.http)
        yield page


def note(stack: Stack, job: str, *texts: str) -> None:
    events = [{"job": job, "type": "job.noted", "message": text} for text in texts]
    httpx.post(f"{stack.http}/v1/events", json=events).raise_for_status()


def end(stack: Stack, job: str) -> None:
    httpx.post(f"{stack.http}/v1/events", json={"job": job, "type": "job.finished"}).raise_for_status()


def history(stack: Stack, job: str) -> list[dict[str, Any]]:
    page = httpx.get(f"{stack.http}/v1/jobs/{job}/events?limit=1000").json()
    found: list[dict[str, Any]] = page["events"]
    return found


def test_events_are_told_from_the_first_on_to_the_end(page: Page, stack: Stack, job_id: str) -> None:
    page.evaluate(FOLLOW, [job_id, None])
    wait_for(page, "states.at(-1) === 'gone'")  # it isn't there yet
    note(stack, job_id, "a", "b")
    wait_for(page, f"{SAID} === 'a,b' && states.at(-1) === 'live'")
    note(stack, job_id, "c")
    wait_for(page, f"{SAID} === 'a,b,c'")
    assert page.evaluate("ended") is False
    end(stack, job_id)
    wait_for(page, "ended")
    assert page.evaluate("seen") == history(stack, job_id)
    assert page.evaluate("resets") == []


def test_who_has_a_token_gets_what_came_after_it(page: Page, stack: Stack, job_id: str) -> None:
    note(stack, job_id, "a", "b")
    page.evaluate(FOLLOW, [job_id, None])
    wait_for(page, f"{SAID} === 'a,b'")
    page.evaluate("following.close()")
    note(stack, job_id, "c", "d")
    token = page.evaluate("token")
    with page.expect_request(lambda request: request.headers.get("last-event-id") == token):
        page.evaluate(FOLLOW, [job_id, token])
    wait_for(page, f"{SAID} === 'c,d'")
    page.evaluate(FOLLOW, [job_id, page.evaluate("seen[0].position")])  # a bare position will do
    wait_for(page, f"{SAID} === 'd'")


def test_who_has_a_token_of_another_log_is_told_that_it_counts_no_more(page: Page, stack: Stack, job_id: str) -> None:
    note(stack, job_id, "a")
    for token, reason in (("abc.1-1", "incarnation"), ("nonsense", "invalid-parameter")):
        page.evaluate(FOLLOW, [job_id, token])
        wait_for(page, f"{SAID} === 'a'")
        assert page.evaluate("resets") == [reason]


def test_no_event_is_missing_or_twice_after_the_gateway_was_killed(browser: Browser, stack: Stack, job_id: str) -> None:
    gateway = Gateway(stack.redis, stack.namespace).start()
    try:
        with opened(browser, refused=(400, 404)) as page:
            put(page, gateway.url)
            note(stack, job_id, *map(str, range(500)))
            page.evaluate(FOLLOW, [job_id, None])
            wait_for(page, "seen.length >= 100")  # in the midst of the replay, or after it
            gateway.kill()
            note(stack, job_id, *map(str, range(500, 550)))
            gateway.start()
            wait_for(page, "seen.length >= 550")
            end(stack, job_id)
            wait_for(page, "ended")
            assert page.evaluate("seen") == history(stack, job_id)
            assert page.evaluate("resets") == []
    finally:
        gateway.kill()


def test_an_event_that_comes_twice_is_told_once(page: Page, stack: Stack, job_id: str) -> None:
    note(stack, job_id, "a", "b", "c")
    stack.wait_for(job_id, events=3)
    first, second, _ = history(stack, job_id)
    body = "".join(
        f"id: {entry['position']}\nevent: event\ndata: {json.dumps(entry)}\n\n" for entry in (first, second, first)
    )
    page.route(
        "**/stream?*", lambda route: route.fulfill(body=body, headers={"content-type": "text/event-stream"}), times=1
    )
    with page.expect_request(lambda request: "last-event-id" in request.headers):
        page.evaluate(FOLLOW, [job_id, None])
    wait_for(page, f"{SAID} === 'a,b,c'")


def test_events_are_polled_where_streams_are_blocked(page: Page, stack: Stack, job_id: str) -> None:
    page.route("**/stream?*", lambda route: route.abort())
    note(stack, job_id, "a", "b")
    page.evaluate(FOLLOW, [job_id, None])
    wait_for(page, f"{SAID} === 'a,b' && states.at(-1) === 'polling'")
    note(stack, job_id, "c")
    wait_for(page, f"{SAID} === 'a,b,c'")
    end(stack, job_id)
    wait_for(page, "ended")
    assert page.evaluate("seen") == history(stack, job_id)
