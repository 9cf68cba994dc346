"""The objective's gradient and Hessian in ball arithmetic: every number comes with a rigorous bound on its error.

Balls are python-flint's `arb` (Johansson 2017, Arb). The losses are in `ufm/proof/ball_losses.py`.

Loss parameters and decays are taken as the exact values of the doubles in `Problem`: what is proved is proved of that
model (decay 0.01 is the double next to 1/100), and not of decimals that a user typed.
"""

from functools import cached_property
from typing import Any

from flint import arb, arb_mat

from ufm.model.problem import Problem
from ufm.proof.ball_losses import Ball, Balls, in_balls, squares
from ufm.tolerances import GRADIENT_RADIUS

Matrix = Any
"""An `arb_mat`."""
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
        self.loss = in_balls(problem.loss)
        self.samples = [self.loss.derivatives(z, y) for z, y in zip(self.logits, labels, strict=True)]
        self.G = arb_mat([[entry / N for entry in gradient] for gradient, _ in self.samples])

    @cached_property
    def value(self) -> Ball:
        """The objective at the point, or on the box."""
        problem = self.problem
        labels = problem.labels().tolist()
        loss = sum((self.loss.value(z, y) for z, y in zip(self.logits, labels, strict=True)), arb(0))
        parts = ((problem.decay_W, self.W.entries()), (problem.decay_H, self.H.entries()), (problem.decay_b, self.b))
        return loss / problem.N + sum((arb(float(decay or 0.0)) / 2 * squares(part) for decay, part in parts), arb(0))

    @cached_property
    def gradient(self) -> Balls:
        """The gradient of the objective."""
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
        """The Hessian of the objective: J'(loss Hessian)J / N plus the part that G couples, plus decays."""
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
        """The Jacobian of the logits, row by row: z_ik = w_k . h_i + b_k."""
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
