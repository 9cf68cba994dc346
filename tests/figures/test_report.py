"""The page in a real browser: no error, no request, and every view does what a reader asks of it."""

import json
import re
from pathlib import Path

import pytest

from figures.report.page import VIEWS, build, collect, embedded, kind
from figures.stored import DATA
from tests.figures.browser import chromium

MOST_BYTES = 6_000_000
PHONE = {"width": 375, "height": 800}


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    page, left_out = build(DATA)
    assert left_out == []
    assert len(page.encode()) < MOST_BYTES
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


@pytest.mark.parametrize("page", [None, PHONE], indirect=True, ids=["desktop", "phone"])
def test_no_view_overflows_or_complains(page, address):
    for view in (*VIEWS, "records"):
        page.goto(f"{address}#{view}")
        assert page.locator(f"#{view}").is_visible()
        assert page.locator("main > section:visible").count() == 1
        width = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(width) <= 0, view


def test_the_table_filters_and_the_link_restores_it(page, address):
    page.goto(f"{address}#theorems")
    rows = page.locator("#theorems-table tbody tr")
    every = rows.count()
    page.select_option("#theorems-rigour", "interval")
    some = rows.count()
    assert 0 < some < every
    assert set(page.locator("#theorems-table tbody tr td:nth-child(3)").all_inner_texts()) == {"interval"}
    page.fill("#theorems-q", "focal")
    assert 0 < rows.count() < some
    rows.first.locator("button").click()
    chosen = page.locator("#theorems-detail h3").inner_text()
    link = page.url
    page.goto("about:blank")
    page.goto(link)
    assert page.locator("#theorems-detail h3").inner_text() == chosen
    assert page.input_value("#theorems-q") == "focal"
    page.fill("#theorems-q", "no such words")
    assert rows.count() == 0
    assert page.locator("#theorems-count").inner_text().startswith("0 of")


def test_a_click_on_a_cell_shows_it_and_keys_move_on(page, address):
    page.goto(f"{address}#phase?record=scan&x=1&y=1")
    detail = page.locator("#phase-detail h3")
    before = detail.inner_text()
    box = page.locator("#phase-map .nsewdrag").bounding_box()
    page.mouse.click(box["x"] + 0.9 * box["width"], box["y"] + 0.9 * box["height"])
    page.wait_for_function("text => document.querySelector('#phase-detail h3').textContent !== text", arg=before)
    clicked, link = detail.inner_text(), page.url
    assert "zero" in page.locator("#phase-detail p").first.inner_text()
    page.focus("#phase-map")
    page.keyboard.press("ArrowLeft")
    assert detail.inner_text() != clicked
    page.goto("about:blank")
    page.goto(link)
    assert detail.inner_text() == clicked


def test_a_click_on_an_orbit_shows_its_certificate(page, address):
    page.goto(f"{address}#atlas")
    assert "has index 0" in page.locator("#atlas-detail p").first.inner_text()
    box = page.locator("#atlas-map .point").last.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_function("location.hash.includes('row=0')")
    page.locator("#atlas-table tbody tr").nth(10).locator("button").click()
    assert "has index 15" in page.locator("#atlas-detail p").first.inner_text()
    assert page.url.endswith("#atlas?row=10")
    page.go_back()
    assert "has index 0" in page.locator("#atlas-detail p").first.inner_text()


def test_the_slider_reads_an_epoch(page, address):
    page.goto(f"{address}#training?run=compare_digits/runs/digits-ce")
    head = page.locator("#training-table th").first
    last = head.inner_text()
    page.focus("#training-epoch")
    page.keyboard.press("Home")
    assert head.inner_text() == "epoch 1" != last
    assert "epoch=1" in page.url
    assert page.locator("#training-loss-plot .legendtext", has_text="predicted").count() == 1


def test_the_geometry_is_projected_on_the_chosen_classes_and_turns(page, address):
    page.goto(f"{address}#geometry")
    page.wait_for_function("document.getElementById('geometry-plot').data?.length === 3")
    eye = "JSON.stringify(document.getElementById('geometry-plot').layout.scene.camera.eye)"
    before = page.evaluate(eye)
    page.focus("#geometry-plot")
    page.keyboard.press("ArrowRight")
    assert page.evaluate(eye) != before
    page.uncheck("#geometry-class-3")
    page.check("#geometry-class-9")
    assert "classes=0%2C1%2C2%2C9" in page.url
    assert page.is_disabled("#geometry-class-5")  # four are chosen


def test_the_minimiser_of_the_model_is_a_regular_simplex(page, address):
    page.goto(f"{address}#geometry")
    page.select_option("#geometry-source", label="model's minimiser: cross entropy, K = 4")
    places = page.evaluate("document.getElementById('geometry-plot').data.slice(0, 2).map(t => [t.x, t.y, t.z])")
    means, W = (list(zip(*axes, strict=True)) for axes in places)
    cosines = [sum(a * b for a, b in zip(p, q, strict=True)) for p in means for q in means if p is not q]
    assert cosines == pytest.approx([-1 / 3] * 12, abs=1e-6)
    assert [entry for row in W for entry in row] == pytest.approx([entry for row in means for entry in row], abs=1e-6)


@pytest.mark.parametrize(
    "broken", ["nonsense", "phase?%zz", "phase?x=-4&y=abc&record=?", "atlas?row=99", "geometry?classes=1,1"]
)
def test_a_broken_link_shows_a_view(page, address, broken):
    page.goto(f"{address}#{broken}")
    assert page.locator("main > section:visible").count() == 1


def test_a_card_is_shown_for_every_loss(page, address):
    page.goto(f"{address}#cards")
    titles = page.locator("#cards-record option").all_inner_texts()
    for title in titles:
        page.select_option("#cards-record", label=title)
        assert page.locator("#cards-note").inner_text().startswith(title)


def test_markup_in_a_record_stays_text(browser, tmp_path):
    record = json.loads((DATA / "claims.json").read_text())
    evil = "</script><img src=x onerror=\"document.title='broken'\"><b>bold</b>"
    record["command"] = f"python -m theory_checks {evil}"
    record["result"]["rows"][0]["claim"]["sentence"] = evil
    (tmp_path / "claims.json").write_text(json.dumps(record))
    path = tmp_path / "report.html"
    path.write_text(build(tmp_path)[0], encoding="utf-8")
    page = browser.new_page()
    page.goto(path.as_uri())
    assert page.locator("#theorems-table tbody tr").first.locator("button").inner_text() == evil
    assert page.locator("main img, main b").count() == 0
    assert page.title() == "The neural-collapse laboratory"
    page.close()


def test_records_that_cannot_be_shown_are_named(browser, tmp_path):
    record = json.loads((DATA / "atlas.json").read_text())
    (tmp_path / "old.json").write_text(json.dumps(record | {"schema": 0}))
    (tmp_path / "torn.json").write_text('{"schema": 1, "comm')
    (tmp_path / "hollow.json").write_text(json.dumps(record | {"result": {"rows": [{"value": None}]}}))
    html, left_out = build(tmp_path)
    text = "\n".join(left_out)
    assert all(name in text for name in ("old.json", "torn.json", "hollow.json", *VIEWS))
    assert "made by: python -m ufm atlas" in text
    path = tmp_path / "report.html"
    path.write_text(html, encoding="utf-8")
    page = browser.new_page()
    page.goto(f"{path.as_uri()}#atlas")
    assert page.locator("#left-out").is_visible()
    assert "No record to show" in page.locator("#atlas").inner_text()
    page.click("#left-out a")
    assert "schema" in page.locator("#records-left-out").inner_text()
    page.close()


def test_an_empty_folder_gives_a_page_that_says_so(tmp_path):
    assert len(collect(tmp_path)["left_out"]) == len(VIEWS)


@pytest.mark.parametrize(
    ("command", "expected"),
    [("python -m ufm atlas --loss ce", "ufm atlas"), ("python -m theory_checks", "theory_checks"), ("x", "")],
)
def test_a_record_is_known_by_its_command(command, expected):
    assert kind({"command": command}) == expected


def test_embedded_json_is_json_without_markup():
    text = embedded({"a": "</script><!--&"})
    assert not set("<>&") & set(text)
    assert json.loads(text) == {"a": "</script><!--&"}


def test_every_asset_is_in_the_page():
    folder = Path(__file__).parents[2] / "figures" / "report" / "assets"
    page, _ = build(DATA)
    assert all(path.read_text().strip()[:200] in page for path in folder.iterdir() if path.suffix != ".html")
