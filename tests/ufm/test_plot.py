"""Pictures and tables of results for notebooks: what is drawn is what was found, into axes of one's own too."""

import math
import subprocess
import sys

import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure

import ufm
from deepnet.comparison.compare import Sizes, compare
from deepnet.evaluation.evaluation import Evaluation
from deepnet.measures.reading import Reading
from ufm import CrossEntropy, Problem, RequestError, classify, find_critical_points, normal_starts, predict
from ufm.html import html_table
from ufm.solve.end_points import Status

HISTORY = [
    {"nc1_pinv": 1.0, "nc4": 0.0, "accuracy": 0.5},
    {"nc1_pinv": 0.1, "nc3": 0.2, "accuracy": 0.9},
    {"nc1_pinv": 0.0},
]
LAYERS = {"input of fc": {"nc1_pinv": 0.5, "gnc2": 1.2, "nc3": 0.3}, "layer1": {"nc1_pinv": 2.0}}
EVALUATION = Evaluation("Net<T>", 20, 5, 4, 8, LAYERS, "fc")


@pytest.fixture(scope="module")
def points():
    problem = Problem(CrossEntropy(), K=3, d=3, n=1, decay_W=5e-3, decay_H=5e-3)
    ends = find_critical_points(problem, normal_starts(problem.size, seed=0, first=0, count=30))
    return problem, classify(problem, ends.x[ends.is_converged]), ends


@pytest.fixture(scope="module")
def comparison():
    fields = dict.fromkeys(Reading.__dataclass_fields__, 1.0) | {"margin": 4.0}
    return compare(Reading(**fields), CrossEntropy(), Sizes(3, 2, 4, 0.01))


def drawn(figure):
    """Label -> numbers, of a figure's only axes."""
    (axes,) = figure.axes
    return {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axes.get_lines()}


def test_curves_show_distances_and_leave_gaps():
    found = drawn(ufm.plot.curves(HISTORY, steps=[0.0, 5.0, 9.0]))
    assert found.keys() == {"nc1_pinv", "nc3"}  # no accuracy, and nothing that is 0 throughout
    assert found["nc1_pinv"][0] == [0, 5, 9]
    assert found["nc1_pinv"][1][:2] == [1.0, 0.1]
    assert math.isnan(found["nc1_pinv"][1][2])  # 0 has no place on a logarithmic axis
    assert math.isnan(found["nc3"][1][0])


def test_curves_of_a_watched_net_stand_at_its_epochs():
    history = [{"epoch": epoch, "nc/train/nc3": 1 / epoch, "nc/val/gnc2": 1.1, "nc/val/present": 5} for epoch in (2, 4)]
    assert drawn(ufm.plot.curves(history)) == {"nc/train/nc3": ([2, 4], [0.5, 0.25])}


def test_curves_are_refused_without_numbers():
    with pytest.raises(RequestError, match="`history` must be a tuple of 1 or more entries, each a Mapping, got"):
        ufm.plot.curves([])
    with pytest.raises(RequestError, match="`steps` must be as many as `history` has, 3, got 2 numbers"):
        ufm.plot.curves(HISTORY, steps=[0.0, 1.0])


def test_critical_points_stand_at_value_and_index(points):
    problem, found, _ = points
    lines = drawn(found.plot())
    lowest = min(zip(*lines["rank 2"], strict=True))  # K - 1, the simplex
    assert lowest == (pytest.approx(predict(problem).value, abs=1e-8), 0)
    (zero,) = zip(*lines["rank 0"], strict=True)
    assert zero[0] == pytest.approx(math.log(3), abs=1e-8)
    assert zero[1] > 0
    assert sum(kind[-1] for kind in found.kinds()) == len(found.value)
    assert {y for _, ys in lines.values() for y in ys} == set(found.morse_index.tolist())


def test_a_comparison_is_drawn_as_ratios(comparison):
    lines = drawn(comparison.plot())
    ratios = {index: row.ratio for index, row in enumerate(comparison.rows) if row.kind == "identity"}
    assert lines["identity"] == (list(ratios.values()), list(ratios))
    assert lines["calibration"][0] == pytest.approx([1.0])


def test_an_evaluation_has_a_colour_a_layer():
    found = drawn(EVALUATION.plot())
    assert found["input of fc"][1] == [0.5, 0.3]  # no gnc2
    assert found["layer1"][1][0] == 2.0
    assert math.isnan(found["layer1"][1][1])


def test_each_takes_axes_returns_a_figure_and_leaves_pyplot_alone(points, comparison):
    before, settings = pyplot.get_fignums(), dict(pyplot.rcParams)
    mine = Figure()
    for ax, draw in zip(
        mine.subplots(2, 2).flat,
        (points[1].plot, comparison.plot, EVALUATION.plot, lambda ax=None: ufm.plot.curves(HISTORY, ax=ax)),
        strict=True,
    ):
        assert draw(ax=ax) is mine
        assert ax.has_data()
        assert isinstance(draw(), Figure)
        assert draw() is not mine
    assert pyplot.get_fignums() == before
    assert dict(pyplot.rcParams) == settings


def test_tables_for_notebooks(points, comparison):
    assert html_table("a < b", ("x",), [(1.23456789,), (None,), (2,)]).endswith(
        "<caption>a &lt; b</caption><thead><tr><th>x</th></tr></thead><tbody>"
        "<tr><td>1.23457</td></tr><tr><td>-</td></tr><tr><td>2</td></tr></tbody></table>"
    )
    _, found, ends = points
    statuses = [(status.name, int((ends.status == status).sum())) for status in Status]
    for name, count in statuses:
        assert (f"<td>{name}</td><td>{count}</td>" in ends._repr_html_()) == (count > 0)
    assert f"{len(found.value)} critical points of {len(found.kinds())} kinds" in found._repr_html_()
    assert "<td>margin</td><td>identity</td><td>4</td>" in comparison._repr_html_()
    table = EVALUATION._repr_html_()
    assert "Net&lt;T&gt;: 20 samples of 4 classes" in table
    assert "<td>nc3</td><td>0.3</td><td>-</td>" in table


def test_matplotlib_is_imported_when_something_is_drawn():
    code = "import sys, ufm; ufm.classify, ufm.plot.curves; import deepnet; deepnet.compare, deepnet.Evaluation\n"
    code += "print('matplotlib' in sys.modules); ufm.plot.curves([{'nc3': 1.0}]); print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
