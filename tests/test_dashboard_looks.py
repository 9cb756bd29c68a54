"""The dashboard's looks: for all eyes, on all screens, whatever jobs are called; and who may not see it."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import httpx
import msgspec
import pytest
from anyio.from_thread import start_blocking_portal

from tests.support.axe import violations
from tests.support.browsing import PHONE, WIDE, Browser, Page, expect, opened, report, says
from tests.support.gateways import serving
from tests.support.identities import auth_file, key_of, toml_key
from tests.support.stack import Stack, running_stack

EVIL = "<img src=x onerror=\"document.title='pwned'\"><script>document.title='pwned'</script>"
NAMES = {
    "evil": EVIL,
    "long": "W" * 256,
    "emoji": "🦄🚀👩🏽‍💻" * 20,
    "rtl": "استيراد الملفات الكبيرة ذات الأسماء الطويلة جدا " * 4,
}
PAGES = {
    "jobs": "/jobs",
    "job": "/jobs/full",
    "failed": "/jobs/failed",
    "kinds": "/kinds",
    "kind": "/kinds/import",
    "slow": "/slow",
    "system": "/system",
}
READY = {
    "jobs": ".row",
    "job": ".event",
    "failed": ".event",
    "kinds": "tbody tr",
    "kind": ".figures",
    "slow": "section",
    "system": "tbody tr",
}


def named(job: str, name: str) -> list[dict[str, Any]]:
    """A job that has a name wherever there can be one."""
    text = {"message": name[:1000], "details": {name: name}}
    return [
        {"job": job, "type": "job.queued", "kind": name, "title": name, "labels": {name[:256]: name}, "owner": name},
        {"job": job, "type": "job.started", "worker": name},
        {"job": job, "type": "stage.progressed", "stage": name, "percent": 40, **text},
        {"job": job, "type": "job.counted", "indicator": name, "done": 1, "total": 10**15},
        {"job": job, "type": "unit.failed", "unit": name, "error": {"type": name, "detail": name}},
    ]


def work() -> list[dict[str, Any]]:
    """Jobs of all sorts."""
    stages = [{"name": "Upload"}, {"name": "Parse", "weight": 2}, {"name": "Analyze", "weight": 5}]
    found: list[dict[str, Any]] = [
        {"job": "full", "type": "job.queued", "kind": "import", "title": "Import of April", "stages": stages},
        {"job": "full", "type": "job.started", "worker": "w1"},
        {"job": "full", "type": "stage.finished", "stage": "Upload"},
        {"job": "full", "type": "stage.progressed", "stage": "Parse", "percent": 62, "message": "row 620 of 1,000"},
        {"job": "full", "type": "job.counted", "indicator": "records", "done": 620, "total": 1000},
        *({"job": "full", "type": "unit.finished", "unit": f"rows-{number}.csv"} for number in range(8)),
        {
            "job": "full",
            "type": "unit.failed",
            "unit": "rows-8.csv",
            "error": {"type": "E", "detail": "line 7 has no date"},
        },
        {"job": "failed", "type": "job.progressed", "percent": 30, "kind": "import"},
        {"job": "failed", "type": "job.failed", "error": {"type": "ValueError", "detail": "line 7 has no date"}},
        {"job": "done", "type": "job.started", "kind": "import"},
        {"job": "done", "type": "job.finished", "result": {"rows": 1000}},
        {"job": "waits", "type": "job.queued", "kind": "render", "title": "Render the trailer"},
        {"job": "pauses", "type": "job.progressed", "percent": 51},
        {"job": "pauses", "type": "job.paused"},
        {"job": "many-stages", "type": "job.queued", "stages": [{"name": f"Step {at}"} for at in range(500)]},
        {"job": "many-stages", "type": "stage.started", "stage": "Step 3"},
        {"job": "months", "type": "job.progressed", "done": 1, "total": 10**15},
    ]
    for job, name in NAMES.items():
        found += named(job, name[:256])
    return found


@pytest.fixture(scope="module")
def full(server_url: str) -> Iterator[Stack]:
    """A namespace with jobs of all sorts."""
    with running_stack(server_url) as stack:
        report(stack, *work())
        stack.log.client.xadd(f"{stack.namespace}:{{1}}:log", {"e": EVIL})
        for job in ("full", "failed", *NAMES):
            stack.wait_for(job, job_id=job)
        yield stack


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pictures of the pages go: STREAMPROC_SCREENSHOTS, else a folder of the test run's."""
    told = os.environ.get("STREAMPROC_SCREENSHOTS")
    folder = Path(told) if told else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def show(page: Page, stack: Stack, name: str) -> None:
    page.goto(f"{stack.http}/#{PAGES[name]}")
    page.locator(READY[name]).first.wait_for()
    says(page, "#connection", "Live")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_no_page_has_what_axe_calls_a_violation_nor_is_wider_than_the_screen(
    browser: Browser, full: Stack, screenshots: Path, scheme: Literal["light", "dark"], size: tuple[int, int]
) -> None:
    for name in PAGES:
        with opened(browser, size, scheme) as page:
            show(page, full, name)
            assert not (found := violations(page)), f"{name}: {found}"
            assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, name
            which = "wide" if size == WIDE else "phone"
            page.screenshot(path=screenshots / f"{name}-{scheme}-{which}.png")


@pytest.mark.parametrize("job", [*NAMES, "months", "many-stages"])
def test_names_and_numbers_of_any_sort_neither_run_nor_overflow_nor_say_what_is_no_number(
    browser: Browser, full: Stack, job: str
) -> None:
    with opened(browser, PHONE) as page:
        page.goto(f"{full.http}/#/jobs/{job}")
        page.locator(".event").first.wait_for()
        page.locator(".event button").first.click()
        page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
        said = page.inner_text("body")
        assert not any(word in said for word in ("NaN", "undefined", "Infinity", "[object", "Invalid Date"))
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        assert page.title() != "pwned"
        assert page.locator("main img, main script").count() == 0
        if job in NAMES:
            assert NAMES[job][:256].strip() in page.text_content("h1")  # type: ignore[operator]


@pytest.mark.parametrize("name", ["jobs", "kinds", "slow", "system"])
def test_markup_in_names_is_shown_as_text_on_every_list(browser: Browser, full: Stack, name: str) -> None:
    with opened(browser) as page:
        show(page, full, name)
        assert page.title() != "pwned"
        assert page.locator("main img, main script").count() == 0
        assert "NaN" not in page.inner_text("body")


def test_the_page_may_run_no_script_but_the_gateways_own(full: Stack) -> None:
    response = httpx.get(full.http)
    policy = response.headers["content-security-policy"]
    assert response.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert "style=" not in response.text
    assert "onclick" not in response.text


def test_an_empty_namespace_and_an_unknown_page_and_job_say_so(browser: Browser, server_url: str) -> None:
    with running_stack(server_url) as stack, opened(browser, refused=(404,)) as page:
        page.goto(stack.http)
        says(page, ".state", "No jobs yet")
        page.goto(f"{stack.http}/#/nowhere")
        says(page, ".state", "There is no such page")
        page.goto(f"{stack.http}/#/jobs/nobody")
        says(page, ".state", "There is no job nobody")


def test_who_is_not_known_signs_in_and_who_may_not_is_told(
    browser: Browser, full: Stack, tmp_path: Path, screenshots: Path
) -> None:
    path = auth_file(tmp_path, toml_key("reader", "jobs:read"))
    config = msgspec.structs.replace(full.config, auth_file=path)
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(serving(config)) as http,
        opened(browser, refused=(401, 403)) as page,
    ):
        page.goto(str(http.base_url))
        says(page, ".state", "This gateway asks who you are")
        page.screenshot(path=screenshots / "signing-in.png")
        page.fill("#key", "wrong")
        page.click("text=Sign in")
        says(page, ".state", "This key isn't known here")
        page.fill("#key", key_of("reader"))
        page.click("text=Sign in")
        page.locator(".row").first.wait_for()
        page.click("nav >> text=System")
        says(page, ".state", "Not yours to see")
        page.goto(f"{http.base_url}/#/jobs/full".replace("//#", "/#"))
        page.click("text=Share link")
        link = page.locator("[aria-label='Share link']")
        expect(link).to_have_value(re.compile("share="))
        shared = link.input_value()
        with opened(browser) as other:
            other.goto(shared)
            expect(other.locator("h1")).to_have_text("Import of April")
            assert other.locator(".actions button").count() == 0
