"""The largest and smallest numbers float64 has: the right answer, held against mpmath at 1,000 digits, or a refusal."""

import itertools
import math
import subprocess
import sys
from pathlib import Path

import mpmath
import pytest
import torch

from ufm.collapse import FeatureStats, collapse_metrics
from ufm.model.losses import CrossEntropy, Focal, LabelSmoothing, Loss, SquaredError
from ufm.model.problem import Problem
from ufm.model.starts import normal_starts
from ufm.solve.critical_points import classify
from ufm.solve.hessian import smallest_eigenpair
from ufm.solve.minimise import minimise
from ufm.solve.newton import find_critical_points
from ufm.theory.certificate import certify
from ufm.theory.prediction import Prediction, predict

ROOT = Path(__file__).parents[3]
DECAYS = [(1e-300, 1e-300), (1e-300, 1.0), (1e-300, 1e300), (1e300, 1e300), (1e-17, 1e-17), (3e-3, 1e-3)]


@pytest.fixture(autouse=True)
def digits():
    with mpmath.workdps(1000):
        yield


def strength(problem: Problem) -> mpmath.mpf:
    return mpmath.sqrt(mpmath.mpf(problem.n) * mpmath.mpf(problem.decay_W) * mpmath.mpf(problem.decay_H))


def agrees(found: float, exact: mpmath.mpf, relative: float) -> None:
    assert math.isfinite(found)
    assert abs(mpmath.mpf(found) - exact) <= relative * abs(exact) + mpmath.mpf("1e-307"), (
        found,
        mpmath.nstr(exact, 17),
    )


def norms_agree(problem: Problem, found: Prediction, size: mpmath.mpf) -> None:
    ratio = mpmath.sqrt(mpmath.mpf(problem.n) * mpmath.mpf(problem.decay_H) / mpmath.mpf(problem.decay_W))
    agrees(found.norm_w, mpmath.sqrt(ratio * size), 1e-8)
    agrees(found.norm_h, mpmath.sqrt(size / ratio), 1e-8)


@pytest.mark.parametrize("alpha", [0.0, 1e-300, 1e-15, 0.5, 1 - 1e-15, 1 - 2**-53])
@pytest.mark.parametrize(("K", "n"), [(2, 1), (3, 7), (1000, 1)])
def test_cross_entropy_and_label_smoothing(K, n, alpha):
    for decays in DECAYS:
        problem = Problem(LabelSmoothing(alpha), K, K, n, *decays)
        found, c, smooth = predict(problem), strength(problem), mpmath.mpf(alpha)
        is_zero = K * c + smooth >= 1
        a = mpmath.mpf(0) if is_zero else mpmath.log((1 - (K - 1) * (c + smooth / K)) / (c + smooth / K))
        agrees(found.margin, a, 1e-10)
        loss = mpmath.log1p((K - 1) * mpmath.exp(-a)) + smooth * (K - 1) * a / K
        agrees(found.value, loss + c * (K - 1) * a, 1e-12)
        norms_agree(problem, found, a * (K - 1) / K)


@pytest.mark.parametrize("gamma", [0.0, 1e-300, 1e-9, 0.5, 3.0, 1e3, 1e6])
@pytest.mark.parametrize("K", [2, 30, 1000])
def test_focal_loss_is_stationary_and_has_its_value(K, gamma):
    for decays, decay_b in itertools.product(DECAYS, (0.0, None)):
        problem = Problem(Focal(gamma), K, K, 1, *decays, decay_b)
        found, c = predict(problem), strength(problem)
        a = mpmath.mpf(found.margin)
        odds = (K - 1) * mpmath.exp(-a)
        p, q = 1 / (1 + odds), odds / (1 + odds)
        agrees(found.value, q**gamma * mpmath.log1p(odds) + (K - 1) * c * a, 1e-11)
        if a > 0:
            slope = q**gamma * (q + gamma * p * mpmath.log1p(odds))
            assert abs(slope / ((K - 1) * c) - 1) <= 1e-9 * (1 + gamma)


@pytest.mark.parametrize("convention", ["half_norm", "mean"])
@pytest.mark.parametrize("rescale", [1e-50, 1.0, 1e50])
@pytest.mark.parametrize("decay_b", [0.0, 1e-300, 1e-3, 1e300, None])
def test_squared_error(rescale, convention, decay_b):
    for decays, (K, n) in itertools.product(DECAYS, [(2, 1), (1000, 7)]):
        problem = Problem(SquaredError(rescale, convention), K, K, n, *decays, decay_b)
        found = predict(problem)
        k, r = mpmath.mpf(problem.loss.weight(K)), mpmath.mpf(rescale)
        relative = strength(problem) / (k * r)
        kept = mpmath.mpf(1) if decay_b is None else mpmath.mpf(decay_b) / (k + mpmath.mpf(decay_b))
        a = max(mpmath.mpf(0), 1 - K * relative)
        common = max(mpmath.mpf(0), 1 - K * relative / kept) if kept else mpmath.mpf(0)
        of_a = (K - 1) * ((1 - a) ** 2 / (2 * K) + relative * a)
        of_common = (1 - common) ** 2 * kept / (2 * K) + relative * common
        agrees(found.value, k * r * r * (of_a + of_common), 1e-12)
        agrees(found.margin, r * a, 1e-12)
        agrees(found.loss, k * r * r * ((K - 1) * (1 - a) ** 2 + ((1 - common) * kept) ** 2) / (2 * K), 1e-12)
        norms_agree(problem, found, r * (a * (K - 1) + common) / K)


@pytest.mark.parametrize("decay", [5e-324, 1e-310, 1e306])
def test_what_float64_cannot_hold_is_refused(decay):
    with pytest.raises(ValueError, match=r"decay-W, decay-H.*c = sqrt\(n decay_W decay_H\) is in \[1e-307, 1e303\]"):
        predict(Problem(CrossEntropy(), 3, 3, 1, decay, decay))


HUGE = [[1e308, 0, 0], [-1e308, 0, 0], [1e308] * 3, [-1e308] * 3, [1e308, -1e308, 0], [800.0, 0, 0], [-800.0, 0, 0]]
LOSSES = [CrossEntropy(), LabelSmoothing(0.1), LabelSmoothing(1 - 1e-15), Focal(1e-9), Focal(3.0), Focal(1e3)]


@pytest.mark.parametrize("loss", LOSSES, ids=str)
@pytest.mark.parametrize("logits", HUGE, ids=str)
def test_softmax_losses_of_huge_logits(loss, logits):
    z, labels = torch.tensor([logits], dtype=torch.float64), torch.tensor([0])
    value, gradient = loss.value_and_gradient(z, labels)
    exact = [mpmath.mpf(entry) for entry in logits]
    odds = sum(mpmath.exp(entry - exact[0]) for entry in exact[1:])
    cross_entropy = mpmath.log1p(odds)
    alpha, gamma = getattr(loss, "alpha", 0.0), getattr(loss, "gamma", 0.0)
    expected = (odds / (1 + odds)) ** gamma * cross_entropy + alpha * (exact[0] - sum(exact) / 3)
    agrees(float(value), expected, 1e-12)
    assert torch.isfinite(gradient).all()
    assert abs(float(gradient.sum())) < 1e-14
    assert torch.isfinite(loss.hessian(z, labels)(torch.tensor([[1.0, -2.0, 3.0]], dtype=torch.float64))).all()


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_a_loss_beyond_the_largest_number_is_infinite_and_never_nan(loss):
    z, labels = torch.tensor([[-1e308, 1e308, 1e308]], dtype=torch.float64), torch.tensor([0])
    value, gradient = loss.value_and_gradient(z, labels)
    assert value.item() == math.inf
    assert torch.isfinite(gradient).all()


PROBLEM = Problem(LabelSmoothing(0.1), K=4, d=5, n=3, decay_W=5e-3, decay_H=1e-3)


class InFloat32(Loss):
    """A loss that forgets the precision of its logits."""

    def __call__(self, logits, labels):
        return CrossEntropy()(logits, labels).float()


def starts(problem=PROBLEM, count=3):
    return normal_starts(problem.size, seed=0, first=0, count=count)


POINT = r"`x` must be a float64 tensor \([^)]*\), got torch.float32"
FLOAT32_BY_MISTAKE = {
    "starts of minimise": (
        lambda: minimise(PROBLEM, starts().float()),
        "`starts` must be a float64",
    ),
    "objective of minimise": (
        lambda: minimise(lambda x: tuple(each.float() for each in PROBLEM.value_and_gradient(x)), starts()),
        r"`model` must be one whose value and gradient are float64 .*, got torch.float32 .* and torch.float32",
    ),
    "starts of find_critical_points": (lambda: find_critical_points(PROBLEM, starts().float()), "must be a float64"),
    "value": (lambda: PROBLEM.value(starts().float()), POINT),
    "value and gradient": (lambda: PROBLEM.value_and_gradient(starts().float()), POINT),
    "logits": (lambda: PROBLEM.logits(starts().float()), POINT),
    "Hessian": (lambda: PROBLEM.hessian(starts().float()), POINT),
    "certify": (lambda: certify(PROBLEM, starts().float()), POINT),
    "classify": (lambda: classify(PROBLEM, starts().float()), POINT),
    "smallest_eigenpair": (lambda: smallest_eigenpair(PROBLEM, starts().float()), POINT),
    "decay, tensor": (lambda: Problem(CrossEntropy(), 4, 5, 3, torch.ones(3), 1e-3), "got torch.float32"),
    "statistics": (
        lambda: FeatureStats(
            torch.ones(2, 2), torch.ones(()), torch.ones(2), *torch.ones(2), torch.ones(2, 2), torch.ones(2)
        ),
        r"`FeatureStats\(class_means=...\)` must be a float64 tensor",
    ),
    "own loss": (
        lambda: minimise(Problem(InFloat32(), 4, 5, 3, 5e-3, 1e-3).value_and_gradient, starts()),
        r"`InFloat32\(...\)` must be one number per sample, \(torch.float64, \(\d, 12\)\), got \(torch.float32",
    ),
}


@pytest.mark.parametrize("case", FLOAT32_BY_MISTAKE)
def test_float32_by_mistake_is_refused(case):
    request, sentence = FLOAT32_BY_MISTAKE[case]
    with pytest.raises(ValueError, match=sentence):
        request()


def test_numpy_s_float32_is_refused_as_a_parameter():
    """In a process without this test suite's checks of types, which would refuse it first."""
    code = "import numpy as np; from ufm.model.losses import *; LabelSmoothing(np.float32(0.1))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    allowed = "in [0, 1), a number or a float64 tensor (starts,)"
    assert f"`LabelSmoothing(alpha=...)` must be {allowed}, got float32" in done.stderr


def test_where_float32_is_meant_the_answer_is_right_to_its_rounding():
    """Networks: losses keep the logits' precision, metrics take features in it and sum in float64."""
    logits, labels = torch.tensor([[30.0, 0.0, -2.0], [-30.0, 1.0, 3.0]]), torch.tensor([0, 0])
    for loss in (CrossEntropy(), LabelSmoothing(0.1), Focal(2.0), SquaredError(5.0)):
        value, exact = loss(logits, labels), loss(logits.double(), labels)
        assert value.dtype == torch.float32
        torch.testing.assert_close(value.double(), exact, rtol=1e-5, atol=0)
    W, H, b = (part[0] for part in PROBLEM.unpack(starts()))
    single, double = (
        collapse_metrics(FeatureStats.from_features(H.to(dtype), PROBLEM.labels(), W.to(dtype), b.to(dtype)))
        for dtype in (torch.float32, torch.float64)
    )
    for name, value in single.items():
        assert value.dtype == torch.float64
        torch.testing.assert_close(value, double[name], rtol=1e-5, atol=0)
