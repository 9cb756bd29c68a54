"""A browser, and pages of the dashboard in it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import httpx
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.support.programs import program
from tests.support.stack import Stack

__all__ = ["PHONE", "WIDE", "chromium", "opened", "report", "says"]

WIDE = (1360, 900)
PHONE = (360, 780)
_AT_ONCE = 5000

expect.set_options(timeout=20_000)


@contextmanager
def chromium() -> Iterator[Browser]:
    """The machine's own Chromium. Without it the test is skipped."""
    path = program("chromium")
    with sync_playwright() as playwright:
        alone = os.geteuid() == 0  # a sandbox needs somebody else than root
        browser = playwright.chromium.launch(executable_path=path, chromium_sandbox=not alone)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(
    browser: Browser,
    size: tuple[int, int] = WIDE,
    scheme: Literal["light", "dark"] = "light",
    refused: tuple[int, ...] = (),
) -> Iterator[Page]:
    """A new page, that fails the test where a script of it does, or its policy is broken.

    Requests that are `refused` with one of these statuses, or not answered, are no failure.
    """
    width, height = size
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
    )
    page = context.new_page()
    page.set_default_timeout(20_000)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: dialog.accept())
    page.on("console", lambda message: wrong.append(message.text) if "Content Security" in message.text else None)
    page.on("response", lambda response: _note(response.status, response.url, refused, wrong))
    try:
        yield page
    finally:
        context.close()
    assert wrong == []


def _note(status: int, url: str, refused: tuple[int, ...], wrong: list[str]) -> None:
    if status >= 400 and status not in refused:
        wrong.append(f"{status} {url}")


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
