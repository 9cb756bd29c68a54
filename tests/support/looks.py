"""How a page looks to whoever looks at it: by day and night, on any screen, with eyes or without."""

import os
from pathlib import Path

import pytest

from tests.support.axe import violations
from tests.support.browsing import PHONE, WIDE, Page

__all__ = ["folder", "look_at", "sound"]

ZOOMED = (680, 450)  # a screen of 1360, at 200 %
NONSENSE = ("NaN", "undefined", "Infinity", "[object", "Invalid Date")

# What is read or said on a page, and whether its bars say as much as they know.
SAID = """() => {
  const names = ["aria-label", "aria-valuetext", "title", "datetime", "placeholder"];
  const all = [...document.querySelectorAll("*")];
  const told = all.flatMap((each) => names.map((name) => each.getAttribute(name) ?? ""));
  return [document.title, document.body.innerText, ...told].join("\\n");
}"""
BARS = """() => [...document.querySelectorAll("[role=progressbar]")].filter((bar) => {
  const now = bar.getAttribute("aria-valuenow");
  const isKnown = now === null || (now !== "" && Number(now) >= 0 && Number(now) <= 100);
  return !isKnown || bar.ariaValueMin !== "0" || bar.ariaValueMax !== "100" || !bar.ariaValueText || !bar.ariaLabel;
}).map((bar) => bar.outerHTML)"""


def folder(tmp: pytest.TempPathFactory) -> Path:
    """Where pictures go: STREAMPROC_SCREENSHOTS, else a folder of the test run's."""
    told = os.environ.get("STREAMPROC_SCREENSHOTS")
    found = Path(told) if told else tmp.mktemp("screenshots")
    found.mkdir(parents=True, exist_ok=True)
    return found


def look_at(page: Page, name: str, pictures: Path) -> None:
    """Check a page in both schemes, on a wide screen and on a phone; pictures of all four go to a folder."""
    for scheme, size, is_checked in (
        ("light", WIDE, True),
        ("dark", WIDE, False),
        ("dark", PHONE, True),
        ("light", PHONE, False),
    ):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.set_viewport_size({"width": size[0], "height": size[1]})
        sound(page)
        if is_checked:
            found = violations(page)
            assert not found, found
        page.screenshot(path=pictures / f"{name}-{scheme}-{'wide' if size == WIDE else 'phone'}.png")
    page.set_viewport_size({"width": ZOOMED[0], "height": ZOOMED[1]})
    sound(page)


def sound(page: Page) -> None:
    """Nothing sticks out of the screen, nothing is said that is no number, and bars say what they know."""
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, "wider than the screen"
    said = page.evaluate(SAID)
    assert not [word for word in NONSENSE if word in said], said
    bars = page.evaluate(BARS)
    assert not bars, bars
