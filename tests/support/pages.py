"""Pages in a real browser, under the strictest policy that a page may have."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.programs import program
from tests.support.tasks import framework

framework("playwright")

from playwright.sync_api import Browser, Page, Request, Route, sync_playwright

__all__ = ["MARKUP", "Browser", "Page", "Request", "Route", "browsing", "new_page", "put", "wait_for"]

POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'"
MARKUP = """<img src=x onerror="window.hacked = 1">"><script>window.hacked = 1</script>"""


@contextmanager
def browsing() -> Iterator[Browser]:
    """Debian's browser."""
    chromium = program("chromium")
    with sync_playwright() as playwright:
        alone = os.geteuid() == 0  # a sandbox needs somebody else than root
        browser = playwright.chromium.launch(executable_path=chromium, chromium_sandbox=not alone)
        yield browser
        browser.close()


@contextmanager
def new_page(browser: Browser, **settings: Any) -> Iterator[Page]:
    """A page of its own. Errors in its scripts fail the test."""
    context = browser.new_context(**settings)
    page = context.new_page()
    page.set_default_timeout(20_000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    hacked = page.evaluate("window.hacked")
    context.close()
    assert not errors, errors
    assert hacked is None, "markup was taken for markup"


def put(page: Page, origin: str, body: str = "") -> None:
    """Load a page that is of the gateway's own origin."""
    html = f'<!doctype html><html lang="en"><head><title>page</title></head><body><main>{body}</main></body></html>'

    def fulfill(route: Route) -> None:
        route.fulfill(body=html, content_type="text/html", headers={"content-security-policy": POLICY})

    page.route(f"{origin}/page", fulfill)
    page.goto(f"{origin}/page")


def wait_for(page: Page, condition: str) -> None:
    """Wait until a condition holds in the page. Playwright's own way evaluates a text, which the policy forbids."""
    page.evaluate(f"""async () => {{
      const deadline = performance.now() + 20_000;
      while (!({condition})) {{
        if (performance.now() > deadline) throw new Error(`never came true`);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }}
    }}""")
