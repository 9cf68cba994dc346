"""The page in a real browser: no error, no request, and every view does what a reader asks of it."""

import itertools
import json
import math
import re
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest

from figures.report import atlas, start, training
from figures.report.page import VIEWS, build, collect, embedded, kind
from figures.report.start import BENIGN, FINDINGS
from figures.stored import DATA
from tests.figures.browser import drawn, labelled, marks, reopened
from ufm import CrossEntropy, Focal, LabelSmoothing, Problem, SquaredError, predict
from ufm.specs import LOSS_NAMES

FIRST_PAINT = 1500
"""Milliseconds."""
PHONE = {"width": 375, "height": 800}
SECTIONS = (*VIEWS, "explorer", "records")


@pytest.fixture(scope="module")
def moving(tmp_path_factory):
    """A page of records that hold ways down and features over epochs."""
    folder = tmp_path_factory.mktemp("moving")
    for name in ("atlas", "atlas_imbalance", "train_digits"):
        shutil.copy(DATA / f"{name}.json", folder)
    path = folder / "report.html"
    path.write_text(build(folder)[0], encoding="utf-8")
    return path.as_uri()


def test_the_first_paint_comes_soon_and_without_plotly(page, address):
    paints = []
    for _ in range(3):  # of a machine with other work the best says what the page needs
        page.goto("about:blank")
        page.goto(address)
        page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length")
        paints.append(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
    assert min(paints) < FIRST_PAINT
    assert page.evaluate("typeof Plotly") == "undefined"
    page.click("nav a >> text=Phase diagram")
    page.locator("#phase").wait_for()  # a link renders when its event comes
    drawn(page)
    assert page.evaluate("typeof Plotly") == "object"
    assert page.locator("#phase-map .nsewdrag").count() == 1


def test_a_browser_that_cannot_unpack_says_so_and_shows_the_rest(browser, address):
    page = browser.new_page()
    page.add_init_script("delete window.DecompressionStream")
    page.goto(f"{address}#explorer")
    page.wait_for_selector("#no-plots:visible")
    assert "DecompressionStream" in page.locator("#no-plots").inner_text()
    assert page.locator("#explorer-prediction output").first.inner_text() == "1.1680004"


@pytest.mark.parametrize("page", [None, PHONE], indirect=True, ids=["desktop", "phone"])
def test_no_view_overflows_or_complains(page, address):
    for view in SECTIONS:
        page.goto(f"{address}#{view}")
        drawn(page)
        assert page.locator(f"#{view}").is_visible()
        assert page.locator("main > section:visible").count() == 1
        width = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(width) <= 0, view


def cards(page):
    """Title and text of every card."""
    every = page.locator("#start-cards article").all()
    return {card.locator("h3").inner_text(): card.locator("p").all_text_contents() for card in every}


def test_it_opens_on_what_was_found_the_theorem_first(page, address):
    page.goto(address)
    found = cards(page)
    assert list(found)[:2] == ["The landscape is benign", "Stationary trained nets that obey the theory"]
    claims = {row["claim"]["name"]: row for row in json.loads((DATA / "claims.json").read_text())["result"]["rows"]}
    first = page.locator("#start-cards article").first
    ranks = [claims[name]["verdict"]["rigour"] for name in FINDINGS[BENIGN]]
    assert first.locator(".rank").all_inner_texts() == [*ranks, "numeric"]
    assert page.locator("#start-cards article :is(svg, canvas)[role=img]").count() == len(found)
    first.locator("a").first.click()
    name = FINDINGS[BENIGN][0]
    assert page.locator("#theorems-detail h3").inner_text() == name.replace("_", " ")
    page.go_back()
    page.locator("#start").wait_for()  # a link renders when its event comes


@pytest.mark.slow
def test_every_card_leads_to_a_view_that_shows_something(page, address):
    page.goto(address)
    names = {row["claim"]["name"] for row in json.loads((DATA / "claims.json").read_text())["result"]["rows"]}
    links = {link.get_attribute("href") for link in page.locator("#start-cards a").all()}
    claims = {link.partition("claim=")[2] for link in links if "claim=" in link}
    assert claims == {claim for claims in FINDINGS.values() for claim in claims} <= names
    for link in {link for link in links if "claim=" not in link}:
        page.goto(address + link)
        view, _, query = link[1:].partition("?")
        key, _, value = query.partition("=")
        page.locator(f"#{view}").wait_for()  # a link renders when its event comes
        assert not key or page.input_value(f"#{view}-{key}") == value


def test_the_numbers_of_a_card_are_those_of_its_record(page, address):
    page.goto(address)
    runs = json.loads((DATA / "compare_terminal.json").read_text())["result"]["runs"]
    deviations = [row for run in runs for row in run["derived"]["rows"]]
    worst = max(abs(row["measured"] / row["derived"] - 1) for row in deviations if row["name"] != "|w| / |h|")
    said = cards(page)["Stationary trained nets that obey the theory"][-1]
    assert f"further than {100 * worst:.2g} %" in said
    assert f"is {max(run['stationarity'] for run in runs):.2g}." in said


def test_own_records_have_cards_of_their_own(browser, tmp_path):
    shutil.copy(DATA / "compare_digits.json", tmp_path)
    shutil.copy(DATA / "scan_conditioning.json", tmp_path)
    page = browser.new_page()
    (tmp_path / "report.html").write_text(build(tmp_path)[0], encoding="utf-8")
    page.goto((tmp_path / "report.html").as_uri())
    titles = ["Nets that are not stationary, beside the prediction", "Where random starts end"]
    assert list(cards(page)) == [*titles, "Condition numbers by smoothing"]
    page.close()


def test_a_net_that_is_stationary_and_off_does_not_obey():
    record = json.loads((DATA / "compare_terminal.json").read_text())
    (card,) = start.view("own", record)
    assert "obey" in card["title"]
    for run in record["result"]["runs"]:
        run["derived"]["rows"][0]["measured"] *= 1.2
    (card,) = start.view("own", record)
    assert "obey" not in card["title"]
    assert "20 %" in card["sentences"][0]["text"]


def test_a_scan_of_which_nothing_is_predicted_agrees_with_nothing():
    record = json.loads((DATA / "scan.json").read_text())
    record["result"]["agreement"] = dict.fromkeys(record["result"]["agreement"], 0)
    text = start.view("own", record)[0]["sentences"][0]["text"]
    assert text == "Scan of focal over gamma and decay: theory predicts no end state of its cells."


def test_an_atlas_that_is_proved_complete_has_a_card_of_its_own():
    record = json.loads((DATA / "atlas.json").read_text())
    assert [card["title"] for card in start.view("own", record)] == ["The saddles have an atlas"]
    proof = {"is_proved": True, "evidence": "interval", "boxes": 5171, "seconds": 0.51}
    record["result"]["completeness"] = proof
    card = start.view("own", record)[1]
    assert (card["title"], card["sentences"][0]["rank"]) == ("No critical point is missing", "interval")
    assert f"one of {len(record['result']['rows'])} orbits, by a search of 5171 boxes." in card["sentences"][0]["text"]
    assert atlas.view("own", record)[0]["is_complete"]
    record["result"]["completeness"] = proof | {"is_proved": False}
    assert len(start.view("own", record)) == 1
    assert not atlas.view("own", record)[0]["is_complete"]


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
    reopened(page)
    assert page.locator("#theorems-detail h3").inner_text() == chosen
    assert page.input_value("#theorems-q") == "focal"
    page.fill("#theorems-q", "no such words")
    assert rows.count() == 0
    assert page.locator("#theorems-count").inner_text().startswith("0 of")


@pytest.mark.slow
def test_a_click_on_a_cell_shows_it_and_keys_move_on(page, address):
    page.goto(f"{address}#phase?record=scan&x=1&y=1")
    drawn(page)
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


@pytest.mark.slow
def test_the_diagram_opens_on_the_main_scan_and_says_what_is_proved(page, address):
    page.goto(f"{address}#phase")
    assert page.input_value("#phase-record") == "scan"
    key = page.locator("#phase-key")
    assert "zero becomes the best" in key.text_content()
    page.select_option("#phase-record", "scan_benign_30")
    page.select_option("#phase-colour", "proved")
    said = [text.strip() for text in key.locator("> span").all_text_contents()]
    assert [words.split(", where")[0] for words in said[:4]] == [
        "proved benign",
        "proved not benign",
        "open, beyond cx",
        "open",
    ]
    reopened(page)
    assert page.input_value("#phase-colour") == "proved"
    page.click("#phase-detail a >> text=Explore this setting")
    page.locator("#explorer").wait_for()  # a link renders when its event comes
    assert page.input_value("#explorer-K") == "30"


@pytest.mark.slow
def test_the_closed_forms_of_the_diagram_are_those_of_the_cells(page, address):
    page.goto(f"{address}#phase")
    said = page.evaluate("""() => DATA.views.phase.filter(isKnown).map((scan) => scan.cells.c.map((_, cell) => {
        const width = scan.x.values.length;
        const problem = problemAt(scan, scan.x.values[cell % width], scan.y.values[Math.floor(cell / width)]);
        const known = remembered(problem);
        return [strength(problem), known.low, known.best, known.high, landscapeOf(problem, known).status];
    }))""")
    scans = [scan for scan in collect(DATA)["views"]["phase"] if scan["problem"]["loss"] in LOSS_NAMES]
    assert len(scans) == len(said) > 3
    for scan, here in zip(scans, said, strict=True):
        for i, name in enumerate(("c", "c_zero_stable", "c_zero_best", "c_etf_ends")):
            assert [row[i] for row in here] == pytest.approx(scan["cells"][name], rel=1e-5), (scan["record"], name)
        known = scan["cells"].get("landscape")
        assert known is None or [row[-1] for row in here] == known


def test_the_explorer_predicts_and_the_link_restores_it(page, address):
    page.goto(f"{address}#explorer")
    page.select_option("#explorer-loss", "ls")
    page.fill("#explorer-alpha", "0.1")
    page.fill("#explorer-K", "7")
    page.fill("#explorer-W", "0.002")
    page.select_option("#explorer-bias", "none")
    expected = predict(Problem(LabelSmoothing(0.1), 7, 30, 1, 0.002, 0.04, None))
    margin = page.locator("#explorer-prediction output").first
    assert float(margin.inner_text()) == pytest.approx(expected.margin, rel=1e-7)
    reopened(page)
    assert float(margin.inner_text()) == pytest.approx(expected.margin, rel=1e-7)
    assert page.input_value("#explorer-alpha") == "0.1"
    page.focus("#explorer-K-range")
    page.keyboard.press("End")
    assert page.input_value("#explorer-K") == "1000"
    page.fill("#explorer-K", "7")
    page.fill("#explorer-d", "5")
    assert "nothing is predicted" in page.locator("#explorer-prediction").inner_text()


@pytest.mark.slow
def test_the_explorer_takes_no_setting_that_is_not_allowed(page, address):
    for wrong in ("K=1", "K=abc", "gamma=-1", "W=0", "loss=__proto__", "W=Infinity"):
        page.goto(f"{address}#explorer?{wrong}")
        page.evaluate("render()")
        usual = page.evaluate("JSON.stringify(problemFrom({}))")
        assert page.evaluate("JSON.stringify(problemFrom(address().values))") == usual, wrong
        assert page.locator("#explorer-prediction output").first.inner_text() == "1.1680004", wrong


def test_the_parameters_that_are_not_named_are_those_of_the_losses(page, address):
    page.goto(address)
    losses = {"ce": CrossEntropy(), "ls": LabelSmoothing(), "focal": Focal(), "mse": SquaredError()}
    assert page.evaluate("DEFAULTS") == {name: asdict(loss) for name, loss in losses.items()}


def test_claims_are_typeset(page, address):
    page.goto(f"{address}#theorems?claim=focal_landscape_is_benign_at_small_decays")
    names = page.evaluate("[...document.querySelectorAll('#theorems math')].map((found) => found.namespaceURI)")
    assert set(names) == {"http://www.w3.org/1998/Math/MathML"}
    assert page.locator("#theorems-detail math msqrt").count() > 2
    shown = page.locator("#theorems-table").inner_text()
    assert not re.search(r"\^|\|\||sqrt|[<>]=| gamma ", shown)


@pytest.mark.slow
def test_a_click_on_an_orbit_shows_its_certificate(page, address):
    page.goto(f"{address}#atlas")
    drawn(page)
    assert "has index 0" in page.locator("#atlas-detail p").first.inner_text()
    box = page.locator("#atlas-map .point").last.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_function("location.hash.includes('row=0')")
    page.locator("#atlas-table tbody tr").nth(10).locator("button").click()
    assert "has index 15" in page.locator("#atlas-detail p").first.inner_text()
    assert page.url.endswith("#atlas?row=10")
    page.go_back()
    assert "has index 0" in page.locator("#atlas-detail p").first.inner_text()


@pytest.mark.slow
def test_the_slider_reads_an_epoch(page, address):
    page.goto(f"{address}#training?run=compare_digits/runs/digits-ce")
    drawn(page)
    head = page.locator("#training-table th").first
    last = head.inner_text()
    page.focus("#training-epoch")
    page.keyboard.press("Home")
    assert head.inner_text() == "epoch 1" != last
    page.wait_for_url("**epoch=1")
    names = page.evaluate("document.getElementById('training-loss-plot').data.map((trace) => trace.name)")
    assert names == ["train", "predicted"]


@pytest.mark.slow
def test_runs_are_overlaid_and_told_apart(page, address):
    page.goto(f"{address}#training?group=compare_terminal")
    drawn(page)
    colours = (
        "[...new Set(document.getElementById('training-margin-plot').data.map((trace) => trace.line.color))].length"
    )
    count = "document.getElementById('training-margin-plot').data.length"
    assert (page.evaluate(count), page.evaluate(colours)) == (16, 4)  # eight runs and their predictions, four losses
    assert page.locator("#training-residual-plot").is_visible()
    page.select_option("#training-by", "seed")
    assert (page.evaluate(count), page.evaluate(colours)) == (16, 2)
    page.uncheck("#training-only-1")
    assert page.evaluate(count) == 8
    assert page.is_disabled("#training-only-0")  # the last one stays
    reopened(page)
    assert page.evaluate(count) == 8
    page.locator("#training-table tbody button").first.click()
    assert page.locator("#training-epoch").is_visible()
    assert page.locator("#training-table th").first.inner_text().startswith("epoch")


@pytest.mark.slow
def test_the_geometry_is_projected_on_the_chosen_classes_and_turns(page, address):
    page.goto(f"{address}#geometry")
    before = marks(page, "geometry-plot")
    assert labelled(before) == list("0123456789")
    page.focus("#geometry-plot")
    page.keyboard.press("ArrowRight")
    turned = marks(page, "geometry-plot")
    assert turned != before
    page.click("#geometry-plot-up")
    turned = marks(page, "geometry-plot")
    box = page.locator("#geometry-plot").bounding_box()
    page.mouse.move(box["x"] + 50, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 90, box["y"] + 60)
    page.mouse.up()
    dragged = marks(page, "geometry-plot")
    assert dragged != turned
    reopened(page)
    assert marks(page, "geometry-plot") == dragged
    page.uncheck("#geometry-class-3")
    page.check("#geometry-class-9")
    assert "classes=0%2C1%2C2%2C9" in page.url
    assert page.is_disabled("#geometry-class-5")  # four are chosen


def cosines(places):
    lengths = [math.hypot(*place) for place in places]
    pairs = itertools.combinations(zip(places, lengths, strict=True), 2)
    return [sum(x * y for x, y in zip(p, q, strict=True)) / (a * b) for (p, a), (q, b) in pairs]


def test_the_minimiser_of_the_model_is_a_regular_simplex(page, address):
    page.goto(f"{address}#geometry")
    page.select_option("#geometry-source", label="model's minimiser: cross entropy, K = 4")
    points = page.evaluate("scenes.get('geometry-plot').points")
    means, W = ([point["at"] for point in points if point["symbol"] == kind] for kind in ("circle", "diamond"))
    assert cosines(means) == pytest.approx([-1 / 3] * 6, abs=1e-6)
    assert list(itertools.chain(*W)) == pytest.approx(list(itertools.chain(*means)), abs=1e-6)


@pytest.mark.slow
def test_drawing_and_table_name_classes_alike(page, moving):
    """Discs hold the letters that stand together in the table; classes at zero stand together, too."""
    for record in ("atlas", "atlas_imbalance"):
        page.goto(f"{moving}#atlas?record={record}")
        for row in range(page.locator("#atlas-table tbody tr").count()):
            page.goto(f"{moving}#atlas?record={record}&row={row}")
            words = page.locator("#atlas-table tr[aria-selected=true] button").inner_text().partition(": ")[2]
            shown = set(labelled(marks(page, "atlas-geometry")))
            assert shown == set(re.findall("[a-h]+", words)), (record, row)


@pytest.mark.slow
def test_the_way_down_is_played_and_its_frame_restored(page, moving):
    page.goto(f"{moving}#atlas?row=5")
    said = page.locator("#atlas-frame-at")
    assert said.inner_text() == "objective 0.42256, orbit 6"
    before = marks(page, "atlas-geometry")
    page.click("#atlas-play")
    assert page.locator("#atlas-play").inner_text() == "Stop"
    page.wait_for_function("document.getElementById('atlas-play').textContent === 'Play'")
    assert said.inner_text().endswith("orbit 1")
    after = marks(page, "atlas-geometry")
    assert sorted(name for name, _ in before) == ["ab", "c", "d"]
    assert sorted(name for name, _ in after) == ["a", "b", "c", "d"]
    places = page.evaluate("scenes.get('atlas-geometry').points.map(point => point.at)")
    assert cosines(places) == pytest.approx([-1 / 3] * 6, abs=1e-3)
    reopened(page)
    assert marks(page, "atlas-geometry") == after
    page.focus("#atlas-frame")
    page.keyboard.press("Home")
    assert marks(page, "atlas-geometry") == before
    page.click("#atlas-play")
    page.click("#atlas-play")  # stopped on the way
    assert page.locator("#atlas-play").inner_text() == "Play"
    page.locator("#atlas-table tbody button").first.click()
    assert not page.locator("#atlas-way").is_visible()
    assert "A minimum" in page.locator("#atlas-way-note").inner_text()


def test_every_way_down_falls_to_a_minimum():
    (shown,) = (entry for entry in collect(DATA)["views"]["atlas"] if entry["record"] == "atlas")
    rows = shown["rows"]
    assert [row["descent"] is not None for row in rows] == [row["index"] > 0 for row in rows]
    for row in (row for row in rows if row["descent"]):
        value = row["descent"]["value"]
        assert value == sorted(value, reverse=True)
        assert (value[0], value[-1]) == pytest.approx(
            (row["value"], rows[row["descent"]["passes"][-1]]["value"]), rel=1e-5
        )
    assert [rows[stop]["rank"] for stop in rows[-1]["descent"]["passes"]] == [1, 2, 3]  # from zero, rank by rank


BROKEN_WAYS = {
    "row": {"row": 11},
    "no stop": {"passes": []},
    "stop outside": {"passes": [11]},
    "stop that is true": {"passes": [True]},
    "pieces of unequal length": {"passes": [1, 0, 0, 0, 0]},
    "nan": {"value": [math.nan] * 13},
    "four coordinates": {"means": [[[0.0] * 4] * 4] * 13},
    "another number of classes": {"means": [[[0.0, 0.0, 0.0]] * 3] * 13},
    "one frame": {"means": [[[0.0, 0.0, 0.0]] * 4], "value": [1.0]},
    "frames without value": {"value": [1.0]},
    "infinite place": {"means": [[[math.inf, 0.0, 0.0]] * 4] * 13},
}


@pytest.mark.parametrize("broken", BROKEN_WAYS.values(), ids=BROKEN_WAYS)
def test_a_way_down_that_cannot_be_played_is_named(broken):
    record = json.loads((DATA / "atlas.json").read_text())
    record["result"]["descents"] = record["result"]["descents"][:1]
    (way,) = record["result"]["descents"]
    assert (way["passes"], len(way["value"])) == ([0], 13)
    assert any(row["descent"] for row in atlas.view("atlas", record)[0]["rows"])
    way |= broken
    with pytest.raises(ValueError, match="the way down from row"):
        atlas.view("atlas", record)


BROKEN_SHAPES = {
    "four coordinates": {"class_means": [[0.0] * 4] * 10, "W": [[0.0] * 4] * 10},
    "fewer classes": {"class_means": [[0.0] * 3] * 9, "W": [[0.0] * 3] * 9, "spread": [0.0] * 9},
    "a plane among spaces": {"class_means": [[0.0] * 2] * 10, "W": [[0.0] * 2] * 10},
    "spread of nan": {"spread": [math.nan] * 10},
    "spread of fewer": {"spread": [0.0] * 9},
    "nothing seen": {"seen": None},
    "endless epoch": {"epoch": math.inf},
}


@pytest.mark.parametrize("broken", BROKEN_SHAPES.values(), ids=BROKEN_SHAPES)
def test_features_over_epochs_that_cannot_be_played_are_named(broken):
    record = json.loads((DATA / "train_digits.json").read_text())
    assert training.view("digits", record)[0]["shapes"]
    record["result"]["geometry_over_epochs"][1] |= broken
    with pytest.raises(ValueError, match="is not whole"):
        training.view("digits", record)


@pytest.mark.slow
def test_a_plane_is_drawn_in_space(browser, tmp_path):
    """Three classes span a plane: of their places two coordinates are stored."""
    record = json.loads((DATA / "train_digits.json").read_text())
    for shape in record["result"]["geometry_over_epochs"]:
        shape["class_means"] = [row[:2] for row in shape["class_means"]]
        shape["W"] = [row[:2] for row in shape["W"]]
    (tmp_path / "digits.json").write_text(json.dumps(record))
    (tmp_path / "report.html").write_text(build(tmp_path)[0], encoding="utf-8")
    page = browser.new_page()
    page.goto(f"{(tmp_path / 'report.html').as_uri()}#training")
    page.select_option("#training-run", index=1)
    drawn(page)
    places = marks(page, "training-space")
    assert labelled(places) == list("0123456789")
    assert not any("NaN" in at for _, at in places)
    page.close()


@pytest.mark.slow
def test_features_are_played_over_the_epochs_and_the_epoch_is_restored(page, moving):
    page.goto(f"{moving}#training")
    page.select_option("#training-run", index=1)
    drawn(page)
    last, said = marks(page, "training-space"), page.locator("#training-frame-at")
    assert said.inner_text().startswith("epoch 100:")
    page.focus("#training-frame")
    page.keyboard.press("Home")
    first = marks(page, "training-space")
    assert first != last
    assert page.locator("#training-table th").first.inner_text() == "epoch 1"
    reopened(page)
    assert marks(page, "training-space") == first
    assert said.inner_text().startswith("epoch 1:")
    halo = "() => scenes.get('training-space').points.reduce((sum, point) => sum + (point.halo ?? 0), 0)"
    before = page.evaluate(halo)
    page.click("#training-play")
    page.wait_for_function("document.getElementById('training-play').textContent === 'Play'")
    assert said.inner_text().startswith("epoch 100:")
    assert marks(page, "training-space") == last
    assert page.evaluate(halo) < before  # features have drawn together


def test_runs_without_features_over_epochs_have_no_drawing_of_them(page, address):
    page.goto(f"{address}#training?run=compare_digits/runs/digits-ce")
    assert not page.locator("#training-shape").is_visible()


@pytest.mark.slow
def test_every_panel_with_a_common_prediction_has_its_line(page, address):
    page.goto(f"{address}#training")
    drawn(page)
    lines = (
        "id => document.getElementById(`training-${id}-plot`).layout.shapes.map(({ yref, y0 }) => [yref ?? 'y', y0])"
    )
    assert page.evaluate(lines, "accuracy") == [["y", 1]]
    assert page.evaluate(lines, "nc4_disagreement") == [["y", 0]]
    assert page.evaluate(lines, "nc1_quotient") == [["y domain", 0]]  # 0 is below every logarithmic scale
    assert page.evaluate(lines, "margin") == []


def test_thresholds_that_lie_close_have_a_close_up(page, address):
    page.goto(f"{address}#explorer")
    drawn(page)
    assert page.locator("#explorer-close").is_visible()
    shapes = page.evaluate("document.getElementById('explorer-close').layout.shapes.map(shape => shape.x0)")
    known = page.evaluate("thresholds(problemFrom({}))")
    assert {known["low"], known["best"], known["high"]} <= set(shapes)
    page.select_option("#explorer-loss", "ce")
    assert not page.locator("#explorer-close").is_visible()


@pytest.mark.slow
def test_a_broken_link_shows_a_view(page, address):
    for broken in (
        "nonsense",
        "training?run=x&only=9,-1&by=y&group=z",
        "phase?%zz",
        "phase?x=-4&y=abc&record=?",
        "atlas?row=99",
        "geometry?classes=1,1",
    ):
        page.goto(f"{address}#{broken}")
        page.evaluate("render()")
        assert page.locator("main > section:visible").count() == 1, broken


@pytest.mark.slow
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
    finding = next(row for row in record["result"]["rows"] if row["claim"]["name"] in FINDINGS[BENIGN])
    finding["claim"]["sentence"] = f"{evil} at |W|^2 <b>= 1</b>"
    (tmp_path / "claims.json").write_text(json.dumps(record))
    path = tmp_path / "report.html"
    path.write_text(build(tmp_path)[0], encoding="utf-8")
    page = browser.new_page()
    page.goto(path.as_uri())
    assert evil in page.locator("#start-cards article p:not(.lead)").first.inner_text()
    page.goto(f"{path.as_uri()}#theorems")
    assert page.locator("#theorems-table tbody tr").first.locator("button").inner_text() == evil
    assert page.locator("main img, main b, math b").count() == 0
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


def test_an_empty_folder_gives_a_page_that_says_so(browser, tmp_path):
    assert len(collect(tmp_path)["left_out"]) == len(VIEWS)
    (tmp_path / "report.html").write_text(build(tmp_path)[0], encoding="utf-8")
    page = browser.new_page()
    page.goto((tmp_path / "report.html").as_uri())
    assert "There is no finding to show yet" in page.locator("#start").inner_text()
    page.close()


@pytest.mark.parametrize(
    ("command", "expected"),
    [("python -m ufm atlas --loss ce", "ufm atlas"), ("python -m theory_checks", "theory_checks"), ("x", "")],
)
def test_a_record_is_known_by_its_command(command, expected):
    assert kind({"command": command}) == expected


def test_the_comparison_of_a_file_of_features_is_of_a_kind_of_its_own():
    record = {"command": "python -m deepnet compare --features f.npz"}
    assert kind(record | {"result": {"comparison": {}}}) == "deepnet compare --features"
    assert kind(record | {"result": {"runs": []}}) == "deepnet compare"


def test_embedded_json_is_json_without_markup():
    text = embedded({"a": "</script><!--&"})
    assert not set("<>&") & set(text)
    assert json.loads(text) == {"a": "</script><!--&"}


def test_every_asset_is_in_the_page():
    folder = Path(__file__).parents[2] / "figures" / "report" / "assets"
    page, _ = build(DATA)
    assert all(path.read_text().strip()[:200] in page for path in folder.iterdir() if path.suffix != ".html")
