"""The page of the system in a real browser: its server, who folds which partitions, and what could not be folded."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from anyio.from_thread import BlockingPortal, start_blocking_portal

from streamproc.config import Config
from tests.support.browsing import PHONE, Browser, Page, expect, opened, report, says
from tests.support.gateways import serving
from tests.support.identities import auth_file, key_of, open_to, toml_key
from tests.support.processes import Gateway
from tests.support.running import projecting
from tests.support.servers import Server
from tests.support.stack import Stack, running_stack


def poison(stack: Stack, *entries: str, partition: int = 1) -> None:
    """Append what nobody can fold."""
    for entry in entries:
        stack.log.client.xadd(f"{stack.namespace}:{{{partition}}}:log", {"e": entry})


@contextmanager
def gateway_without_projector(portal: BlockingPortal, config: Config) -> Iterator[str]:
    with portal.wrap_async_context_manager(serving(config)) as http:
        yield str(http.base_url)


def test_dead_letters_are_told_newest_first_with_reason_entry_and_job(browser: Browser, server_url: str) -> None:
    with running_stack(server_url) as stack, opened(browser) as page:
        page.goto(f"{stack.http}/#/system")
        says(page, "section", "None: all of the log could be folded.")
        poison(stack, "<img src=x onerror=alert(1)>")
        poison(stack, '{"job":"import-42","type":"job.progressed","percent":"many"}', partition=2)
        letters = page.locator(".letters details")
        expect(letters).to_have_count(2)
        expect(letters.first).to_have_text(re.compile("percent.*partition 2 at"))
        letters.last.locator("summary").click()
        expect(letters.last.locator("pre")).to_have_text("<img src=x onerror=alert(1)>")
        expect(letters.last.locator("a")).to_have_count(0)
        letters.last.locator("button").click()
        expect(letters.last.locator("button")).to_have_text(re.compile("Copied|refuses"))
        poison(stack, *("no JSON" for _ in range(25)))
        expect(page.locator(".count-of")).to_have_text("27")
        says(page, ".findings .warn", "mend what writes them")
        page.reload()
        expect(letters).to_have_count(20)
        page.click("text=Older ones")
        expect(letters).to_have_count(27)
        expect(page.locator("text=Older ones")).to_be_hidden()
        letters.last.locator("summary").click()
        poison(stack, "one more")
        expect(letters).to_have_count(28)
        expect(letters.last.locator("pre")).to_be_visible()  # what somebody reads stays as it is
        named = page.locator(".letters details:has-text('percent')")
        named.locator("summary").click()
        expect(named.locator("a")).to_have_attribute("href", "#/jobs/import-42")


def test_partitions_that_nobody_folds_are_told_with_what_to_do_and_those_who_fold_by_name(
    browser: Browser, server_url: str, namespace: str
) -> None:
    config = Config(redis=server_url, namespace=namespace, partitions=256, port=0)
    with (
        start_blocking_portal() as portal,
        gateway_without_projector(portal, config) as url,
        opened(browser, PHONE) as page,
    ):
        page.goto(f"{url}/#/system")
        says(page, ".findings .fail", "nobody folds partitions 0-255: start a projector with `streamproc projector`")
        expect(page.locator("[aria-label=Projectors] tbody .wrong")).to_have_text("nobody")
        expect(page.locator(".map li.unowned")).to_have_count(256)
        expect(page.locator("[aria-label=Partitions] tbody tr")).to_have_count(256)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.request.post(f"{url}/v1/events", data=[{"job": "a", "type": "job.started"}])
        expect(page.locator(".map li.unowned")).to_have_count(256)
        page.click("button.sort:text-is('Not folded yet') >> nth=1")
        expect(page.locator("[aria-label=Partitions] tbody tr").first).to_have_text(re.compile("nobody.*1.* s"))
        assert "NaN" not in page.content()
        with portal.wrap_async_context_manager(projecting(config)):
            expect(page.locator(".findings")).to_be_hidden()
            expect(page.locator(".map li.unowned")).to_have_count(0)
            owner = page.locator("[aria-label=Projectors] tbody tr")
            expect(owner).to_have_count(1)
            expect(owner).to_have_text(re.compile(r"· process \d+.*256.*0–255"))  # noqa: RUF001


def test_the_rate_is_drawn_and_kept_while_one_looks_at_other_pages(browser: Browser, server_url: str) -> None:
    with running_stack(server_url) as stack, opened(browser) as page:
        report(stack, *({"job": "a", "type": "job.progressed", "percent": percent} for percent in range(50)))
        page.goto(f"{stack.http}/#/system")
        says(page, ".figures", "noeviction")
        says(page, ".figures", "MiB")
        expect(page.locator(".flow")).to_have_attribute("aria-label", re.compile("^0 events a second now"))
        page.click("nav >> text=Kinds")
        expect(page.locator("h1")).to_have_text("Kinds")
        report(stack, *({"job": "a", "type": "job.progressed", "percent": 50} for _ in range(500)))
        for partition in range(4):
            stack.log.client.xtrim(f"{stack.namespace}:{{{partition}}}:log", maxlen=0, approximate=False)
        page.click("nav >> text=System")
        expect(page.locator(".flow")).to_have_attribute("aria-label", re.compile("0 to [1-9]"))
        assert "NaN" not in page.content()


def test_who_is_limited_is_told_that_the_system_is_of_all_jobs(browser: Browser, stack: Stack, tmp_path: Path) -> None:
    path = auth_file(tmp_path, toml_key("some", "jobs:read", "log:read", kinds=["mine"]))
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(open_to(stack.redis, stack.namespace, path)) as http,
        opened(browser, refused=(403,), extra_http_headers={"authorization": f"Bearer {key_of('some')}"}) as page,
    ):
        page.goto(f"{http.base_url}/#/system")
        says(page, ".state", "limited to some")
        expect(page.locator(".state")).not_to_contain_text("scope")


def test_the_system_stays_when_the_gateway_goes_and_goes_on_when_it_is_back(page: Page, stack: Stack) -> None:
    gateway = Gateway(stack.redis, stack.namespace).start()
    try:
        page.goto(f"{gateway.url}/#/system")
        says(page, "[aria-label=Projectors]", "process")
        gateway.kill()
        says(page, "#connection", "Stale")
        says(page, "[aria-label=Projectors]", "process")
        gateway.start()
        expect(page.locator("#connection")).to_have_text(re.compile("Caught up|Live"))
    finally:
        gateway.kill()


def test_it_is_said_that_the_server_is_away_and_the_page_comes_back_with_it(
    browser: Browser, own_server: Server
) -> None:
    with running_stack(own_server.url) as stack, opened(browser, refused=(503,)) as page:
        page.goto(f"{stack.http}/#/system")
        says(page, ".figures", "4 of 4")
        own_server.stop()
        says(page, "#connection", "Stale")
        own_server.start()
        expect(page.locator("#connection")).to_have_text(re.compile("Caught up|Live"))
        says(page, ".figures", "4 of 4")
