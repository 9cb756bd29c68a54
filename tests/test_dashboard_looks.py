"""The dashboard's looks: for all eyes and hands, on all screens, at rest and in motion."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.axe import violations
from tests.support.browsing import PHONE, Browser, Page, opened, put, report, says, wait_for
from tests.support.looks import folder, look_at, sound
from tests.support.scene import play, scene
from tests.support.stack import Stack, running_stack

PAGES = {
    "jobs": ("/jobs", ".row"),
    "jobs-none": ("/jobs?kind=nothing", ".state"),
    "job-running": ("/jobs/import-4700", ".event"),
    "job-indeterminate": ("/jobs/sync-9", ".event"),
    "job-queued": ("/jobs/import-4710", ".event"),
    "job-stalled": ("/jobs/backup-4703", ".event"),
    "job-failed": ("/jobs/import-4699", ".event"),
    "kinds": ("/kinds", "tbody tr"),
    "kind": ("/kinds/import", ".figures"),
    "slow": ("/slow", ".trouble"),
    "system": ("/system", "tbody tr"),
}

# What WCAG 1.4.12 has readers do to texts.
SPACED = """() => {
  const sheet = new CSSStyleSheet();
  const spaced = { "line-height": "1.5", "letter-spacing": ".12em", "word-spacing": ".16em" };
  sheet.replaceSync(`* { ${Object.entries(spaced).map(([name, value]) => `${name}: ${value} !important`).join(";")} }`);
  document.adoptedStyleSheets = [sheet];
}"""
CUT = """() => [...document.querySelectorAll(".row, .chip, nav a, button")]
  .filter((each) => each.offsetParent && each.scrollHeight > each.clientHeight + 2).map((each) => each.outerHTML)"""

# What has the focus: a name for it, and whether one sees that.
FOCUSED = """() => {
  const one = document.activeElement;
  const marks = [getComputedStyle(one), getComputedStyle(one, "::after")];
  const { top } = one.getBoundingClientRect();
  const isCovered = !one.closest(".top, .skip") && top < document.querySelector(".top").offsetHeight - 1;
  const isMarked = marks.some((mark) => mark.outlineStyle !== "none" && mark.outlineWidth !== "0px");
  return [one.id || one.textContent.trim(), isMarked && !isCovered];
}"""

LISTEN = """() => {
  window.said = [];
  for (const each of document.querySelectorAll("[aria-live], [role=status], [role=alert]")) {
    const changes = new MutationObserver(() => each.ariaLive === "off" || said.push(each.textContent));
    changes.observe(each, { childList: true, characterData: true, subtree: true });
  }
}"""


@pytest.fixture(scope="module")
def day(server_url: str) -> Iterator[Stack]:
    """A namespace with a day of work, and a dead letter."""
    with running_stack(server_url) as stack:
        play(stack, scene())
        stack.log.client.xadd(stack.log.keys.partitions[1].log, {"e": '{"job": "import-4690", "type": "job.prog'})
        yield stack


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder(tmp_path_factory)


def show(page: Page, stack: Stack, name: str) -> None:
    path, ready = PAGES[name]
    page.goto(f"{stack.http}/#{path}")
    page.locator(ready).first.wait_for()
    says(page, "#connection", "Live")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_for_all_eyes_and_all_screens(page: Page, day: Stack, pictures: Path, name: str) -> None:
    show(page, day, name)
    look_at(page, name, pictures)


def test_a_job_in_the_past_is_for_all_eyes_too(page: Page, day: Stack, pictures: Path) -> None:
    show(page, day, "job-running")
    page.locator("input[type=range]").press("PageDown")
    page.locator(".is-past").wait_for()
    look_at(page, "job-past", pictures)


def test_elements_in_a_plain_page_are_for_all_eyes(page: Page, day: Stack) -> None:
    jobs = ["import-4700", "sync-9", "backup-4703", "import-4699"]
    bars = "".join(f'<job-progress job="{job}"></job-progress>' for job in jobs)
    script = '<script type="module" src="/static/streamproc.js"></script>'
    put(page, day.http, f"{script}<h1>Work</h1>{bars}<h2>All of it</h2><job-list></job-list>")
    wait_for(page, "[...document.querySelectorAll('job-progress')].every((each) => each.snapshot)")
    wait_for(page, "document.querySelector('job-list').shadowRoot.querySelectorAll('job-progress').length > 3")
    assert violations(page) == ""
    page.emulate_media(color_scheme="dark")
    assert violations(page) == ""  # a page that is light whatever the reader likes
    page.evaluate("document.documentElement.style.colorScheme = 'light dark'")
    page.evaluate("document.body.style.cssText = 'background: Canvas; color: CanvasText'")
    assert violations(page) == ""


def test_every_stop_of_the_tab_key_is_seen_and_in_order(page: Page, day: Stack) -> None:
    show(page, day, "jobs")
    assert page.evaluate("[...document.querySelectorAll('[tabindex]')].every((each) => each.tabIndex <= 0)")
    page.keyboard.press("Tab")
    assert page.evaluate(FOCUSED) == ["skip", True]
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    stops = []
    for _ in range(24):
        page.keyboard.press("Tab")
        name, is_seen = page.evaluate(FOCUSED)
        assert is_seen, name
        stops.append(name)
    at = [stops.index(name) for name in ("q", "kind", "label", "sort")]
    assert at == sorted(at)
    show(page, day, "job-running")
    for _ in range(15):
        page.keyboard.press("Tab")
        name, is_seen = page.evaluate(FOCUSED)
        assert is_seen, name


def test_the_focus_goes_to_the_page_that_one_goes_to(page: Page, day: Stack) -> None:
    show(page, day, "jobs")
    page.locator("nav >> text=Kinds").press("Enter")
    says(page, "h1", "Kinds")
    wait_for(page, "document.activeElement.matches('main, h1')")


def test_fingers_find_what_they_touch(browser: Browser, day: Stack) -> None:
    with opened(browser, PHONE, has_touch=True, is_mobile=True) as page:
        show(page, day, "jobs")
        small = "(each) => each.offsetParent && each.getBoundingClientRect().height < 43.9"
        of = "[...document.querySelectorAll('.page button, .page select, .page input, nav a')]"
        assert page.evaluate(f"{of}.filter({small}).map((each) => each.outerHTML)") == []


def test_text_may_be_spaced_and_twice_as_large(browser: Browser, day: Stack) -> None:
    for size in (PHONE, (1360, 900)):
        with opened(browser, size) as page:
            show(page, day, "jobs")
            page.evaluate(SPACED)
            assert page.evaluate(CUT) == []
            sound(page)
            page.evaluate("document.adoptedStyleSheets = []")
            page.evaluate("document.documentElement.style.fontSize = '32px'")
            assert page.evaluate(CUT) == []
            sound(page)


def test_where_colors_are_forced_bars_and_what_is_chosen_are_seen(browser: Browser, day: Stack) -> None:
    with opened(browser, forced_colors="active") as page:
        show(page, day, "jobs")
        color = "(selector, name) => getComputedStyle(document.querySelector(selector))[name]"

        def of(selector: str, name: str) -> str:
            return str(page.evaluate(f"([selector, name]) => ({color})(selector, name)", [selector, name]))

        fill = page.evaluate("getComputedStyle(document.querySelector('.bar.running')).getPropertyValue('--fill')")
        assert fill.strip() == "Highlight"
        assert of(".bar", "forcedColorAdjust") == "none"
        assert of("nav [aria-current]", "borderBottomColor") != of("nav a:not([aria-current])", "borderBottomColor")
        assert of(".chip[aria-pressed=true]", "outlineStyle") != of(".chip[aria-pressed=false]", "outlineStyle")


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_nothing_moves_where_motion_is_reduced(browser: Browser, day: Stack, motion: str) -> None:
    with opened(browser, reduced_motion=motion) as page:
        show(page, day, "job-indeterminate")
        page.locator(".bar.indeterminate").wait_for()
        moving = page.evaluate("document.getAnimations().length")
        glides = page.evaluate(
            "parseFloat(getComputedStyle(document.querySelector('.job-head .bar')).transitionDuration)"
        )
        assert (moving > 0, glides > 0) == ((False, False) if motion == "reduce" else (True, True))


def test_a_hundred_changes_of_a_job_are_said_at_most_once_a_tenth(page: Page, stack: Stack, job_id: str) -> None:
    report(stack, {"job": job_id, "type": "job.progressed", "percent": 0})
    page.goto(f"{stack.http}/#/jobs/{job_id}")
    says(page, "#connection", "Live")
    page.locator(".event").first.wait_for()
    page.evaluate(LISTEN)
    for percent in range(1, 100):
        event = {"job": job_id, "type": "job.progressed", "percent": percent, "message": f"row {percent}"}
        httpx.post(f"{stack.http}/v1/events", json=event).raise_for_status()
    wait_for(page, "said.some((each) => each.includes('90 %'))")
    assert len(page.evaluate("said")) <= 10
