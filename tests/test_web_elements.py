"""The elements for pages: in plain HTML, under a strict policy, with whatever names people give."""

from collections.abc import Iterator
from typing import Any, Literal

import httpx
import pytest

from tests.support.axe import violations
from tests.support.browsing import MARKUP, PHONE, Browser, Page, opened, put, wait_for
from tests.support.stack import Stack

SCRIPT = '<script type="module" src="/static/streamproc.js"></script>'
BAR = "document.querySelector('job-progress').shadowRoot.querySelector('[role=progressbar]')"
TEXT = "document.querySelector('job-progress').shadowRoot.textContent"
ROWS = "[...document.querySelector('job-list').shadowRoot.querySelectorAll('job-progress')]"


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with opened(browser, PHONE, refused=(404,)) as page:
        yield page


def report(stack: Stack, job: str, *events: dict[str, Any]) -> None:
    httpx.post(f"{stack.http}/v1/events", json=[{"job": job} | event for event in events]).raise_for_status()


def is_narrow(page: Page) -> bool:
    """Whether nothing sticks out of the page."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def test_an_element_is_a_progressbar_that_moves(page: Page, stack: Stack, job_id: str) -> None:
    report(stack, job_id, {"type": "job.started", "title": "Import of April"})
    put(page, stack.http, f'{SCRIPT}<job-progress job="{job_id}"></job-progress>')
    wait_for(page, f"{TEXT}.includes('Import of April')")
    bar = page.get_by_role("progressbar", name="Import of April")
    assert bar.get_attribute("aria-valuenow") is None  # how far it is isn't known yet
    assert bar.get_attribute("aria-valuetext") == "Started"
    report(stack, job_id, {"type": "job.progressed", "percent": 41.25, "message": "row 33/80"})
    wait_for(page, f"{BAR}.ariaValueNow === '41.25'")
    assert bar.get_attribute("aria-valuetext") == "41 % · Running"
    assert (bar.get_attribute("aria-valuemin"), bar.get_attribute("aria-valuemax")) == ("0", "100")
    wait_for(page, f"{TEXT}.includes('row 33/80')")
    report(stack, job_id, {"type": "job.finished"})
    wait_for(page, f"{BAR}.ariaValueNow === '100'")
    news = "document.querySelector('job-progress').shadowRoot.querySelector('[role=status]').textContent"
    # A change of status is said aloud, the next one in its time.
    assert page.evaluate(news) == "Import of April: Running"
    wait_for(page, f"{news} === 'Import of April: Finished'")


def test_the_job_of_an_element_may_change(page: Page, stack: Stack, job_id: str) -> None:
    report(stack, job_id, {"type": "job.progressed", "percent": 10})
    report(stack, f"{job_id}-2", {"type": "job.progressed", "percent": 20})
    put(page, stack.http, f'{SCRIPT}<job-progress job="{job_id}"></job-progress>')
    wait_for(page, f"{BAR}?.ariaValueNow === '10'")
    page.evaluate("job => document.querySelector('job-progress').setAttribute('job', job)", f"{job_id}-2")
    wait_for(page, f"{BAR}.ariaValueNow === '20'")


def test_an_element_takes_its_looks_from_the_page(page: Page, stack: Stack, job_id: str) -> None:
    report(stack, job_id, {"type": "job.progressed", "percent": 10})
    put(page, stack.http, f'{SCRIPT}<job-progress job="{job_id}"></job-progress>')
    wait_for(page, f"{BAR}?.ariaValueNow === '10'")
    color = f"getComputedStyle({BAR}.firstChild).backgroundColor"
    assert page.evaluate(color) == "rgb(36, 87, 214)"
    page.evaluate("document.body.style.setProperty('--job-accent', 'rgb(1, 2, 3)')")
    assert page.evaluate(color) == "rgb(1, 2, 3)"
    page.emulate_media(reduced_motion="reduce")
    assert page.evaluate(f"getComputedStyle({BAR}.firstChild).transitionDuration") == "0s"


def test_names_are_text_whatever_is_in_them(page: Page, stack: Stack, job_id: str) -> None:
    report(
        stack,
        job_id,
        {"type": "job.started", "kind": MARKUP, "title": MARKUP, "labels": {MARKUP: MARKUP}, "worker": MARKUP},
        {"type": "stage.progressed", "stage": MARKUP, "percent": 3, "message": MARKUP},
    )
    tags = f'<job-progress job="{job_id}"></job-progress><job-list jobs="{job_id}"></job-list>'
    put(page, stack.http, SCRIPT + tags)
    wait_for(page, f"{TEXT}.split('onerror').length > 3 && {ROWS}.length")
    assert page.evaluate(f"[{BAR}.getRootNode(), {ROWS}[0].shadowRoot].every(r => !r.querySelector('img, script'))")
    report(stack, job_id, {"type": "job.failed", "error": {"type": MARKUP, "detail": MARKUP}})
    wait_for(page, f"{TEXT}.includes('Failed')")
    assert is_narrow(page)


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ({"title": "W" * 256, "message": "M" * 1000, "percent": 1}, "1 %"),
        ({"title": "مرحبا بالعالم", "message": "🎉" * 100, "percent": 2}, "🎉"),
        ({"done": 10**15 - 1, "total": 10**15}, "100 %"),
        ({"done": 0, "total": 0}, "0 %"),
        ({}, "Running"),
    ],
    ids=["long", "right-to-left", "huge", "nothing", "indeterminate"],
)
def test_nothing_overflows_and_nothing_says_nan(
    page: Page, stack: Stack, job_id: str, event: dict[str, Any], said: str
) -> None:
    title = event.pop("title", "t")
    report(stack, job_id, {"type": "job.started", "title": title}, {"type": "job.progressed", **event})
    put(page, stack.http, f'{SCRIPT}<job-progress job="{job_id}"></job-progress>')
    wait_for(page, f"{TEXT}.includes('{said}')")
    shown = page.evaluate(TEXT) + page.evaluate(f"{BAR}.outerHTML")
    assert not [word for word in ("NaN", "undefined", "null", "Infinity", "Invalid") if word in shown]
    assert is_narrow(page)


WORDS = [
    ("duration(0)", "0 s"),
    ("duration(59.6)", "1 min"),
    ("duration(3_725)", "1 h 2 min"),
    ("duration(90 * 86_400)", "90 d"),
    ("duration(-5)", "0 s"),
    ("duration(NaN)", ""),
    ("duration(undefined)", ""),
    ("percentText(99.99)", "99 %"),
    ("percentText(null)", ""),
    ("instant('no time')", ""),
]


def test_what_is_odd_is_left_out(page: Page, stack: Stack) -> None:
    put(page, stack.http)
    for expression, said in WORDS:
        told = f"import('/static/look.js').then(({{duration, percentText, instant}}) => {expression})"
        assert page.evaluate(told) == said, expression


def test_a_list_shows_jobs_as_they_come_the_newest_first(page: Page, stack: Stack, job_id: str) -> None:
    put(page, stack.http, f'{SCRIPT}<job-list kind="{job_id}" most="2"></job-list>')
    wait_for(page, "document.querySelector('job-list').shadowRoot.textContent.includes('No jobs')")
    for number in (1, 2, 3):
        report(stack, f"{job_id}-{number}", {"type": "job.started", "kind": job_id, "title": f"n{number}"})
        wait_for(page, f"{ROWS}[0]?.snapshot?.title === 'n{number}'")
    assert page.evaluate(f"{ROWS}.map((row) => row.snapshot.title)") == ["n3", "n2"]
    wait_for(page, "document.querySelector('job-list').shadowRoot.textContent.includes('and 1 more')")
    report(stack, f"{job_id}-3", {"type": "job.progressed", "percent": 50})
    wait_for(page, f"{ROWS}[0].snapshot.percent === 50")
    report(stack, f"{job_id}-3", {"type": "job.finished"})
    wait_for(page, f"{ROWS}[0].snapshot.status === 'finished'")
    assert is_narrow(page)


def test_an_element_says_when_there_is_no_job(page: Page, stack: Stack, job_id: str) -> None:
    put(page, stack.http, f'{SCRIPT}<job-progress job="{job_id}"></job-progress>')
    wait_for(page, f"{TEXT}.includes('There is no such job')")


# What pages do with them --------------------------------------------------------------------------------------------

HEARD = """() => {
  window.heard = [];
  const hear = ({type, detail: {job, was, snapshot}}) => heard.push([type, job, was, snapshot?.status ?? null]);
  for (const name of ["jobchange", "jobend"]) document.addEventListener(name, hear);
}"""


def test_elements_tell_the_page_of_changes_and_of_ends(page: Page, stack: Stack, job_id: str) -> None:
    report(stack, job_id, {"type": "job.started", "kind": job_id})
    put(page, stack.http)
    page.evaluate(HEARD)
    page.evaluate("import('/static/streamproc.js')")
    page.evaluate(
        """([job]) => {
          document.body.append(Object.assign(document.createElement("job-progress"), {job}));
          const list = document.createElement("job-list");
          list.setAttribute("kind", job);
          document.body.append(list);
        }""",
        [job_id],
    )
    wait_for(page, "heard.filter(([, , , status]) => status === 'started').length === 2")  # of the bar, and of the list
    report(stack, job_id, {"type": "job.finished"})
    wait_for(page, "heard.filter(([name]) => name === 'jobend').length === 2")
    page.evaluate("(() => { const bar = document.querySelector('job-progress'); bar.show({...bar.snapshot}); })()")
    ends = [one for one in page.evaluate("heard") if one[0] == "jobend"]
    assert ends == [["jobend", job_id, "started", "finished"]] * 2


def test_a_title_links_where_the_page_says(page: Page, stack: Stack, job_id: str) -> None:
    job = f"a:{job_id[-8:]}@b"
    report(stack, job, {"type": "job.started", "kind": job_id})
    tags = f'<job-progress job="{job}" href="/jobs/{{job}}?of={{job}}"></job-progress>'
    put(page, stack.http, f'{SCRIPT}{tags}<job-list kind="{job_id}" href="#{{job}}"></job-list>')
    link = "shadowRoot.querySelector('.title').getAttribute('href')"
    escaped = job.replace(":", "%3A").replace("@", "%40")
    wait_for(page, f"document.querySelector('job-progress').{link} === '/jobs/{escaped}?of={escaped}'")
    wait_for(page, f"{ROWS}[0]?.{link} === '#{escaped}'")
    page.evaluate("document.querySelector('job-progress').removeAttribute('href')")
    assert page.evaluate(f"document.querySelector('job-progress').{link}") is None
    assert page.get_by_role("link").count() == 1


def test_elements_may_follow_another_gateway_or_by_another_client(page: Page, stack: Stack, job_id: str) -> None:
    report(stack, job_id, {"type": "job.progressed", "percent": 10})
    tags = "".join(
        f'<job-progress id="{name}" job="{job_id}" src="{src}"></job-progress>'
        for name, src in (("same", stack.http), ("bad", "http://"), ("given", "http://"))
    )
    put(page, stack.http, tags)
    page.evaluate(
        """async () => {
          const {connect} = await import("/static/client.js");
          document.querySelector("#given").client = connect();  // it isn't such an element yet
          await import("/static/streamproc.js");
        }"""
    )
    wait_for(page, "['#same', '#given'].every((id) => document.querySelector(id).snapshot?.percent === 10)")
    wait_for(page, "document.querySelector('#bad').shadowRoot.textContent.includes('URL')")


def test_an_element_that_is_moved_follows_on(page: Page, stack: Stack, job_id: str) -> None:
    report(stack, job_id, {"type": "job.progressed", "percent": 10})
    opened: list[str] = []
    page.on("request", lambda request: opened.append(request.url) if "/v1/" in request.url else None)
    put(page, stack.http, f'{SCRIPT}<job-progress job="{job_id}" href="#"></job-progress><div></div>')
    wait_for(page, f"{BAR}?.ariaValueNow === '10'")
    page.evaluate(
        """() => {
          const bar = document.querySelector("job-progress");
          window.states = [];
          bar.addEventListener("jobchange", ({detail}) => states.push(detail.state));
          document.querySelector("div").append(bar);
          document.body.prepend(bar);
        }"""
    )
    report(stack, job_id, {"type": "job.progressed", "percent": 20})
    wait_for(page, f"{BAR}.ariaValueNow === '20'")
    assert page.evaluate("states") == ["live"]
    assert len(opened) == 1
    page.evaluate("document.querySelector('job-progress').remove()")
    with page.expect_event("requestfailed", lambda request: "/stream" in request.url):
        pass


def test_five_hundred_elements_share_a_few_streams(page: Page, stack: Stack, namespace: str) -> None:
    jobs = [f"{namespace}{number}" for number in range(500)]
    done = httpx.post(
        f"{stack.http}/v1/events", json=[{"job": job, "type": "job.progressed", "percent": 5} for job in jobs]
    )
    done.raise_for_status()
    opened: list[str] = []
    page.on("request", lambda request: opened.append(request.url) if "/v1/" in request.url else None)
    put(page, stack.http, SCRIPT + "".join(f'<job-progress job="{job}"></job-progress>' for job in jobs))
    wait_for(page, "[...document.querySelectorAll('job-progress')].every(({snapshot}) => snapshot?.percent === 5)")
    assert len(opened) == 3


def test_one_timer_counts_down_for_all_elements(page: Page, stack: Stack, job_id: str) -> None:
    put(page, stack.http)
    ticking = page.evaluate(
        """async () => {
          const ticking = new Set();
          const {setInterval: set, clearInterval: clear} = window;
          window.setInterval = (work, ms) => {
            const id = set(work, ms);
            if (ms === 1_000) ticking.add(id);
            return id;
          };
          window.clearInterval = (id) => { ticking.delete(id); clear(id); };
          await import("/static/streamproc.js");
          const left = {job_id: "a", status: "running", percent: 1, eta: {remaining_seconds: {p50: 60, p90: 90}}};
          const counts = [];
          for (let round = 0; round < 5; round++) {
            const bars = [1, 2].map(() => document.body.appendChild(document.createElement("job-progress")));
            bars.forEach((bar) => bar.show(left));
            counts.push(ticking.size);
            bars.forEach((bar) => bar.remove());
            await Promise.resolve();
            counts.push(ticking.size);
          }
          return counts;
        }"""
    )
    assert ticking == [1, 0] * 5


def test_a_list_of_named_jobs_is_in_their_order_and_says_which_are_not_there(
    page: Page, stack: Stack, job_id: str
) -> None:
    names = [f"{job_id}-{name}" for name in "bca"]
    for name in names[:2]:
        report(stack, name, {"type": "job.progressed", "percent": 1})
    put(page, stack.http, f'{SCRIPT}<job-list jobs="{" ".join(names)} {names[0]}"></job-list>')
    texts = f"{ROWS}.map((row) => row.shadowRoot.textContent)"
    wait_for(page, f"{texts}[2]?.includes('There is no such job') && {texts}[1].includes('1 %')")
    assert [text.split("1 %")[0] for text in page.evaluate(texts)[:2]] == names[:2]
    report(stack, names[2], {"type": "job.finished"})
    wait_for(page, f"{texts}[2].includes('Finished')")
    assert page.evaluate(f"{ROWS}.length") == 3


def test_a_list_keeps_no_more_of_what_has_ended_than_it_shows(page: Page, stack: Stack, job_id: str) -> None:
    put(page, stack.http, f'{SCRIPT}<job-list kind="{job_id}" most="2"></job-list>')
    note = "document.querySelector('job-list').shadowRoot.querySelector('[part=note]').textContent"
    wait_for(page, f"{note} === 'No jobs'")
    for number in range(4):
        job = f"{job_id}-{number}"
        report(stack, job, {"type": "job.started", "kind": job_id})
        wait_for(page, f"{ROWS}[0]?.snapshot?.job_id === '{job}'")
        report(stack, job, {"type": "job.finished"})
        wait_for(page, f"{ROWS}[0].snapshot.status === 'finished'")
    assert page.evaluate(f"[{ROWS}.length, {note}]") == [2, ""]


# For all eyes, and pages ----------------------------------------------------------------------------------------------


def shown(**fields: Any) -> dict[str, Any]:
    """A snapshot as far as elements look at it."""
    return {"job_id": "import-42", "title": "Import of April", "status": "running", "percent": 41.25} | fields


LEFT = {"remaining_seconds": {"p50": 754, "p90": 900}, "finish_at": {"p50": "2030-01-01T12:00:00Z", "p90": None}}
STATES: list[tuple[dict[str, Any] | None, dict[str, Any]]] = [
    (None, {"state": "connecting"}),
    (None, {"state": "gone"}),
    (shown(current_stage="Parse", message="row 33/80", eta=LEFT), {"state": "live"}),
    (shown(percent=None), {"state": "live"}),
    (shown(status="queued", percent=0), {"state": "polling"}),
    (shown(status="paused"), {"state": "live"}),
    (shown(stalled=True), {"state": "live"}),
    (shown(message="row 33/80"), {"state": "stale"}),
    (shown(status="finished", percent=100), {"state": "live"}),
    (shown(status="failed", error={"type": "E", "detail": "page 12 can't be read"}), {"state": "live"}),
    (shown(status="canceled"), {"state": "live"}),
    (shown(title="\u0645\u0631\u062d\u0628\u0627 " * 20, message="x" * 300), {"state": "live"}),
]
SHOW = """async (states) => {
  await import("/static/streamproc.js");
  const main = document.querySelector("main");
  Object.assign(main.style, {display: "grid", gap: "0.75em", padding: "1em"});
  for (const [snapshot, status] of states) {
    const bar = main.appendChild(document.createElement("job-progress"));
    bar.show(snapshot, {since: new Date(2030, 0, 1, 12), ...status, job: "import-42"});
  }
}"""


@pytest.mark.parametrize("direction", ["ltr", "rtl"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_state_of_an_element_has_what_axe_calls_a_violation(
    browser: Browser, stack: Stack, scheme: Literal["light", "dark"], direction: str
) -> None:
    with opened(browser, PHONE, scheme) as page:
        put(page, stack.http, "<h1>Jobs</h1>")
        page.evaluate(f"document.documentElement.dir = '{direction}'")
        page.evaluate(f"document.body.style.cssText = 'color-scheme: {scheme}; background: Canvas; color: CanvasText'")
        page.evaluate(SHOW, STATES)
        assert violations(page) == ""
        assert is_narrow(page)
        origin = page.evaluate(f"getComputedStyle({BAR}.firstChild).transformOrigin").split()[0]
        assert (origin == "0px") == (direction == "ltr")
        page.emulate_media(forced_colors="active")
        bar, track = (page.evaluate(f"getComputedStyle({BAR}{part}).backgroundColor") for part in (".firstChild", ""))
        assert bar != track
