"""The page of the system in a real browser: its server, its partitions, and what could not be folded."""

from tests.support.browsing import Page, says
from tests.support.stack import Stack


def test_dead_letters_are_told_with_their_reason(page: Page, stack: Stack) -> None:
    stack.log.client.xadd(f"{stack.namespace}:{{1}}:log", {"e": "<img src=x onerror=alert(1)>"})
    page.goto(f"{stack.http}/#/system")
    says(page, "details", "is not JSON")
    page.click("summary")
    says(page, "details pre", "<img src=x onerror=alert(1)>")
    says(page, ".wide", "Owner")
