"""A last layer from anywhere: exact at the model's minimum, and never the balanced theory for other samples."""

import inspect
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import deepnet
from deepnet.__main__ import COMMANDS
from deepnet.comparison.compare import Sizes
from deepnet.comparison.layer import _nearest
from deepnet.comparison.own import NetComparison, compare, compare_net
from deepnet.comparison.report import _decays
from deepnet.comparison.verdict import number
from deepnet.measures.features import LastLayer
from deepnet.measures.measure import measure
from deepnet.measures.reading import Reading
from ufm.cli.command_line import main
from ufm.collapse import FeatureStats, nc1_trace
from ufm.errors import RequestError
from ufm.model.losses import CrossEntropy, Focal, LabelSmoothing, SquaredError
from ufm.model.pick_all_labels import PickAllLabels, all_sets
from ufm.model.problem import Problem
from ufm.model.starts import normal_starts
from ufm.solve.minimise import minimise
from ufm.theory.imbalance import imbalanced_target
from ufm.theory.model_choice import target_of

K, D = 4, 6
DECAY, DECAY_H = 5e-3, 2e-3
LOSSES = [CrossEntropy(), LabelSmoothing(0.1), SquaredError(15.0, "mean")]
SIZES = (8, 5, 2, 2)


def off(found: NetComparison) -> dict[str, float]:
    """What every row misses."""
    return {row.name: abs(row.measured - row.predicted) for row in found.rows}


def exact(found: NetComparison) -> bool:
    assert len(found.rows) >= 8
    return max([*off(found).values(), *found.residuals.values()]) < 1e-6


def compared(problem: Problem, is_given: bool, x: Tensor | None = None, shift: Tensor | None = None) -> NetComparison:
    """A point of a model, the predicted minimum where none is given, handed in as a stranger's net."""
    W, H, b = problem.unpack(target_of(problem).point if x is None else x)
    H = H if shift is None else H + shift
    bias = None if problem.decay_b is None else b
    decays = {"decay": DECAY, "decay_H": DECAY_H if is_given else None, "decay_b": problem.decay_b}
    return compare_net(H, problem.labels(), W, bias, loss=problem.loss, **decays)


@pytest.mark.parametrize(("decay_b", "is_given"), [(0.0, False), (0.01, True), (None, False)])
@pytest.mark.parametrize("loss", [*LOSSES, Focal(2.0)], ids=str)
def test_the_balanced_minimum_is_exact(loss, decay_b, is_given):
    found = compared(Problem(loss, K, D, 3, DECAY, DECAY_H, decay_b), is_given)
    assert exact(found)
    assert found.theory == "balanced: simplex minimiser"
    assert found.decay_H == pytest.approx(DECAY_H, rel=1e-9)


@pytest.mark.parametrize(("loss", "decay_b", "is_given"), [
    (CrossEntropy(), 0.0, False),
    (CrossEntropy(), 0.01, True),
    (CrossEntropy(), None, False),
    (LabelSmoothing(0.1), 0.01, False),
    (SquaredError(15.0, "mean"), 0.01, False),
], ids=str)  # fmt: skip
def test_the_imbalanced_minimum_is_exact_and_named(loss, decay_b, is_given):
    """Found by minimising over all samples, which the prediction does not look at."""
    problem = Problem(loss, K, D, 1, DECAY, DECAY_H, decay_b, sizes=SIZES)
    found = compared(problem, is_given)
    assert exact(found)
    assert found.theory == "unequal: imbalanced minimiser"
    assert "4 classes of 2 to 8 samples" in found.verdict
    assert found.evidence.startswith("certificate")
    if isinstance(loss, SquaredError):  # its features share what its common logit needs, which is moved out
        assert found.shift > 0.1
    else:
        assert found.shift == 0
        assert found.predicted_value == pytest.approx(imbalanced_target(problem).value, rel=1e-7)
        W = problem.unpack(target_of(problem).point).W
        lengths = (W - W.mean(0)).norm(dim=1)
        measured = {row.name: row.measured for row in found.rows}
        assert measured["|w| of the largest classes"] == pytest.approx(float(lengths[0]))
        assert measured["|w| of the smallest"] == pytest.approx(float(lengths[2:].mean()))


def test_the_balanced_minimum_is_not_predicted_of_unequal_classes():
    """The twin: a simplex, of which one class has more samples, is far from what is predicted."""
    problem = Problem(CrossEntropy(), K, D, 8, DECAY, DECAY_H, 0.0)
    W, H, b = problem.unpack(target_of(problem).point)
    kept = torch.cat([torch.arange(8), torch.tensor([8, 16, 24])])
    found = compare_net(H[kept], problem.labels()[kept], W, b, loss="ce", decay=DECAY, decay_b=0.0)
    assert found.theory.startswith("unequal")
    assert not exact(found)
    assert off(found)["mean cosine of class means"] > 1e-3
    assert found.residuals["weights"] > 0.1


def test_classes_without_a_sample_keep_their_rows():
    """f of the classes that have samples, with a row of W more, against a minimisation over all samples."""
    counts, labels = (6, 3, 2), torch.repeat_interleave(torch.arange(3), torch.tensor((6, 3, 2)))

    def function(x: Tensor) -> tuple[Tensor, Tensor]:
        W, H, b = x[:, : K * D].view(-1, K, D), x[:, K * D : -K].view(-1, 11, D), x[:, -K:]
        loss, G = CrossEntropy().value_and_gradient((W @ H.mT).mT + b[:, None], labels)
        G = G / 11
        value = loss.mean(1) + DECAY / 2 * W.square().sum((1, 2)) + DECAY_H / 2 * H.square().sum((1, 2))
        parts = [G.mT @ H + DECAY * W, G @ W + DECAY_H * H, G.sum(1) + DECAY * b]
        return value + DECAY / 2 * b.square().sum(1), torch.cat([part.flatten(1) for part in parts], 1)

    x = minimise(function, normal_starts((K + 11) * D + K, 0, 0, 2), 1e-11).x[0]
    W, H, b = x[: K * D].view(K, D), x[K * D : -K].view(-1, D), x[-K:]
    found = compare_net(H, labels, W, b, loss="ce", decay=DECAY)
    assert max(off(found).values()) < 1e-6
    assert f"{len(counts)} classes of 2 to 6 samples, 1 more have none" in found.verdict


def test_more_classes_than_dimensions_have_a_softmax_code():
    problem = Problem(CrossEntropy(), 7, 3, 2, DECAY, DECAY_H, 0.0)
    ends = minimise(problem, normal_starts(problem.size, 5, 0, 64), 1e-11)
    found = compared(problem, False, ends.x[ends.value.argmin()])
    assert exact(found)
    assert found.theory == "more classes than dimensions + 1: softmax code"
    assert found.evidence == "numeric: the lowest of 32 minimisations"
    other = compared(Problem(CrossEntropy(), 4, 3, 2, DECAY, DECAY_H, 0.0), False)  # 4 = 3 + 1
    assert other.theory == "balanced: simplex minimiser"
    code = compared(
        Problem(CrossEntropy(), 5, 3, 2, DECAY, DECAY_H, 0.0), False, normal_starts(45, 0, 0, 1)[0].repeat(2)[:50]
    )
    assert "the softmax code's, which is 1." in code.notes[0]  # 2 d >= K


@pytest.mark.parametrize("is_given", [True, False])
def test_features_behind_a_relu_have_orthogonal_means(is_given):
    """Found by projected gradient steps on features that may not be negative."""
    n, d, generator = 2, 5, torch.Generator().manual_seed(0)
    labels = torch.arange(K).repeat_interleave(n)
    noise = torch.rand(K * (n + 1), d, dtype=torch.float64, generator=generator)
    H, W = torch.eye(K, d, dtype=torch.float64)[labels] + 0.1 * noise[K:], torch.eye(K, d) - 0.3 + 0.1 * noise[:K]
    b = torch.zeros(K, dtype=torch.float64)
    for _ in range(3000):
        G = CrossEntropy().value_and_gradient(H @ W.mT + b, labels)[1] / len(H)
        step = (G.mT @ H + 0.05 * W, G @ W + 0.01 * H, G.sum(0))
        W, H, b = W - 1.0 * step[0], (H - 1.0 * step[1]).clamp(min=0), b - step[2]
    found = compare_net(H, labels, W, b, loss="ce", decay=0.05, decay_H=0.01 if is_given else None, decay_b=0.0)
    assert found.theory == "balanced, features not negative: simplex minimiser with orthogonal class means"
    assert max(off(found).values()) < 1e-6
    assert found.decay_H == pytest.approx(0.01 if is_given else 0.01 * K / (K - 1), rel=1e-6)
    moved = H + 0.3  # a simplex still, its means no longer orthogonal
    twin = off(compare_net(moved, labels, W, b, loss="ce", decay=0.05, decay_b=0.0))
    assert twin["mean cosine of class means as they are"] > 0.1
    with pytest.raises(RequestError, match="`decay_H` must be left out for features that are not negative, unless"):
        compare_net(H[1:], labels[1:], W, b, loss="ce", decay=0.05, decay_H=0.01)


@pytest.mark.parametrize("is_given", [True, False])
def test_several_labels(is_given):
    loss, sizes = all_sets(K, (2, 1))
    problem = Problem(loss, K, D, 1, DECAY, DECAY_H, 0.0, sizes=sizes)
    W, H, b = problem.unpack(target_of(problem).point)
    table = torch.zeros(problem.N, K, dtype=torch.long)
    for row, label in zip(table, problem.labels().tolist(), strict=True):
        row[list(loss.sets[label])] = 1
    decays = {"decay": DECAY, "decay_H": DECAY_H if is_given else None, "decay_b": 0.0}
    found = compare_net(H, table, W, b, loss="ce", **decays)
    assert exact(found)
    assert found.theory == "several labels: tag-wise averages"
    fewer = compare_net(H[1:], table[1:], W, b, loss="ce", **decays)  # a set less often than the others
    assert fewer.theory == "unequal: imbalanced minimiser"
    unequal = Problem(PickAllLabels(((0,), (1,), (0, 2))), 3, 4, 1, DECAY, DECAY_H, 0.0, sizes=(3, 2, 4))
    ends = minimise(unequal, normal_starts(unequal.size, 0, 0, 4), 1e-11)
    W, H, b = unequal.unpack(ends.x[ends.value.argmin()])
    table = torch.tensor([[1, 0, 0], [0, 1, 0], [1, 0, 1]])[unequal.labels()]
    found = compare_net(H, table, W, b, loss="ce", decay=DECAY, decay_H=decays["decay_H"], decay_b=0.0)
    assert exact(found)
    assert "3 sets of labels of 2 to 4 samples" in found.verdict


@pytest.mark.parametrize("bias", [True, False])
def test_features_moved_across_the_span_change_nothing(normal, bias):
    """What W and b share of an offset of the logits is then what pays for it least."""
    problem = Problem(CrossEntropy(), K, D, 1, DECAY, DECAY_H, 0.0 if bias else None, sizes=SIZES)
    W, _, _ = problem.unpack(target_of(problem).point)
    away = normal(D)
    away = away - torch.linalg.pinv(W, rtol=1e-6) @ (W @ away)
    found = compared(problem, False, shift=away)
    assert found.shift == pytest.approx(float(away.norm()), rel=1e-6)
    assert found.decay_H == pytest.approx(DECAY_H, rel=1e-6)
    if bias:
        assert max(off(found).values()) < 1e-6
    else:  # without a bias the features' common part is one, and the model has it too
        assert found.decay_b == pytest.approx(DECAY / float(away.square().sum()), rel=1e-6)


def test_equal_classes_have_the_rows_of_compared_runs(normal):
    """Also of a layer that is neither stationary nor collapsed."""
    labels = torch.arange(K).repeat_interleave(5)
    H, W, b = normal(20, D) + 3 * normal(K, D)[labels] + 2, normal(K, D), normal(K)
    found = compare(H, labels, W, b, loss=CrossEntropy(), decay=DECAY)
    reading = Reading.from_measures(measure(LastLayer(H, labels, W, b), CrossEntropy()))
    expected = deepnet.compare(reading, CrossEntropy(), Sizes(K, 5, D, DECAY))
    assert [row.name for row in found.rows] == [row.name for row in expected.rows]
    for one, two in zip(found.rows, expected.rows, strict=True):
        assert (one.measured, one.predicted) == pytest.approx((two.measured, two.predicted), rel=1e-9), one.name
        assert one.kind == two.kind
    assert found.residuals["weights"] == pytest.approx(expected.stationarity, rel=1e-9)
    sizes = Sizes(K, 5, D, DECAY)
    assert deepnet.compare(reading=reading, loss=CrossEntropy(), sizes=sizes) == expected
    assert deepnet.compare(reading, CrossEntropy(), sizes=sizes) == expected
    with pytest.raises(RequestError, match="`decay` must be left out with a reading"):
        deepnet.compare(reading, CrossEntropy(), sizes, decay=DECAY)
    with pytest.raises(RequestError, match="`sizes` must be left out with features"):
        deepnet.compare(H, labels, W, b, loss="ce", decay=DECAY, sizes=sizes)


def test_help_tells_what_compare_takes():
    parameters = inspect.signature(deepnet.compare).parameters
    assert [*parameters][:4] == ["features", "labels", "weight", "bias"]
    documented = deepnet.compare.__doc__.partition("Args:")[2].partition("Raises:")[0]
    assert all(f"\n        {name}: " in documented for name in parameters)


def test_loss_and_decay_are_asked_for():
    with pytest.raises(RequestError, match="`loss` must be a loss of ufm"):
        deepnet.compare(H, Y, W, decay=1.0)
    with pytest.raises(RequestError, match=r"`decay` must be in \[1e-100, 1e100\], got None"):
        deepnet.compare(H, Y, W, loss="ce")


def test_residuals_are_those_of_dense_formulas(normal):
    labels = torch.arange(K).repeat_interleave(5)
    H, W, b = normal(20, D), normal(K, D), normal(K)
    found = compare_net(H.numpy(), labels.numpy(), W.numpy(), b.numpy(), loss="ce", decay=0.1, decay_H=0.2, decay_b=0.3)
    points = [part.clone().requires_grad_() for part in (W, H, b)]
    loss = torch.nn.functional.cross_entropy(points[1] @ points[0].mT + points[2], labels)
    of_W, of_H, of_b = torch.autograd.grad(loss, points)
    G = (torch.softmax(H @ W.mT + b, 1) - torch.eye(K)[labels]) / 20
    expected = {
        "weights": float((of_W + 0.1 * W).norm() / (0.1 * W).norm()),
        "bias": float((of_b + 0.3 * b).norm() / (math.sqrt(20) * G.norm())),
        "features": float((of_H + 0.2 * H).norm() / (0.2 * H).norm()),
    }
    assert found.residuals == pytest.approx(expected, rel=1e-9)
    assert "not stationary" in found.verdict
    assert "not collapsed" in found.verdict


def test_a_layer_whose_bias_is_not_at_rest_is_not_stationary():
    problem = Problem(CrossEntropy(), K, D, 1, DECAY, DECAY_H, DECAY, sizes=SIZES)
    W, H, b = problem.unpack(target_of(problem).point)
    for decay_b, is_at_rest in ((DECAY, True), (100 * DECAY, False)):
        found = compare_net(H, problem.labels(), W, b, loss="ce", decay=DECAY, decay_b=decay_b)
        assert found.residuals["weights"] < 1e-6
        assert ("last layer stationary" in found.verdict) == is_at_rest


def test_nc1_of_unequal_classes_is_that_of_evaluate(normal):
    labels = torch.tensor([0] * 9 + [1] * 4 + [2] * 3 + [3])
    H, W = normal(17, D), normal(4, D)
    found = compare_net(H, labels, W, loss="ce", decay=0.1, decay_H=0.2)
    assert found.nc1_trace == pytest.approx(float(nc1_trace(FeatureStats.from_features(H, labels))), rel=1e-12)


def test_large_decays_predict_zero(normal):
    labels = torch.arange(K).repeat_interleave(3)
    found = compare_net(normal(12, D), labels, normal(K, D), normal(K), loss="ce", decay=5.0, decay_H=5.0)
    assert "predicts zero at these decays" in found.verdict
    assert off(found)["margin"] > 0


H, Y, W = np.eye(8, 3), np.arange(8) % 4, np.eye(4, 3)
REFUSED = {
    "lengths": ((H, Y[:3], W), {}, r"`labels` must be one class per sample, \(8,\), or \(8, 4\) of 0 and 1"),
    "a label beyond": ((H, Y + 1, W), {}, r"`labels` must be in \[0, 4\), got 4"),
    "W of other features": ((H, Y, np.eye(4)), {}, r"`weight` must be .*classes, 3\), as features have 3 dimensions"),
    "W transposed": ((H, Y, W[:2].T, np.ones(2)), {}, r"`weight` must be .*classes, 3\), as features have 3"),
    "no W": ((H, Y, None), {}, r"`weight` must be a tensor \(classes, 3\), got nothing"),
    "nan": ((H * np.nan, Y, W), {}, "`features` must be finite"),
    "squares of squares that overflow": ((H * 1e80, Y, W), {"decay_H": 1.0}, "`features` must be zero, or its largest"),
    "squares that vanish": ((H, Y, W * 1e-200), {"decay_H": 1.0}, "`weight` must be zero, or its largest number"),
    "nothing left": ((H, 0 * Y - 100, W), {}, "`labels` must be such that a sample is left"),
    "a row without labels": ((H, np.zeros((8, 4), int), W), {}, "a 1 in every row"),
    "a loss for one label": ((H, np.ones((8, 4), int), W), {"loss": "mse"}, "`loss` must be ce with several labels"),
    "a loss that is none": ((H, Y, W), {"loss": "cee"}, "`loss` must be one of"),
    "a decay": ((H, Y, W), {"decay": 0.0}, r"`decay` must be in \[1e-100, 1e100\], got 0.0"),
    "a decay of the bias": ((H, Y, W), {"decay_b": -1.0}, r"`decay_b` must be in \[0, 1e100\]"),
    "not convex": ((H[1:], Y[1:], W), {"loss": "focal"}, "`loss` must be convex"),
    "one class": ((H, 0 * Y, W[:1]), {}, "`weight` must be a row for each of two classes or more"),
    "nothing to balance": ((0 * H, Y, W), {}, "`decay_H` must be given where the squares of features or weights are"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_is_one_sentence(case):
    given, changed, sentence = REFUSED[case]
    with pytest.raises(RequestError, match=sentence):
        compare(*given, **{"loss": "ce", "decay": 1.0} | changed)


def test_more_variables_than_a_minimisation_may_have_are_refused(monkeypatch):
    monkeypatch.setattr("deepnet.comparison.theories.MOST_VARIABLES", 20)
    with pytest.raises(RequestError, match="`features` must be at most 20 variables"):
        compare(H[1:], Y[1:], W, loss="ce", decay=1.0)


def test_the_command_writes_verdict_record_and_picture(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    problem = Problem(CrossEntropy(), K, D, 1, DECAY, DECAY_H, DECAY, sizes=SIZES)
    W, H, b = problem.unpack(target_of(problem).point)
    np.savez("net.npz", features=H, labels=problem.labels(), W=W, b=b)
    words = ["compare", "--features", "net.npz", "--loss", "ce", "--decay", str(DECAY), "--out", "out"]
    assert main("python -m deepnet", "", COMMANDS, words) == 0
    found = json.loads(Path("out/record.json").read_text())["result"]["comparison"]
    assert found["theory"] == "unequal: imbalanced minimiser"
    assert max(abs(row["measured"] - row["predicted"]) for row in found["rows"]) < 1e-6
    assert Path("out/theory_for_features.png").stat().st_size > 1000
    said = " ".join(capsys.readouterr().out.split())
    assert found["verdict"] in said
    assert all(f"{name} {number(value)}" in found["verdict"] for name, value in found["residuals"].items())
    assert f"decay_b {DECAY}." in said
    assert found["evidence"].startswith("certificate: no point of the model is lower by more than ")


def test_the_decay_that_a_shared_part_of_the_features_changes_has_a_name_of_its_own(normal):
    labels, H, W, b = torch.arange(K).repeat_interleave(5), normal(20, D) + 1, normal(K, D), normal(K)
    found = compare_net(H, labels, W, b, loss="ce", decay=0.1)
    assert found.decay_b == pytest.approx(1 / (1 / 0.1 + found.shift**2 / 0.1))
    assert f", decay_b' {found.decay_b:.4g} (of what bias and shared features add to the logits)." in _decays(found)
    assert ", decay_b 0.3." in _decays(compare_net(H, labels, W, b, loss="ce", decay=0.1, decay_H=0.2, decay_b=0.3))
    assert ", no bias." in _decays(compare_net(H, labels, W, loss="ce", decay=0.1, decay_H=0.2))


def test_a_result_shows_its_numbers_as_text_table_and_picture():
    from matplotlib import pyplot

    found = compared(Problem(CrossEntropy(), K, D, 3, DECAY, DECAY_H, 0.0), is_given=True)
    margin = next(row for row in found.rows if row.name == "margin")
    text = str(found).splitlines()
    assert text[0] == found.verdict
    (line,) = [line for line in text if line.startswith("margin ")]
    assert line.split()[1:] == [f"{margin.measured:.5g}", f"{margin.predicted:.5g}"]
    assert f"<td>{margin.measured:.6g}</td>" in found._repr_html_()
    figure, ax = pyplot.subplots()
    assert found.plot(ax=ax) is figure
    assert [label.get_text() for label in ax.get_yticklabels()] == [row.name for row in found.rows]
    drawn = sum(len(line.get_xdata()) for line in ax.lines if line.get_marker() == "o")
    assert drawn == sum(row.ratio is not None for row in found.rows)
    pyplot.close(figure)


def test_what_is_not_defined_is_named_and_no_row():
    """Class means that coincide, and features of zero, have no cosines; sizes at the bounds have all rows."""
    found = compare_net(-np.ones((8, 3)), Y, W, loss="ce", decay=0.1, decay_H=0.1)
    assert all(np.isfinite(row.measured) for row in found.rows)
    assert "Not defined for this layer" in found.notes[-1]
    assert "dimensions of class means" in found.notes[-1]
    assert "nan" not in str(found)
    assert not compare_net(0.3 - H, Y, W, loss="ce", decay=0.1, decay_H=0.1).notes
    zero = compare_net(0 * H, Y, W, loss="ce", decay=0.1, decay_H=0.1)
    assert "|w| / |h|" in zero.notes[-1]
    for size in (2e-50, 1e50):
        rows = compare_net((0.3 - H) * size, Y, W, loss="ce", decay=0.1, decay_H=0.1).rows
        assert {"dimensions of class means", "|w| / |h|"} <= {row.name for row in rows}


def test_a_wrong_loss_is_named_as_the_argument_of_the_call():
    for loss, name in (
        ("foo", "`loss`"),
        ({"name": "focal", "gamma": -1}, "gamma"),
        ({"name": "ce", "x": [1]}, "`loss.x`"),
    ):
        with pytest.raises(RequestError, match=name) as refused:
            deepnet.compare(H, Y, W, loss=loss, decay=1.0)
        assert "--" not in str(refused.value)


def test_a_plane_through_zero_is_exactly_nearest_there(normal):
    """Though one of the means is zero itself."""
    means = torch.cat([normal(3, 5), torch.zeros(1, 5).double()])
    assert not _nearest(means).any()
    apart = torch.tensor([0.0, 0, 0, 0, 2]).double()
    means[:, 4] = 0
    torch.testing.assert_close(_nearest(means + apart), apart)
