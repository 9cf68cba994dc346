"""The fit recovers the m of free features that pay decay (m/2) k |h|^(2/m), and one run of them predicts the others."""

import dataclasses
import math

import pytest
import torch
from scipy.optimize import minimize

from deepnet.comparison.compare import Sizes
from deepnet.comparison.penalty import FeaturePenalty, fit_depth
from deepnet.comparison.transfer import Case, errors, transfers
from deepnet.measures.features import LastLayer
from deepnet.measures.measure import measure
from deepnet.measures.reading import Reading
from ufm.model.loss import Loss
from ufm.model.losses import CrossEntropy, Focal, LabelSmoothing, SquaredError
from ufm.model.problem import Problem
from ufm.theory.prediction import predict

K, D, N_PER_CLASS, STRENGTH = 4, 6, 3, 0.05
SIZES = Sizes(K, N_PER_CLASS, D, 4e-3)
SOFTMAX = {"ce": CrossEntropy(), "ls": LabelSmoothing(0.1), "focal": Focal(2.0)}
LOSSES = SOFTMAX | {"mse": SquaredError(4.0)}


def trained(loss: Loss, depth: float, decay: float = SIZES.decay) -> Reading:
    """Free features minimised with scipy and autograd, which know nothing of simplices, from a random start."""
    labels = torch.arange(K).repeat_interleave(N_PER_CLASS)
    N = len(labels)

    def value(x):
        W, H, b = x[: K * D].view(K, D), x[K * D : -K].view(N, D), x[-K:]
        features = depth / 2 * STRENGTH * (H.square().sum() / N) ** (1 / depth)
        return loss(H @ W.T + b, labels).mean() + decay * (W.square().sum() / 2 + b.square().sum() / 2 + features)

    def objective(flat):
        x = torch.from_numpy(flat).requires_grad_()
        f = value(x)
        f.backward()
        return f.item(), x.grad.numpy()

    def hessian(flat):
        return torch.autograd.functional.hessian(value, torch.from_numpy(flat), vectorize=True).numpy()

    start = 2 * torch.randn(K * D + N * D + K, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    near = minimize(objective, start.numpy(), jac=True, method="L-BFGS-B", options={"maxiter": 300, "maxcor": 40})
    end = minimize(objective, near.x, jac=True, hess=hessian, method="trust-exact", options={"gtol": 1e-12})
    x = torch.from_numpy(end.x)
    layer = LastLayer(x[K * D : -K].view(N, D), labels, x[: K * D].view(K, D), x[-K:])
    return Reading.from_measures(measure(layer, loss))


@pytest.fixture(scope="module", params=[1.0, 2.0])
def cases(request) -> tuple[float, list[Case]]:
    depth = request.param
    return depth, [Case(name, 0, loss, SIZES, trained(loss, depth)) for name, loss in SOFTMAX.items()]


def test_the_fit_recovers_the_depth(cases):
    depth, runs = cases
    fit = fit_depth([[case.reading] for case in runs], K)
    assert fit.depth == pytest.approx(depth, rel=1e-5)
    assert fit.scatter < 1e-6


def test_one_run_predicts_the_others_with_the_right_depth_and_not_with_another(cases):
    depth, runs = cases
    found = transfers(runs, (depth, depth + 1))
    by_depth = {(entry["target"], entry["depth"], entry["is_fitted"]): entry for entry in errors(found)}
    assert {entry["count"] for entry in by_depth.values()} == {len(SOFTMAX) - 1}
    for (target, m, is_fitted), entry in by_depth.items():
        worst = max(entry["worst"].values())
        if is_fitted or m == depth:
            assert worst < 1e-4, (target, m)
        else:
            assert worst > 1e-2, (target, m)


def test_another_decay_is_predicted_too():
    loss = CrossEntropy()
    runs = [
        Case(f"{decay}", 0, loss, Sizes(K, N_PER_CLASS, D, decay), trained(loss, 2.0, decay)) for decay in (1e-3, 4e-3)
    ]
    assert max(max(entry["worst"].values()) for entry in errors(transfers(runs, (2.0,)))) < 1e-4


@pytest.mark.parametrize("depth", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("loss", LOSSES.values(), ids=str)
def test_the_prediction_satisfies_its_own_balance(loss, depth):
    penalty = FeaturePenalty(STRENGTH, depth, 0.3)
    found = penalty.predict(loss, SIZES)
    assert K * found.norm_w**2 == pytest.approx(STRENGTH * found.norm_h ** (2 / depth), rel=1e-9)


def test_depth_1_is_the_model_itself():
    decay_H = SIZES.decay * STRENGTH / (K * N_PER_CLASS)
    model = predict(Problem(CrossEntropy(), K, D, N_PER_CLASS, SIZES.decay, decay_H, SIZES.decay))
    found = FeaturePenalty(STRENGTH, 1.0, 1.0).predict(CrossEntropy(), SIZES)
    assert found.margin == pytest.approx(model.margin, rel=1e-12)
    assert found.norm_h == pytest.approx(model.norm_h, rel=1e-12)


def test_a_penalty_that_is_too_dear_predicts_zero():
    assert FeaturePenalty(1e9, 2.0, 1.0).predict(CrossEntropy(), SIZES).is_zero


def test_points_at_one_place_fit_no_line(cases):
    _, runs = cases
    assert fit_depth([[runs[0].reading]], K) is None
    assert fit_depth([[runs[0].reading]] * 2, K) is None


def test_features_of_one_norm_tell_no_depth(cases):
    """In a ball |h| is the radius whatever the loss; 0.2 % left to relax gave m = 1e-3, and numbers out of range."""
    reading = cases[1][0].reading

    def other(ratio):
        return dataclasses.replace(reading, norm_h=ratio * reading.norm_h, norm_w=2 * reading.norm_w)

    assert fit_depth([[reading], [other(1.002)]], K) is None
    assert fit_depth([[reading], [other(1.02)]], K).depth == pytest.approx(2 * math.log(1.02) / math.log(4))
