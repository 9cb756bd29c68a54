"""The pages of kinds in a real browser: at a glance, one at length, and what is told of them when little is known."""

import re
from collections.abc import Sequence

import msgspec

from projections.paths import Run, StagePath
from streamproc.keys import Keys
from tests.support.browsing import PHONE, Browser, Page, Route, expect, opened, report, says
from tests.support.gateways import PARTITIONS
from tests.support.processes import Gateway
from tests.support.stack import Stack, running_stack

NONE = "\N{EN DASH}"
START = 1_763_750_000_000


def ran(
    stack: Stack, kind: str, runs: Sequence[tuple[str, float]], stages: Sequence[str] = ("",), *, waited: float = 0
) -> None:
    """Put runs of a kind into the store a minute after one another, as commits would have done."""
    keys = Keys(stack.namespace, PARTITIONS)
    with stack.log.client.pipeline(transaction=False) as pipe:
        for number, (outcome, seconds) in enumerate(runs):
            duration = round(1000 * seconds)
            part = duration // len(stages)
            paths = [StagePath(name, at * part, (at + 1) * part, outcome="finished") for at, name in enumerate(stages)]
            ended = START + 60_000 * number
            partition = keys.partitions[number % PARTITIONS]
            run = msgspec.json.encode(Run(outcome, duration, round(1000 * waited), 0, paths))
            pipe.xadd(partition.runs(kind), {"r": run}, id=f"{ended}-0")
            pipe.zadd(partition.kinds, {kind: ended})
        pipe.execute()


def cells(page: Page, kind: str) -> list[str]:
    found: list[str] = page.locator(f"tr:has(a:text-is({kind!r})) > *").all_inner_texts()
    return found


def test_kinds_are_told_at_a_glance_and_sorted_by_click_or_key(browser: Browser, server_url: str) -> None:
    with running_stack(server_url) as stack, opened(browser) as page:
        ran(stack, "quick", [("finished", 2)] * 9 + [("failed", 1)])
        ran(stack, "slow", [("finished", 60)] * 10)
        report(
            stack,
            {"job": "a", "type": "job.queued", "kind": "quick"},
            {"job": "b", "type": "job.queued", "kind": "new"},
        )
        report(stack, {"job": "c", "type": "job.started", "kind": "slow"}, {"job": "c", "type": "job.progressed"})
        page.goto(f"{stack.http}/#/kinds")
        names = page.locator("tbody a")
        expect(names).to_have_text(["new", "quick", "slow"])
        expect(page.locator("tr:has(a:text-is('quick')) svg[role=img]")).to_have_attribute(
            "aria-label", "The latest 10 runs took 1 s to 2 s, 1 failed"
        )
        expect(page.locator("tr:has(a:text-is('quick')) .run.failed")).to_have_count(1)
        assert cells(page, "quick")[:5] == ["quick", "0", "1", "2 s", "2 s"]
        assert cells(page, "quick")[6:8] == ["10 %", "100 %"]
        assert cells(page, "slow")[1:5] == ["1", "0", "1 min", "1 min"]
        assert cells(page, "new")[1:9] == ["0", "1", NONE, NONE, "", NONE, NONE, NONE]

        page.click("button.sort:text-is('Typical')")
        expect(names).to_have_text(["slow", "quick", "new"])
        expect(page.locator("th[aria-sort=descending]")).to_have_text("Typical")
        page.keyboard.press("Enter")
        expect(names).to_have_text(["quick", "slow", "new"])
        expect(page.locator("th[aria-sort=ascending]")).to_have_text("Typical")
        assert page.url.endswith("#/kinds?sort=typical")
        page.reload()
        expect(names).to_have_text(["quick", "slow", "new"])
        report(stack, {"job": "d", "type": "job.queued", "kind": "another"})
        expect(names).to_have_text(["quick", "slow", "another", "new"])


def test_a_thousand_kinds_are_searched_and_only_those_in_sight_asked_about_at_length(
    browser: Browser, server_url: str
) -> None:
    with running_stack(server_url) as stack, opened(browser) as page:
        keys = Keys(stack.namespace, PARTITIONS).partitions[0]
        stack.log.client.zadd(keys.kinds, {f"kind {number:04}": START for number in range(1000)})
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url) if "/v1/kinds/" in request.url else None)
        page.goto(f"{stack.http}/#/kinds")
        says(page, ".narrow", "1,000 kinds")
        expect(page.locator("tbody tr")).to_have_count(1000)
        with page.expect_request("**/v1/kinds/kind%200999"):
            page.evaluate("scrollTo(0, document.body.scrollHeight)")
        assert len(asked) < 200
        page.evaluate("scrollTo(0, 0)")
        page.fill("#find-kind", "7")
        says(page, ".narrow", "271 of 1,000 kinds")
        page.fill("#find-kind", "0777")
        expect(page.locator("tbody tr")).to_have_count(1)
        assert page.url.endswith("#/kinds?q=0777")
        page.reload()
        expect(page.locator("tbody tr")).to_have_count(1)
        page.fill("#find-kind", "none is called so")
        says(page, ".narrow", "0 of 1,000 kinds")


def test_a_kind_draws_its_runs_each_a_link_to_its_job(page: Page, stack: Stack, job_id: str) -> None:
    kind = f"drawn {job_id}"[:200]
    for number in range(3):
        done = f"{job_id}-{number}"
        end = {"type": "job.failed" if number == 1 else "job.finished"}
        report(stack, {"job": done, "type": "job.started", "kind": kind}, {"job": done, **end})
    page.goto(f"{stack.http}/#/kinds")
    page.click(f"a:text-is({kind!r})")
    plot = page.locator(".plot").first
    expect(plot.locator("circle.run.finished")).to_have_count(2)
    expect(plot.locator("path.run.failed")).to_have_count(1)
    expect(plot.locator(".level-name")).to_have_text(["p90", "typical"])
    says(page, "#in-words", "3 runs")
    says(page, "#in-words", "1 failed")
    says(page, ".lead", "All of its jobs")
    dot = plot.locator("a.dot:has(.failed)")
    expect(dot).to_have_attribute("aria-label", re.compile("^failed after "))
    page.focus("text=Failed")
    page.keyboard.press("Tab")
    expect(plot.locator("a.dot").last).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(dot).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text(f"{job_id}-1")


def test_a_kind_tells_failures_waits_stages_and_how_well_estimates_held(page: Page, stack: Stack, job_id: str) -> None:
    kind = f"told-{job_id}"
    outcomes = ["finished"] * 10 + ["finished", "failed"] * 5 + ["canceled"] * 10
    ran(stack, kind, [(outcome, 10 + number) for number, outcome in enumerate(outcomes)], ("Read", "Send"), waited=90)
    page.goto(f"{stack.http}/#/kinds/{kind}")
    says(page, ".figures", "1 min 30 s")
    says(page, ".figures", "25 %")
    buckets = page.locator(".plot >> nth=1").locator("g title")
    expect(buckets).to_have_count(2)  # of ten that were canceled nothing is told
    expect(buckets.first).to_have_text(re.compile("^0 of 10 failed"))
    expect(buckets.last).to_have_text(re.compile("^5 of 10 failed"))
    says(page, "#in-words", "10 were canceled")
    expect(page.locator("[aria-label=Stages] tbody tr td:first-child")).to_have_text(["Read", "Send"])
    says(page, ".held", "should be about 90 %")
    says(page, ".held", "predictions")
    expect(page.locator(".warning")).to_have_count(0)
    says(page, "section", "the latest 100")


def test_it_is_said_where_p90_held_too_seldom(page: Page, stack: Stack, job_id: str) -> None:
    kind = f"off-{job_id}"
    ran(stack, kind, [("finished", 5)] * 3)
    calibration = {"predictions": 49, "p50_held": 0.3, "p90_held": 0.61}

    def answer(route: Route) -> None:
        route.fulfill(response=(response := route.fetch()), json=response.json() | {"calibration": calibration})

    page.route(f"**/v1/kinds/{kind}", answer)
    page.goto(f"{stack.http}/#/kinds/{kind}")
    says(page, ".held", "too few to judge by")
    expect(page.locator(".warning")).to_have_count(0)
    calibration["predictions"] = 50
    says(page, ".warning", "p90 held in only 61 %")


def test_nothing_says_nan_of_no_run_one_run_runs_of_no_time_and_runs_that_were_canceled(
    browser: Browser, stack: Stack, job_id: str
) -> None:
    kinds: dict[str, list[tuple[str, float]]] = {
        "none": [],
        "one": [("finished", 4.2)],
        "instant": [("finished", 0)] * 12,
        "off": [("canceled", 0)],
        "far": [("finished", 10.0**power) for power in range(-3, 9)],
    }
    for name, runs in kinds.items():
        ran(stack, f"{name}-{job_id}", runs)
    report(stack, {"job": job_id, "type": "job.queued", "kind": f"none-{job_id}"})
    said = {
        "none": "No run of this kind has ended yet",
        "one": "1 run, the shortest 4.2 s",
        "instant": "12 runs, the shortest 0 s",
        "off": "1 was canceled",
        "far": "The scale is by powers",
    }
    with opened(browser, PHONE) as page:
        for name, text in said.items():
            page.goto(f"{stack.http}/#/kinds/{name}-{job_id}")
            says(page, ".page", text)
            assert "NaN" not in page.content()
            assert "Infinity" not in page.content()
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.goto(f"{stack.http}/#/kinds")
        says(page, "tbody", f"instant-{job_id}")
        assert "NaN" not in page.content()


def test_kinds_that_there_are_none_of_and_a_kind_that_there_is_not(browser: Browser, server_url: str) -> None:
    with running_stack(server_url) as stack, opened(browser, refused=(404,)) as page:
        page.goto(f"{stack.http}/#/kinds")
        says(page, ".state", "No kinds yet")
        report(stack, {"job": "a", "type": "job.queued", "kind": "first"})
        says(page, "tbody", "first")
        page.goto(f"{stack.http}/#/kinds/never")
        says(page, ".state", "There is no such thing here")


def test_kinds_stay_when_the_gateway_goes_and_go_on_when_it_is_back(page: Page, stack: Stack, job_id: str) -> None:
    report(stack, {"job": f"{job_id}-1", "type": "job.queued", "kind": f"1-{job_id}"})
    gateway = Gateway(stack.redis, stack.namespace).start()
    try:
        page.goto(f"{gateway.url}/#/kinds")
        says(page, "tbody", f"1-{job_id}")
        gateway.kill()
        says(page, "#connection", "Stale")
        says(page, "tbody", f"1-{job_id}")
        report(stack, {"job": f"{job_id}-2", "type": "job.queued", "kind": f"2-{job_id}"})
        gateway.start()
        says(page, "tbody", f"2-{job_id}")
    finally:
        gateway.kill()
