"""What axe-core finds wrong with a page for those who can't see it, or only in part."""

from tests.support.tasks import framework

framework("axe_playwright_python")

from axe_playwright_python.sync_playwright import Axe

from tests.support.browsing import Page

__all__ = ["violations"]

_OPTIONS = {"rules": {"target-size": {"enabled": True}}}  # what fingers are to touch is of 24 px at least


def violations(page: Page) -> str:
    """What is wrong and where, a line for each; empty where nothing is."""
    found = Axe().run(page, options=_OPTIONS).response["violations"]
    return "\n".join(
        f"{each['id']} {node['target']} {node['failureSummary']}" for each in found for node in each["nodes"]
    )
