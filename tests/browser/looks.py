"""What every page must stand in the browser: widths, both colour schemes, accessibility, silence"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from axe_core_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page

SIZES = {1280: 900, 390: 844}
SCHEMES = ("light", "dark")
SERIOUS = ("serious", "critical")


PATIENCE_MS = 180_000
"""How long a page may take on a machine that is busy with other things: nothing here measures speed."""


def new_page(browser: Browser) -> Page:
    """A page in a session of its own, closed with the browser."""
    return patient(browser.new_context()).new_page()


def patient(context: BrowserContext) -> BrowserContext:
    context.set_default_timeout(PATIENCE_MS)
    return context


@contextmanager
def looking(browser: Browser, width: int, scheme: str) -> Iterator[BrowserContext]:
    size = {"width": width, "height": SIZES[width]}
    context = patient(browser.new_context(viewport=size, color_scheme=scheme))
    try:
        yield context
    finally:
        context.close()


def complaints(page: Page) -> list[str]:
    """What the page says in the console, throws or asks, from now on; it should stay empty."""
    heard: list[str] = []
    page.on("console", lambda message: heard.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("dialog", lambda dialog: (heard.append(dialog.message), dialog.dismiss()))
    return heard


def require_good_looks(page: Page, shot: Path, *, full_page: bool = False) -> None:
    """Nothing is wider than the window, and axe-core finds no serious fault; leaves a screenshot."""
    page.screenshot(path=shot, full_page=full_page)
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= page.evaluate("window.innerWidth"), f"{shot.name}: {width} pixels wide"
    found = Axe().run(page)["violations"]
    faults = [
        (fault["id"], fault["nodes"][0]["html"][:200], fault["nodes"][0]["failureSummary"][:300])
        for fault in found
        if fault["impact"] in SERIOUS
    ]
    assert faults == [], shot.name
