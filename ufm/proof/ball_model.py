"""The objective's gradient and Hessian in ball arithmetic: every number comes with a rigorous bound on its error.

Balls are python-flint's `arb` (Johansson 2017, Arb). Derivatives are written out from p = softmax(z); with u = log p_y
and focal loss phi(u) = -(1 - e^u)^gamma u, gradient = phi'(u) (e_y - p) and Hessian
phi''(u) (e_y - p)(e_y - p)' - phi'(u) (diag(p) - p p'), and cross entropy is phi(u) = -u.

Loss parameters and decays are taken as the exact values of the doubles in `Problem`: what is proved is proved of that
model (decay 0.01 is the double next to 1/100), and not of decimals that a user typed.
"""

from functools import cached_property
from typing import Any

from flint import arb, arb_mat

from ufm.model.loss import Loss
from ufm.model.losses import CrossEntropy, Focal, LabelSmoothing, SquaredError
from ufm.model.problem import Problem

Ball = Any
"""An `arb`; the library has no type stubs."""
Balls = list[Ball]
Matrix = Any
"""An `arb_mat`."""
GRADIENT_RADIUS = 1e-9
"""A gradient's enclosure that is wider than this times the curvature does not tell critical points from others."""
NOT_STATIONARY = "not critical in the full model"
"""Why a proof is refused that `is_stationary` does not confirm."""


class BallModel:
    """The model at one point, or at every point of a box, x = (W, H, b) flat as in `Problem`.

    Raises:
        NotImplementedError: for a loss whose derivatives nobody has written in ball arithmetic.
    """

    def __init__(self, problem: Problem, x: Balls) -> None:
        self.problem = problem
        K, d, N = problem.K, problem.d, problem.N
        self.W = arb_mat(K, d, x[: K * d])
        self.H = arb_mat(N, d, x[K * d : (K + N) * d])
        self.b = x[(K + N) * d :] if problem.has_bias else [arb(0)] * K
        logits = (self.H * self.W.transpose()).tolist()
        labels = problem.labels().tolist()
        self.logits = [[z + shift for z, shift in zip(row, self.b, strict=True)] for row in logits]
        self.samples = [loss_derivatives(problem.loss, z, y) for z, y in zip(self.logits, labels, strict=True)]
        self.G = arb_mat([[entry / N for entry in gradient] for gradient, _ in self.samples])

    @cached_property
    def value(self) -> Ball:
        """The objective."""
        problem = self.problem
        labels = problem.labels().tolist()
        loss = sum((loss_value(problem.loss, z, y) for z, y in zip(self.logits, labels, strict=True)), arb(0))
        parts = ((problem.decay_W, self.W.entries()), (problem.decay_H, self.H.entries()), (problem.decay_b, self.b))
        return loss / problem.N + sum((arb(float(decay or 0.0)) / 2 * _squares(part) for decay, part in parts), arb(0))

    @cached_property
    def gradient(self) -> Balls:
        """Of the objective."""
        problem = self.problem
        dW = self.G.transpose() * self.H + arb(float(problem.decay_W)) * self.W
        dH = self.G * self.W + arb(float(problem.decay_H)) * self.H
        flat = dW.entries() + dH.entries()
        if problem.has_bias:
            sums = (arb_mat(1, problem.N, [1] * problem.N) * self.G).entries()
            flat += [total + arb(float(problem.decay_b or 0.0)) * b for total, b in zip(sums, self.b, strict=True)]
        return flat

    @cached_property
    def hessian(self) -> Matrix:
        """Of the objective: J'(loss Hessian)J / N plus the part that G couples, plus decays."""
        problem = self.problem
        K, d, N = problem.K, problem.d, problem.N
        jacobian = arb_mat(N * K, problem.size, self._jacobian())
        weighted = arb_mat(N * K, problem.size)
        blocks = [arb_mat(curvature) / N for _, curvature in self.samples]
        for i, block in enumerate(blocks):
            part = block * arb_mat([[jacobian[i * K + k, j] for j in range(problem.size)] for k in range(K)])
            for k in range(K):
                for j in range(problem.size):
                    weighted[i * K + k, j] = part[k, j]
        total = jacobian.transpose() * weighted
        for i in range(N):
            for k in range(K):
                for a in range(d):
                    w, h = k * d + a, (K + i) * d + a
                    total[w, h] += self.G[i, k]
                    total[h, w] += self.G[i, k]
        decays = [problem.decay_W] * (K * d) + [problem.decay_H] * (N * d) + [problem.decay_b or 0.0] * K
        for j in range(problem.size):
            total[j, j] += arb(float(decays[j]))
        return total

    @cached_property
    def empty_column(self) -> Matrix:
        """The Hessian's block in a feature column of zeros, [[decay_W I, G'], [G, decay_H I]]."""
        K, N = self.problem.K, self.problem.N
        block = arb_mat(K + N, K + N)
        for j in range(K + N):
            block[j, j] = arb(float(self.problem.decay_W if j < K else self.problem.decay_H))
        for i in range(N):
            for k in range(K):
                block[k, K + i] = block[K + i, k] = self.G[i, k]
        return block

    def _jacobian(self) -> Balls:
        """Of the logits, row by row: z_ik = w_k . h_i + b_k."""
        problem = self.problem
        K, d, N = problem.K, problem.d, problem.N
        W, H = self.W.tolist(), self.H.tolist()
        entries: Balls = []
        for i in range(N):
            for k in range(K):
                row = [arb(0)] * problem.size
                row[k * d : (k + 1) * d] = H[i]
                row[(K + i) * d : (K + i + 1) * d] = W[k]
                if problem.has_bias:
                    row[(K + N) * d + k] = arb(1)
                entries += row
        return entries


def is_stationary(x: Balls, gradient: Balls) -> bool:
    """Whether the full gradient over the small ball x, said to hold a critical point, contains 0 and is narrow.

    Every enclosure of a critical point in this project has to pass this, however it was found: one along a subspace or
    a ray that no symmetry of the model fixes leaves a gradient across it.
    """
    curvature = max([1.0, *(float(abs(entry).upper()) ** 2 for entry in x)])  # the order of second derivatives
    return all(entry.contains(0) and entry.rad() < GRADIENT_RADIUS * curvature for entry in gradient)


def loss_value(loss: Loss, z: Balls, y: int) -> Ball:
    """One sample's loss.

    Raises:
        NotImplementedError: for a loss that is none of the four.
    """
    K = len(z)
    if isinstance(loss, SquaredError):
        weight = arb(1) if loss.convention == "half_norm" else arb(2) / K
        return weight / 2 * _squares([value - arb(float(loss.rescale)) * int(k == y) for k, value in enumerate(z)])
    if not isinstance(loss, CrossEntropy | Focal):
        raise NotImplementedError(f"{loss} has no ball arithmetic.")
    total = sum(((value - z[y]).exp() for value in z), arb(0))
    if isinstance(loss, Focal):
        return (arb(float(loss.gamma)) * ((total - 1) / total).log()).exp() * total.log()
    alpha = arb(float(loss.alpha)) if isinstance(loss, LabelSmoothing) else arb(0)
    return total.log() + alpha * (z[y] - sum(z, arb(0)) / K)


def loss_derivatives(loss: Loss, z: Balls, y: int) -> tuple[Balls, list[Balls]]:
    """Gradient and Hessian of one sample's loss in its logits.

    Raises:
        NotImplementedError: for a loss that is none of the four.
    """
    K = len(z)
    target = [arb(int(k == y)) for k in range(K)]
    if isinstance(loss, SquaredError):
        weight = arb(1) if loss.convention == "half_norm" else arb(2) / K
        gradient = [weight * (value - arb(float(loss.rescale)) * one) for value, one in zip(z, target, strict=True)]
        return gradient, [[weight * int(k == j) for j in range(K)] for k in range(K)]
    if not isinstance(loss, CrossEntropy | Focal):
        raise NotImplementedError(f"{loss} has no derivatives in ball arithmetic.")
    weights = [(value - z[y]).exp() for value in z]
    total = sum(weights, arb(0))
    p = [weight / total for weight in weights]
    slope, curvature = in_log_p(loss, total)
    away = [one - probability for one, probability in zip(target, p, strict=True)]
    gradient = [slope * entry for entry in away]
    if isinstance(loss, LabelSmoothing):
        gradient = [g + arb(float(loss.alpha)) * (one - arb(1) / K) for g, one in zip(gradient, target, strict=True)]
    hessian = [
        [curvature * away[k] * away[j] - slope * (p[k] * int(k == j) - p[k] * p[j]) for j in range(K)] for k in range(K)
    ]
    return gradient, hessian


def _squares(values: Balls) -> Ball:
    return sum((value * value for value in values), arb(0))


def in_log_p(loss: Loss, total: Ball) -> tuple[Ball, Ball]:
    """phi'(u) and phi''(u) at u = log p_y = -log(total)."""
    if not isinstance(loss, Focal):
        return arb(-1), arb(0)
    p, u, q, gamma = 1 / total, -total.log(), (total - 1) / total, arb(float(loss.gamma))
    power = (gamma * q.log()).exp()
    slope = power * (gamma * p * u / q - 1)
    return slope, gamma * p * power / q * (u - (gamma - 1) * p * u / q + 2)
