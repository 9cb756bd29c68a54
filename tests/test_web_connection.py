"""The module for pages, when what is in between misbehaves: gateways that go, proxies that cut, tabs that nobody sees.

The page's clock is Playwright's: it goes on by itself, and jumps where a test doesn't want to wait.
"""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.browsing import Browser, Page, Route, opened, put, wait_for
from tests.support.stack import Stack

WATCHED = """() => {
  const plain = window.fetch;
  Object.assign(window, {asked: [], wrong: []});
  window.streams = () => asked.filter(({path}) => path.includes("/stream"));
  window.fetch = (url, options) => {
    const {headers} = options;
    const after = headers.get("last-event-id");
    asked.push({at: Date.now(), path: url.pathname, after, token: headers.get("authorization")});
    return plain(url, options);
  };
  window.reportError = (error) => wrong.push(String(error));
}"""
FOLLOW = """async (job) => {
  const {connect} = await import("/static/streamproc.js");
  Object.assign(window, {seen: [], states: [], problems: [], client: connect(undefined, WHO)});
  window.following = client.follow(job, (snapshot, {state, problem}) => {
    if (snapshot) seen.push(snapshot);
    if (states.at(-1) !== state) states.push(state);
    if (problem) problems.push(problem.status);
    window.why = problem?.message;
  });
}"""
SHOWN = """(hidden) => {
  Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
  document.dispatchEvent(new Event("visibilitychange"));
}"""
MOVED = "(name) => dispatchEvent(new PageTransitionEvent(name, {persisted: true}))"
SSE = {"content-type": "text/event-stream"}


@pytest.fixture
def page(browser: Browser, stack: Stack) -> Iterator[Page]:
    with opened(browser, refused=(400, 401, 404, 429)) as page:
        page.clock.install()
        put(page, stack.http)
        page.evaluate(WATCHED)
        yield page


def follow(page: Page, job: str, who: str = "{}") -> None:
    page.evaluate(FOLLOW.replace("WHO", who), job)


def answer(page: Page, *answers: dict[str, Any] | None) -> None:
    """Answer the page's streams, one after the other; None, and those after the last, go to the gateway."""
    left = list(answers)

    def handle(route: Route) -> None:
        said = left.pop(0) if left else None
        if said is None:
            route.continue_()
        else:
            route.fulfill(**said)

    page.route("**/v1/stream?*", handle)


def cut(*messages: str) -> dict[str, Any]:
    """A stream that says this, and is cut off."""
    return {"body": "".join(f"{message}\n\n" for message in messages), "headers": SSE}


def refused(status: int, **headers: str) -> dict[str, Any]:
    problem = {"type": "urn:streamproc:problem:x", "title": "No", "status": status, "detail": "no"}
    return {"status": status, "json": problem, "headers": headers}


def snapshot(job: str, percent: float) -> str:
    return f"event: snapshot\ndata: {json.dumps({'job_id': job, 'percent': percent, 'status': 'running'})}"


def report(stack: Stack, job: str, *events: dict[str, Any]) -> None:
    httpx.post(f"{stack.http}/v1/events", json=[{"job": job} | event for event in events]).raise_for_status()


def progress(stack: Stack, job: str, percent: float) -> None:
    report(stack, job, {"type": "job.progressed", "percent": percent})


def wait_for_gap(page: Page, number: int, ms: int) -> None:
    """Let time pass until a stream is asked for, and see that so much had passed since the one before."""
    wait_for(page, f"streams().length === {number - 1} && states.at(-1) === 'stale'")
    page.clock.fast_forward(ms // 2)
    page.clock.fast_forward(ms)
    wait_for(page, f"streams().length >= {number}")
    assert page.evaluate(f"streams()[{number - 1}].at - streams()[{number - 2}].at") >= ms


# When to come back -------------------------------------------------------------------------------------------------


def test_a_stream_that_breaks_is_opened_again_at_once_and_then_when_the_gateway_said(
    page: Page, stack: Stack, job_id: str
) -> None:
    progress(stack, job_id, 5)
    slow = cut("retry: 60000", snapshot(job_id, 1))
    answer(page, slow, slow)
    follow(page, job_id)
    wait_for(page, "streams().length === 2")
    wait_for_gap(page, 3, 60_000)
    wait_for(page, "seen.at(-1).percent === 5 && states.at(-1) === 'live'")


def test_whom_a_gateway_sends_away_waits_as_it_says(page: Page, stack: Stack, job_id: str) -> None:
    progress(stack, job_id, 5)
    answer(page, cut("retry: 1000", snapshot(job_id, 1), "retry: 60000"))
    follow(page, job_id)
    wait_for_gap(page, 2, 60_000)
    wait_for(page, "seen.at(-1).percent === 5 && states.at(-1) === 'live'")


def test_whoever_is_told_to_ask_later_does_so_and_asks_for_nothing_else(page: Page, stack: Stack, job_id: str) -> None:
    progress(stack, job_id, 5)
    answer(page, cut(snapshot(job_id, 1)), refused(429, **{"retry-after": "30"}))
    follow(page, job_id)
    wait_for(page, "problems.at(-1) === 429")
    page.evaluate(SHOWN, False)
    wait_for_gap(page, 3, 30_000)
    wait_for(page, "seen.at(-1).percent === 5 && states.at(-1) === 'live'")
    assert page.evaluate("asked.length") == 3


def test_a_stream_that_falls_silent_is_opened_again_where_it_was(page: Page, stack: Stack, job_id: str) -> None:
    progress(stack, job_id, 5)
    follow(page, job_id)
    wait_for(page, "seen.at(-1)?.percent === 5")
    page.clock.fast_forward(45_000)  # as after a laptop's sleep: by the clock, nothing was heard for so long
    wait_for(page, "streams().length === 2 && streams()[1].after")
    wait_for(page, "states.at(-1) === 'live'")
    progress(stack, job_id, 6)
    wait_for(page, "seen.at(-1).percent === 6")


def test_a_stream_is_opened_again_on_another_network(page: Page, stack: Stack, job_id: str) -> None:
    progress(stack, job_id, 5)
    follow(page, job_id)
    wait_for(page, "seen.at(-1)?.percent === 5")
    page.evaluate("dispatchEvent(new Event('online'))")
    wait_for(page, "streams().length === 2 && streams()[1].after")
    progress(stack, job_id, 6)
    wait_for(page, "seen.at(-1).percent === 6")
    assert "stale" not in page.evaluate("states")


# Who may ------------------------------------------------------------------------------------------------------------


def test_a_token_is_asked_for_anew_when_one_has_expired(page: Page, stack: Stack, job_id: str) -> None:
    progress(stack, job_id, 5)
    answer(page, cut(snapshot(job_id, 1)), refused(401))
    follow(page, job_id, "{token: () => String(asked.length)}")
    wait_for(page, "states.at(-1) === 'stale' && problems.at(-1) === 401")  # what was seen isn't taken away for that
    page.clock.fast_forward(1_000)
    wait_for(page, "seen.at(-1).percent === 5 && states.at(-1) === 'live'")
    assert page.evaluate("streams().map(({token}) => token)") == ["Bearer 0", "Bearer 1", "Bearer 2"]
    assert "gone" not in page.evaluate("states")


def test_a_token_that_is_long_in_coming_is_waited_for(page: Page, stack: Stack, job_id: str) -> None:
    progress(stack, job_id, 5)
    follow(page, job_id, "{token: () => new Promise((resolve) => { window.give = resolve; })}")
    wait_for(page, "window.give")
    page.clock.fast_forward(30_000)
    page.evaluate("give('key')")
    wait_for(page, "seen.at(-1)?.percent === 5")
    assert page.evaluate("[states, asked.length]") == [["connecting", "live"], 1]


def test_a_page_that_can_get_no_token_says_so_and_tries_again(page: Page, stack: Stack, job_id: str) -> None:
    progress(stack, job_id, 5)
    follow(page, job_id, "{token() { if (!window.signedIn) throw new Error('signed out'); return 'x'; }}")
    wait_for(page, "problems.at(-1) === 0")
    assert page.evaluate("[states, asked.length]") == [["connecting"], 0]
    assert page.evaluate("why") == "the page could get no token: signed out"
    page.evaluate("window.signedIn = true")
    page.clock.fast_forward(10_000)
    wait_for(page, "states.at(-1) === 'live'")


def test_who_was_refused_is_let_in_when_the_page_is_seen_again(page: Page, stack: Stack, job_id: str) -> None:
    progress(stack, job_id, 5)
    answer(page, refused(401))
    follow(page, job_id)
    wait_for(page, "states.at(-1) === 'gone' && problems.at(-1) === 401")
    page.evaluate(SHOWN, False)
    wait_for(page, "seen.at(-1)?.percent === 5 && states.at(-1) === 'live'")


# What comes back ----------------------------------------------------------------------------------------------------


def test_a_token_that_the_gateway_does_not_know_begins_anew(page: Page, stack: Stack, job_id: str) -> None:
    progress(stack, job_id, 5)
    answer(page, cut(f"id: of-another-time\n{snapshot(job_id, 1)}"))
    follow(page, job_id)
    wait_for(page, "seen.at(-1)?.percent === 5 && states.at(-1) === 'live'")
    assert page.evaluate("streams().map(({after}) => after)") == [None, "of-another-time", None]


def test_what_was_not_understood_is_asked_for_again(page: Page, stack: Stack, job_id: str) -> None:
    progress(stack, job_id, 5)
    good, bad = f"id: had\n{snapshot(job_id, 1)}", 'id: not-had\nevent: snapshot\ndata: {"job_id": "'
    answer(page, cut(good, bad))
    follow(page, job_id)
    wait_for(page, "seen.at(-1)?.percent === 5")
    assert page.evaluate("streams()[1].after") == "had"
    assert "SyntaxError" in page.evaluate("wrong.join()")


def test_a_job_that_is_begun_again_after_its_end_is_seen_again(page: Page, stack: Stack, job_id: str) -> None:
    report(stack, job_id, {"type": "job.finished"})
    follow(page, job_id)
    wait_for(page, "seen.at(-1)?.status === 'finished'")
    report(stack, job_id, {"type": "job.started", "attempt": 2}, {"type": "job.progressed", "percent": 7, "attempt": 2})
    stack.wait_for(job_id, percent=7)
    page.clock.fast_forward(31_000)
    wait_for(page, "seen.at(-1).percent === 7 && states.at(-1) === 'live'")
    progress(stack, job_id, 8)
    wait_for(page, "seen.at(-1).percent === 8")


# Tabs ---------------------------------------------------------------------------------------------------------------


def test_a_tab_that_nobody_sees_lets_go_of_its_stream_and_looks_once_a_minute(
    page: Page, stack: Stack, job_id: str
) -> None:
    progress(stack, job_id, 5)
    follow(page, job_id)
    wait_for(page, "seen.at(-1)?.percent === 5")
    page.evaluate(SHOWN, True)
    with page.expect_event("requestfailed", lambda request: "/stream" in request.url):
        page.clock.fast_forward(60_000)
    wait_for(page, "states.at(-1) === 'polling'")
    progress(stack, job_id, 6)
    stack.wait_for(job_id, percent=6)
    page.clock.fast_forward(60_000)
    wait_for(page, "seen.at(-1).percent === 6")
    assert page.evaluate("streams().length") == 1
    page.evaluate(SHOWN, False)
    wait_for(page, "states.at(-1) === 'live'")
    progress(stack, job_id, 7)
    wait_for(page, "seen.at(-1).percent === 7")


def test_a_page_that_is_left_has_nothing_open_and_catches_up_when_it_is_back(
    page: Page, stack: Stack, job_id: str
) -> None:
    progress(stack, job_id, 5)
    follow(page, job_id)
    wait_for(page, "seen.at(-1)?.percent === 5")
    with page.expect_event("requestfailed", lambda request: "/stream" in request.url):
        page.evaluate(MOVED, "pagehide")
    progress(stack, job_id, 6)
    page.evaluate(MOVED, "pageshow")
    wait_for(page, "seen.at(-1).percent === 6 && states.at(-1) === 'live'")
    assert page.evaluate("states") == ["connecting", "live", "stale", "live"]


def test_tabs_share_the_few_streams_that_a_browser_has(page: Page, stack: Stack, job_id: str) -> None:
    progress(stack, job_id, 5)
    other = page.context.new_page()
    put(other, stack.http)
    other.evaluate(WATCHED)
    for _ in range(4):
        follow(other, job_id)
    wait_for(other, "streams().length === 4 && states.at(-1) === 'live'")
    follow(page, job_id)
    wait_for(page, "seen.at(-1)?.percent === 5 && states.at(-1) === 'polling'")
    assert page.evaluate("streams().length") == 0
    other.close()
    page.clock.fast_forward(61_000)
    wait_for(page, "states.at(-1) === 'live'")


# What a page does ---------------------------------------------------------------------------------------------------


def test_a_name_that_is_none_keeps_no_other_job_from_being_followed(page: Page, stack: Stack, job_id: str) -> None:
    progress(stack, job_id, 5)
    follow(page, "no name!")
    page.evaluate("job => { client.follow(job, (snapshot) => { window.other = snapshot; }); }", job_id)
    wait_for(page, "window.other?.percent === 5")
    wait_for(page, "states.at(-1) === 'gone'")
    assert page.evaluate("problems") == [400]


def test_a_callback_that_throws_keeps_no_other_from_being_told(page: Page, stack: Stack, job_id: str) -> None:
    progress(stack, job_id, 5)
    follow(page, job_id)
    page.evaluate(
        """(job) => {
          client.follow(job, () => { throw new Error("mine"); });
          client.followMany([job], () => { throw new Error("mine"); }, {onState() { throw new Error("mine"); }});
          client.follow(job, (snapshot) => { window.last = snapshot; });
        }""",
        job_id,
    )
    wait_for(page, "window.last?.percent === 5")
    progress(stack, job_id, 6)
    wait_for(page, "window.last.percent === 6 && seen.at(-1).percent === 6")
    assert set(page.evaluate("wrong")) == {"Error: mine"}


def test_nobody_is_called_after_leaving(page: Page, stack: Stack, job_id: str) -> None:
    progress(stack, job_id, 5)
    follow(page, job_id)
    wait_for(page, "seen.at(-1)?.percent === 5")
    page.evaluate(
        """(job) => {
          window.late = [];
          const many = client.followMany([job], () => late.push("many"));
          const one = client.follow(job, () => late.push("one"));
          const first = client.follow(job, (snapshot) => snapshot && second.close());
          const second = client.follow(job, () => late.push("second"));
          one.close();
          many.close();
          many.set([job]);
          second.close();
          one.close();
        }""",
        job_id,
    )
    progress(stack, job_id, 6)
    wait_for(page, "seen.at(-1).percent === 6")
    assert page.evaluate("late") == []


def test_one_that_is_closed_by_another_is_told_nothing_more(page: Page, stack: Stack, job_id: str) -> None:
    progress(stack, job_id, 5)
    follow(page, job_id)
    page.evaluate(
        """(job) => {
          window.told = [];
          client.follow(job, (snapshot) => snapshot?.percent === 6 && second.close());
          const second = client.follow(job, (snapshot) => told.push(snapshot?.percent ?? null));
        }""",
        job_id,
    )
    wait_for(page, "told.at(-1) === 5")
    for percent in (6, 7):
        progress(stack, job_id, percent)
        wait_for(page, f"seen.at(-1).percent === {percent}")
    assert page.evaluate("told.at(-1)") == 5


def test_a_client_that_is_closed_tells_and_follows_nothing(page: Page, stack: Stack, job_id: str) -> None:
    progress(stack, job_id, 5)
    follow(page, job_id)
    wait_for(page, "seen.at(-1)?.percent === 5")
    with page.expect_event("requestfailed", lambda request: "/stream" in request.url):
        page.evaluate("client.close()")
    for what in ("follow(job)", "followMany([job])", "followMany({})", "followEvents(job)"):
        tried = f"(job) => {{ try {{ client.{what}; }} catch (error) {{ return error.message; }} }}"
        said = page.evaluate(tried, job_id)
        assert said == "this client is closed: connect anew", what


def test_what_is_followed_may_change_many_times_at_once(page: Page, stack: Stack, job_id: str) -> None:
    jobs = [f"{job_id}-{number}" for number in range(3)]
    for number, job in enumerate(jobs):
        progress(stack, job, number)
    page.evaluate(
        """async ([a, b, c]) => {
          const {connect} = await import("/static/streamproc.js");
          window.last = {};
          const many = connect().followMany([], (job, snapshot) => { last[job] = snapshot; });
          for (const jobs of [[a], [b], [a, b, c], [b], [a], [c, b]]) many.set(jobs);
        }""",
        jobs,
    )
    wait_for(page, "Object.keys(last).length === 2")
    assert sorted(page.evaluate("Object.keys(last)")) == jobs[1:]
    assert page.evaluate("streams().length") == 1


def test_a_follower_that_leaves_while_it_connects_is_told_nothing(page: Page, stack: Stack, job_id: str) -> None:
    progress(stack, job_id, 5)
    held: list[Route] = []
    page.route("**/v1/stream?*", lambda route: held.append(route))
    with page.expect_request("**/v1/stream?*"):
        follow(page, job_id)
    with page.expect_event("requestfailed", lambda request: "/stream" in request.url):
        page.evaluate("following.close()")
    for route in held:
        route.abort()
    assert page.evaluate("[states, seen.length, wrong]") == [["connecting"], 0, []]
