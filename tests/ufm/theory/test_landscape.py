"""What is proved of all critical points: thresholds from mpmath, and critical points that the answer must survive."""

import dataclasses
import math

import mpmath
import pytest
import torch

from theory_checks.listing import claims
from theory_checks.partial_collapse_ends_the_benign_landscape import near_onset, turns
from ufm.errors import RequestError
from ufm.model.losses import CrossEntropy, Focal, LabelSmoothing, SquaredError
from ufm.model.problem import Problem
from ufm.solve.newton import find_critical_points
from ufm.theory.landscape import landscape
from ufm.theory.prediction import focal_benign_bound, focal_zero_is_alone, predict


def at(loss, K, c, *, d=None, n=1, decay_b=0.0):
    decay = c / math.sqrt(n)
    return Problem(loss, K, K if d is None else d, n, decay, decay, decay_b)


def slope(p, gamma):
    return (1 - p) ** gamma * (1 - p - gamma * p * mpmath.log(p))


def onset(K, gamma, near):
    """c_x by odds: the p- < p+ with S(p-) = S(p+) and o(p+) o(p-)^(K - 1) = 1, o = (K - 1) p/(1 - p)."""
    with mpmath.workdps(30):

        def probability(margin):
            return 1 / (1 + (K - 1) * mpmath.exp(-margin))

        def gap(A):
            return slope(probability(-A), gamma) - slope(probability((K - 1) * A), gamma)

        A = mpmath.findroot(gap, near)
        return A, float(slope(probability(-A), gamma) / (K - 1))


@pytest.mark.parametrize(("K", "gamma", "near"), [(30, 3.0, 0.035), (50, 3.0, 0.037), (100, 3.0, 0.027)])
def test_with_a_free_bias_the_bound_is_the_onset_of_partial_collapse(K, gamma, near):
    A, c = onset(K, gamma, near)
    assert A > 0.02
    assert focal_benign_bound(at(Focal(gamma), K, 0.01), gamma) == pytest.approx(c, rel=1e-12)


@pytest.mark.parametrize(("K", "gamma", "share"), [(20, 3.0, 0.99986232), (30, 1.0, 0.99991452)])
def test_near_few_classes_it_falls_a_little_short_of_it(K, gamma, share):
    A = {20: 0.0157056549968, 30: 0.017774908670}[K]
    odds = (K - 1) * math.exp(A)
    c = float(slope(1 / mpmath.mpf(1 + odds), gamma) / (K - 1))
    assert focal_benign_bound(at(Focal(gamma), K, 0.01), gamma) / c == pytest.approx(share, abs=1e-8)


@pytest.mark.parametrize(("gamma", "decay_b"), [(3.0, None), (3.0, 1e-2), (30.0, 0.0)])
def test_bounds_in_closed_form(gamma, decay_b):
    by_hand = {
        None: float(slope(mpmath.mpf(1) / 30, gamma)) / math.sqrt(30 * 29),
        1e-2: 1 / math.sqrt(30 * 29),
        0.0: 1 / 29,
    }
    assert focal_benign_bound(at(Focal(gamma), 30, 0.01, decay_b=decay_b), gamma) == pytest.approx(by_hand[decay_b])


def test_zero_is_not_said_to_be_alone_beyond_the_theorem():
    """A slope below 1 at zero, even where focal loss is nearly cross entropy and its slope nowhere rises."""
    assert not focal_zero_is_alone(at(Focal(0.005), 3, 0.5), 0.005)


@pytest.mark.parametrize(
    ("problem", "status"),
    [
        (at(Focal(3.0), 10, 0.1053, decay_b=1e-2), "proved benign"),
        (at(Focal(3.0), 10, 0.1055, decay_b=1e-2), "open"),
        (at(Focal(3.0), 10, (1 - 1e-11) / math.sqrt(90), decay_b=1e-2), "proved benign"),
        (at(Focal(3.0), 10, (1 - 1e-13) / math.sqrt(90), decay_b=1e-2), "open"),
        (at(Focal(3.0), 10, 0.1288), "proved benign"),
        (at(Focal(3.0), 10, 0.1289), "proved benign"),
        (at(Focal(2.1), 10, 0.16), "open"),
        (at(Focal(2.3), 10, 0.16), "proved benign"),
        (at(Focal(3.0), 10, 0.1289, d=8), "open"),
        (at(Focal(3.0), 17, 0.1), "open"),
        (at(Focal(3.0), 10, 0.1289, decay_b=None), "proved benign"),
        (at(Focal(3.0), 30, 0.0406), "proved benign"),
        (at(Focal(3.0), 30, 0.04065), "open"),
        (at(Focal(3.0), 30, 0.041), "proved not"),
        (at(Focal(3.0), 30, 0.041, decay_b=None), "proved not"),
        (at(Focal(3.0), 30, 0.0413), "proved not"),
        (at(Focal(3.0), 30, 0.0415), "open"),
        (at(Focal(3.0), 30, 0.0400, decay_b=None), "proved benign"),
        (at(Focal(3.0), 30, 0.0405, decay_b=None), "open"),
        (at(Focal(30.0), 30, 0.0344), "proved benign"),
        (at(Focal(30.0), 30, 0.0346), "open"),
        (at(Focal(3.0), 5, 0.3, d=1), "proved benign"),
        (at(Focal(3.0), 5, 0.2, d=3), "open"),
        (at(Focal(3.0), 5, 0.2, d=4), "proved benign"),
        (at(CrossEntropy(), 4, 0.1, d=3), "proved benign"),
        (at(LabelSmoothing(0.1), 4, 0.1, d=2), "open"),
        (at(SquaredError(), 4, 0.1, d=3), "proved benign"),
        (at(SquaredError(), 4, 0.1, d=3, decay_b=None), "open"),
        (at(SquaredError(), 4, 0.1, d=4, decay_b=1e-2), "proved benign"),
    ],
)
def test_answers(problem, status):
    found = landscape(problem)
    assert found.status == status, found.sentence
    assert bool(found.claims) == bool(found.rank) == (status != "open")
    assert set(found.claims) <= {claim.name for claim in claims()}


@pytest.mark.parametrize("decay_b", [0.0, 1e-2, None])
@pytest.mark.parametrize(("K", "gamma"), [(3, 3.0), (7, 2.0), (17, 3.0), (30, 1.0), (30, 3.0)])
def test_a_benign_landscape_has_a_proved_minimum(K, gamma, decay_b):
    for share in (0.2, 0.9, 0.95, 0.97, 0.998, 1.001, 1.01, 1.5):
        problem = at(Focal(gamma), K, share * float(slope(mpmath.mpf(1) / K, gamma)) / (K - 1), decay_b=decay_b)
        assert predict(problem).is_proved_global or not landscape(problem).is_benign


class Doubled(CrossEntropy):
    """Another function, which no claim knows."""


def test_a_subclass_is_another_loss():
    assert landscape(at(Doubled(), 3, 0.1)).status == "open"


def test_problems_that_differ_by_start_are_refused():
    problem = dataclasses.replace(at(Focal(3.0), 3, 0.1), decay_W=torch.tensor([0.1, 0.2], dtype=torch.float64))
    with pytest.raises(RequestError, match="problem"):
        landscape(problem)


LIKELY = "focal_landscape_is_benign_where_labels_are_likely"


def of_sizes(sizes, c, *, decay_b, gamma=3.0, d=None):
    """c = sqrt(N/K decay_W decay_H)."""
    decay = c / math.sqrt(sum(sizes) / len(sizes))
    return Problem(Focal(gamma), len(sizes), d or len(sizes), 1, decay, decay, decay_b, sizes=sizes)


@pytest.mark.parametrize(
    ("problem", "status"),
    [
        (of_sizes((2, 2, 1), 5.0, decay_b=None), "proved benign"),
        (of_sizes((2, 2, 1), 5.0, decay_b=None, d=1), "open"),
        (of_sizes((9,) * 16 + (1,), 5.0, decay_b=None), "proved benign"),
        (of_sizes((9,) * 17 + (1,), 5.0, decay_b=None), "open"),
        # free: s sqrt(N (N - n_y) (K - 1)/(K n_y)) = 1 at s = sqrt(3/40), decayed: N s sqrt((K - 1)/(K n_y)) = 1
        (of_sizes((2, 2, 1), math.sqrt(3 / 40 * 5 / 3) * 0.999, decay_b=0.0), "proved benign"),
        (of_sizes((2, 2, 1), math.sqrt(3 / 40 * 5 / 3) * 1.001, decay_b=0.0), "open"),
        (of_sizes((2, 2, 1), math.sqrt(3 / 50 * 5 / 3) * 0.999, decay_b=1e-6), "proved benign"),
        (of_sizes((2, 2, 1), math.sqrt(3 / 50 * 5 / 3) * 1.001, decay_b=1e-6), "open"),
        (of_sizes((2, 2, 1), math.sqrt(3 / 50 * 5 / 3) * 1.001, decay_b=10.0), "proved benign"),
    ],
)
def test_answers_for_classes_of_different_sizes(problem, status):
    found = landscape(problem)
    assert (found.status, found.claims) == (status, (LIKELY,) if status == "proved benign" else ()), found.sentence


def test_classes_of_different_sizes_are_benign_for_convex_losses():
    assert landscape(Problem(CrossEntropy(), 3, 3, 1, 1e-2, 1e-2, sizes=(2, 2, 1))).is_benign


@pytest.mark.parametrize(("decay_b", "status"), [(1.0, "proved benign"), (0.2, "proved benign"), (0.1, "open")])
def test_a_strong_decay_of_the_bias_reaches_further(decay_b, status):
    """At sqrt(K (K - 1)) c = 1.05: by rho > p_infl = 0.05749, by S(rho) > 1.05, or not at all."""
    K, c = 10, 1.05 / math.sqrt(90)
    problem = at(Focal(3.0), K, c, decay_b=decay_b)
    rho = 1 / (1 + (K - 1) * mpmath.exp(c * mpmath.sqrt(2 * K) / decay_b))
    is_below = rho >= mpmath.mpf("0.0575") or slope(rho, 3.0) > 1.05
    assert is_below == (status == "proved benign")
    found = landscape(problem)
    assert found.status == status, found.sentence
    assert not found.is_benign or (found.claims == (LIKELY,) and predict(problem).is_proved_global)


@pytest.fixture(scope="module")
def critical_points():
    """Of focal loss, gamma = 3, K = 4, n = 3, d = 2, c = 0.02: mostly saddles, by bias."""
    found = {}
    generator = torch.Generator().manual_seed(3)
    for decay_b in (None, 0.0):
        problem = at(Focal(3.0), 4, 0.02, d=2, n=3, decay_b=decay_b)
        scale = torch.tensor([0.3, 1.0, 2.0, 4.0], dtype=torch.float64)[torch.arange(32) % 4]
        starts = torch.randn(32, problem.size, dtype=torch.float64, generator=generator) * scale[:, None]
        ends = find_critical_points(problem, starts)
        found[decay_b] = problem, ends.x[ends.gradient_norm <= 1e-9]
    return found


def parts(problem, x):
    """W h, probabilities of the label, S, and soft margins, per sample."""
    W, H, _ = problem.unpack(x)
    labels = problem.labels()
    p = problem.logits(x).softmax(-1)[:, torch.arange(len(labels)), labels]
    S = (1 - p) ** 3 * (1 - p - 3 * p * p.log())
    return H @ W.mT, p, S, torch.log((problem.K - 1) * p / (1 - p))


def test_without_bias_no_critical_point_has_a_sample_below_chance(critical_points):
    problem, x = critical_points[None]
    p = parts(problem, x)[1]
    assert len(x) >= 10
    assert p.min() >= 1 / problem.K - 1e-12


def test_with_a_free_bias_a_critical_point_has_one():
    state = near_onset(20, 3.0, 19, 0.0631)
    x = torch.tensor([[float(entry.mid()) for entry in state.point]], dtype=torch.float64)
    assert state.problem.value_and_gradient(x)[1].abs().max() <= 1e-14
    assert parts(state.problem, x)[1].min() < 1 / 20 - 1e-4


@pytest.mark.parametrize("decay_b", [None, 0.0])
def test_samples_of_a_class_do_not_cross_at_any_critical_point(critical_points, decay_b):
    problem, x = critical_points[decay_b]
    H, (_, p, S, _) = problem.unpack(x).H, parts(problem, x)
    labels = problem.labels()
    applies = (labels[:, None] == labels) & (p[:, None, :] >= p[:, :, None]) & (S[:, None, :] <= S[:, :, None])
    apart = (H[:, :, None] - H[:, None]).norm(dim=-1)
    assert (apart * applies).max() <= 1e-7


def test_with_a_free_bias_the_bias_of_a_class_is_bounded_as_derived(critical_points):
    """beta_y <= log m_y - mean of ell over the other classes + T/N, and sigma |sum u| <= sum S a."""
    problem, x = critical_points[0.0]
    K, N, labels, sigma = problem.K, problem.N, problem.labels(), 3 * 0.02
    Z, _, S, a = parts(problem, x)
    b = problem.unpack(x).b
    beta = K / (K - 1) * (b - b.mean(-1, keepdim=True))
    total = (S * a).sum(-1) / sigma
    one_hot = torch.nn.functional.one_hot(labels).double()
    mean = S @ one_hot / problem.n
    ell = S.log() + a
    others = (ell.sum(-1, keepdim=True) - ell @ one_hot) / (N - problem.n)
    assert (mean.log() - others + total[:, None] / N - beta).min() >= -1e-9
    margins = K / (K - 1) * (Z * one_hot).sum(-1)
    assert (total - margins.sum(-1).abs()).min() >= -1e-7


@pytest.mark.slow
@pytest.mark.parametrize("K", [50, 100])
def test_partial_collapse_turns_with_more_classes_too(K):
    findings = turns(K, 3.0, K - 1)
    assert len(findings) == 4
    assert all(finding.holds for finding in findings), findings
