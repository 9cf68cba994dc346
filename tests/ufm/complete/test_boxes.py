"""The interval loops against mpmath, balls and torch: what they enclose is in the enclosure, everywhere looked at."""

import dataclasses
import math

import mpmath
import numpy as np
import pytest
import torch
from flint import arb, ctx

from ufm.complete import balls
from ufm.complete.balls import Found, ReducedBalls
from ufm.complete.boxes import branch_and_bound, derivatives, inner, intervals
from ufm.complete.reduction import Reduced
from ufm.complete.search import Search, _is_same
from ufm.model.losses import CrossEntropy, Focal, LabelSmoothing
from ufm.model.problem import Point, Problem

SETTINGS = [
    (CrossEntropy(), 3, 1, None),
    (CrossEntropy(), 3, 1, 0.0),
    (LabelSmoothing(0.2), 3, 1, 0.3),
    (Focal(2.0), 3, 1, None),
    (Focal(0.5), 4, 2, None),
    (Focal(0.5), 4, 2, 0.3),
]


def reduced_of(loss, K, r, decay_b, c=0.1):
    return Reduced(Problem(loss=loss, K=K, d=K, n=1, decay_W=c, decay_H=c, decay_b=decay_b), r)


def unknown(K):
    """Bounds of differences of logits of which nothing is known."""
    return np.array([np.full((K, K, K), -1e300), np.full((K, K, K), 1e300)])


def enclosed(reduced, box):
    """Gradient and Hessian over a box."""
    K, m = reduced.K, reduced.size
    G, H = np.empty((2, m)), np.empty((2, m, m))
    derivatives.derivatives(box, unknown(K), reduced.parameters, G, H)
    return G, H


def points(reduced, count, seed=0):
    return np.random.default_rng(seed).normal(size=(count, reduced.size)) * 2


def test_exp_and_log_hold_the_true_value():
    x = np.concatenate(
        [np.random.default_rng(1).uniform(-720, 720, 3000), [0.0, -0.0, 1e-300, 0.34657359, -0.34657359]]
    )
    with mpmath.workdps(60):
        for value in x.tolist():
            low, high = intervals.exp((value, value))
            true = mpmath.exp(mpmath.mpf(value))
            assert low <= true <= high
            if abs(value) < 700:
                assert high - low <= 1e-13 * low
            size = math.exp(value / 3)
            low, high = intervals.log((size, size))
            assert low <= mpmath.log(mpmath.mpf(size)) <= high
            assert high - low < 1e-12 * max(1.0, abs(low))


@pytest.mark.parametrize("ends", [(1e-295, 1.0), (1.0, 1e295), (0.0, 1.0)])
def test_log_of_what_is_too_small_or_large_for_it_has_no_bounds_that_are_wrong(ends):
    low, high = intervals.log(ends)
    assert low <= (math.log(ends[0]) if ends[0] else -1e290)
    assert high >= math.log(ends[1])


def test_the_proved_error_of_exp_is_kept_and_not_loose_by_much():
    """6 u was proved; twin: an error of u / 8 would be refused."""
    x = np.random.default_rng(2).uniform(-700, 700, 3000).tolist()
    with mpmath.workdps(40):
        worst = max(abs(mpmath.mpf(intervals._exp_near(v)) / mpmath.exp(mpmath.mpf(v)) - 1) for v in x)
    assert 2.0**-56 < worst < 6 * 2.0**-53


@pytest.mark.parametrize("gamma", [0.3, 1.0, 2.5])
def test_slopes_of_focal_loss_hold_those_of_mpmath(gamma):
    def phi(v):
        return -((1 - mpmath.exp(v)) ** gamma) * v

    with mpmath.workdps(40):
        for odds in (1e-6, 0.03, 1.0, 2.0, 40.0, 1e7):
            v = -mpmath.log(1 + mpmath.mpf(odds))
            A, B = derivatives.slopes((odds, odds), gamma)
            assert A[0] <= -mpmath.diff(phi, v) <= A[1]
            assert B[0] - 1e-9 <= mpmath.diff(phi, v, 2) <= B[1] + 1e-9
            assert A[1] - A[0] < 1e-8 * max(1, A[1])


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_gradient_and_hessian_at_points_hold_those_of_balls(setting):
    reduced = reduced_of(*setting)
    for x in points(reduced, 20):
        G, H = enclosed(reduced, np.array([x, x]))
        with ctx.workprec(200):
            exact = ReducedBalls(reduced, [arb(value) for value in x.tolist()])
            for i, value in enumerate(exact.gradient):
                assert G[0, i] <= value <= G[1, i]
                for j in range(reduced.size):
                    assert H[0, i, j] <= exact.hessian[i, j] <= H[1, i, j]
        assert (G[1] - G[0]).max() < 1e-10
        assert (H[1] - H[0]).max() < 1e-8


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_the_gradient_is_that_of_the_full_model(setting):
    """Against torch, in the full coordinates, for decays that differ and two samples a class."""
    loss, K, r, decay_b = setting
    problem = Problem(loss=loss, K=K, d=r, n=2, decay_W=0.3, decay_H=0.05, decay_b=decay_b)
    reduced = Reduced(problem, r)
    for x in points(reduced, 5):
        w, h = x[: (K - 1) * r].reshape(K - 1, r), x[(K - 1) * r : (2 * K - 1) * r].reshape(K, r)
        b = x[(2 * K - 1) * r :]
        t = (2 * 0.05 / 0.3) ** 0.25
        full = [np.vstack([part, -part.sum(0)]) for part in (w, b.reshape(-1, 1))]
        W, H = torch.tensor(full[0] * t), torch.tensor((h / t).repeat(2, axis=0))
        point = Point(W, H, torch.tensor(full[1][:, 0]) if len(b) else torch.zeros(K, dtype=torch.float64))
        gradient = problem.unpack(problem.value_and_gradient(problem.pack(point)[None])[1][0])
        of_w = (gradient.W[:-1] - gradient.W[-1]).numpy() * t
        of_h = gradient.H.view(K, 2, r).sum(1).numpy() / t
        of_b = (gradient.b[:-1] - gradient.b[-1]).numpy()[: len(b)]
        G, _ = enclosed(reduced, np.array([x, x]))
        assert G.mean(0) == pytest.approx(np.concatenate([of_w.ravel(), of_h.ravel(), of_b]), abs=1e-12)
        p = problem.logits(problem.pack(point))[::2].softmax(-1).diagonal()
        odds = ReducedBalls(reduced, [arb(value) for value in x.tolist()]).odds
        assert [float(ball) for ball in odds] == pytest.approx((1 / p - 1).tolist(), rel=1e-9)


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_derivatives_over_a_box_hold_those_at_its_points(setting):
    reduced = reduced_of(*setting)
    generator = np.random.default_rng(3)
    for x in points(reduced, 5):
        half = generator.uniform(0, 0.3, reduced.size)
        G, H = enclosed(reduced, np.array([x - half, x + half]))
        for _ in range(20):
            inside = x + half * generator.uniform(-1, 1, reduced.size)
            g, h = enclosed(reduced, np.array([inside, inside]))
            assert np.all(np.maximum(G[0], g[0]) <= np.minimum(G[1], g[1]))
            assert np.all(np.maximum(H[0], h[0]) <= np.minimum(H[1], h[1]))


KNOWN = [
    (CrossEntropy(), 3, 1, None),
    (CrossEntropy(), 3, 1, 0.0),
    (LabelSmoothing(0.1), 3, 1, 0.05),
    (Focal(2.0), 3, 1, None),
]


@pytest.mark.parametrize("setting", KNOWN, ids=str)
def test_no_box_with_a_critical_point_is_discarded(setting):
    """Boxes of all sizes around every point found; twin: boxes beside them, which are discarded when small."""
    reduced = reduced_of(*setting)
    search = Search(reduced)
    search.work(10**6)
    found, left = search.closed()
    assert len(found) == 3
    assert len(left) == 0
    everywhere = np.zeros((0, len(reduced.outer)))
    generator = np.random.default_rng(4)
    for point in found:
        for size in np.logspace(-9, 0, 30):
            low = point.x[reduced.outer] - size * generator.uniform(0, 1, 2)
            box = np.zeros((2, reduced.size))
            box[:, reduced.outer] = low, low + size
            assert holds_after(reduced, box, point, everywhere)
        beside = np.zeros((2, reduced.size))
        beside[:, reduced.outer] = point.x[reduced.outer] + 0.01, point.x[reduced.outer] + 0.0101
        assert not branch_and_bound.examine(beside, point.x.copy(), *arguments(reduced, everywhere))


@pytest.mark.parametrize(("setting", "is_asked"), [*((each, True) for each in KNOWN[:3]), (KNOWN[3], False)], ids=str)
def test_the_energy_lemma_is_asked_about_losses_for_which_it_is_proved(setting, is_asked, monkeypatch):
    asked = []
    monkeypatch.setattr(branch_and_bound, "by_energy", lambda *_: asked.append(True) or False)
    reduced = reduced_of(*setting)
    box = np.zeros((2, reduced.size))
    box[1, reduced.outer] = 1e-6
    everywhere = np.zeros((0, len(reduced.outer)))
    assert branch_and_bound.examine.py_func(box, np.zeros(reduced.size), *arguments(reduced, everywhere))
    assert bool(asked) == is_asked


def arguments(reduced, domain):
    return reduced.outer, reduced.inner, reduced.parameters, domain, 1e9


def holds_after(reduced, box, point, domain):
    """Whether the box is kept, and still holds the point after it has been contracted."""
    is_kept = branch_and_bound.examine(box, np.zeros(reduced.size), *arguments(reduced, domain))
    o = point.x[reduced.outer]
    return is_kept and bool(np.all((box[0, reduced.outer] <= o) & (o <= box[1, reduced.outer])))


def test_an_infinite_end_leaves_zero_in_a_product():
    low, high = intervals.mul((0.0, 1.0), (2.0, math.inf))
    assert low <= 0.0
    assert not high < math.inf
    low, high = intervals.mul((-math.inf, math.inf), (0.0, 0.0))
    assert not low > 0.0
    assert not high < 0.0


def test_a_proof_about_a_smaller_box_closes_nothing(monkeypatch):
    reduced = Reduced(Problem(CrossEntropy(), 3, 3, 1, 0.05, 0.05, None), 1)
    box = np.array([[-1e-8, -1e-8], [1e-8, 1e-8]])
    found = balls.close(reduced, box, np.zeros(reduced.size))
    assert found is not None  # zero is critical
    smaller = dataclasses.replace(found, box=box / 2)
    monkeypatch.setattr(balls, "_closed", lambda *arguments: smaller)
    assert balls.close(reduced, box, np.zeros(reduced.size)) is None


@pytest.mark.parametrize(("x", "radius", "is_same"), [(0.5, 0.2, True), (0.3, 0.2, False), (0.7, 0.2, False)])
def test_a_point_is_a_known_one_if_all_that_it_may_be_is_in_the_box_of_that(x, radius, is_same):
    known = Found(np.array([0.5]), 0.0, np.array([[0.0], [1.0]]))
    assert _is_same(known, Found(np.array([x]), radius, known.box), np.array([0])) == is_same


def test_all_coordinates_are_within_the_radius_of_a_point(monkeypatch):
    """Before Krawczyk's operator has been applied again, when they differ."""
    images, true = [], balls._krawczyk
    monkeypatch.setattr(balls, "REFINEMENTS", 0)
    monkeypatch.setattr(balls, "_krawczyk", lambda *arguments: images.append(true(*arguments)) or images[-1])
    reduced = Reduced(Problem(CrossEntropy(), 3, 3, 1, 0.05, 0.05, None), 1)
    found = balls.close(reduced, np.array([[-1e-4, -1e-4], [1e-4, 1e-4]]), np.zeros(reduced.size))
    assert found is not None  # zero is critical
    assert len({float(ball.rad()) for ball in images[-1]}) > 1
    for value, ball in zip(found.x.tolist(), images[-1], strict=True):
        assert abs(ball - value) <= found.radius * (1 + 1e-9)


@pytest.mark.parametrize("off", [0.0, 0.02, 0.1])
def test_the_bound_of_eigenvalues_is_below_them_and_not_far(off):
    """Q'H Q near the identity; twin: by the diagonal alone, 1, it would be above them."""
    generator = np.random.default_rng(3)
    A = generator.normal(size=(4, 4))
    H = A @ A.T + np.eye(4)
    Q = np.linalg.inv(np.linalg.cholesky(H)).T + off * generator.normal(size=(4, 4))
    least = np.linalg.eigvalsh(Q.T @ H @ Q)[0]
    found = inner._least(Q, np.stack([H, H]), np.arange(4))
    assert found <= least + 1e-15
    assert found > (0.99 if off == 0 else 0.3 if off == 0.02 else -1e-9)


def test_the_bound_of_eigenvalues_is_the_least_one_where_gershgorins_is_sharp():
    """1.1 I - 0.1 11' with four rows has 0.7 along 1 and 1.1 across it."""
    H = 1.1 * np.eye(4) - 0.1
    assert 0.7 - 1e-9 < inner._least(np.eye(4), np.stack([H, H]), np.arange(4)) <= 0.7


@pytest.mark.parametrize("setting", [*KNOWN[:3], (CrossEntropy(), 4, 2, None)], ids=str)
def test_radii_by_energy_are_those_of_the_lemma(setting):
    """Its bounds against the worst of points in the box, in numpy; the radii from these; solutions are within them."""
    reduced = reduced_of(*setting)
    K, r, m, half = reduced.K, reduced.r, (reduced.K - 1) * reduced.r, 0.01
    outer, within, generator = np.arange(m), np.arange(m, reduced.size), np.random.default_rng(5)
    of, n, x = reduced.parameters, reduced.size - m, np.zeros(reduced.size)
    x[outer] = generator.normal(size=m)
    x[within] = solution(reduced, x, within) + 1e-2 * generator.normal(size=n)
    G0, H0 = enclosed(reduced, np.array([x, x]))
    V = np.linalg.inv(H0.mean(0)[np.ix_(within, within)])
    Q, box, free = np.linalg.cholesky(V), np.array([x, x]), unknown(K)
    box[:, outer] += np.array([[-half], [half]])
    moved, epsilon = inner._turn(box, x, *of[:2])
    kappa = max(inner._reach(box, k, i, j, Q, of[0]) for k in range(K) for i in range(K) for j in range(i))
    force = inner._force(box, x, Q, within, outer, G0, enclosed(reduced, box)[1])

    def spread(z):
        return max(np.linalg.norm(z[i] - z[j]) for i in range(K) for j in range(i))

    def all_rows(w):
        w = w.reshape(K - 1, -1)
        return np.vstack([w, -w.sum(0)])

    worst = np.zeros(4)
    corners = x[outer] + half * np.array(np.meshgrid(*m * [[-1, 1]])).reshape(m, -1).T
    for w in corners:
        step, there = all_rows(w - x[outer]), np.concatenate([w, x[within]])
        logits = [np.kron(np.eye(K)[k], all_rows(w)) for k in range(K)]
        if reduced.problem.has_bias:
            logits = [np.hstack([z, all_rows(np.eye(K - 1))]) for z in logits]
        at_w = [
            max(spread(step @ h) for h in x[m : m + K * r].reshape(K, r)),
            spread(step) / 2 / math.sqrt(K * 0.1),
            max(spread(z @ Q) for z in logits),
            np.linalg.norm(Q.T @ enclosed(reduced, np.array([there, there]))[0].mean(0)[within]),
        ]
        worst = np.maximum(worst, at_w)
    found = np.array([moved, epsilon, kappa, force])
    assert np.all(found >= worst * (1 - 1e-9))
    assert np.all(found <= worst * np.array([1.01, 1.01 * math.sqrt(r), 1.05, 2.0]))

    tau = kappa * force * math.exp(moved) / (inner._least(Q, H0, within) * (1 - epsilon))
    radii = np.linalg.norm(Q, axis=1) * -math.log(1 - tau) / kappa
    G, H, rough = np.empty(G0.shape), np.empty(H0.shape), np.zeros(n)
    assert inner.by_energy(box, x, free, free.copy(), within, outer, of, G0, H0, V, G, H, rough)
    assert np.all(rough >= radii * (1 - 1e-9))
    assert np.all(rough <= radii * (1 + 1e-6))
    for w in corners:
        assert np.all(np.abs(solution(reduced, np.concatenate([w, x[within]]), within) - x[within]) <= rough)


def solution(reduced, x, within):
    """The inner variables at these outer ones."""
    box = np.array([x, x])
    G, H, V = np.empty(box.shape), np.empty((2, *2 * [len(x)])), np.empty(2 * [len(within)])
    assert inner.solve_inner(box, unknown(reduced.K), within, reduced.parameters, G, H, V)
    return box[0, within]
