"""Figures for papers: as wide as a column, type that is embedded as TrueType, no word cut off."""

import re

import pytest
from matplotlib.text import Text

from figures import style
from figures.stored import DATA, draw_stored, figure_scripts

QUICK = ("conditioning", "accuracies")


def width_in_inches(pdf):
    return float(re.search(rb"/MediaBox \[ 0 0 ([\d.]+)", pdf)[1]) / 72


def cut(figure):
    """The words that reach over the edge of the figure by more than a pixel; numbers along axes are matplotlib's."""
    axes = [axis for panel in figure.axes for axis in (panel.xaxis, panel.yaxis)]
    numbers = {id(text) for axis in axes for text in (*axis.get_majorticklabels(), *axis.get_minorticklabels())}
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts if id(text) not in numbers]
    inside = figure.bbox.padded(1)
    return [word for word, box in boxes if box.width and not (inside.x0 <= box.x0 and box.x1 <= inside.x1)]


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are saved."""
    figures = []
    fit = style._fit
    monkeypatch.setattr(style, "_fit", lambda figure: figures.append(figure) or fit(figure))
    return figures


@pytest.mark.parametrize("columns", [1, 2, None])
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in figure_scripts()]
)
def test_a_figure_for_a_paper_or_a_page(name, columns, drawn, tmp_path):
    path = tmp_path / "figure.pdf"
    with style.for_a_paper(columns):
        draw_stored(figure_scripts()[name], DATA, path)
    pdf = path.read_bytes()
    assert pdf.startswith(b"%PDF")
    if columns:
        assert any(width_in_inches(pdf) == pytest.approx(style.PAPER[wide]) for wide in {columns, 2})
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf
    drawn[0].draw_without_rendering()
    assert cut(drawn[0]) == []


def test_a_legend_that_is_too_wide_is_seen_and_has_fewer_columns():
    figure, axes = style.subplots(figsize=(3.25, 2))
    for number in range(4):
        axes.plot([0, 1], label=f"a rather long entry {number}")
    figure.legend(loc="outside lower center", ncols=4)
    figure.draw_without_rendering()
    assert "a rather long entry 0" in cut(figure)
    figure.legends[0].remove()
    style.outside_legend(figure, loc="outside lower center", ncols=4)
    figure.draw_without_rendering()
    assert cut(figure) == []
    assert len(figure.legends) == 1


def test_as_on_a_page_it_is_another_width(tmp_path):
    draw_stored(figure_scripts()["conditioning"], DATA, tmp_path / "page.pdf")
    assert width_in_inches((tmp_path / "page.pdf").read_bytes()) == pytest.approx(style.COLUMN)


def test_powers_along_an_axis_are_typeset_and_names_are_not(tmp_path):
    """Ticks get their words when the figure is drawn; a stranger's `$` is no formula, wherever it stands."""
    from matplotlib.figure import Figure

    figure = Figure()
    axes = figure.subplots()
    axes.plot([0, 1], [1e-16, 1e-8], label="$x^$_{")
    axes.set_yscale("log")
    axes.set_xticks([0, 1], ["$y^$_{", "plain"])
    axes.set_title("$1.5\\times10^{-3}$")
    axes.legend()
    style.save(figure, tmp_path / "figure.png")
    powers = [tick for tick in axes.get_yticklabels() if "$" in tick.get_text()]
    assert len(powers) >= 2
    assert all(text.get_parse_math() for text in (*powers, axes.title))
    names = [axes.get_legend().get_texts()[0], axes.get_xticklabels()[0]]
    assert [text.get_parse_math() for text in names] == [False, False]
