"""A job's past in a real browser: its charts from its beginning on, and the slider that shows it as it was."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import streamproc.past
from tests.support.browsing import PHONE, Browser, Page, expect, opened, report, says
from tests.support.scene import play
from tests.support.stack import Stack, running_stack

STAGES = [{"name": "Upload"}, {"name": "Parse", "weight": 3}]
NONE = "\N{EN DASH}"
MARKER = {"light": [138, 83, 0], "dark": [240, 184, 96]}
ACCENT = {"light": [36, 86, 200], "dark": [130, 170, 255]}

Told = list[tuple[float, dict[str, Any]]]


def of(job: str, *told: tuple[float, dict[str, Any]]) -> Told:
    return [(ago, {"job": job} | event) for ago, event in told]


def progressed(percent: float) -> dict[str, Any]:
    return {"type": "job.progressed", "percent": percent}


def staged(job: str) -> Told:
    """Of 400 s that ended 100 s ago: an attempt that failed, and one of two stages that finished."""
    return of(
        job,
        (500, {"type": "job.queued", "title": "Orders", "kind": "import", "stages": STAGES}),
        (490, {"type": "job.started"}),
        (460, {"type": "stage.progressed", "stage": "Upload", "percent": 40}),
        (450, {"type": "job.failed", "error": {"type": "E", "detail": "no answer"}}),
        (400, {"type": "job.started", "attempt": 2}),
        (360, {"type": "stage.finished", "stage": "Upload"}),
        *(
            (360 - 2.5 * step, {"type": "stage.progressed", "stage": "Parse", "percent": step})
            for step in range(1, 100)
        ),
        (100, {"type": "job.finished"}),
    )


HISTORIES = [
    *of("going", (100, {"type": "job.started"}), *((100 - 2 * step, progressed(step)) for step in range(1, 41))),
    *of("mid", (100, {"type": "job.started"}), *((100 - 2 * step, progressed(step)) for step in range(1, 41))),
    *staged("over"),
    *of("mute", (60, {"type": "job.started"}), (30, {"type": "job.heartbeat"})),
    *of("brief", (9, {"type": "job.started"}), (8.9, progressed(50)), (8.8, {"type": "job.finished"})),
    *of("trimmed", (60, {"type": "job.started"}), (40, progressed(20)), (20, progressed(30))),
    *of("long", *((90 - step / 10, progressed(step / 10)) for step in range(800)), (5, {"type": "job.finished"})),
]


@pytest.fixture(scope="module")
def stack(server_url: str) -> Iterator[Stack]:
    """Where all that has happened already, some of it long ago."""
    with running_stack(server_url) as running:
        play(running, sorted(HISTORIES, key=lambda each: -each[0]))
        yield running


def goto(page: Page, stack: Stack, job: str) -> None:
    page.goto(f"{stack.http}/#/jobs/{job}")
    page.locator(".way").wait_for()


def about(page: Page, which: int) -> str:
    return page.locator(".way .chart").nth(which).get_attribute("aria-label") or ""


def rows(page: Page) -> list[list[str]]:
    """The moments, as the table tells of them."""
    table = page.locator(".as-table")
    if table.get_attribute("open") is None:
        table.locator("summary").click()
    table.locator("tbody tr").first.wait_for()
    found: list[list[str]] = table.locator("tbody tr").evaluate_all(
        "rows => rows.map((row) => [...row.children].map((cell) => cell.textContent))"
    )
    return found


def seen(page: Page, color: list[int]) -> list[dict[str, Any]]:
    """Of each chart, how many of its pixels have a color, and where they are most: as a share of its width."""
    found: list[dict[str, Any]] = page.evaluate(
        """wanted => [...document.querySelectorAll(".way canvas")].map((canvas) => {
          const { width, height } = canvas;
          const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
          const columns = new Array(width).fill(0);
          for (let at = 0; at < data.length; at += 4) {
            const isIt = wanted.every((value, channel) => Math.abs(data[at + channel] - value) < 4);
            if (isIt) columns[(at / 4) % width] += 1;
          }
          const most = Math.max(...columns);
          return { pixels: columns.reduce((sum, value) => sum + value, 0), most, at: columns.indexOf(most) / width };
        })""",
        color,
    )
    return found


def drawn(page: Page) -> Callable[[], list[str]]:
    """The texts that the charts of the next page draw."""
    page.add_init_script("""
      const draw = CanvasRenderingContext2D.prototype.fillText;
      window.drawn = [];
      CanvasRenderingContext2D.prototype.fillText = function (text, ...place) {
        window.drawn.push(text);
        draw.call(this, text, ...place);
      };
    """)
    return lambda: page.evaluate("window.drawn")


def test_charts_begin_where_the_job_did_and_go_on_live(page: Page, stack: Stack) -> None:
    goto(page, stack, "going")
    expect(page.locator(".way .chart").first).to_have_attribute(
        "aria-label", re.compile(r"^Progress from 1 % at .* to 40 %")
    )
    told = rows(page)
    assert [row[1:3] for row in told[:1]] == [["started", NONE]]
    assert [row[2] for row in told[-1:]] == ["40 %"]
    assert len(told) > 20
    assert sum(row[3] != NONE for row in told) > 15, "what was estimated before the page was opened"
    assert [chart["pixels"] > 200 for chart in seen(page, ACCENT["light"])] == [True, True]
    assert about(page, 1).startswith("Estimated end: at first between")
    report(stack, {"job": "going"} | progressed(62))
    expect(page.locator(".way .chart").first).to_have_attribute("aria-label", re.compile("to 62 %"))
    expect(page.locator(".readout")).to_contain_text("62 %")
    assert rows(page)[-1][2] == "62 %"


def test_where_it_really_ended_is_seen_beside_what_was_foretold(page: Page, stack: Stack) -> None:
    goto(page, stack, "over")
    expect(page.locator(".way .chart").nth(1)).to_have_attribute(
        "aria-label", re.compile("It ended at .*(before|after) the first$")
    )
    expect(page.locator(".key")).to_contain_text("when it ended")
    statuses = [row[1] for row in rows(page)]
    assert statuses[0] == "queued"
    assert "failed" in statuses
    assert statuses[-1] == "finished"
    goto(page, stack, "mid")
    expect(page.locator(".key")).to_contain_text("nine in ten before")
    expect(page.locator(".key .ended")).to_be_hidden()


def test_the_slider_goes_from_event_to_event_and_by_twentieths(page: Page, stack: Stack) -> None:
    goto(page, stack, "over")
    slider, huge = page.locator("#moment"), page.locator(".huge")
    expect(huge).to_have_text("100 %")
    slider.press("ArrowLeft")
    expect(huge).to_have_text("99.2 %")
    expect(page.locator(".job-title")).to_contain_text("running")
    expect(slider).to_have_attribute("aria-valuetext", re.compile("99.2 %, running"))
    slider.press("ArrowLeft")
    expect(huge).to_have_text("98.5 %")
    slider.press("ArrowRight")
    expect(huge).to_have_text("99.2 %")
    for _ in range(2):
        slider.press("ArrowRight")
    expect(page.locator(".past output")).to_have_text("now")
    slider.press("PageDown")
    expect(slider).to_have_js_property("value", str(380_000))
    slider.press("PageUp")
    slider.press("Home")
    expect(page.locator(".job-title")).to_contain_text("queued")
    slider.press("End")
    expect(huge).to_have_text("100 %")
    expect(page.locator(".past button")).to_be_hidden()


def test_what_is_past_stays_so_while_the_job_goes_on_until_somebody_goes_back(
    page: Page, stack: Stack, job_id: str
) -> None:
    report(stack, {"job": job_id, "type": "job.started"}, {"job": job_id} | progressed(25))
    report(stack, {"job": job_id} | progressed(75))
    goto(page, stack, job_id)
    expect(page.locator(".huge")).to_have_text("75 %")
    page.locator("#moment").press("Home")
    expect(page.locator(".huge")).not_to_have_text("75 %")
    report(stack, {"job": job_id} | progressed(90))
    expect(page.locator(".way .chart").first).to_have_attribute("aria-label", re.compile("to 90 %"))
    expect(page.locator(".huge")).not_to_have_text("90 %")
    page.click("text=Back to now")
    expect(page.locator(".huge")).to_have_text("90 %")


def test_a_click_on_a_chart_shows_the_job_as_it_was_and_marks_the_moment(page: Page, stack: Stack) -> None:
    goto(page, stack, "over")
    over = page.locator(".way .u-over")
    expect(over).to_have_count(2)
    assert max(chart["most"] for chart in seen(page, MARKER["light"])) < 20
    over.first.hover(position={"x": 3, "y": 40})
    expect(page.locator(".readout")).to_contain_text("0 %")
    expect(page.locator(".u-cursor-x").nth(1)).to_be_visible()
    box = over.first.bounding_box()
    assert box is not None
    over.first.click(position={"x": box["width"] * 0.75, "y": 40})
    expect(page.locator(".job-title")).to_contain_text("running")
    expect(page.locator(".huge")).to_have_text(re.compile(r"^7[234](\.\d)? %$"))
    says(page, ".job-head", "left")
    top, bottom = seen(page, MARKER["light"])
    assert min(top["most"], bottom["most"]) > 50
    assert top["at"] == pytest.approx(bottom["at"], abs=0.01)
    page.click("text=Back to now")
    expect(page.locator(".huge")).to_have_text("100 %")
    assert max(chart["most"] for chart in seen(page, MARKER["light"])) < 20


def test_the_moment_is_in_the_address(page: Page, stack: Stack) -> None:
    goto(page, stack, "over")
    page.locator("#moment").press("ArrowLeft")
    expect(page.locator(".huge")).to_have_text("99.2 %")
    page.wait_for_url(re.compile(r"#/jobs/over\?at=\d+-\d+$"))
    page.reload()
    expect(page.locator(".huge")).to_have_text("99.2 %")
    page.click("text=Back to now")
    page.wait_for_url(re.compile("#/jobs/over$"))


def test_a_job_without_anything_to_chart_says_so(page: Page, stack: Stack) -> None:
    goto(page, stack, "mute")
    says(page, ".way", "It hasn't said yet how far it is")
    expect(page.locator(".way .chart").first).to_be_hidden()
    expect(page.locator(".as-table")).to_be_hidden()
    goto(page, stack, "brief")
    says(page, ".way", "too soon for a chart")
    report(stack, {"job": "mute"} | progressed(10))
    report(stack, {"job": "mute"} | progressed(20))
    goto(page, stack, "mute")
    expect(page.locator(".way .chart").first).to_be_visible()


def test_a_past_that_is_gone_is_told_of_and_the_chart_goes_on_from_now(browser: Browser, stack: Stack) -> None:
    stack.log.client.xtrim(stack.log.keys.of("trimmed").events("trimmed"), maxlen=1, approximate=False)
    with opened(browser, refused=(410,)) as page:
        goto(page, stack, "trimmed")
        says(page, ".way", "The beginning of its history isn't kept any more")
        page.locator("#moment").press("Home")
        says(page, ".past", "The beginning of its history isn't kept any more")
        expect(page.locator(".huge")).to_have_text("30 %")
        report(stack, {"job": "trimmed"} | progressed(50))
        page.click("text=Back to now")
        expect(page.locator(".way .chart").first).to_have_attribute(
            "aria-label", re.compile("^Progress from 30 % .* to 50 %")
        )


def test_a_long_past_is_asked_for_until_it_is_there(
    browser: Browser, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"_PAGE": 50, "APART": 100, "MOST_EVENTS": 300}.items():
        monkeypatch.setattr(streamproc.past, name, value)
    with opened(browser, refused=(503,)) as page:
        answers: list[int] = []
        page.on("response", lambda response: answers.append(response.status) if "/estimates" in response.url else None)
        goto(page, stack, "long")
        says(page, ".way", "Its history is long, and is being read")
        expect(page.locator(".way .chart").first).to_have_attribute(
            "aria-label", re.compile("^Progress from 0 % .* to 100 %")
        )
        assert answers == [503, 503, 200]
        page.locator("#moment").press("ArrowLeft")
        expect(page.locator(".huge")).to_have_text("79.9 %")


def test_charts_follow_the_theme_and_the_width(browser: Browser, stack: Stack) -> None:
    with opened(browser) as page:
        goto(page, stack, "mid")
        expect(page.locator(".way canvas")).to_have_count(2)
        page.emulate_media(color_scheme="dark")
        expect(page.locator(".way canvas")).to_have_count(2)
        assert seen(page, ACCENT["dark"])[0]["pixels"] > 200
        assert seen(page, ACCENT["light"])[0]["pixels"] < 20
        page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
        page.wait_for_function("() => document.querySelector('.way canvas').clientWidth < 330")
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]


def test_the_axes_tell_times_and_no_parts_of_seconds(page: Page, stack: Stack, job_id: str) -> None:
    texts = drawn(page)
    report(stack, {"job": job_id, "type": "job.started"}, {"job": job_id} | progressed(5))
    goto(page, stack, job_id)
    report(stack, {"job": job_id} | progressed(6))
    expect(page.locator(".readout")).to_contain_text("6 %")
    page.wait_for_function("() => window.drawn?.length > 10")
    assert {text for text in texts() if not re.fullmatch(r"\d+ %|\d\d:\d\d(:\d\d)?\s[AP]M", text)} == set()


def test_attempts_stages_and_the_end_are_marked(page: Page, stack: Stack) -> None:
    texts = drawn(page)
    goto(page, stack, "over")
    page.wait_for_function("() => window.drawn?.some((text) => text.startsWith('ended'))")
    assert {"Attempt 2", "Parse"} <= set(texts())
