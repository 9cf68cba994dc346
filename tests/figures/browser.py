"""A real Chromium for tests of the page: Debian's, or the one named by CHROMIUM; skipped where there is none."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")


def executable() -> str | None:
    return os.environ.get("CHROMIUM") or next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def chromium() -> Iterator[Any]:
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install -e '.[dev]'"
    )
    if executable() is None:
        pytest.skip("no Chromium here: apt-get install chromium, or name one in CHROMIUM")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=executable(), args=["--no-sandbox"])
        yield browser
        browser.close()


def drawn(page):
    """Waits until the diagrams are."""
    page.wait_for_function("!document.body.hasAttribute('aria-busy')")


def reopened(page):
    """Opens the address that the page has now, anew."""
    page.wait_for_function("unwritten === null")
    link = page.url
    page.goto("about:blank")
    page.goto(link)
    drawn(page)


def marks(page, place):
    """The letters in a drawing of space, and where they are."""
    script = (
        "id => [...document.querySelectorAll(`#${id} .mark`)].map(m => [m.dataset.class, m.getAttribute('transform')])"
    )
    return [(name, at) for name, at in page.evaluate(script, place) if name]


def labelled(places):
    """The classes named in a drawing: `0, 7` and `4–9` stand for several."""
    found = []
    for words, _ in places:
        for word in words.split(", "):
            first, _, last = word.partition("–")
            found += [str(k) for k in range(int(first), int(last) + 1)] if last else word.split("|")
    return sorted(found)
