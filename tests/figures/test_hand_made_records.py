"""What no stored record has: other axes, nothing known, one of a thing only, values that are no numbers."""

import math
from pathlib import Path

import numpy as np
import pytest

from figures import collapse_curves, conditioning, experiments, phase_diagram, report_card, softmax_codes
from figures.claims import paper
from figures.prediction_against_measurement import ticks_between
from figures.report import geometry
from figures.tables import accuracies, compare, compare_similarity, compare_transfer, derived, unnormalised
from figures.tables import experiments as experiments_table
from ufm.cli.words import depth_sentence
from ufm.model.losses import Focal
from ufm.model.problem import Problem
from ufm.theory.prediction import phase_boundaries

SETTING = {"loss": {"name": "ce"}, "classes": 4, "dim": 6, "per_class": 3, "starts": 8}


@pytest.fixture
def panels(monkeypatch):
    """Draws a script's figure without a file and returns what is in it."""
    figures = []

    def draw(script, *records):
        monkeypatch.setattr(script, "save", lambda figure, path: figures.append(figure))
        script.draw(*records, path=Path("none"))
        return figures[-1].axes

    return draw


def scan(axes: dict[str, list[float]]) -> dict:
    """A scan whose last axis is c: the predicted change is at c = 2, and a quarter of the starts is lost."""
    c = [1.0, 2.0, 4.0]
    repeats = math.prod(map(len, axes.values())) // len(c)
    etf = [0.75, 0.5, 0.0]
    cells = {"etf": etf, "zero": [0.0, 0.25, 0.75], "partial": [0.0] * 3, "other": [0.0] * 3, "c": c}
    cells |= {"c_zero_best": [2.0] * 3, "c_zero_stable": [3.0] * 3, "c_etf_ends": [9.0] * 3}
    result = {"axes": axes, "cells": {name: values * repeats for name, values in cells.items()}}
    return {"setting": SETTING, "result": result}


def test_a_scan_over_one_axis_is_lines_with_its_boundaries(panels):
    (panel,) = panels(phase_diagram, scan({"decay": [1.0, 2.0, 4.0]}))
    labels = {line.get_label(): line for line in panel.lines}
    assert labels["ETF"].get_ydata().tolist() == [0.75, 0.5, 0.0]
    assert labels["not converged"].get_ydata().tolist() == [0.25, 0.25, 0.25]
    assert "other" not in labels
    assert labels["zero becomes the best"].get_xdata() == pytest.approx([2.0, 2.0])  # a boundary on a cell itself
    assert 2 < labels["zero becomes a local minimum"].get_xdata()[0] < 4
    assert "the ETF ceases to exist" not in labels  # beyond the scan
    assert panel.get_xscale() == "log"


def closed_form(gammas, decays):
    """A scan of focal loss with the thresholds of theory, and where zero becomes a local minimum at any gamma."""

    def threshold(gamma):
        return phase_boundaries(Problem(Focal(gamma), 10, 9, 1, 0.01, 0.01, None))[0]

    rows = {
        name: [value for gamma in gammas for value in [of(gamma)] * len(decays)]
        for name, of in {"c_zero_stable": threshold, "c_zero_best": threshold, "c_etf_ends": threshold}.items()
    }
    cells = rows | {"c": [*decays] * len(gammas)}
    cells |= {name: [float(name == "etf")] * len(cells["c"]) for name in ("etf", "zero", "partial", "other")}
    return {"setting": SETTING, "result": {"axes": {"gamma": gammas, "decay": decays}, "cells": cells}}, threshold


def test_a_boundary_is_smooth_and_between_the_rows_where_theory_has_it(panels):
    """A polyline through the cells is further off than the curve by an order of magnitude."""
    gammas, decays = [0.5 * step for step in range(1, 13)], [0.05 + 0.01 * step for step in range(12)]
    record, threshold = closed_form(gammas, decays)
    (panel,) = panels(phase_diagram, record)
    c, gamma = next(line.get_data() for line in panel.lines if len(line.get_xdata()) > 2)
    between = [0.25 + each for each in gammas[:-1]]
    exact = [threshold(each) for each in between]
    curve = np.abs(np.interp(between, gamma, c) - exact).max()
    polyline = np.abs(np.interp(between, gammas, [threshold(each) for each in gammas]) - exact).max()
    assert curve < 0.2 * polyline
    assert (c.min(), c.max()) == pytest.approx((min(map(threshold, gammas)), max(map(threshold, gammas))), rel=1e-3)


@pytest.mark.filterwarnings("error")
def test_a_boundary_that_underflows_has_a_place(panels):
    record = scan({"gamma": [0.0, 1.0, 1e9]})
    record["result"]["cells"]["c_zero_stable"] = [3.0, 2.5, 0.0]
    (panel,) = panels(phase_diagram, record)
    labels = {line.get_label(): line for line in panel.lines}
    assert labels["zero becomes a local minimum"].get_xdata()[0] > 1


def test_a_boundary_over_axes_that_are_no_decays_is_a_contour(panels):
    (panel,) = panels(phase_diagram, scan({"gamma": [0.0, 1.0], "decay": [1.0, 2.0, 4.0]}))
    assert [len(line.get_xdata()) for line in panel.lines if len(line.get_xdata())] == []


def test_ratios_beyond_a_hundred_have_numbers():
    assert ticks_between(0.3, 1.8)[:5] == [0, 0.5, 1, 1.5, 2]
    assert max(ticks_between(0, 300)) >= 300
    assert {100, 1e3, 1e4} <= {*ticks_between(0, 2e4)}
    assert len(ticks_between(0, 1e30)) < 20


def test_a_source_is_authors_and_year():
    sources = {
        "Zhou et al. 2022 (all losses are created equal), Theorem 3.1": "Zhou et al. 2022",
        "Tirer and Bruna 2022": "Tirer and Bruna 2022",
        "Sukenik, Mondelli and Lampert 2024": "Sukenik et al. 2024",
        "derived here, for this model; Sukenik, Mondelli and Lampert 2023": "derived here",
    }
    assert {source: paper(source) for source in sources} == sources


def test_of_more_axes_the_first_two_are_shown_and_the_others_named(panels):
    (panel,) = panels(phase_diagram, scan({"gamma": [0.0, 1.0], "dim": [5, 6], "decay": [1.0, 2.0, 4.0]}))
    assert (panel.get_ylabel(), panel.get_xlabel()) == ("gamma", "dim")
    assert panel.get_title().endswith("decay at its first value")


def test_a_smoothing_whose_cells_are_no_etf_has_no_curve(panels):
    cells = {"condition_number": [7.0, 9.0, 5.0, 6.0], "best_state": ["etf", "etf", "zero", "zero"]}
    result = {"axes": {"alpha": [0.0, 0.1], "decay": [1e-3, 1e-2]}, "cells": cells}
    (panel,) = panels(conditioning, {"setting": SETTING, "result": result})
    assert [text.get_text() for text in panel.get_legend().get_texts()] == ["cross entropy"]
    cells["best_state"] = ["zero"] * 4
    (panel,) = panels(conditioning, {"setting": SETTING, "result": result})
    assert not panel.has_data()


def test_a_run_of_which_a_metric_is_never_a_number_has_no_curve_there(panels):
    line = {"epoch": 1, "train": dict.fromkeys(collapse_curves.METRICS, 0.1) | {"nc1_quotient": None}}
    record = {"setting": SETTING, "result": {"metrics": [line]}}
    first, *others = panels(collapse_curves, record)
    assert not first.has_data()
    assert all(panel.has_data() for panel in others)


def test_a_statement_stands_beside_the_bounds_that_it_is_judged_by(panels):
    """By hand: 0.5 ± 0.1 is below 1, 0.4 is half of what was predicted, a run that failed has no number."""
    common = {"sentence": "it", "strict": True, "predicted": None, "low": None, "high": 1.0}
    rows = [
        common | {"mean": 0.5, "half_width": 0.1, "outcome": "showed"},
        common
        | {"mean": 0.4, "half_width": 0.1, "outcome": "did not show", "predicted": [2.0], "low": 0.9, "high": 1.1},
        common | {"mean": None, "half_width": None, "outcome": "not decided"},
    ]
    (panel,) = panels(experiments, {"result": {"experiments": [{"name": "some_claim", "statements": rows}]}})
    texts = [text.get_text() for text in panel.texts]
    assert texts[:2] == ["some claim", "1 showed, 1 not decided, 1 did not show"]
    assert texts[3::2] == ["0.5 ± 0.1 (< 1)", "ratio 0.4 ± 0.1 (0.9 to 1.1)", "no number (< 1)"]
    lines = [line.get_xdata() for line in panel.lines if len(line.get_xdata()) == 2]
    wanted = [part.get_paths()[0].get_extents() for part in panel.collections if part.get_paths()]
    assert len(lines) == 2
    assert wanted[0].x0 <= lines[0][0] < lines[0][1] < wanted[0].x1
    assert lines[1][1] < wanted[1].x0


def test_a_card_of_a_loss_whose_zero_is_never_stable_has_no_line_there(panels):
    ray = {"margin": [-2.0, -1.0, 0.0], "mse": [9.0, 4.0, 1.0], "ce": [3.0, 2.0, 1.0]}
    row = {"decay_W": 1e-3, "etf": 1.0, "zero": 0.0, "partial": 0.0, "other": 0.0}
    record = {"result": {"ray": ray, "by_decay": [row, row | {"decay_W": 1e-2}], "zero_stable": None}}
    left, right = panels(report_card, record)
    assert left.get_ylim() == pytest.approx((0, 1.2 * 2.0))  # cross entropy at margin -1
    assert [line.get_label() for line in right.lines] == ["ETF"]


def test_codes_of_which_nothing_is_known_stand_alone(panels):
    row = {"K": 7, "margin": 0.8, "exact": None, "packing": None}
    (panel,) = panels(softmax_codes, {"setting": {"dim": 5}, "result": {"rows": [row]}})
    assert [line.get_label() for line in panel.lines] == ["code found"]


def test_geometry_is_of_few_classes_and_finite():
    run = {"K": 11, "geometry": {}}
    assert geometry.view("one", {"result": {"runs": [run]}}) == []
    assert geometry.view("one", {"setting": SETTING | {"classes": 11}, "result": {"rows": []}}) == []
    stored = {"x": [math.nan] * 4, "columns": 1}
    with pytest.raises(ValueError, match="not finite"):
        geometry.view("one", {"setting": {"classes": 2, "per_class": 1}, "result": {"rows": [stored]}})


def test_tables_say_what_cannot_be_compared():
    network = {"similarity": [], "transfer_errors": [], "depth_fit": None}
    record = {"result": {"networks": [network]}}
    assert "One condition" in compare_similarity.table(record)
    assert "One condition" in compare_transfer.table(record)
    assert compare.spread({"mean": None, "deviation": None}) == "-"
    fit = {
        "conditions": 2,
        "spread": 0.3,
        "slope": 0.5,
        "low": None,
        "high": 1.0,
        "scatter": 0.1,
        "depth": 4.0,
        "range": [2.0, None],
    }
    assert depth_sentence(fit | {"low": -0.1}).endswith("m is not determined (best 4, 2 to none).")
    assert depth_sentence(fit | {"low": 0.4, "range": [2.0, 5.0]}).endswith("m = 4 (2 to 5).")


def test_a_statement_without_a_number_has_a_dash():
    row = {"sentence": "x", "measured": [1.0, None], "predicted": None, "low": None, "high": 1.0, "strict": True}
    cells = experiments_table._row(row | {"outcome": "not decided", "tried": ""})
    assert cells == ["x", "-", "", "wanted < 1", "*not decided*"]


def of_nets(**deviations: float) -> dict:
    """A run of each net, all of one condition, their margins off by so much."""
    runs, networks = [], []
    for net, deviation in deviations.items():
        rows = [{"name": "margin", "deviation": deviation, "derived": 1.0}]
        rows += [{"name": "dimensions", "deviation": 0.0, "derived": 4.99}] if net == "vit" else []
        derived = {"rows": rows, "objective_over_bound": None}
        measures = {"nc1_trace": 1e-5, "dimensions": 9.0}
        run = {"condition": "ce", "run_setting": {"net": net}, "derived": derived, "measures": measures}
        runs.append(run | {"stationarity": 0.01})
        spread = {"mean": 1.25}
        condition = {"condition": "ce", "seeds": [0], "classifier_over_writers": spread, "nc1_trace": spread}
        condition |= {"rows": [{"name": "dimensions of class means", "measured": spread}]}
        networks.append(
            {"network": f'{{"net": "{net}"}}', "conditions": [condition | {"stationarity": {"running": spread}}]}
        )
    return {"result": {"runs": runs, "networks": networks}, "command": "c", "machine": "m"}


def test_nets_of_one_loss_have_a_row_each_with_their_own_deviations():
    lines = derived.table(of_nets(conv=0.01, vit=-0.02)).splitlines()
    assert lines[2].startswith("| conv: ce (1) | +1.00 % |")
    assert lines[3].startswith("| vit: ce (1) | -2.00 % |")
    assert "9.0000 (4.99)" in lines[3]
    assert "(4.99)" not in lines[2]
    assert derived.table(of_nets(conv=0.01)).splitlines()[2].startswith("| ce (1) |")


def test_nets_without_normalisation_show_their_balance():
    assert unnormalised.table(of_nets(mlp=0.0)).splitlines()[2] == "| mlp: ce (1) | 1.25000 | 1.25 | 1.2 | 1.2500 |"


def test_accuracies_are_paired_by_seed():
    """By hand: 0.9 of 10,000 has a standard error of 0.3 points."""
    rows = [
        {"loss": loss, "seed": seed, "test_accuracy": accuracy, "train_accuracy": 1.0, "test_nll": 0.5, "test_ece": 0.1,
         "train_nc1_trace": 0.25}
        for loss, seed, accuracy in (("ce", 0, 0.89), ("ce", 1, 0.91), ("ls", 1, 0.92), ("ls", 0, 0.88))
    ]  # fmt: skip
    lines = accuracies.table({"result": {"rows": rows}}).splitlines()
    assert lines[2] == "| ce (2) | 90.00 % | +- 0.59 | - | 100.00 % | 0.500 | 0.100 | 0.25 |"
    assert "| +1.00, -1.00 |" in lines[3]
