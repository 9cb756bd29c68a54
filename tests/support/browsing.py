"""A browser, and pages in it that fail a test where something of them is wrong."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import httpx

from tests.support.programs import program
from tests.support.stack import Stack
from tests.support.tasks import framework

framework("playwright")

from playwright.sync_api import Browser, Page, Request, Response, Route, expect, sync_playwright

__all__ = [
    "MARKUP",
    "PHONE",
    "WIDE",
    "Browser",
    "Chromium",
    "Page",
    "Request",
    "Route",
    "expect",
    "opened",
    "put",
    "report",
    "running_chromium",
    "says",
    "wait_for",
]

WIDE = (1360, 900)
PHONE = (360, 780)
MARKUP = """<img src=x onerror="window.hacked = 1">"><script>window.hacked = 1</script>"""
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_AT_ONCE = 5000

expect.set_options(timeout=20_000)


class Chromium:
    """A browser that is open as long as the test process, and at work in some tests of it.

    Playwright's loop counts as the running one of this thread for as long as it is open. Other tests run loops of
    their own, so it is hidden from them.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._loop = asyncio.get_running_loop()

    @contextmanager
    def at_work(self) -> Iterator[Browser]:
        before = asyncio._get_running_loop()
        asyncio._set_running_loop(self._loop)
        try:
            yield self._browser
        finally:
            asyncio._set_running_loop(before)


@contextmanager
def running_chromium() -> Iterator[Chromium]:
    """The machine's own Chromium. Without it the test is skipped."""
    path = program("chromium")
    with sync_playwright() as playwright:
        alone = os.geteuid() == 0  # a sandbox needs somebody else than root
        browser = playwright.chromium.launch(executable_path=path, chromium_sandbox=not alone)
        running = Chromium(browser)
        asyncio._set_running_loop(None)
        yield running
        with running.at_work():
            browser.close()
        asyncio._set_running_loop(running._loop)  # Playwright stops it


@contextmanager
def opened(
    browser: Browser,
    size: tuple[int, int] = WIDE,
    scheme: Literal["light", "dark"] = "light",
    refused: tuple[int, ...] = (),
    **settings: Any,
) -> Iterator[Page]:
    """A new page, that fails the test where a script of it does, its policy is broken, or markup is taken for markup.

    Requests that are `refused` with one of these statuses, or not answered, are no failure. The settings are those of
    a context of Playwright's.
    """
    width, height = size
    settings = {"reduced_motion": "reduce"} | settings
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, **settings)
    page = context.new_page()
    page.set_default_timeout(20_000)
    wrong: list[str] = []

    def refuse(response: Response) -> None:
        if response.status >= 400 and response.status not in refused:
            wrong.append(f"{response.status} {response.url}")

    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: dialog.accept())
    page.on("console", lambda message: wrong.append(message.text) if "Content Security" in message.text else None)
    page.on("response", refuse)
    try:
        yield page
        if page.evaluate("window.hacked") is not None:
            wrong.append("markup was taken for markup")
    finally:
        context.close()
    assert not wrong, wrong


def put(page: Page, origin: str, body: str = "") -> None:
    """Load a page that is of the gateway's own origin, under the strictest policy that a page may have."""
    html = f'<!doctype html><html lang="en"><head><title>page</title></head><body><main>{body}</main></body></html>'

    def fulfill(route: Route) -> None:
        route.fulfill(body=html, content_type="text/html", headers={"content-security-policy": _POLICY})

    page.route(f"{origin}/page", fulfill)
    page.goto(f"{origin}/page")


def wait_for(page: Page, condition: str) -> None:
    """Wait until a condition holds in the page. Playwright's own way evaluates a text, which the policy forbids."""
    page.evaluate(f"""async () => {{
      const deadline = performance.now() + 20_000;
      while (!({condition})) {{
        if (performance.now() > deadline) throw new Error("never came true");
        await new Promise((resolve) => setTimeout(resolve, 10));
      }}
    }}""")


def says(page: Page, selector: str, text: str) -> None:
    """Wait until an element says this somewhere in it."""
    page.locator(selector).filter(has_text=text).first.wait_for()


def report(stack: Stack, *events: dict[str, Any]) -> None:
    """Append events, and wait until the last is folded."""
    for at in range(0, len(events), _AT_ONCE):
        done = httpx.post(f"{stack.http}/v1/events", json=events[at : at + _AT_ONCE], timeout=60)
        assert done.status_code == 201, done.text
    last = done.json()["events"][-1]
    stack.wait_for(last["job"], position=last["position"])
