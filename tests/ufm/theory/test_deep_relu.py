"""Behind a ReLU: the values of known states written out in numpy, two classes solved, and no prediction elsewhere."""

import json
import math

import numpy as np
import pytest
import torch

from ufm.__main__ import COMMANDS
from ufm.cli.command_line import main
from ufm.model.deep import DeepProblem
from ufm.model.losses import CrossEntropy, Focal, LabelSmoothing, SquaredError
from ufm.model.starts import normal_starts
from ufm.model.target import NoPrediction
from ufm.solve.minimise import minimise
from ufm.theory.deep_prediction import deep_target

PAIR, ALONE = np.array([[1.0, -1.0], [-1.0, 1.0]]), np.ones((1, 1))


def _relu(K, d, n, decays, loss=None) -> DeepProblem:
    decay_W, *inner, decay_H = decays
    return DeepProblem(loss or SquaredError(), K, d, n, decay_W, decay_H, None, tuple(inner), is_rectified=True)


def objective(B, n, decays, M):
    """f of the best classifier and of factors with the product B (classes are columns, all decays alike), in numpy."""
    K, A = B.shape[1], np.maximum(B, 0)
    W = A.T @ np.linalg.inv(A @ A.T + K * decays * np.eye(len(B)))
    penalty = (M - 1) / 2 * decays * ((math.sqrt(n) * np.linalg.svd(B)[1]) ** (2 / (M - 1))).sum()
    return ((W @ A - np.eye(K)) ** 2).sum() / (2 * K) + decays / 2 * (W**2).sum() + penalty


def least(block, K, n, decay, M):
    """The least over a of what one block of classes, a times the matrix before the ReLU, has of the objective of K."""
    found = [len(block) / (2 * K)]
    for a in np.linspace(1e-3, 2.5, 2500):
        B = np.zeros((K, K))
        B[: len(block), : len(block)] = a * block
        found.append(objective(B, n, decay, M) - (K - len(block)) / (2 * K))
    return min(found)


@pytest.mark.parametrize(
    ("K", "n", "decay", "M", "blocks", "value"),
    [
        (3, 2, 0.01, 4, (PAIR, ALONE), 0.0632634440),
        (3, 2, 0.08, 4, (PAIR, ALONE), 0.4643256499),
        (4, 1, 0.02, 4, (PAIR, PAIR), 0.1321990),
        (3, 1, 0.01, 6, (PAIR, ALONE), 0.0721211),
        (5, 1, 0.01, 3, (PAIR, PAIR, ALONE), 0.0737283),
    ],
)
def test_pairs_have_the_value_that_numpy_finds(K, n, decay, M, blocks, value):
    with pytest.raises(NoPrediction, match="no prediction is known") as none:
        deep_target(_relu(K, K, n, M * (decay,)))
    (known,) = none.value.known.values()
    assert known == pytest.approx(sum(least(block, K, n, decay, M) for block in blocks), abs=2e-7)
    assert known == pytest.approx(value, abs=1e-7)


@pytest.mark.parametrize(("n", "decay", "frame"), [(2, 0.01, 0.0707043), (2, 0.08, 0.5)])
def test_a_simplex_before_the_relu_lies_between_pairs_and_frame(n, decay, frame):
    """Three classes, four factors: the values that refuted the linear minimum as a prediction."""
    simplex = least((3 * np.eye(3) - 1) / 2, 3, n, decay, 4)
    linear = deep_target(DeepProblem(SquaredError(), 3, 3, n, decay, decay, None, (decay, decay))).value
    assert linear == pytest.approx(frame, abs=1e-7)
    assert linear == pytest.approx(3 * least(ALONE, 3, n, decay, 4), abs=2e-7)
    with pytest.raises(NoPrediction) as none:
        deep_target(_relu(3, 3, n, 4 * (decay,)))
    assert min(none.value.known.values()) < simplex - 5e-4 < linear - 5e-3


def test_three_factors_and_five_classes_go_below_the_linear_minimum():
    """A pentagon, of lower rank before the ReLU, where the linear minimum is zero."""
    pentagon = np.array([[float((i - j) % 5 in (1, 4)) for i in range(5)] for j in range(5)])
    B = 0.41 * (pentagon - (math.sqrt(5) - 1) / 2 * np.eye(5))
    assert np.linalg.matrix_rank(B) == 3
    linear = DeepProblem(SquaredError(), 5, 5, 1, 0.08, 0.08, None, (0.08,))
    assert deep_target(linear).value == 0.5
    assert objective(B, 1, 0.08, 3) == pytest.approx(0.4968781, abs=1e-7)
    with pytest.raises(NoPrediction):
        deep_target(_relu(5, 5, 1, 3 * (0.08,)))


@pytest.mark.parametrize("M", [3, 4, 5, 7])
@pytest.mark.parametrize("factor", [0.3, 0.97, 1.03])
def test_two_classes_are_a_pair_below_its_threshold(M, factor):
    n, d = 2, 4
    tie = (M - 2) ** (M - 2) / (M - 1) ** (2 * M - 2) * 2 ** (M - 3)
    decay = factor * (tie / (2**M * n)) ** (1 / M)
    problem = _relu(2, d, n, M * (decay,))
    target = deep_target(problem)
    assert target.is_proved_global
    assert target.is_zero == (factor > 1)
    assert target.value == pytest.approx(least(PAIR, 2, n, decay, M), abs=5e-6)  # of a grid
    assert float(problem.value(target.point)) == pytest.approx(target.value, rel=1e-13)
    assert float(problem.value_and_gradient(target.point)[1].norm()) < 1e-13
    margins = problem.logits(target.point) @ torch.tensor([[1.0], [-1.0]]).double()
    assert margins.abs().flatten().tolist() == pytest.approx([target.margin] * 2 * n, rel=1e-12)
    starts = normal_starts(problem.size, 0, 0, 48) * torch.tensor([0.5, 1.0, 2.0]).double().repeat(16)[:, None]
    assert float(minimise(problem, starts, 1e-9, 1500).value.min()) > target.value - 1e-12


def test_a_pair_shares_its_direction_among_unequal_decays_and_other_conventions():
    problem = _relu(2, 3, 2, (5e-3, 2e-3, 8e-3, 1e-3), SquaredError(3.0, "mean"))
    target = deep_target(problem)
    value, gradient = problem.value_and_gradient(target.point)
    assert float(value) == pytest.approx(target.value, rel=1e-13)
    assert float(gradient.norm()) < 1e-12
    W, (first, second), H, _ = problem.factorised(target.point)
    shares = [5e-3 * W.square().sum(), 2e-3 * first.square().sum(), 8e-3 * second.square().sum()]
    assert [float(share) for share in shares] == pytest.approx([1e-3 * float(H.square().sum())] * 3, rel=1e-12)
    assert int(torch.linalg.matrix_rank(problem.before_last(target.point))) == 1
    assert int(torch.linalg.matrix_rank(problem.unpack(target.point).H)) == 2


def test_units_that_are_missing_leave_classes_at_zero():
    with pytest.raises(NoPrediction) as none:
        deep_target(_relu(4, 3, 1, 4 * (0.01,)))
    value = least(PAIR, 4, 1, 0.01, 4) + least(ALONE, 4, 1, 0.01, 4) + 1 / 8
    assert min(none.value.known.values()) == pytest.approx(value, abs=1e-6)
    with pytest.raises(ValueError, match="dim"):
        deep_target(_relu(2, 1, 1, 4 * (0.01,)))


@pytest.mark.parametrize(
    ("loss", "is_proved"), [(CrossEntropy(), True), (LabelSmoothing(0.1), True), (Focal(2.0), False)], ids=str
)
def test_two_classes_of_a_convex_loss_are_proved_without_a_relu(loss, is_proved):
    problem = DeepProblem(loss, 2, 3, 2, 0.02, 0.02, 0.01, (0.02, 0.02))
    target = deep_target(problem)
    assert target.is_proved_global == is_proved
    ends = minimise(problem, normal_starts(problem.size, 0, 0, 32), 1e-10)
    assert float(ends.value.min()) == pytest.approx(target.value, abs=1e-12)


@pytest.mark.parametrize(("K", "M", "are_lower"), [(6, 3, True), (4, 4, True), (4, 3, False), (5, 4, False)])
def test_the_note_on_softmax_losses_says_when_pairs_are_lower(K, M, are_lower):
    (note,) = deep_target(DeepProblem(CrossEntropy(), K, K, 1, 0.01, 0.01, None, (M - 2) * (0.01,))).notes
    assert ("pairs of classes are lower" in note) == are_lower


def _verify(folder, *words):
    words = ["--model", "deep", "--model.relu", "true", "--loss", "mse", "--decay-b", "null", *words]
    code = main("python -m ufm", "", COMMANDS, ["verify", "--out", str(folder), *words])
    return code, json.loads((folder / "record.json").read_text())["result"]


@pytest.mark.parametrize(
    ("decay", "M", "K", "d", "known"),
    [(0.01, 4, 3, 3, 0.0632634440), (0.08, 4, 3, 3, 0.4643256499), (0.01, 3, 4, 5, None)],
)
def test_without_a_prediction_verify_shows_what_it_found_and_claims_nothing(tmp_path, capsys, decay, M, K, d, known):
    words = ["--classes", str(K), "--dim", str(d), "--per-class", "2", "--model.factors", str(M)]
    words += ["--starts", "30", "--max-steps", "1000"]  # a start that stalls takes all of them
    words += [word for name in ("--decay-W", "--decay-H", "--model.decay") for word in (name, str(decay))]
    code, result = _verify(tmp_path, *words)
    assert code == 0
    (verdict,) = result["verdicts"]
    assert verdict["target"] is None
    assert verdict["claims"] == {}
    assert "no prediction is known" in verdict["no_prediction"]
    assert sum(verdict["statuses"].values()) == sum(row["found"] for row in verdict["found"]) == 30
    lowest = verdict["found"][0]
    if known:
        assert lowest["value"] == pytest.approx(known, abs=1e-8)
        assert lowest["rank before"] < lowest["rank"]
        assert list(verdict["known_states"].values()) == pytest.approx([known], abs=1e-9)
    assert all(("nc1_trace" in row) == (row["rank"] > 0) for row in verdict["found"])
    assert {"nc1_trace", "nc2_etf_distance", "nc3_self_duality", "nc4_disagreement", "first_start"} <= set(lowest)
    printed = capsys.readouterr().out
    assert "no prediction is known" in printed
    assert "nothing claimed" in printed
    assert "holds" not in printed
    assert (tmp_path / "verification.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.slow
def test_with_two_classes_verify_holds(tmp_path):
    words = ["--classes", "2", "--dim", "3", "--per-class", "2", "--starts", "40", "--model.factors", "4"]
    code, result = _verify(tmp_path, *words)
    assert code == 0
    assert result["verdicts"][0]["target"]["is_proved_global"]
    assert result["verdicts"][0]["claims"]["below"]["holds"]
