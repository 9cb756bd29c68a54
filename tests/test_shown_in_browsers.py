"""A job in a notebook, as a browser shows it: light and dark, wide and narrow, for all eyes, and as text only."""

from collections.abc import Iterator
from typing import Any, Literal

import pytest

pytest.importorskip("playwright", reason="playwright isn't installed; the extra `dev` has it")

from tests.support.axe import violations
from tests.support.browsing import PHONE, WIDE, Browser, Page, opened
from tests.test_shown import ETA, STAGE, found

HACK = "<img src=x onerror=window.hacked=1><script>window.hacked=1</script>\"'><svg onload=window.hacked=1>"
LONG = "x" * 256
AT = "2026-11-22T14:00:00Z"

SHOWN: dict[str, dict[str, Any]] = {
    "running": {
        "started_at": AT,
        "eta": ETA | {"finish_at": {"p50": "2026-11-22T14:02:00Z", "p90": "2026-11-22T14:05:00Z"}},
    },
    "stalled": {"stalled": True, "started_at": AT, "percent": None, "requested": "cancel"},
    "failed": {
        "status": "failed",
        "error": {"type": "ValueError", "detail": "line 7 has no date"},
        "stages": [STAGE | {"status": "failed", "error": {"type": "ValueError", "detail": "line 7 has no date"}}],
        "started_at": AT,
        "finished_at": "2026-11-22T14:01:40Z",
    },
    "finished": {"status": "finished", "percent": 100, "stages": [], "result": {"rows": 80, "file": "april.csv"}},
    "queued": {"status": "queued", "percent": None, "stages": [], "title": None, "eta": None},
    "long": {"title": LONG, "kind": LONG, "message": "م🙂" * 300, "stages": [STAGE | {"name": LONG}] * 500},
}
"""Jobs by what is to be seen of them."""
_NOTEBOOK = """<!doctype html><html lang="en"><head><title>notebook</title><style>
  body {{ margin: 16px; background: {back}; color: {text}; font: 14px sans-serif; }}
  tr:nth-child(even) {{ background: {back}; }}
</style></head><body><main><h1>Notebook</h1>{cards}</main></body></html>"""
_COLORS = {"light": {"back": "#fff", "text": "#1f2328"}, "dark": {"back": "#111", "text": "#e6e6e6"}}


@pytest.fixture(params=["light", "dark"])
def notebook(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    """A notebook's page with all of them."""
    scheme: Literal["light", "dark"] = request.param
    cards = "".join(f'<p id="{name}"></p>{found(**fields)._repr_html_()}' for name, fields in SHOWN.items())
    with opened(browser, WIDE, scheme) as page:
        page.set_content(_NOTEBOOK.format(cards=cards, **_COLORS[scheme]))
        yield page


def test_all_eyes_can_read_it_and_it_is_never_wider_than_the_page(notebook: Page) -> None:
    for width, height in (WIDE, PHONE):
        notebook.set_viewport_size({"width": width, "height": height})
        assert not (told := violations(notebook)), told
        assert notebook.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_its_bars_are_told_to_those_who_can_not_see_them(notebook: Page) -> None:
    bar = notebook.get_by_role("progressbar", name="Import of April").first
    assert bar.get_attribute("aria-valuenow") == "41.25"
    share = bar.evaluate("bar => bar.firstElementChild.offsetWidth / bar.offsetWidth")
    assert share == pytest.approx(0.4125, abs=0.01)


def test_markup_in_any_name_or_word_is_shown_as_text(browser: Browser) -> None:
    error = {"type": HACK, "detail": HACK}
    job = found(
        **dict.fromkeys(("job_id", "title", "kind", "message", "current_stage", "requested", "worker", "owner"), HACK),
        stages=[STAGE | {"name": HACK, "error": error}],
        indicators=[{"label": HACK, "done": 1, "total": 2}],
        error=error,
        result={HACK: HACK},
        labels={HACK: HACK},
    )
    with opened(browser) as page:
        page.set_content(f"<main>{job._repr_html_()}</main>")
        assert page.locator("main img, main script, main svg").count() == 0
        assert page.inner_text("main").count("<img src=x onerror=window.hacked=1>") > 5
