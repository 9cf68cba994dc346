"""The losses in ball arithmetic: value, gradient and Hessian of one sample, and the margin of the simplex ETF.

Derivatives are written out from p = softmax(z); with u = log p_y and focal loss phi(u) = -(1 - e^u)^gamma u, gradient =
phi'(u) (e_y - p) and Hessian phi''(u) (e_y - p)(e_y - p)' - phi'(u) (diag(p) - p p'), and cross entropy is phi(u) = -u.

A further loss is a subclass of `BallLoss` and its line in `BALLS`; where the margin is not written, none is enclosed.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from flint import arb

from ufm.model.loss import Loss
from ufm.model.losses import CrossEntropy, Focal, LabelSmoothing, SquaredError
from ufm.model.problem import Problem
from ufm.theory.prediction import predict
from ufm.tolerances import BOX

Ball = Any
"""An `arb`; the library has no type stubs."""
Balls = list[Ball]


class BallLoss(ABC):
    """One sample's loss of logits z and label y, every number a ball."""

    @abstractmethod
    def value(self, z: Balls, y: int) -> Ball:
        """The loss of one sample."""

    @abstractmethod
    def derivatives(self, z: Balls, y: int) -> tuple[Balls, list[Balls]]:
        """The gradient and the Hessian in the logits."""

    def margin(self, problem: Problem, c: Ball, near: float | None) -> Ball | None:
        """The ETF's margin at c = sqrt(n decay_W decay_H), in the neighbourhood of `near` if it has to be found."""
        return None

    def on_ray(self, a: Ball, K: int) -> Ball:
        """The loss on the simplex ray, less what does not depend on a."""
        return self.value([a] + [arb(0)] * (K - 1), 0)

    def bias(self, problem: Problem) -> Ball:
        """Every entry of the bias on the simplex ray."""
        return arb(0)


class CrossEntropyInBalls(BallLoss):
    """Cross entropy, whose target may be smoothed."""

    def __init__(self, loss: CrossEntropy) -> None:
        self.alpha = arb(float(loss.smoothing))

    def value(self, z: Balls, y: int) -> Ball:
        """-log p_y + alpha (z_y - mean(z))."""
        total = sum(((value - z[y]).exp() for value in z), arb(0))
        return total.log() + self.alpha * (z[y] - sum(z, arb(0)) / len(z))

    def derivatives(self, z: Balls, y: int) -> tuple[Balls, list[Balls]]:
        """Gradient and Hessian: those of phi(u) = -u at u = log p_y, plus alpha (e_y - 1/K)."""
        gradient, hessian = _in_logits(z, y, lambda _: (arb(-1), arb(0)))
        target = [arb(int(k == y)) - arb(1) / len(z) for k in range(len(z))]
        return [g + self.alpha * entry for g, entry in zip(gradient, target, strict=True)], hessian

    def margin(self, problem: Problem, c: Ball, near: float | None) -> Ball | None:
        """The closed form."""
        return (1 / (c + self.alpha / problem.K) - (problem.K - 1)).log()

    def on_ray(self, a: Ball, K: int) -> Ball:
        """log(1 + (K - 1) exp(-a)) + alpha (K - 1) / K a."""
        return (1 + (K - 1) * (-a).exp()).log() + self.alpha * (K - 1) / K * a


class FocalInBalls(BallLoss):
    """Focal loss in ball arithmetic."""

    def __init__(self, loss: Focal) -> None:
        self.gamma = arb(float(loss.gamma))

    def value(self, z: Balls, y: int) -> Ball:
        """-(1 - p_y)^gamma log p_y."""
        total = sum(((value - z[y]).exp() for value in z), arb(0))
        return (self.gamma * ((total - 1) / total).log()).exp() * total.log()

    def derivatives(self, z: Balls, y: int) -> tuple[Balls, list[Balls]]:
        """Gradient and Hessian: those of phi(u) = -(1 - e^u)^gamma u at u = log p_y."""
        return _in_logits(z, y, self.in_log_p)

    def in_log_p(self, total: Ball) -> tuple[Ball, Ball]:
        """phi'(u) and phi''(u) at u = log p_y = -log(total)."""
        p, u, q, gamma = 1 / total, -total.log(), (total - 1) / total, self.gamma
        power = (gamma * q.log()).exp()
        slope = power * (gamma * p * u / q - 1)
        return slope, gamma * p * power / q * (u - (gamma - 1) * p * u / q + 2)

    def margin(self, problem: Problem, c: Ball, near: float | None) -> Ball | None:
        """Interval Newton on S(a) = (K - 1) c around the predicted margin, then refined to the precision."""
        K, near = problem.K, predict(problem).margin if near is None else near
        middle, box = arb(near), arb(near, BOX)
        for _ in range(6):
            slope = _focal_slope_derivative(box, K, self.gamma)
            if not slope < 0:
                return None
            image = middle - (focal_slope_ball(middle, K, self.gamma) - (K - 1) * c) / slope
            if box.contains_interior(image):
                box, middle = image, arb(image.mid())
            elif box.rad() == arb(near, BOX).rad():
                return None
        return box

    def on_ray(self, a: Ball, K: int) -> Ball:
        """(1 - p)^gamma (-log p)."""
        return focal_value_ball(a, K, self.gamma)


class SquaredErrorInBalls(BallLoss):
    """Squared error weight/2 |z - r e_y|^2."""

    def __init__(self, loss: SquaredError) -> None:
        self.is_half_norm, self.rescale = loss.convention == "half_norm", arb(float(loss.rescale))

    def weight(self, K: int) -> Ball:
        """1 or 2/K."""
        return arb(1) if self.is_half_norm else arb(2) / K

    def value(self, z: Balls, y: int) -> Ball:
        """weight/2 |z - r e_y|^2."""
        return self.weight(len(z)) / 2 * squares([value - self.rescale * int(k == y) for k, value in enumerate(z)])

    def derivatives(self, z: Balls, y: int) -> tuple[Balls, list[Balls]]:
        """weight (z - r e_y), and weight on the diagonal."""
        K, weight = len(z), self.weight(len(z))
        gradient = [weight * (value - self.rescale * int(k == y)) for k, value in enumerate(z)]
        return gradient, [[weight * int(k == j) for j in range(K)] for k in range(K)]

    def margin(self, problem: Problem, c: Ball, near: float | None) -> Ball | None:
        """The closed form."""
        return self.rescale - problem.K * c / self.weight(problem.K)

    def on_ray(self, a: Ball, K: int) -> Ball:
        """What is left of the loss without the part along 1, which the bias takes."""
        return (K - 1) * self.weight(K) * (a - self.rescale) ** 2 / 2 / K

    def bias(self, problem: Problem) -> Ball:
        """The b that solves weight (b - rescale/K) + decay_b b = 0."""
        weight = self.weight(problem.K)
        return weight * self.rescale / problem.K / (weight + arb(float(problem.decay_b or 0.0)))


BALLS: dict[type[Loss], Any] = {
    CrossEntropy: CrossEntropyInBalls,
    LabelSmoothing: CrossEntropyInBalls,
    Focal: FocalInBalls,
    SquaredError: SquaredErrorInBalls,
}
"""loss -> `BallLoss`, by the loss's very class: a subclass is another function."""


def in_balls(loss: Loss) -> BallLoss:
    """The loss in ball arithmetic, if its class is in `BALLS`.

    Raises:
        NotImplementedError: if nobody has written it.
    """
    if type(loss) not in BALLS:
        raise NotImplementedError(f"{loss} has no derivatives in ball arithmetic.")
    found: BallLoss = BALLS[type(loss)](loss)
    return found


def squares(values: Balls) -> Ball:
    """The sum of the squares of balls."""
    return sum((value * value for value in values), arb(0))


def focal_value_ball(a: Ball, K: int, gamma: Ball) -> Ball:
    """phi(a) = (1 - p)^gamma (-log p)."""
    _, q, loss = _focal_parts(a, K)
    return (gamma * q.log()).exp() * loss


def focal_slope_ball(a: Ball, K: int, gamma: Ball) -> Ball:
    """S(a) = (1 - p)^gamma (1 - p - gamma p log p)."""
    p, q, loss = _focal_parts(a, K)
    return (gamma * q.log()).exp() * (q + gamma * p * loss)


def _focal_slope_derivative(a: Ball, K: int, gamma: Ball) -> Ball:
    """dS/da = -p (1 - p)^gamma [gamma (gamma p - (1 - p)) (-log p) + (2 gamma + 1) (1 - p)]."""
    p, q, loss = _focal_parts(a, K)
    return -p * (gamma * q.log()).exp() * (gamma * (gamma * p - q) * loss + (2 * gamma + 1) * q)


def _focal_parts(a: Ball, K: int) -> tuple[Ball, Ball, Ball]:
    """p, 1 - p and -log p."""
    odds = (K - 1) * (-a).exp()
    return 1 / (1 + odds), odds / (1 + odds), (1 + odds).log()


def _in_logits(z: Balls, y: int, in_log_p: Callable[[Ball], tuple[Ball, Ball]]) -> tuple[Balls, list[Balls]]:
    """Gradient and Hessian in the logits of a function of u = log p_y; `in_log_p` takes 1/p_y."""
    K = len(z)
    weights = [(value - z[y]).exp() for value in z]
    total = sum(weights, arb(0))
    p = [weight / total for weight in weights]
    slope, curvature = in_log_p(total)
    away = [arb(int(k == y)) - probability for k, probability in enumerate(p)]
    hessian = [
        [curvature * away[k] * away[j] - slope * (p[k] * int(k == j) - p[k] * p[j]) for j in range(K)] for k in range(K)
    ]
    return [slope * entry for entry in away], hessian
