"""The pages of kinds, and of slow and stalled jobs, in a real browser."""

from tests.support.browsing import Page, expect, report, says
from tests.support.stack import Stack


def test_a_slow_job_is_told_by_what_its_kind_took(page: Page, stack: Stack, job_id: str) -> None:
    kind = f"slow {job_id}"[:256]
    for run in range(3):
        done = f"{job_id}-{run}"
        report(stack, {"job": done, "type": "job.started", "kind": kind}, {"job": done, "type": "job.finished"})
    report(stack, {"job": job_id, "type": "job.started", "kind": kind})
    page.goto(f"{stack.http}/#/slow")
    says(page, "section:has(h2:text-is('Slow')) .row", job_id)
    page.goto(f"{stack.http}/#/kinds")
    page.click(f"text={kind}")
    says(page, ".figures", "p90 held")
    expect(page.locator(".chart canvas")).to_be_visible()
