"""A proved Lipschitz constant of the plain model's Hessian around a point, by loss and sizes.

Along a unit direction u = (A, B, c) of (W, H, b) the logits of sample i move by

    p_i = A h_i + W b_i + c ,    and their second derivative is    q_i = 2 A b_i ,    b_i the rows of B;

they have no third. So with phi the loss of one sample in its logits

    D^3 f[u, u, u] = (1/N) sum_i { phi'''[p_i, p_i, p_i] + 3 phi''[p_i, q_i] } ,

the weight decays being quadratic. Line by line, with |W| and |H| spectral norms, h the longest feature, and beta and
gamma the bounds of |phi''[p, p]| / |p|^2 and |phi'''[p, p, p]| / |p|^3 over all logits:

    |p_i| <= h |A| + |W| |b_i| + |c| <= j ,            j^2 = h^2 + |W|^2 + 1 ,             (Cauchy-Schwarz, |u| = 1)
    (sum_i |p_i|^2)^(1/2) <= |H| |A| + |W| |B| + N^(1/2) |c| <= J ,   J^2 = |H|^2 + |W|^2 + N ,
    (sum_i |q_i|^2)^(1/2) <= 2 |A| |B| <= 1 ,                                              (2 |A| |B| <= |A|^2 + |B|^2)
    |D^3 f[u, u, u]| <= (gamma j J^2 + 3 beta J) / N .

(without a bias, the 1 and the N are left out). A symmetric trilinear form is largest on equal arguments (Banach 1938),
so this bounds the derivative of the Hessian in the spectral norm. Over a ball of radius r around a point, |W|, |H| and
h grow by r at most, and (gamma j J^2 + 3 beta J) / N at the grown norms is a Lipschitz constant there.

*The losses.* Under a distribution p has a variance of at most R^2 / 4 (Popoviciu 1935) and a third central moment of at
most R^3 / (6 sqrt(3)) in modulus, R its range: at a given mean the extremes are on two points, where it is
t (1 - t) (1 - 2 t) (distance)^3. A unit vector has range sqrt(2) at most. Cross entropy's phi'' and phi''' are these
moments under the softmax, whatever the target; of pick-all-labels as often as a sample has labels. A loss psi(x) of the
soft margin deficit x has Dx = e with |e| <= sqrt(2) |p|, and D^2 x, D^3 x the two moments under the softmax of the
other classes:

    phi'' = psi'' e^2 + psi' D^2 x ,    phi''' = psi''' e^3 + 3 psi'' e D^2 x + psi' D^3 x .

Focal loss with q = 1 - p_y, l = -log p_y (from here p = p_y) has dq/dx = p q = -dp/dx, dl/dx = q, so

    psi'   = q^gamma { gamma p l + q } ,
    psi''  = q^gamma { gamma (gamma p - q) p l + (2 gamma + 1) p q } ,
    psi''' = q^gamma { gamma (gamma p - q)^2 p l + (2 gamma + 1) (gamma p - q) p q
                       - gamma (gamma + 1) p q p l + p q [gamma (gamma p - q) + (2 gamma + 1) p] } ,

bounded term by term with q^gamma <= 1, p l <= 1/e, p q <= 1/4, |gamma p - q| <= max(gamma, 1). Squared error has a
constant phi''. What is argument is argued here; that no logits break beta and gamma, and no perturbation the constant,
the tests search for by machine.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from jaxtyping import Float
from torch import Tensor

from ufm.arguments import instance, takes, tensor
from ufm.model.loss import Loss
from ufm.model.losses import CrossEntropy, Focal, LabelSmoothing, SquaredError
from ufm.model.pick_all_labels import PickAllLabels
from ufm.model.problem import Problem

VARIANCE, SKEWNESS = 1 / 2, math.sqrt(2) ** 3 / (6 * math.sqrt(3))
"""Largest variance and third central moment of the entries of a unit vector under any distribution."""


class DerivativeBounds(NamedTuple):
    """Bounds of the second (beta) and third derivative (gamma) of one sample's loss over all logits."""

    second: float
    third: float


class Size(NamedTuple):
    """Spectral norms of W and H, and the longest row of H: numbers, or one per point."""

    W: float | Float[Tensor, " B"]
    H: float | Float[Tensor, " B"]
    longest: float | Float[Tensor, " B"]


def derivative_bounds(loss: Loss, K: int) -> DerivativeBounds | None:
    """The bounds of a loss of just this class (a subclass is another function); None where nobody has derived them."""
    found = BOUNDS.get(type(loss))
    return found(loss, K) if found else None


@takes(problem=instance(Problem), bounds=instance(DerivativeBounds), size=instance(Size), radius=tensor(None))
def lipschitz(
    problem: Problem, bounds: DerivativeBounds, size: Size, radius: Float[Tensor, " B"]
) -> Float[Tensor, " B"]:
    """A Lipschitz constant of the Hessian, spectral norm, over the ball of each radius around a point of this size."""
    grown = Size(*(norm + radius for norm in size))
    j, J = (grown.longest**2 + grown.W**2 + problem.has_bias) ** 0.5, jacobian(problem, grown)
    result: Tensor = (bounds.third * j * J**2 + 3 * bounds.second * J) / problem.N
    return result


def jacobian(problem: Problem, size: Size) -> float | Float[Tensor, " B"]:
    """J, the bound of the derivative of all logits in the point."""
    return (size.H**2 + size.W**2 + problem.N * problem.has_bias) ** 0.5


def _cross_entropy(loss: CrossEntropy, K: int) -> DerivativeBounds:
    return DerivativeBounds(VARIANCE, SKEWNESS)


def _pick_all_labels(loss: PickAllLabels, K: int) -> DerivativeBounds:
    most = max(map(len, loss.sets))
    return DerivativeBounds(most * VARIANCE, most * SKEWNESS)


def _squared_error(loss: SquaredError, K: int) -> DerivativeBounds:
    return DerivativeBounds(loss.weight(K), 0.0)


def _focal(loss: Focal, K: int) -> DerivativeBounds:
    gamma = float(loss.gamma)
    most, twice = max(gamma, 1.0), 2 * gamma + 1
    first = gamma / math.e + 1
    second = gamma * most / math.e + twice / 4
    third = gamma * most**2 / math.e + twice * most / 4 + gamma * (gamma + 1) / 4 / math.e + (gamma * most + twice) / 4
    of_third = third * 2 * math.sqrt(2) + 3 * second * math.sqrt(2) * VARIANCE + first * SKEWNESS
    return DerivativeBounds(2 * second + first * VARIANCE, of_third)


BOUNDS: dict[type[Loss], Callable[[Any, int], DerivativeBounds]] = {
    CrossEntropy: _cross_entropy,
    LabelSmoothing: _cross_entropy,
    Focal: _focal,
    SquaredError: _squared_error,
    PickAllLabels: _pick_all_labels,
}
"""The losses whose derivatives are bounded."""
