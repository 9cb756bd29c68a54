"""Pages as the dialects' users write them, in a real browser: what they call, and how their loops end."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.browsing import Browser, Page, opened
from tests.support.stack import Stack

BAR = """
<!doctype html><title>page</title><p id="bar"></p>
<script>
  const seen = [];
  let outcome = null;

  function show(state) {
    seen.push(state);
    document.getElementById("bar").textContent = Math.round(state.overall_percent ?? state.percent) + "%";
  }

  function follow(job) {  // a bar fed by server-sent events, that gives up at the first error
    const source = new EventSource(`/progress/${job}/stream`);
    source.onmessage = (event) => {
      const state = JSON.parse(event.data);
      show(state);
      if (state.percent === 100) { source.close(); outcome = "complete"; }
    };
    source.onerror = () => { source.close(); outcome ??= "lost"; };
  }

  function trust(job) {  // one that leaves it to the browser to come back
    window.source = new EventSource(`/progress/${job}/stream`);
    source.onmessage = (event) => show(JSON.parse(event.data));
  }

  async function poll(path, ended) {
    for (;;) {
      const response = await fetch(path);
      const state = await response.json();
      if (response.ok) {
        show(state);
        if (ended(state)) break;
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    outcome = "over";
  }

  const pollProgress = (job) =>
    poll(`/api/jobs/${job}/progress`, (state) => state.percent === 100 || state.status === "failed");

  const pollStatus = (job) =>
    poll(`/status/${job}`, (state) => ["finished", "failed", "canceled"].includes(state.status));

  function listen(job) {
    const socket = new WebSocket(`ws://${location.host}/ws/${job}`);
    socket.onmessage = (event) => show(JSON.parse(event.data));
    socket.onclose = (event) => { outcome = event.code; };
  }
</script>
"""


@pytest.fixture
def page(browser: Browser, stack: Stack) -> Iterator[Page]:
    """A page as the gateway's own, which answers with nothing that is allowed a script."""
    with opened(browser, refused=(404,), bypass_csp=True) as page:
        page.goto(f"{stack.http}/livez")
        page.set_content(BAR)
        yield page


def report(stack: Stack, job: str, *events: dict[str, Any]) -> None:
    httpx.post(f"{stack.http}/v1/events", json=[{"job": job} | event for event in events]).raise_for_status()


def wait_for(page: Page, condition: str) -> list[dict[str, Any]]:
    """Wait until the page is so far; what it has been told by then."""
    page.wait_for_function(condition)
    seen: list[dict[str, Any]] = page.evaluate("seen")
    return seen


def test_a_bar_follows_a_job_from_before_it_is_there_to_its_end(page: Page, stack: Stack, job_id: str) -> None:
    page.evaluate("follow", job_id)
    stages = [{"name": "Parse"}, {"name": "Analyze", "weight": 3}]
    report(stack, job_id, {"type": "job.queued", "stages": stages})
    [first] = wait_for(page, "seen.length")[:1]
    assert (first["status"], first["percent"], first["overall_percent"]) == ("pending", 0, 0)
    report(stack, job_id, {"type": "stage.progressed", "stage": "Parse", "percent": 50})
    running = wait_for(page, "seen.at(-1).overall_percent === 12.5")[-1]
    assert page.text_content("#bar") == "13%"
    assert running["current_stage"] == "Parse"
    assert running["stages"][0].items() >= {"name": "Parse", "status": "running", "progress": 50}.items()
    assert running["stages"][1] == {"name": "Analyze", "status": "pending", "progress": 0, "duration": None}
    report(stack, job_id, {"type": "stage.finished", "stage": "Parse"}, {"type": "job.finished"})
    last = wait_for(page, "outcome !== null")[-1]
    assert page.evaluate("outcome") == "complete"
    assert (last["status"], last["percent"], last["stages"][0]["status"]) == ("completed", 100, "completed")


def test_a_bar_hears_of_a_failure_before_the_stream_ends(page: Page, stack: Stack, job_id: str) -> None:
    report(stack, job_id, {"type": "job.progressed", "percent": 40})
    page.evaluate("follow", job_id)
    wait_for(page, "seen.length")
    report(stack, job_id, {"type": "job.failed", "error": {"type": "E", "detail": "page 12 unreadable"}})
    last = wait_for(page, "outcome !== null")[-1]
    assert page.evaluate("outcome") == "lost"
    assert (last["status"], last["percent"], last["error"]) == ("failed", 40, "page 12 unreadable")


def test_a_browser_that_comes_back_after_the_end_stays_away(page: Page, stack: Stack, job_id: str) -> None:
    report(stack, job_id, {"type": "job.progressed", "percent": 40}, {"type": "job.canceled"})
    page.evaluate("trust", job_id)
    wait_for(page, "seen.length && source.readyState === EventSource.CONNECTING")
    seen = wait_for(page, "source.readyState === EventSource.CLOSED")
    assert [state["status"] for state in seen] == ["failed"]


@pytest.mark.parametrize(
    ("end", "status"),
    [("job.finished", "completed"), ("job.failed", "failed"), ("job.canceled", "failed")],
)
def test_a_loop_that_polls_progress_ends_with_the_job(
    page: Page, stack: Stack, job_id: str, end: str, status: str
) -> None:
    page.evaluate("job => void pollProgress(job)", job_id)
    report(stack, job_id, {"type": "job.progressed", "done": 3, "total": 4, "message": "row 3"})
    state = wait_for(page, "seen.length")[-1]
    assert (state["percent"], state["completed_items"], state["total_items"]) == (75, 3, 4)
    assert (state["type"], state["message"]) == ("items", "row 3")
    report(stack, job_id, {"type": end})
    assert wait_for(page, "outcome === 'over'")[-1]["status"] == status


@pytest.mark.parametrize("status", ["finished", "failed", "canceled"])
def test_a_loop_that_polls_a_status_ends_with_the_job(page: Page, stack: Stack, job_id: str, status: str) -> None:
    page.evaluate("job => void pollStatus(job)", job_id)
    report(stack, job_id, {"type": "job.queued"})
    assert wait_for(page, "seen.length")[0]["status"] == "queued"
    report(stack, job_id, {"type": f"job.{status}"})
    assert wait_for(page, "outcome === 'over'")[-1]["status"] == status


def test_a_socket_shows_the_job_at_once_then_each_change_and_closes(page: Page, stack: Stack, job_id: str) -> None:
    report(stack, job_id, {"type": "job.progressed", "percent": 41.9, "message": "step 2"})
    stack.wait_for(job_id, percent=41.9)
    page.evaluate("listen", job_id)
    [first] = wait_for(page, "seen.length")
    assert (first["status"], first["percent"], first["message"]) == ("running", 41, "step 2")
    report(stack, job_id, {"type": "job.progressed", "percent": 60})
    wait_for(page, "seen.at(-1).percent === 60")
    report(stack, job_id, {"type": "job.finished", "result": {"value": 42}})
    last = wait_for(page, "outcome !== null")[-1]
    assert page.evaluate("outcome") == 1000
    assert (last["status"], last["percent"], last["result"]) == ("finished", 100, {"value": 42})
