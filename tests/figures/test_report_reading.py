"""The page as a stranger reads it: nothing is hidden, cut or unexplained, and a link brings everything back."""

import io
import json
import math

import pytest
from PIL import Image

from figures.report.page import build
from figures.stored import DATA
from tests.figures.browser import drawn, labelled, marks, reopened

pytestmark = pytest.mark.slow
PHONE = {"width": 390, "height": 800}
ON_PHONE = pytest.mark.parametrize("page", [PHONE], indirect=True, ids=["phone"])
ON_BOTH = pytest.mark.parametrize("page", [None, PHONE], indirect=True, ids=["desktop", "phone"])


def layout(page, plot):
    return page.evaluate(
        "id => (({ annotations, xaxis, shapes }) => ({ annotations, xaxis, shapes }))(byId(id).layout)", plot
    )


@pytest.mark.parametrize(("decay", "said"), [("0.04", None), ("0.001", "← here: c = "), ("0.9", " →")])
def test_the_close_up_shows_the_setting_or_says_where_it_lies(page, address, decay, said):
    page.goto(f"{address}#explorer?W={decay}")
    drawn(page)
    found = layout(page, "explorer-close")
    c = page.evaluate("strength(problemFrom(address().values))")
    least, most = found["xaxis"]["range"]
    assert (least < c < most) == (said is None)
    words = [note["text"] for note in found["annotations"]]
    assert len(words) == (said is not None)
    assert all(said in text for text in words)
    lines = page.evaluate("Object.values(thresholds(problemFrom({}))).filter(Number.isFinite)")
    assert all(least < line < most for line in lines)


def test_the_margin_is_drawn_as_far_as_the_setting(page, address):
    page.goto(f"{address}#explorer?W=1e-6&H=1e-6")
    drawn(page)
    found = layout(page, "explorer-margins")
    assert found["xaxis"]["range"][0] < -6 < found["xaxis"]["range"][1]
    assert "log scale" in found["xaxis"]["title"]["text"]


def test_the_explorers_areas_are_what_is_proved(page, address):
    """An area for every piece of c, and none is called benign in too few dimensions."""
    said = {}
    for d in (30, 10):
        page.goto(f"{address}#explorer?d={d}")
        drawn(page)
        areas = [shape for shape in layout(page, "explorer-close")["shapes"] if shape["type"] == "rect"]
        for area in areas:
            for part in (0.01, 0.5, 0.99):
                c = area["x0"] + part * (area["x1"] - area["x0"])
                problem = f"{{ ...problemFrom({{ d: '{d}' }}), decay_W: {c}, decay_H: {c} }}"
                assert page.evaluate(f"PROVED[provedHere({problem})][1]") == area["fillcolor"]
        said[d] = page.locator("#explorer-key").inner_text()
    assert "proved benign" in said[30]
    assert "benign" not in said[10]


def test_a_number_that_is_not_allowed_is_named(page, address):
    page.goto(f"{address}#explorer")
    wrong = page.locator("#explorer-wrong")
    assert not wrong.is_visible()
    page.fill("#explorer-K", "1")
    assert "a whole number from 2 to 100000" in wrong.inner_text()
    assert page.locator("#explorer-prediction output").first.inner_text() == "1.1680004"
    page.fill("#explorer-K", "31")
    assert not wrong.is_visible()


def numbers(page, place):
    """Of a drawing: the numbers at diamonds, and where they, the discs and the diamonds are."""
    return page.evaluate(
        """id => {
            const each = (name) => [...document.querySelectorAll(`#${id} ${name}`)];
            const at = (text) => [Number(text.getAttribute("x")), Number(text.getAttribute("y")) - 4];
            const middle = (mark) => mark.getAttribute("transform").match(/-?[\\d.]+/g).map(Number);
            const rows = each(".number").filter((text) => text.dataset.row).map((text) => [text.dataset.row, at(text)]);
            return { rows, discs: each(".mark").map(middle), scene: scenes.get(id) };
        }""",
        place,
    )


def test_every_row_of_W_is_numbered_or_lies_on_its_disc(page, address):
    page.goto(f"{address}#geometry")
    for turn in ("0.80,0.35", "0.00,0.00", "2.40,-0.50", "1.20,1.50"):
        page.evaluate("turn => go({ turn })", turn)
        found = numbers(page, "geometry-plot")
        reach = found["scene"]["reach"]
        means = {p["label"]: p["at"] for p in found["scene"]["points"] if p["symbol"] == "circle"}
        rows = {p["label"]: p["at"] for p in found["scene"]["points"] if p["symbol"] == "diamond"}
        seen = "at => { const [right, up] = seenFrom(at); return [right, up]; }"
        apart = {
            k: 176 / reach * math.dist(page.evaluate(seen, at), page.evaluate(seen, means[k])) for k, at in rows.items()
        }
        numbered = labelled(found["rows"])
        assert {k for k, far in apart.items() if far > 26} <= set(numbered)
        assert {k for k, far in apart.items() if far < 1e-6}.isdisjoint(numbered)
        assert all(math.dist(at, disc) > 10 for _, at in found["rows"] for disc in found["discs"])
        assert labelled(marks(page, "geometry-plot")) == list("0123456789")


def test_labels_of_discs_that_meet_become_one(page, address):
    """Of a collapsed net the classes that do not span the space lie in its middle."""
    page.goto(f"{address}#geometry?point=compare_terminal/network: cross entropy, digits, resnet18, seed 0, epoch 17")
    assert {name for name, _ in marks(page, "geometry-plot")} == {"0", "1", "2", "3", "4–9"}
    assert numbers(page, "geometry-plot")["rows"] == []


@ON_BOTH
def test_numbers_in_the_map_of_orbits_are_legible(page, address):
    for record in ("atlas", "atlas_deep", "atlas_focal"):
        page.goto(f"{address}#atlas?record={record}")
        drawn(page)
        boxes = page.evaluate("""() => [...document.querySelectorAll("#atlas-map .textpoint text")].map((text) => {
            const { left, right, top, bottom } = text.getBoundingClientRect();
            return [text.textContent, left, right, top + 3, bottom - 3];
        })""")
        rows = page.locator("#atlas-table tbody tr").count()
        assert labelled([(box[0], None) for box in boxes]) == sorted(str(i + 1) for i in range(rows))
        for i, (_, left, right, top, bottom) in enumerate(boxes):
            others = boxes[:i]
            assert not any(left < b[2] and b[1] < right and top < b[4] and b[3] < bottom for b in others), (
                record,
                boxes,
            )
        ticks = page.locator("#atlas-map .ytick").all_text_contents()
        assert len(ticks) == len(set(ticks)) > 1


def test_orbits_7_and_8_share_a_label_and_the_chosen_has_a_ring(page, address):
    page.goto(f"{address}#atlas?row=6")
    drawn(page)
    assert "7, 8" in page.locator("#atlas-map .textpoint").all_text_contents()
    ring = page.evaluate("byId('atlas-map').data.find((trace) => trace.marker?.symbol === 'circle-open').x")
    assert ring == [page.evaluate("DATA.views.atlas[0].rows[6].value")]


def edge(page, place):
    """The brightness of a table's ground 11 dots from its right edge and at that edge."""
    box = page.locator(place).bounding_box()
    clip = {"x": box["x"] + box["width"] - 12, "y": box["y"], "width": 12, "height": box["height"]}
    picture = Image.open(io.BytesIO(page.screenshot(clip=clip, full_page=True))).convert("L")
    columns = [sorted(picture.crop((i, 0, i + 1, picture.height)).tobytes()) for i in (1, picture.width - 2)]
    return [column[len(column) // 2] for column in columns]


@ON_BOTH
def test_a_table_that_goes_on_sideways_shows_it(page, address):
    page.goto(f"{address}#cards")
    drawn(page)
    scrolls = page.evaluate("byId('cards-comparison').scrollWidth > byId('cards-comparison').clientWidth + 1")
    assert scrolls == (page.viewport_size["width"] < 400)
    inner, outer = edge(page, "#cards-comparison")
    assert (outer < inner - 20) == scrolls
    page.evaluate("byId('cards-comparison').scrollLeft = 1e6")
    inner, outer = edge(page, "#cards-comparison")
    assert outer >= inner - 3


@ON_PHONE
def test_claims_on_a_phone_show_evidence_margin_and_verdict(page, address):
    page.goto(f"{address}#theorems")
    cells = page.locator("#theorems-table tbody tr").nth(2).locator("td:visible")
    assert cells.count() == 4
    for i, name in enumerate(("evidence", "margin", "verdict"), start=1):
        box = cells.nth(i).bounding_box()
        assert box["x"] + box["width"] <= PHONE["width"]
        assert page.evaluate(
            "td => getComputedStyle(td, '::before').content", cells.nth(i).element_handle()
        ).startswith(f'"{name}')


@ON_PHONE
def test_no_line_begins_with_what_ends_a_formula(page, address):
    page.goto(address)
    lines = page.evaluate("""() => {
        const found = [];
        for (const math of document.querySelectorAll("#start-cards p math")) {
            const next = math.nextSibling;
            if (next?.nodeType !== 3 || !/^[.,;:)]/.test(next.textContent)) continue;
            const range = document.createRange();
            range.setStart(next, 0);
            range.setEnd(next, 1);
            found.push(range.getBoundingClientRect().left - math.getBoundingClientRect().right);
        }
        return found;
    }""")
    assert len(lines) > 15
    assert max(map(abs, lines)) < 3


def test_the_margin_of_every_claim_is_explained(page, address):
    page.goto(f"{address}#theorems")
    note = page.locator("#theorems .note").inner_text()
    assert "how far the claim is from failing" in note
    shown = page.evaluate("""() => [...document.querySelectorAll("#theorems-table td:nth-child(4) span")]
        .map((span) => [span.textContent, span.title])""")
    claims = json.loads((DATA / "claims.json").read_text())["result"]["rows"]
    meanings = [row["verdict"]["margin_is"] for row in claims]
    assert len(shown) == len(meanings)
    assert all(title and title in meaning for (_, title), meaning in zip(shown, meanings, strict=True))
    assert {text.split(" ")[-1] for text, title in shown if title.startswith("decimal digits")} == {"digits"}
    page.locator("#theorems-table tbody button").nth(2).click()
    assert "Margin: 2.7 digits: decimal digits between" in page.locator("#theorems-detail").inner_text()


def test_every_small_plot_says_its_scales(page, address):
    page.goto(address)
    cards = page.evaluate("DATA.views.start.map((card) => card.picture)")
    texts = page.evaluate("""() => [...document.querySelectorAll("#start-cards article")]
        .map((card) => [...card.querySelectorAll("figure text")].map((text) => text.textContent))""")
    charts = [(picture, words) for picture, words in zip(cards, texts, strict=True) if picture["kind"] == "chart"]
    assert len(charts) > 5
    for picture, words in charts:
        expected = ["log scale" if key in picture["log"] else "linear scale" for key in "xy"]
        assert [word for word in words if word.endswith("scale")] == expected
    for caption in page.locator("figure:has(canvas) figcaption").all_inner_texts():
        assert caption.count("(linear scale)") + caption.count("(log scale)") == 2


def test_curves_of_the_diagram_are_smooth(page, address):
    """Every corner of a drawn curve is on the closed form within a pixel, and there are more corners than cells."""
    page.goto(f"{address}#phase?record=scan_benign_30")
    drawn(page)
    far, corners, rows = page.evaluate("""() => {
        const scan = DATA.views.phase.find(({ record }) => record === "scan_benign_30");
        const { xaxis, yaxis } = byId("phase-map")._fullLayout;
        const path = document.querySelectorAll("#phase-map .contourlevel path")[1].getAttribute("d");
        const places = path.match(/-?[\\d.]+,-?[\\d.]+/g).map((pair) => pair.split(",").map(Number));
        const name = curvesCrossing(scan)[1];
        const far = places.map(([left, top]) => {
            const y = yaxis.p2c(top);
            const ratio = (x) => {
                const problem = problemAt(scan, x, y);
                return ratioTo(problem, remembered(problem), name) ?? NaN;
            };
            return Math.abs(xaxis.c2p(rootIn(ratio, 1e-3, 1)) - left);
        });
        return [Math.max(...far.filter(Number.isFinite)), far.filter(Number.isFinite).length, scan.y.values.length];
    }""")
    assert far < 1
    assert corners > 3 * rows


def test_a_scan_along_one_axis_leaves_no_empty_half_page(browser, tmp_path):
    record = json.loads((DATA / "scan_benign_30.json").read_text())
    axes, cells = record["result"]["axes"], record["result"]["cells"]
    del axes["gamma"]
    record["result"]["cells"] = {key: values[: len(axes["decay"])] for key, values in cells.items()}
    (tmp_path / "scan.json").write_text(json.dumps(record))
    (tmp_path / "report.html").write_text(build(tmp_path)[0], encoding="utf-8")
    page = browser.new_page()
    page.goto(f"{(tmp_path / 'report.html').as_uri()}#phase?colour=proved")
    drawn(page)
    assert page.locator("#phase-map .nsewdrag").bounding_box()["height"] < 120
    square = page.locator("#phase-map .point").last.bounding_box()
    plot = page.locator("#phase-map .nsewdrag").bounding_box()
    assert square["y"] + square["height"] / 2 == pytest.approx(plot["y"] + plot["height"] / 2, abs=2)
    page.goto(f"{(tmp_path / 'report.html').as_uri()}#start")
    assert "from 0 to 0" not in page.locator("#start-cards").inner_text()
    page.close()


def test_areas_of_the_diagram_are_the_closed_forms(page, address):
    page.goto(f"{address}#phase?record=scan_benign_30&colour=proved")
    drawn(page)
    wrong, looked, kinds, width = page.evaluate("""() => {
        const scan = DATA.views.phase.find(({ record }) => record === "scan_benign_30");
        const [x, y] = [finely(scan.x, PICTURE[0]), finely(scan.y, PICTURE[1])];
        const rows = provedOf(scan).map((row, j) => [row, y[j]]).filter((_, j) => j % 10 === 4);
        const right = (i, at) => provedHere(problemAt(scan, x[i], at));
        const wrong = rows.flatMap(([row, at]) => row.filter((mark, i) => mark !== right(i, at)));
        const looked = rows.flatMap(([row]) => row);
        return [wrong.length, looked.length, new Set(looked).size, PICTURE[0]];
    }""")
    assert wrong < looked / 1000
    assert kinds == 4
    image = page.locator("#phase-map .imagelayer image")
    plot = page.locator("#phase-map .nsewdrag")
    assert image.bounding_box() == pytest.approx(plot.bounding_box(), abs=1)
    assert width >= plot.bounding_box()["width"] / 2
    texts = page.evaluate("byId('phase-map').data[0].text.flat()")
    assert len({text.split(";")[0] for text in texts}) == 3


SNAPSHOT = """() => {
    const section = document.querySelector("main > section:not([hidden])");
    const seen = (names) => [...section.querySelectorAll(names)].filter((each) => each.checkVisibility());
    const controls = seen("select, input, details");
    const drawings = seen(".space").map((each) => each.outerHTML);
    const states = controls.map((each) => [each.id, each.value ?? each.open, each.checked ?? null]);
    return [states, section.innerText, drawings];
}"""
CHANGE = """id => {
    const each = document.getElementById(id);
    const tell = (kind) => each.dispatchEvent(new Event(kind, { bubbles: true }));
    if (!each?.checkVisibility() || each.disabled) return;
    if (each.type === "checkbox") return each.click();
    if (each.tagName === "SELECT") {
        each.selectedIndex = (each.selectedIndex + 1) % each.options.length;
        return tell("change");
    }
    const number = Number(each.value);
    if (each.type === "search") each.value = "the";
    else if (each.type === "range") each.value = String(0.63 * Number(each.min) + 0.37 * Number(each.max));
    else each.value = String(number >= 1 ? number + 3 : 0.7 * number);
    tell("input");
}"""
VIEWS = {
    "theorems": ["theorems-table button"],
    "phase": ["phase-numbers"],
    "explorer?bias=decayed&loss=ls": [],
    "atlas?record=atlas_focal&row=3": ["atlas-row-5", "atlas-geometry-left"],
    "training?group=compare_transformers": [],
    "training?run=train_digits/runs/digits": ["training-space-up"],
    "geometry": ["geometry-plot-down"],
    "cards": [],
}


@pytest.mark.parametrize(("view", "buttons"), VIEWS.items(), ids=[view.partition("?")[0] for view in VIEWS])
def test_a_link_brings_back_every_control(page, address, view, buttons):
    """All controls of a view are set one after the other; opened anew, it says and draws the same."""
    page.goto(f"{address}#{view}")
    drawn(page)
    before = page.evaluate(SNAPSHOT)
    keeping = ("training-group", "training-run") if "run=" in view else ()
    for name in [each[0] for each in before[0] if each[0] not in keeping]:
        page.evaluate(CHANGE, name)
    for name in buttons:
        page.evaluate("name => document.querySelector(`#${name}`).click()", name)
    after = page.evaluate(SNAPSHOT)
    changed = [old[0] for old, new in zip(before[0], after[0], strict=False) if old != new]
    assert len(changed) >= min(1, len(before[0]))
    reopened(page)
    assert page.evaluate(SNAPSHOT) == after


def test_a_drawing_that_was_turned_stays_so_while_it_moves(page, address):
    page.goto(f"{address}#atlas?row=5&turn=2.00,0.10")
    drawn(page)
    page.focus("#atlas-geometry")
    page.keyboard.press("ArrowUp")
    turned = page.evaluate("camera")
    page.focus("#atlas-frame")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("camera") == turned
    page.click("nav a >> text=Geometry")
    page.locator("#geometry").wait_for()  # a link renders when its event comes
    assert page.evaluate("camera") == {"turn": 0.8, "rise": 0.35}


def test_a_slider_that_is_drawn_quickly_does_not_flood_the_address(page, address):
    """Browsers refuse to write it more than some hundred times in half a minute."""
    page.goto(f"{address}#explorer")
    page.evaluate("""() => {
        window.written = 0;
        const replace = history.replaceState.bind(history);
        history.replaceState = (...what) => { window.written += 1; replace(...what); };
        for (let K = 2; K < 100; K++) go({ K }, true);
    }""")
    assert page.input_value("#explorer-K") == "99"
    page.wait_for_url("**K=99")
    assert page.evaluate("written") <= 5


def test_the_keyboard_goes_on_where_it_was(page, address):
    page.goto(f"{address}#theorems")
    button = page.locator("#theorems-table tbody button").nth(4)
    button.focus()
    page.keyboard.press("Enter")
    focused = "document.activeElement.id"
    assert page.evaluate(focused) == button.get_attribute("id")
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == page.locator("#theorems-table tbody button").nth(5).get_attribute("id")
    page.goto(f"{address}#geometry")
    page.focus("#geometry-class-3")
    page.keyboard.press("Space")
    assert page.evaluate(focused) == "geometry-class-3"


def test_a_link_shows_its_view_from_the_top(page, address):
    page.goto(address)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    heading = "document.activeElement.textContent"
    assert page.evaluate(heading) == "What was found"  # skipped the navigation, not to another view
    link = page.locator("#start-cards a[href^='#phase']").last
    link.scroll_into_view_if_needed()
    link.click()
    page.locator("#phase").wait_for()  # a link renders when its event comes
    assert page.evaluate("scrollY") == 0
    assert page.evaluate(heading) == "Where random starts end"


def test_a_diagram_fills_the_place_that_another_leaves(page, address):
    page.goto(f"{address}#explorer")
    drawn(page)
    page.select_option("#explorer-loss", "ce")
    page.wait_for_function("byId('explorer-ray')._fullLayout.width === byId('explorer-ray').offsetWidth")
    assert not page.locator("#explorer-close").is_visible()
    assert page.evaluate("byId('explorer-ray').offsetWidth") > 400


CONTRAST = """() => {
    const parts = (colour) => { const found = colour.match(/[\\d.]+/g).map(Number); return [...found, 1].slice(0, 4); };
    const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    const light = (rgb) => rgb.reduce((sum, v, i) => sum + linear(v / 255) * [0.2126, 0.7152, 0.0722][i], 0);
    const over = (top, below) => below.map((v, i) => top[i] * top[3] + v * (1 - top[3]));
    const ground = (each) => (each
        ? over(parts(getComputedStyle(each).backgroundColor), ground(each.parentElement)) : [255, 255, 255]);
    const isText = (each) => each.checkVisibility()
        && [...each.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    return [...document.querySelectorAll("body *:not(script, style, option)")].filter(isText).map((each) => {
        const isDrawn = each.namespaceURI.endsWith("svg");
        const disc = each.closest(".mark")?.querySelector("rect");
        const below = disc ? over(parts(getComputedStyle(disc).fill), [255, 255, 255])
            : ground(isDrawn ? each.closest("svg").parentElement : each);
        const style = getComputedStyle(each);
        const [a, b] = [light(over(parts(isDrawn ? style.fill : style.color), below)), light(below)];
        return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), each.textContent];
    });
}"""


@pytest.mark.parametrize(
    "view", ["start", "theorems?claim=zero_is_a_saddle_below_a_threshold", "atlas?row=5", "geometry"]
)
def test_text_stands_out_from_its_ground(page, address, view):
    """WCAG AA: 4.5 to 1."""
    page.goto(f"{address}#{view}")
    drawn(page)
    found = page.evaluate(CONTRAST)
    assert len(found) > 30
    assert min(found)[0] >= 4.5
