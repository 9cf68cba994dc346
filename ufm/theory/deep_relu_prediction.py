"""Squared error and a ReLU after the last hidden layer, no bias: which states are known, and where one is the minimum.

B, the product of the M - 1 factors before the ReLU, costs ((M-1)/2) mu |B|_p^p, p = 2/(M-1), mu the geometric mean of
their decays; |B|_p^p is the sum of the p-th powers of the singular values. What counts of B for the loss is A =
relu(B), and negative entries may lower its rank for nothing: *opposite pairs of classes*, B = a [[1, -1], [-1, 1]] with
the single singular value 2 a, give A = a I at 2^(p-1) of the cost of B = a I. So a pair's two directions are those of
the linear model with the strength t of their penalty (`ufm/theory/deep_direction.py`) times 2^(3/M - 1): less for M >
3, the same for M = 3.

Two classes: the pair or zero is the minimum, for every M >= 3 (`theory_checks/relu_with_two_classes_is_a_pair.py`).

More classes: the minimum is not known. Pairs are the best that a symmetric positive semidefinite B with a diagonal A
can do (`theory_checks/deep_relu_pairs_lie_below_the_linear_minimum.py`); other pre-activations can be lower, with M = 3
too (`theory_checks/relu_pentagon_lies_below_the_linear_minimum.py`). That deep collapse is not optimal in ReLU models:
Sukenik, Mondelli and Lampert 2024, with a ReLU in every layer.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ufm.errors import check
from ufm.model.deep import DeepProblem
from ufm.model.losses import SquaredError
from ufm.model.target import NoPrediction, Target
from ufm.theory.deep_direction import best_root, energy


def rectified_target(problem: DeepProblem, loss: SquaredError) -> Target:
    """The minimum of two classes.

    Raises:
        NoPrediction: with more classes.
        ValueError: if the layers have fewer units than there are classes.
    """
    K, n, M = problem.K, problem.n, problem.factors
    value = pairs_value(problem, loss)
    if K > 2:
        why = "no prediction is known for a ReLU and more than two classes: what the starts found is shown, not judged."
        raise NoPrediction(why, {"opposite pairs of classes before the ReLU": value})
    u = best_root(float(loss.rescale) * math.sqrt(n), _strength(problem, loss) * _of_pair(M), M)
    check(problem.d >= (2 if u > 0 else 1), "dim", problem.d, ">= 2 for the predicted minimiser to fit (classes = 2)")
    return Target(
        value=value,
        point=_pair(problem, u),
        margin=u**M / math.sqrt(n),
        is_proved_global=True,
        facts={"u": u},
        is_benign=False,
        other_minima=None,
        notes=("before the ReLU the two classes are opposite and share one direction.",) if u > 0 else (),
    )


def pairs_value(problem: DeepProblem, loss: SquaredError) -> float:
    """The objective where as many classes as there are units are in opposite pairs, an odd one alone, the others zero.

    Pairs and the odd class are active where that is lower than zero.
    """
    K, M, weight = problem.K, problem.factors, loss.weight(problem.K)
    sigma, strength = float(loss.rescale) * math.sqrt(problem.n), _strength(problem, loss)
    units = min(K, problem.d)

    def best(t: float) -> float:
        return energy(best_root(sigma, t, M), sigma, t, M)

    energies = units // 2 * 2 * best(strength * _of_pair(M)) + units % 2 * best(strength) + (K - units) * sigma**2 / 2
    return weight / problem.N * energies


def _strength(problem: DeepProblem, loss: SquaredError) -> float:
    """Of the penalty of a direction, in units of the loss."""
    return problem.N * problem.geometric_mean / loss.weight(problem.K)


def _of_pair(M: int) -> float:
    """By how much a pair lowers the strength."""
    return float(2 ** (3 / M - 1))


def _pair(problem: DeepProblem, u: float) -> Float[Tensor, " P"]:
    """Two opposite classes whose direction every factor shares evenly: decay |factor|^2 = 2^(3/M) lam u^2."""
    d = problem.d
    norm = u * math.sqrt(2 ** (3 / problem.factors) * problem.geometric_mean)
    eye = torch.eye(2, d, dtype=torch.float64)
    sign = torch.tensor([1.0, -1.0], dtype=torch.float64)
    first = torch.eye(1, d, dtype=torch.float64)
    turn = (sign @ eye)[:, None] / math.sqrt(2)  # from the shared direction to one unit per class
    W = eye * norm / math.sqrt(2 * problem.decay_W)
    H = sign[problem.labels(), None] * first * norm / math.sqrt(2 * problem.n * problem.decay_H)
    inner = [first.mT @ first * norm / math.sqrt(decay) for decay in problem.inner[:-1]]
    return problem.assembled(W, [*inner, turn * first * norm / math.sqrt(problem.inner[-1])], H, W[:, 0] * 0)
