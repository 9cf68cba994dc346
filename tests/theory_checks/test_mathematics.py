"""What computer algebra shows, looked at once more with numbers: random points must obey the bounds it derives."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import nnls

from ufm.model.losses import CrossEntropy, Focal, LabelSmoothing
from ufm.model.problem import Problem
from ufm.solve.hessian import dense_hessian
from ufm.solve.minimise import minimise
from ufm.theory.prediction import predict, predicted_point

SLACK = 1e-12  # rounding of sums of up to 1e3 terms of order one


@pytest.mark.parametrize("K", [2, 5, 40])
@pytest.mark.parametrize("loss", [CrossEntropy(), LabelSmoothing(0.3), Focal(0.5), Focal(7.0)], ids=str)
def test_losses_lie_above_their_function_of_the_mean_margin(loss, K, normal):
    logits = normal(500, K) * torch.logspace(-2, 1.5, 500, dtype=torch.float64)[:, None]
    labels = torch.zeros(500, dtype=torch.int64)
    means = logits.clone()
    means[:, 1:] = logits[:, 1:].mean(1, keepdim=True)
    assert (loss(logits, labels) - loss(means, labels)).min() >= -SLACK * 100


@pytest.mark.parametrize("gamma", [0.5, 3.0])
def test_without_bias_nothing_lies_below_the_ray_even_in_the_focal_window(gamma, normal):
    decay = 0.06322  # near the Maxwell point of K = 20, gamma = 3
    problem = Problem(Focal(gamma), K=20, d=20, n=1, decay_W=decay, decay_H=decay, decay_b=None)
    predicted = predicted_point(problem, predict(problem))
    noise = normal(200, problem.size) * torch.logspace(-3, 0.5, 200, dtype=torch.float64)[:, None]
    assert (problem.value(predicted + noise) - predict(problem).value).min() >= -SLACK


def focal_of_margin(u, K, gamma):
    odds = (K - 1) * np.exp(-u)
    return (odds / (1 + odds)) ** gamma * np.log1p(odds)


@pytest.mark.parametrize("sigma", [0.6, 0.8, 1.0])
def test_between_the_two_thresholds_focal_loss_with_a_bias_is_least_at_zero(sigma, normal):
    """S(1/3) = 0.523 < sigma <= 1: the tangent of slope sigma touches phi at a negative margin, too low a bound."""
    K, gamma, n = 3, 3.0, 2
    decay = sigma / (K - 1) / math.sqrt(n)
    problem = Problem(Focal(gamma), K=K, d=3, n=n, decay_W=decay, decay_H=decay, decay_b=0.0)
    at_zero = (2 / 3) ** 3 * math.log(3)
    too_low = np.min(focal_of_margin(np.linspace(-30, 3, 100_000), K, gamma) + sigma * np.linspace(-30, 3, 100_000))
    assert too_low < at_zero - 5e-4
    ends = minimise(problem, 2 * normal(40, problem.size), 1e-9, 5000)
    assert predict(problem).is_proved_global
    assert predict(problem).value == pytest.approx(at_zero, abs=1e-12)
    assert ends.value.min() >= at_zero - SLACK


def hull_distance(w, others):
    """To the hull of the rows, up to 1e-6 from above."""
    weight = 1e4
    x, _ = nnls(np.vstack([others.T, weight * np.ones(len(others))]), np.append(w, weight))
    return np.linalg.norm(w - others.T @ (x / x.sum()))


def code_distance(W):
    return min(hull_distance(W[k], np.delete(W, k, 0)) for k in range(len(W)))


@pytest.mark.parametrize(
    ("K", "d", "best"),
    [
        (3, 2, 1.5),
        (4, 2, 1.0),
        (5, 2, 1 - math.cos(2 * math.pi / 5)),
        (9, 2, 1 - math.cos(2 * math.pi / 9)),
        (4, 3, 4 / 3),
        (5, 3, 1.0),
        (6, 3, 1.0),
        (7, 4, 1.0),
    ],
)
def test_no_random_code_beats_the_exact_softmax_codes(K, d, best):
    random = np.random.default_rng(0)
    for scale in np.repeat([0.05, 0.3, 10.0], 40):
        angles = 2 * np.pi * np.arange(K) / K
        around = np.pad(np.stack([np.cos(angles), np.sin(angles)], 1), ((0, 0), (0, d - 2)))
        W = around + scale * random.standard_normal((K, d))
        assert code_distance(W / np.linalg.norm(W, axis=1, keepdims=True)) <= best + 1e-6


def test_the_exact_codes_attain_their_distance():
    angles = 2 * np.pi * np.arange(7) / 7
    assert code_distance(np.stack([np.cos(angles), np.sin(angles)], 1)) == pytest.approx(
        1 - np.cos(2 * np.pi / 7), abs=1e-6
    )
    assert code_distance(np.vstack([np.eye(3), -np.eye(3)])) == pytest.approx(1, abs=1e-6)


def simplex(K):
    return (np.eye(K) - 1 / K) * math.sqrt(K / (K - 1))


def supervised_contrastive(H, labels, tau):
    similarity = H @ H.T / tau
    N = len(H)
    total = 0.0
    for i in range(N):
        others = np.delete(np.arange(N), i)
        positives = others[labels[others] == labels[i]]
        total += np.log(np.exp(similarity[i, others]).sum()) - similarity[i, positives].mean()
    return total / N


def test_supervised_contrastive_loss_is_least_at_the_collapsed_simplex():
    K, n, tau = 4, 3, 0.4
    labels = np.repeat(np.arange(K), n)
    bound = math.log(n - 1 + (K - 1) * n * math.exp(-K / ((K - 1) * tau)))
    assert supervised_contrastive(simplex(K)[labels], labels, tau) == pytest.approx(bound, abs=SLACK)
    random = np.random.default_rng(0)
    for scale in np.repeat([0.01, 0.3, 10.0], 20):
        H = simplex(K)[labels] + scale * random.standard_normal((K * n, K))
        H /= np.linalg.norm(H, axis=1, keepdims=True)
        assert supervised_contrastive(H, labels, tau) >= bound - SLACK


def test_cross_entropy_on_spheres_is_least_at_the_simplex():
    K, tau = 5, 3.0
    labels = torch.arange(K).repeat_interleave(2)
    bound = math.log1p((K - 1) * math.exp(-tau * K / (K - 1)))
    random = torch.Generator().manual_seed(0)
    for scale in (0.0, 0.01, 0.3, 10.0):
        x = torch.from_numpy(np.vstack([simplex(K), np.repeat(simplex(K), 2, 0)]))
        x = x + scale * torch.randn(100, 3 * K, K, dtype=torch.float64, generator=random)
        x = torch.nn.functional.normalize(x, dim=-1)
        logits = tau * x[:, K:] @ x[:, :K].mT
        values = torch.nn.functional.cross_entropy(logits.mT, labels.expand(100, -1), reduction="none").mean(1)
        assert values.min() >= bound - SLACK
        assert scale or values.max() <= bound + SLACK


@pytest.mark.parametrize(("M", "kappa"), [(3, 1 / 16), (4, 4 / 729), (6, 4**4 / 5**10)])
def test_deep_linear_zero_wins_exactly_above_the_threshold(M, kappa):
    K, n = 3, 2
    N = K * n
    x = np.linspace(1e-6, 2 * math.sqrt(n), 200_000)
    for factor, nonzero in ((0.999, True), (1.001, False)):
        strength = (factor * kappa * n ** (M - 1)) ** (1 / M) / N
        energy = (x - math.sqrt(n)) ** 2 / (2 * N) + M / 2 * strength * x ** (2 / M)
        assert (energy.min() < n / (2 * N)) == nonzero


@pytest.mark.parametrize("alpha", [0.0, 0.1])
def test_the_loss_part_of_both_blocks_has_condition_number_k_p(alpha):
    problem = Problem(LabelSmoothing(alpha), K=5, d=4, n=2, decay_W=4e-3, decay_H=1e-3)
    prediction = predict(problem)
    hessian = dense_hessian(problem, predicted_point(problem, prediction)[None])[0]
    in_W, in_H = slice(0, 20), slice(20, 60)
    for block, decay in ((hessian[in_W, in_W], 4e-3), (hessian[in_H, in_H], 1e-3)):
        eigenvalues = torch.linalg.eigvalsh(block) - decay
        kept = eigenvalues[eigenvalues > 1e-9 * eigenvalues[-1]]
        assert float(kept[-1] / kept[0]) == pytest.approx(5 * prediction.p_y, rel=1e-9)


def test_pick_all_labels_lies_above_its_bound(normal):
    K, m = 6, 2
    z = 3 * normal(300, K)
    loss = m * z.logsumexp(1) - z[:, :m].sum(1)
    t = z[:, :m].mean(1) - z[:, m:].mean(1)
    assert (loss - m * torch.log(m + (K - m) * torch.exp(-t))).min() >= -SLACK


@pytest.mark.parametrize(("K", "gamma"), [(30, 3.0), (100, 1.0), (10, 8.0)])
def test_focal_with_bias_stays_above_the_ray_where_the_decays_are_small(K, gamma, normal):
    decay = 0.99 / (K - 1)
    problem = Problem(Focal(gamma), K=K, d=K, n=1, decay_W=decay, decay_H=decay)
    prediction = predict(problem)
    assert prediction.is_proved_global
    predicted = predicted_point(problem, prediction)
    noise = normal(100, problem.size) * torch.logspace(-3, 0.5, 100, dtype=torch.float64)[:, None]
    assert (problem.value(predicted + noise) - prediction.value).min() >= -SLACK
