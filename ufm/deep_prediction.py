"""The minimum of models with hidden layers: every singular direction of the product on its own, active or zero.

Squared error, linear: with sigma the target's singular value, a direction costs (x - sigma)^2/2 + (M/2) t x^(2/M) in
suitable units. x = u^M > 0 is stationary iff u^(2M-2) - sigma u^(M-2) + t = 0; for M > 2 the larger root and zero are
both local minima (Tirer and Bruna 2022 for M = 3, Ergen and Pilanci 2021; threshold for any M in
`theory_checks/deep_linear_threshold_of_the_zero_solution.py`).

Softmax losses: the best point on the simplex ray Z = a (I - 11'/K) (x) 1_n', where all K - 1 directions share one
margin, min over a of phi(a) + (K - 1) (M/2) lam (a sqrt n)^(2/M). For M > 2 this need not be the global minimum: the
penalty prefers few directions (`theory_checks/deep_cross_entropy_prefers_low_rank.py`; Garrod and Keating 2024; for
rectified models Sukenik et al. 2024).
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import brentq
from torch import Tensor

from ufm.command_line import RequestError, check
from ufm.deep import DeepProblem
from ufm.loss import Loss
from ufm.losses import CrossEntropy, Focal, LabelSmoothing, SquaredError
from ufm.prediction import cross_entropy_of_margin, focal_of_margin, focal_slope
from ufm.target import Target


def stationary_root(sigma: float, strength: float, M: int) -> float:
    """The largest root u of u^(2M-2) - sigma u^(M-2) + strength = 0, or 0 if there is none (M >= 2)."""

    def equation(u: float) -> float:
        return u ** (2 * M - 2) - sigma * u ** (M - 2) + strength

    least = (sigma * (M - 2) / (2 * M - 2)) ** (1 / M)  # where the equation's left side is least
    if equation(least) >= 0:
        return 0.0
    return float(brentq(equation, least, sigma ** (1 / M), xtol=1e-300, rtol=1e-15))


def energy(u: float, sigma: float, strength: float, M: int) -> float:
    """(x - sigma)^2/2 + (M/2) strength x^(2/M) at x = u^M."""
    return (u**M - sigma) ** 2 / 2 + M / 2 * strength * u * u


def deep_target(problem: DeepProblem) -> Target:
    """The predicted minimum.

    Raises:
        ValueError: if there is no hidden layer, classes differ in size, d is too small, or theory has no prediction.
    """
    check(problem.factors >= 3, "factors", problem.factors, ">= 3 (two are the plain model)")
    check(problem.is_balanced, "sizes", problem.sizes, "equal class sizes with hidden layers")
    if isinstance(problem.loss, SquaredError):
        if problem.is_rectified and problem.has_bias:
            raise RequestError("a ReLU with a bias has no prediction: `--decay-b` must be null with it.")
        return _squared_error(problem, problem.loss)
    if problem.is_rectified:
        raise RequestError(f"a ReLU has a prediction for squared error only: `--loss` must be mse, got {problem.loss}.")
    return _on_simplex_ray(problem)


def _squared_error(problem: DeepProblem, loss: SquaredError) -> Target:
    """Each of K - 1 simplex directions and, unless the bias is free, the one along 1: active or zero.

    Global because |Z - Y| is at least the distance of the singular values (Mirsky 1960), where all of the target's that
    count weigh alike: with a free bias or none.
    """
    K, n, N, M = problem.K, problem.n, problem.N, problem.factors
    k, r = loss.weight(K), float(loss.rescale)
    sigma = r * math.sqrt(n)
    # What the bias leaves of the weight along 1: nothing if it is free, all if there is none.
    kept = 1.0 if problem.decay_b is None else problem.decay_b / (k + problem.decay_b)
    weights = [k] * (K - 1) + [k * kept] * (kept > 0)
    roots = [stationary_root(sigma, N * problem.geometric_mean / weight, M) for weight in weights]
    on = [
        weight / N * energy(u, sigma, N * problem.geometric_mean / weight, M)
        for weight, u in zip(weights, roots, strict=True)
    ]
    off = [weight / N * sigma**2 / 2 for weight in weights]
    chosen = [u if a < b else 0.0 for u, a, b in zip(roots, on, off, strict=True)]
    states = _states([u > 0 for u in roots], on, off, K, turns=0 < kept < 1)
    value = sum(map(min, on, off))
    along = chosen[K - 1] if kept > 0 else 0.0
    bias = (1 - kept) * (r / math.sqrt(K) - along**M / math.sqrt(N)) / math.sqrt(K)
    point = _point(problem, chosen[0], along, bias)
    is_proved = kept in (0.0, 1.0) and not problem.is_rectified
    relu = "the ReLU's minimum is the linear one's by experience, which is not proved; before the ReLU features differ."
    decayed = "with a decayed bias that the minimum keeps to the simplex and its centre is assumed, not proved."
    return Target(
        value=value,
        point=point,
        margin=chosen[0] ** M / math.sqrt(n),
        is_proved_global=is_proved,
        facts={"u": chosen[0], "states": states},
        is_benign=False,
        other_minima=None if problem.is_rectified else tuple(s for s in states if s > value * (1 + 1e-12)),
        notes=(relu,) if problem.is_rectified else () if is_proved else (decayed,),
    )


def _states(exists: list[bool], on: list[float], off: list[float], K: int, *, turns: bool) -> list[float]:
    """Values of all combinations of active and zero directions, lowest first; simplex directions are alike.

    Where the common direction weighs less than the others (`turns`), it is active beside active ones only: the
    product's singular vector along 1 would turn into a simplex direction that is zero, which has more to gain.
    """
    simplex = [r * on[0] + (K - 1 - r) * off[0] for r in range(K if exists[0] else 1)]
    common = [off[-1], *([on[-1]] if exists[-1] else [])] if len(on) == K else [0.0]
    values = sorted(a + b for a in simplex for b in common if not turns or b == off[-1] or a == simplex[-1])
    return [b for a, b in zip([-math.inf, *values], values, strict=False) if b - a > 1e-12 * values[-1]]


def _on_simplex_ray(problem: DeepProblem) -> Target:
    """The lowest local minimum on the ray, zero included."""
    K, n, M, lam = problem.K, problem.n, problem.factors, problem.geometric_mean
    phi, slope = _of_margin(problem.loss, K)

    def value(a: float) -> float:
        return phi(a) + (K - 1) * M / 2 * lam * (a * math.sqrt(n)) ** (2 / M)

    def rising(a: float) -> float:
        return (K - 1) * lam * math.sqrt(n) * (a * math.sqrt(n)) ** (2 / M - 1) - slope(a)

    grid = np.geomspace(1e-6, 700.0, 4000).tolist()
    signs = np.sign([rising(a) for a in grid])
    turns = np.flatnonzero((signs[:-1] < 0) & (signs[1:] > 0))
    minima = [float(brentq(rising, grid[i], grid[i + 1], xtol=1e-300, rtol=1e-15)) for i in turns]
    a = min([0.0, *minima], key=value)
    unproved = "the prediction is the best simplex; with hidden layers, points of lower rank may be lower."
    return Target(
        value=value(a),
        point=_point(problem, (a * math.sqrt(n)) ** (1 / M), 0.0, 0.0),
        margin=a,
        is_proved_global=False,
        facts={"zero": value(0.0), "margins_on_ray": minima},
        is_benign=False,
        other_minima=None,
        notes=(unproved,),
    )


def _of_margin(loss: Loss, K: int) -> tuple[Callable[[float], float], Callable[[float], float]]:
    """The loss on the simplex ray and minus its slope."""
    match loss:
        case CrossEntropy():
            alpha = float(loss.alpha) if isinstance(loss, LabelSmoothing) else 0.0
            linear = alpha * (K - 1) / K
            return (
                lambda a: cross_entropy_of_margin(a, K) + linear * a,
                lambda a: focal_slope(a, K, 0.0) - linear,
            )
        case Focal(gamma=gamma):
            g = float(gamma)
            return lambda a: focal_of_margin(a, K, g), lambda a: focal_slope(a, K, g)
    raise RequestError(f"no prediction is known for the loss {loss} with hidden layers.")


def _point(problem: DeepProblem, u: float, along: float, bias: float) -> Float[Tensor, " P"]:
    """Factors whose product has the singular values u^M on the simplex and along^M on 11'/K.

    The columns of Q are the directions in class space; in those of layer l every singular value is u sqrt(lam/decay).
    Where all are alike Q = I, which also keeps a ReLU's input non-negative.
    """
    K, d = problem.K, problem.d
    rank = (K if along > 0 else K - 1) if u > 0 else int(along > 0)
    check(d >= rank, "dim", d, f">= {rank} for the predicted minimiser to fit (classes = {K})")
    eye = torch.eye(K, dtype=torch.float64)
    Q = torch.cat([eye.new_full((K, 1), K**-0.5), torch.linalg.qr(eye - 1 / K)[0][:, : K - 1]], 1)
    values = torch.tensor([along] + [u] * (K - 1), dtype=torch.float64)
    if u == along:
        Q = eye
    kept = values > 0
    Q, values = Q[:, kept], torch.nn.functional.pad(values[kept], (0, d - int(kept.sum())))
    Q = torch.nn.functional.pad(Q, (0, d - Q.shape[1]))

    def scaled(decay: float) -> Tensor:
        return values * math.sqrt(problem.geometric_mean / decay)

    H = (Q * scaled(problem.decay_H) / math.sqrt(problem.n))[problem.labels()]
    inner = [torch.diag(scaled(decay)) for decay in problem.inner]
    b = torch.full((K,), bias, dtype=torch.float64)
    return problem.assembled(Q * scaled(problem.decay_W), inner, H, b)
