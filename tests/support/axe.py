"""What axe-core finds wrong with a page for those who can't see it, or only in part."""

from tests.support.tasks import framework

framework("axe_playwright_python")

from axe_playwright_python.sync_playwright import Axe

from tests.support.browsing import Page

__all__ = ["violations"]


def violations(page: Page) -> str:
    """A report of all violations; empty where there is none."""
    found = Axe().run(page)
    return str(found.generate_report()) if found.violations_count else ""
