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


@pytest.fixture
def page(browser, request):
    """A page that fails the test on any console error, uncaught exception or request beyond the file itself."""
    page = browser.new_page(viewport=getattr(request, "param", {"width": 1200, "height": 900}))
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda asked: wrong.append(asked.url) if re.match("https?:|wss?:", asked.url) else None)
    yield page
    page.close()
    assert wrong == []
