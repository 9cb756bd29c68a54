"""What the dashboard shows while, or instead of, what it is for: loading, nothing, no gateway, no permission."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest
from anyio.from_thread import start_blocking_portal

from tests.support.browsing import Browser, Page, Route, expect, opened, report, says
from tests.support.gateways import serving
from tests.support.identities import auth_file, key_of, toml_key
from tests.support.looks import folder, look_at
from tests.support.stack import Stack, running_stack


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder(tmp_path_factory)


@pytest.fixture(scope="module")
def guarded(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A gateway of the same jobs that asks who one is."""
    path = auth_file(tmp_path_factory.mktemp("auth"), toml_key("reader", "jobs:read"))
    config = msgspec.structs.replace(stack.config, auth_file=path)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(serving(config)) as http:
        yield str(http.base_url).rstrip("/")


def sign_in(page: Page) -> None:
    page.fill("#key", key_of("reader"))
    page.get_by_role("button", name="Sign in").click()


def test_the_page_may_run_no_script_but_the_gateways_own(stack: Stack) -> None:
    response = httpx.get(stack.http)
    policy = response.headers["content-security-policy"]
    assert response.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert "style=" not in response.text
    assert "onclick" not in response.text


def test_what_is_there_at_once_needs_no_skeleton(page: Page, stack: Stack, pictures: Path) -> None:
    held: list[Route] = []
    page.route("**/v1/kinds*", lambda route: held.append(route))
    page.clock.install(time=0)
    page.clock.pause_at(1000)
    page.goto(f"{stack.http}/#/kinds")
    says(page, "h1", "Kinds")
    page.clock.run_for(100)
    expect(page.locator(".skeleton")).to_have_count(0)
    page.clock.run_for(100)
    expect(page.locator(".skeleton")).to_have_count(1)
    page.clock.resume()
    look_at(page, "loading", pictures)
    for route in held:
        route.continue_()
    page.locator(".skeleton").wait_for(state="detached")


def test_a_page_that_finds_no_gateway_says_so_and_goes_on_by_itself(page: Page, stack: Stack, pictures: Path) -> None:
    page.route("**/v1/**", lambda route: route.abort())
    page.goto(f"{stack.http}/#/kinds")
    expect(page.locator(".state .away")).to_be_visible()
    says(page, "#connection", "Stale since")
    look_at(page, "no-gateway", pictures)
    page.unroute_all()
    says(page, "#connection", "Caught up")
    expect(page.locator(".state .away")).to_be_hidden()


def test_a_browser_without_network_says_since_when(page: Page, stack: Stack, job_id: str) -> None:
    report(stack, {"job": job_id, "type": "job.progressed", "percent": 10})
    page.goto(f"{stack.http}/#/jobs/{job_id}")
    says(page, "#connection", "Live")
    page.context.set_offline(True)
    says(page, "#connection", "Reconnecting. Stale since")
    report(stack, {"job": job_id, "type": "job.progressed", "percent": 20})
    page.context.set_offline(False)
    says(page, "#connection", "Caught up")
    expect(page.locator(".huge")).to_have_text("20 %")
    expect(page.locator("#connection")).to_have_text("Live")


def test_an_empty_namespace_and_an_unknown_page_and_job_say_so(
    browser: Browser, server_url: str, pictures: Path
) -> None:
    with running_stack(server_url) as stack, opened(browser, refused=(404,)) as page:
        page.goto(stack.http)
        says(page, ".state", "No jobs yet")
        look_at(page, "empty", pictures)
        page.goto(f"{stack.http}/#/nowhere")
        says(page, ".state", "There is no such page")
        page.goto(f"{stack.http}/#/jobs/nobody")
        says(page, ".state", "There is no job nobody")
        look_at(page, "unknown-job", pictures)


def test_who_is_not_known_signs_in_and_who_may_not_is_told(
    browser: Browser, stack: Stack, guarded: str, job_id: str, pictures: Path
) -> None:
    report(stack, {"job": job_id, "type": "job.started", "title": "Import of April"})
    with opened(browser, refused=(401, 403)) as page:
        page.goto(guarded)
        says(page, ".state", "This gateway asks who you are")
        look_at(page, "signing-in", pictures)
        page.fill("#key", "wrong")
        page.get_by_role("button", name="Sign in").click()
        says(page, ".state", "This key isn't known here")
        sign_in(page)
        page.locator(".row").first.wait_for()
        page.click("nav >> text=System")
        says(page, ".state", "Not yours to see")
        look_at(page, "no-permission", pictures)
        page.goto(f"{guarded}/#/jobs/{job_id}")
        page.click("text=Share link")
        link = page.locator("[aria-label='Share link']")
        expect(link).to_have_value(re.compile("share="))
        with opened(browser) as other:
            other.goto(link.input_value())
            expect(other.locator("h1")).to_have_text("Import of April")
            assert other.locator(".actions button").count() == 0


@pytest.mark.parametrize("path", ["/jobs", "/jobs/{job}"])
def test_who_is_signed_out_while_a_page_is_open_signs_in_over_it(
    browser: Browser, stack: Stack, guarded: str, job_id: str, path: str, pictures: Path
) -> None:
    report(stack, {"job": job_id, "type": "job.started", "kind": "import", "title": "Import of May"})
    with opened(browser, refused=(401,)) as page:
        page.goto(f"{guarded}/#{path.format(job=job_id)}")
        sign_in(page)
        says(page, "#connection", "Live")
        says(page, "main", "import")
        page.context.clear_cookies()
        page.context.set_offline(True)  # streams begin anew, without the cookie
        says(page, "#connection", "Stale since")
        page.context.set_offline(False)
        says(page, "dialog", "You have been signed out")
        says(page, "main", "import")
        expect(page.locator("#key")).to_be_focused()
        if path == "/jobs":
            look_at(page, "signed-out", pictures)
            page.keyboard.press("Escape")
            expect(page.locator("#key")).to_have_count(0)
            says(page, "main", "import")
            page.click("nav >> text=Kinds")
        sign_in(page)
        says(page, "#connection", "Live")
        says(page, "main", "import")
        expect(page.locator("#key")).to_have_count(0)
