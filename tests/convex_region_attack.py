"""`python -m tests.convex_region_attack [--classes K] [--starts N] [--seed N]`: a label less likely than p_infl?

Focal loss with a bias; W is arbitrary (normal, with a row at zero, with two equal rows, of any size and rank up to 3),
only (H, b) are critical. Nothing of `ufm` is used: gradient and Jacobian are written out, their zeros found by
Levenberg and Marquardt's method, from features of any size, along their classes or against them, and biases up to 10.
Prints how many starts converged, in how many of these a sample has p < p_infl, or p < 1/K, and the largest deficit
log(1/p - 1) less log(K - 1) that was met. Exit code 1 if p < p_infl anywhere.
"""

import argparse
import sys
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

GAMMAS = (0.1, 0.3, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0)
DECAYS_B = (0.0, 0.0, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
BATCH, STEPS, CONVERGED, ROUNDING = 1000, 150, 1e-11, 1e-9

Array = np.ndarray[Any, np.dtype[np.float64]]


class Problems(NamedTuple):
    """A batch: classifiers (B, K, r), labels (N,), gamma, decay of the features and of the bias (B,)."""

    W: Array
    labels: Any
    gamma: Array
    decay: Array
    decay_b: Array


def slope(x: Any, gamma: Any) -> Any:
    """psi'(x) = q^gamma (q + gamma p log(1/p))."""
    p, q = expit(-x), expit(x)
    return q**gamma * (q + gamma * p * np.logaddexp(0, x))


def curvature(x: Any, gamma: Any) -> Any:
    """psi''(x)."""
    p, q = expit(-x), expit(x)
    return p * q**gamma * (gamma * (gamma * p - q) * np.logaddexp(0, x) + (2 * gamma + 1) * q)


def equations(problems: Problems, v: Array) -> tuple[Array, Array, Array]:
    """Gradient in (H, b), its Jacobian, and the deficits (B, N); a free bias is held to the mean 0."""
    W, labels, gamma, decay, decay_b = problems
    (B, K, r), N = W.shape, len(labels)
    h, b = v[:, : N * r].reshape(B, N, r), v[:, N * r :]
    own = np.eye(K, dtype=bool)[labels]
    z = h @ W.transpose(0, 2, 1) + b[:, None]
    others = np.where(own, -np.inf, z)
    highest = others.max(-1, keepdims=True)
    weights = np.exp(others - highest)
    total = weights.sum(-1, keepdims=True)
    w = weights / total
    x = (np.log(total) + highest)[..., 0] - z[:, np.arange(N), labels]
    u, S = w - own, slope(x, gamma[:, None]) / N
    G = S[..., None] * u
    mean = (decay_b == 0)[:, None] / K
    rows = decay[:, None, None] * h + G @ W
    gradient = np.concatenate([rows.reshape(B, -1), G.sum(1) + decay_b[:, None] * b + mean * b.sum(1)[:, None]], 1)
    spread = w[..., :, None] * np.eye(K) - w[..., :, None] * w[..., None, :]
    bend = curvature(x, gamma[:, None]) / N
    C = S[..., None, None] * spread + bend[..., None, None] * u[..., :, None] * u[..., None, :]
    CW = C @ W[:, None]
    J = np.zeros((B, N * r + K, N * r + K))
    for i in range(N):
        part = slice(i * r, (i + 1) * r)
        J[:, part, part] = W.transpose(0, 2, 1) @ CW[:, i] + decay[:, None, None] * np.eye(r)
        J[:, N * r :, part] = CW[:, i]
        J[:, part, N * r :] = CW[:, i].transpose(0, 2, 1)
    J[:, N * r :, N * r :] = C.sum(1) + decay_b[:, None, None] * np.eye(K) + mean[..., None]
    return gradient, J, x


def solved(problems: Problems, v: Array) -> tuple[Array, Array]:
    """Largest gradient entries (B,) and deficits (B, N) where the iteration ends."""
    damping = np.full(len(v), 1e-2)
    gradient, J, x = equations(problems, v)
    for _ in range(STEPS):
        A = J.transpose(0, 2, 1) @ J
        size = np.einsum("bii->bi", A).mean(1)
        A += (damping * (size + 1e-12) + 1e-13)[:, None, None] * np.eye(v.shape[1])
        moved = v - np.linalg.solve(A, (J.transpose(0, 2, 1) @ gradient[..., None]))[..., 0]
        is_less = (equations(problems, moved)[0] ** 2).sum(1) < (gradient**2).sum(1)
        v = np.where(is_less[:, None], moved, v)
        damping = np.clip(np.where(is_less, damping / 4, damping * 4), 1e-15, 1e6)
        gradient, J, x = equations(problems, v)
    return np.abs(gradient).max(1), x


def drawn(K: int, n: int, r: int, generator: np.random.Generator) -> tuple[Problems, Array]:
    """A batch and its starts."""
    B, labels = BATCH, np.repeat(np.arange(K), n)
    W = generator.normal(size=(B, K, r)) * 10 ** generator.uniform(-1, 1.3, (B, 1, 1))
    kind = generator.integers(0, 4, B)
    W[kind == 1, 0] = 0.0
    W[kind == 2, 1] = W[kind == 2, 0]
    W -= W.mean(1, keepdims=True) * (generator.random(B) < 0.7)[:, None, None]
    size = 10 ** generator.uniform(-1, 1.5, (B, 1, 1))
    along = W[:, labels] / (1 + np.abs(W).max((1, 2), keepdims=True)) * generator.choice([-1, 1], (B, K * n, 1))
    is_along = (generator.random(B) < 0.3)[:, None, None]
    h = size * np.where(is_along, along, generator.normal(size=(B, K * n, r)))
    b = generator.normal(size=(B, K)) * 10 ** generator.uniform(-1, 1, (B, 1))
    b[:, 0] -= (kind == 1) * 10 ** generator.uniform(-1, 1, B)
    gamma, decay_b = generator.choice(GAMMAS, B), generator.choice(DECAYS_B, B)
    problems = Problems(W, labels, gamma, 10 ** generator.uniform(-4, 0, B), decay_b)
    return problems, np.concatenate([h.reshape(B, -1), b - b.mean(1, keepdims=True)], 1)


def attack(K: int, starts: int, seed: int) -> dict[str, float]:
    """Counts, and the largest deficit less log(K - 1)."""
    generator = np.random.default_rng(seed)
    inflection = {gamma: brentq(lambda x, g=gamma: curvature(x, g) / expit(-x), 0.0, 60.0) for gamma in GAMMAS}
    found = {"starts": 0, "converged": 0, "below p_infl": 0, "below 1/K": 0, "largest excess": -np.inf}
    while found["starts"] < starts:
        problems, v = drawn(
            K, int(generator.choice([1, 1, 2, 3])), int(generator.choice([1, 2, min(3, K - 1)])), generator
        )
        with np.errstate(all="ignore"):
            rest, x = solved(problems, v)
        is_good, worst = rest < CONVERGED, x.max(1)
        limit = np.array([inflection[gamma] for gamma in problems.gamma])
        found["starts"] += len(v)
        found["converged"] += int(is_good.sum())
        found["below p_infl"] += int((is_good & (worst > limit)).sum())
        found["below 1/K"] += int((is_good & (worst > np.log(K - 1) + ROUNDING)).sum())
        found["largest excess"] = float(max(found["largest excess"], (worst - np.log(K - 1))[is_good].max()))
    return found


def main() -> int:
    """Attack and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.convex_region_attack", description=__doc__)
    parser.add_argument("--classes", type=int, default=3)
    parser.add_argument("--starts", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    found = attack(asked.classes, asked.starts, asked.seed)
    print(f"K = {asked.classes}:", found)
    return int(found["below p_infl"] > 0)


if __name__ == "__main__":
    sys.exit(main())
