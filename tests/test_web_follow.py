"""The module for pages, as a browser runs it: jobs are followed, whatever becomes of the connection."""

import secrets
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from anyio.from_thread import start_blocking_portal

from tests.support.browsing import Browser, Page, Request, Route, opened, put, wait_for
from tests.support.identities import auth_file, bearer, key_of, open_to, toml_key
from tests.support.processes import Gateway
from tests.support.stack import Stack

FOLLOW = """async ([job, who]) => {
  const {connect} = await import("/static/streamproc.js");
  Object.assign(window, {seen: [], states: [], client: connect(undefined, who)});
  window.following = client.follow(job, (snapshot, {state}) => {
    if (snapshot) seen.push(snapshot);
    if (states.at(-1) !== state) states.push(state);
  });
}"""
FOLLOW_MANY = """async (what) => {
  const {connect} = await import("/static/streamproc.js");
  Object.assign(window, {last: {}, states: []});
  window.following = connect().followMany(what, (job, snapshot) => { last[job] = snapshot && snapshot.percent; },
    {onState: (state) => states.push(state)});
}"""


@pytest.fixture
def page(browser: Browser, stack: Stack) -> Iterator[Page]:
    with opened(browser, refused=(404,)) as page:
        put(page, stack.http)
        yield page


def report(stack: Stack, job: str, *events: dict[str, Any]) -> None:
    httpx.post(f"{stack.http}/v1/events", json=[{"job": job} | event for event in events]).raise_for_status()


def progress(stack: Stack, job: str, percent: float) -> None:
    report(stack, job, {"type": "job.progressed", "percent": percent})


def streams(page: Page) -> list[str]:
    """The streams that the page opens from now on."""
    opened: list[str] = []
    page.on("request", lambda request: opened.append(request.url) if "/v1/stream" in request.url else None)
    return opened


def test_a_job_is_followed_from_before_it_is_there_to_its_end(page: Page, stack: Stack, job_id: str) -> None:
    page.evaluate(FOLLOW, [job_id, {}])
    wait_for(page, "states.at(-1) === 'gone'")
    progress(stack, job_id, 25)
    wait_for(page, "seen.at(-1)?.percent === 25 && states.at(-1) === 'live'")
    report(stack, job_id, {"type": "job.finished", "result": {"rows": 80}})
    wait_for(page, "seen.at(-1).status === 'finished'")
    assert page.evaluate("seen.at(-1).result") == {"rows": 80}
    assert page.evaluate("states") == ["connecting", "gone", "live"]


def test_a_page_that_follows_no_longer_is_told_nothing(page: Page, stack: Stack, job_id: str) -> None:
    progress(stack, job_id, 1)
    page.evaluate(FOLLOW, [job_id, {}])
    wait_for(page, "seen.length")
    page.evaluate("following.close()")
    page.evaluate("job => { client.follow(job, (snapshot) => { window.other = snapshot?.percent; }); }", job_id)
    progress(stack, job_id, 2)
    wait_for(page, "window.other === 2")
    assert page.evaluate("seen.at(-1).percent") == 1


def test_a_page_catches_up_after_the_gateway_was_killed(browser: Browser, stack: Stack, job_id: str) -> None:
    gateway = Gateway(stack.redis, stack.namespace).start()
    try:
        with opened(browser, refused=(404,)) as page:
            put(page, gateway.url)
            progress(stack, job_id, 10)
            other = f"{job_id}-2"
            progress(stack, other, 1)
            page.evaluate(FOLLOW, [job_id, {}])
            page.evaluate("job => { client.follow(job, (snapshot) => { window.other = snapshot; }); }", other)
            wait_for(page, "seen.at(-1)?.percent === 10 && window.other && states.at(-1) === 'live'")
            # A stream that can't be opened again is followed by a look whether anything gets through.
            with page.expect_event("requestfailed", lambda request: "/v1/jobs/" in request.url):
                gateway.kill()
            wait_for(page, "states.at(-1) === 'stale'")
            progress(stack, job_id, 60)
            report(stack, other, {"type": "job.finished"})  # it ends while nobody can hear it
            gateway.start()
            wait_for(page, "seen.at(-1).percent === 60 && states.at(-1) === 'live'")
            wait_for(page, "other.status === 'finished'")
            progress(stack, job_id, 70)
            wait_for(page, "seen.at(-1).percent === 70")
            assert page.evaluate("seen.at(-1).events") == 3
    finally:
        gateway.kill()


def test_a_page_polls_where_streams_are_blocked(page: Page, stack: Stack, job_id: str) -> None:
    waiting: list[str | None] = []
    page.on("request", lambda request: waiting.append(request.headers.get("prefer")))
    page.route("**/v1/stream*", lambda route: route.abort())
    progress(stack, job_id, 10)
    page.evaluate(FOLLOW, [job_id, {}])
    wait_for(page, "seen.at(-1)?.percent === 10 && states.at(-1) === 'polling'")
    with page.expect_request(lambda request: "prefer" in request.headers):
        pass
    progress(stack, job_id, 20)
    wait_for(page, "seen.at(-1).percent === 20")

    def blocked(route: Route, request: Request) -> None:
        if "prefer" in request.headers:
            route.abort()
        else:
            route.continue_()

    page.route("**/v1/jobs/*", blocked)  # now something cuts off long polls as well
    progress(stack, job_id, 30)
    wait_for(page, "seen.at(-1).percent === 30")
    waiting.clear()
    progress(stack, job_id, 40)
    wait_for(page, "seen.at(-1).percent === 40")
    report(stack, job_id, {"type": "job.failed", "error": {"type": "E", "detail": "page 12"}})
    wait_for(page, "seen.at(-1).status === 'failed'")
    assert "stale" not in page.evaluate("states")


def test_a_stream_that_is_held_back_is_taken_for_blocked(browser: Browser, stack: Stack, job_id: str) -> None:
    with opened(browser, refused=(404,)) as page:
        page.clock.install()
        put(page, stack.http)
        held: list[Route] = []
        page.route("**/v1/stream*", lambda route: held.append(route))  # no answer
        progress(stack, job_id, 10)
        with page.expect_request("**/v1/stream*"):
            page.evaluate(FOLLOW, [job_id, {}])
        page.clock.run_for(4_500)
        wait_for(page, "states.at(-1) === 'polling'")
        page.clock.run_for(100)
        wait_for(page, "seen.at(-1)?.percent === 10")
        for route in held:
            route.abort()


def test_many_follows_go_over_one_stream(page: Page, stack: Stack, namespace: str) -> None:
    jobs = [f"{namespace}-{number}" for number in range(150)]
    started = [{"job": job, "type": "job.progressed", "percent": 5} for job in jobs]
    httpx.post(f"{stack.http}/v1/events", json=started).raise_for_status()
    opened = streams(page)
    page.evaluate(
        """async (jobs) => {
          const {connect} = await import("/static/streamproc.js");
          const client = connect();
          window.last = {};
          for (const job of jobs) client.follow(job, (snapshot) => { last[job] = snapshot?.percent; });
        }""",
        jobs,
    )
    wait_for(page, "Object.values(last).filter((percent) => percent === 5).length === 150")
    progress(stack, jobs[-1], 6)
    wait_for(page, "Object.values(last).includes(6)")
    assert len(opened) == 1


@pytest.mark.parametrize(("size", "count"), [(12, 250), (150, 60)], ids=["many", "long"])
def test_more_jobs_than_a_stream_holds_are_followed_too(page: Page, stack: Stack, size: int, count: int) -> None:
    prefix = secrets.token_hex(size // 2)
    jobs = [f"{prefix}-{number}" for number in range(count)]
    opened = streams(page)
    page.evaluate(FOLLOW_MANY, jobs)
    wait_for(page, f"Object.keys(last).length === {len(jobs)} && states.at(-1) === 'live'")  # none of them is there yet
    for job in (jobs[0], jobs[-1]):
        progress(stack, job, 7)
    wait_for(page, "Object.values(last).filter((percent) => percent === 7).length === 2")
    assert len(opened) == 2
    assert max(map(len, opened)) < 8000  # what proxies take


def test_a_set_of_jobs_may_change(page: Page, stack: Stack, job_id: str) -> None:
    first, second = f"{job_id}-1", f"{job_id}-2"
    progress(stack, first, 1)
    progress(stack, second, 2)
    page.evaluate(FOLLOW_MANY, [first])
    wait_for(page, f"last['{first}'] === 1")
    page.evaluate("jobs => following.set(jobs)", [second])
    wait_for(page, f"last['{second}'] === 2")
    progress(stack, first, 50)
    progress(stack, second, 51)
    wait_for(page, f"last['{second}'] === 51")
    assert page.evaluate(f"last['{first}']") == 1


def test_jobs_of_a_filter_come_and_go(page: Page, stack: Stack, job_id: str) -> None:
    kind = job_id
    report(stack, f"{job_id}-1", {"type": "job.started", "kind": kind}, {"type": "job.progressed", "percent": 5})
    page.evaluate(FOLLOW_MANY, {"kind": kind, "status": ["running"]})
    wait_for(page, f"last['{job_id}-1'] === 5 && states.at(-1) === 'live'")
    report(stack, f"{job_id}-2", {"type": "job.started", "kind": kind}, {"type": "job.progressed", "percent": 6})
    wait_for(page, f"last['{job_id}-2'] === 6")
    report(stack, f"{job_id}-1", {"type": "job.paused"})
    wait_for(page, f"last['{job_id}-1'] === null")


def test_a_filter_is_polled_where_streams_are_blocked(page: Page, stack: Stack, job_id: str) -> None:
    page.route("**/v1/stream*", lambda route: route.abort())
    kind = job_id
    report(stack, f"{job_id}-1", {"type": "job.started", "kind": kind}, {"type": "job.progressed", "percent": 5})
    page.evaluate(FOLLOW_MANY, {"kind": kind})
    wait_for(page, f"last['{job_id}-1'] === 5 && states.at(-1) === 'polling'")
    report(stack, f"{job_id}-1", {"type": "job.finished"})
    wait_for(page, f"last['{job_id}-1'] === 100")  # its end is told, though it is in no page of them


ASK = """async () => {
  const {connect, Problem} = await import("/static/streamproc.js");
  const told = [];
  for (const path of ["/v1/jobs/nope", "/v1/cut-off"]) {
    const error = await connect().get(path).catch((error) => error);
    told.push([error instanceof Problem, error.status, error.problem?.type]);
  }
  return told;
}"""


def test_refusals_tell_what_is_wrong(page: Page) -> None:
    page.route("**/v1/cut-off", lambda route: route.abort())
    assert page.evaluate(ASK) == [[True, 404, "urn:streamproc:problem:unknown-job"], [True, 0, None]]


@pytest.fixture(scope="module")
def guarded_url(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Another gateway of the same jobs, that asks who one is."""
    path = auth_file(tmp_path_factory.mktemp("auth"), toml_key("reader", "jobs:read"))
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(
            open_to(stack.redis, stack.namespace, path, cors_origin=(stack.http,))
        ) as http,
    ):
        yield str(http.base_url).rstrip("/")


WHO = {
    "token": "{token: () => Promise.resolve(key)}",
    "ticket": """{ticket: async () => {
      const answer = await fetch("/v1/tickets", {method: "POST", headers: {authorization: `Bearer ${key}`}});
      return (await answer.json()).ticket;
    }}""",
    "share": "{share}",
}


@pytest.mark.parametrize("who", WHO)
def test_a_page_says_who_it_is(browser: Browser, stack: Stack, guarded_url: str, job_id: str, who: str) -> None:
    progress(stack, job_id, 10)
    stack.wait_for(job_id, percent=10)
    key = key_of("reader")
    shared = httpx.post(f"{guarded_url}/v1/jobs/{job_id}/share", headers=bearer(key)).json()["share"]
    with opened(browser, refused=(404,)) as page:
        put(page, guarded_url)
        page.evaluate(f"([key, share]) => {{ window.who = {WHO[who]}; }}", [key, shared])
        page.evaluate(FOLLOW.replace("async ([job, who])", "async ([job])"), [job_id])
        wait_for(page, "seen.at(-1)?.percent === 10 && states.at(-1) === 'live'")
        progress(stack, job_id, 20)
        wait_for(page, "seen.at(-1).percent === 20")


ELSEWHERE = """async ([url, job, who]) => {
  const {connect} = await import(`${url}/static/streamproc.js`);
  Object.assign(window, {seen: [], states: []});
  connect(url, who).follow(job, (snapshot, {state}) => {
    if (snapshot) seen.push(snapshot);
    if (states.at(-1) !== state) states.push(state);
  });
}"""


@pytest.mark.parametrize("way", ["stream", "poll"])
def test_a_page_of_another_origin_follows_with_a_token(
    browser: Browser, stack: Stack, guarded_url: str, job_id: str, way: str
) -> None:
    progress(stack, job_id, 10)
    with opened(browser, bypass_csp=True) as page:
        page.goto(f"{stack.http}/livez")  # any page that is served
        if way == "poll":
            page.route("**/v1/stream?*", lambda route: route.abort())
        asked: list[Request] = []
        page.on("request", lambda request: asked.append(request) if "/v1/" in request.url else None)
        page.evaluate(ELSEWHERE, [guarded_url, job_id, {"token": key_of("reader")}])
        wait_for(page, "seen.at(-1)?.percent === 10")
        if way == "stream":
            page.evaluate("dispatchEvent(new Event('online'))")  # a stream of its own, where the first one was
            with page.expect_request(lambda request: "last-event-id" in request.headers):
                pass
        else:
            with page.expect_request(lambda request: "if-none-match" in request.headers):
                pass
        progress(stack, job_id, 20)
        wait_for(page, "seen.at(-1).percent === 20")
        assert page.evaluate("states").count("stale") == 0
        assert all(request.url.startswith(guarded_url) for request in asked)


def test_a_page_that_may_not_see_a_job_is_told_why(browser: Browser, guarded_url: str, job_id: str) -> None:
    with opened(browser, refused=(401,)) as page:
        put(page, guarded_url)
        page.evaluate(
            """async (job) => {
              const {connect} = await import("/static/streamproc.js");
              connect().follow(job, (_, status) => { window.status_ = status; });
            }""",
            job_id,
        )
        wait_for(page, "status_.state === 'gone'")
        assert page.evaluate("status_.problem.status") == 401
