"""The minimum of models with hidden layers: every singular direction of the product on its own, active or zero.

Squared error, linear: `ufm/theory/deep_direction.py` has the cost of a direction. The minimum is global with a bias of
any decay (`theory_checks/deep_linear_minimum_is_global_with_any_bias.py`). With a ReLU:
`ufm/theory/deep_relu_prediction.py`.

Softmax losses: the best point on the simplex ray Z = a (I - 11'/K) (x) 1_n', where all K - 1 directions share one
margin, min over a of phi(a) + (K - 1) (M/2) lam (a sqrt n)^(2/M). For M > 2 and K > 2 this need not be the global
minimum: the penalty prefers few directions (`theory_checks/deep_cross_entropy_prefers_low_rank.py`; Garrod and Keating
2024). With two classes and a convex loss it is: the loss is at least phi(m), m the mean margin (Jensen; a bias cancels
in it), |m| sqrt n is at most the nuclear norm of Z, and sum x^(2/M) at least (sum x)^(2/M).
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ufm.errors import RequestError, check
from ufm.model.deep import DeepProblem
from ufm.model.loss import Loss
from ufm.model.losses import SquaredError
from ufm.model.target import NoPrediction, Target
from ufm.simplex import simplex_basis
from ufm.theory.deep_direction import energy, stationary_root
from ufm.theory.deep_relu_prediction import rectified_target
from ufm.theory.prediction import ray_of
from ufm.theory.roots import root
from ufm.tolerances import SAME_CLOSED_FORM


def deep_target(problem: DeepProblem) -> Target:
    """The predicted minimum of a model with layers between features and classifier.

    Raises:
        NoPrediction: behind a ReLU, where the minimum is not known.
        ValueError: if there is no hidden layer, classes differ in size, d is too small, or theory says nothing.
    """
    check(problem.factors >= 3, "factors", problem.factors, ">= 3 (two are the plain model)")
    check(problem.is_balanced, "sizes", problem.sizes, "equal class sizes with hidden layers")
    of_loss = _TARGETS.get(type(problem.loss), _on_simplex_ray)
    return of_loss(problem, problem.loss)


def _of_squared_error(problem: DeepProblem, loss: SquaredError) -> Target:
    if problem.is_rectified and problem.has_bias:
        raise RequestError("a ReLU with a bias has no prediction: `--decay-b` must be null with it.")
    return rectified_target(problem, loss) if problem.is_rectified else _linear_squared_error(problem, loss)


_TARGETS: dict[type[Loss], Callable[[DeepProblem, Any], Target]] = {SquaredError: _of_squared_error}
"""Losses of which more is known than the simplex ray."""


def _linear_squared_error(problem: DeepProblem, loss: SquaredError) -> Target:
    """Each of K - 1 simplex directions and, unless the bias is free, the one along 1: active or zero.

    Global because |Z - (Y - b 1')| is at least the distance of the singular values (Mirsky 1960) for every bias b, and
    the best b is a multiple of 1.
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
    return Target(
        value=value,
        point=point,
        margin=chosen[0] ** M / math.sqrt(n),
        is_proved_global=True,
        facts={"u": chosen[0], "states": states},
        is_benign=False,
        other_minima=tuple(s for s in states if s > value * (1 + SAME_CLOSED_FORM)),
    )


def _states(exists: list[bool], on: list[float], off: list[float], K: int, *, turns: bool) -> list[float]:
    """Values of all combinations of active and zero directions, lowest first; simplex directions are alike.

    Where the common direction weighs less than the others (`turns`), it is active beside active ones only: the
    product's singular vector along 1 would turn into a simplex direction that is zero, which has more to gain.
    """
    simplex = [r * on[0] + (K - 1 - r) * off[0] for r in range(K if exists[0] else 1)]
    common = [off[-1], *([on[-1]] if exists[-1] else [])] if len(on) == K else [0.0]
    values = sorted(a + b for a in simplex for b in common if not turns or b == off[-1] or a == simplex[-1])
    return [b for a, b in zip([-math.inf, *values], values, strict=False) if b - a > SAME_CLOSED_FORM * values[-1]]


def _on_simplex_ray(problem: DeepProblem, loss: Loss) -> Target:
    """The lowest local minimum on the ray, zero included."""
    if problem.is_rectified:
        raise RequestError(f"a ReLU has a prediction for squared error only: `--loss` must be mse, got {loss}.")
    K, n, M, lam = problem.K, problem.n, problem.factors, problem.geometric_mean
    ray = ray_of(loss, K)
    if ray is None:
        raise NoPrediction(f"no prediction is known for the loss {loss} with hidden layers.", {})

    def value(a: float) -> float:
        return ray.loss(a) + (K - 1) * M / 2 * lam * (a * math.sqrt(n)) ** (2 / M)

    def rising(a: float) -> float:
        return (K - 1) * lam * math.sqrt(n) * (a * math.sqrt(n)) ** (2 / M - 1) - ray.slope(a)

    grid = np.geomspace(1e-6, 700.0, 4000).tolist()
    signs = np.sign([rising(a) for a in grid])
    turns = np.flatnonzero((signs[:-1] < 0) & (signs[1:] > 0))
    minima = [root(rising, grid[i], grid[i + 1]) for i in turns]
    a = min([0.0, *minima], key=value)
    is_proved = K == 2 and loss.is_convex
    have_lower_pairs = a > 0 and K % 2 == 0 and K * 2 ** (2 / M) < 2 * (K - 1)
    lower = "opposite pairs of classes are lower" if have_lower_pairs else "points of lower rank may be lower"
    unproved = f"the prediction is the best simplex; with hidden layers, {lower}."
    return Target(
        value=value(a),
        point=_point(problem, (a * math.sqrt(n)) ** (1 / M), 0.0, 0.0),
        margin=a,
        is_proved_global=is_proved,
        facts={"zero": value(0.0), "margins_on_ray": minima},
        is_benign=False,
        other_minima=None,
        notes=() if is_proved else (unproved,),
    )


def _point(problem: DeepProblem, u: float, along: float, bias: float) -> Float[Tensor, " P"]:
    """Factors whose product has the singular values u^M on the simplex and along^M on 11'/K.

    The columns of Q are the directions in class space; in those of layer l every singular value is u sqrt(lam/decay).
    Where all are alike Q = I.
    """
    K, d = problem.K, problem.d
    rank = (K if along > 0 else K - 1) if u > 0 else int(along > 0)
    check(d >= rank, "dim", d, f">= {rank} for the predicted minimiser to fit (classes = {K})")
    eye = torch.eye(K, dtype=torch.float64)
    Q = torch.cat([eye.new_full((K, 1), K**-0.5), simplex_basis(K)], 1)
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
