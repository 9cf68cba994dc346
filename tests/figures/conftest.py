"""The page of the stored records in a real browser."""

import re

import pytest

from figures.report.page import build
from figures.stored import DATA
from tests.figures.browser import chromium

MOST_BYTES = 5_000_000
LEFT_FOR_RECORDS = 10 * 120_000
"""Bytes of ten more comparisons."""


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="session")
def address(tmp_path_factory):
    page, left_out = build(DATA)
    assert left_out == []
    assert len(page.encode()) < MOST_BYTES - LEFT_FOR_RECORDS
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(page, encoding="utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def tab(browser):
    """What the tests open their page in one after the other: a new one would compile all scripts again."""
    return browser.new_page()


@pytest.fixture
def page(tab, request):
    """A page that fails the test on any console error, uncaught exception or request beyond the file itself."""
    tab.set_viewport_size(getattr(request, "param", None) or {"width": 1200, "height": 900})
    wrong: list[str] = []
    watched = {
        "console": lambda message: wrong.append(message.text) if message.type == "error" else None,
        "pageerror": lambda error: wrong.append(str(error)),
        "request": lambda asked: wrong.append(asked.url) if re.match("https?:|wss?:", asked.url) else None,
    }
    for event, heard in watched.items():
        tab.on(event, heard)
    yield tab
    tab.goto("about:blank")
    tab.mouse.move(0, 0)
    for event, heard in watched.items():
        tab.remove_listener(event, heard)
    assert wrong == []
