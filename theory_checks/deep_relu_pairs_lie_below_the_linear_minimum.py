"""ReLU after M - 1 >= 3 linear factors, squared error, no bias, d >= K: the minimum is below the linear one wherever
that is not zero, since opposite pairs of classes before the ReLU cost less.

Theme: more layers

Source: Sukenik, Mondelli and Lampert 2024 (deep neural collapse is not optimal, low-rank bias; a ReLU in every layer);
this model's pairs, their threshold and their optimality in a class are derived here

Evidence: symbolic, in real M > 3, for all K >= 2, n, decays and d >= K. The factors before the ReLU cost (M-1)/2 mu
|B|_p^p, p = 2/(M-1), whatever relu(B) is. B = a [[1, -1], [-1, 1]] for each pair of classes (an odd one alone) has
relu(B) = a I like the linear minimum's B = a I, at 2^(p-1) < 1 of a pair's cost; a simplex before the ReLU, with (K/(K
- 1))^(p-1) of it, lies between the two. The linear minimum is zero iff K^M n prod(decays) >= t
(`deep_linear_threshold_of_the_zero_solution`), a pair is lower than zero up to 2^(M-3) t: so at K = 3, n = 2, M = 4,
decays 0.08, where the linear minimum is zero and the ReLU's is not. *Best in a class*: for symmetric B >= 0 with
relu(B) = diag(a), |B|_p^p >= sum (2 a_k)^p/2, attained by pairs: x'Bx + |x|'B|x| = 2 (x+'Bx+ + x-'Bx-) <= 2 sum a_k
x_k^2 gives B <= 2 diag(a), and B^(p-1) falls with B (Loewner). Not shown: that no other B is lower. Numeric
cross-check: that bound on 200 random B; at K = 3, n = 2, M = 4, decays 0.01 the lowest of 48 starts has the pairs'
value 0.0632634440 (linear: 0.0707043).

False twin: M = 3, where pairs and frame cost the same.
"""

import math
from fractions import Fraction

import numpy as np
import sympy

from theory_checks.random_starts import starts_at_scales
from theory_checks.symbols import is_positive, is_zero
from theory_checks.verdict import Finding, Verdict, cross_check, step
from ufm.model.deep import DeepProblem
from ufm.model.losses import SquaredError
from ufm.solve.minimise import minimise

STARTS, MATRICES = 48, 200


def check() -> Verdict:
    """M = 4 + more."""
    return _verdict(sympy.Symbol("more", positive=True) + 3)


def refuted() -> Verdict:
    """M = 3."""
    return _verdict(sympy.Integer(3))


def _verdict(M: sympy.Expr) -> Verdict:
    a, q = sympy.symbols("a q", positive=True)  # K = q + 2
    K, p = q + 2, 2 / (M - 1)
    pair = a * sympy.Matrix([[1, -1], [-1, 1]])
    log_pair, log_simplex = (p - 1) * sympy.log(2), (p - 1) * sympy.log(K / (K - 1))
    return Verdict.of(
        "symbolic",
        [
            step("relu(pair) = a I", pair.applyfunc(lambda entry: sympy.Max(entry, 0)) == a * sympy.eye(2)),
            step("its singular values are 2 a and 0", sorted(pair.singular_values(), key=str) == [0, 2 * a]),
            step("a pair's cost over the frame's: log = (p - 1) log 2", _is_ratio((2 * a) ** p, 2 * a**p, log_pair)),
            step("the simplex's: (p - 1) log(K/(K-1))", _is_ratio(_of_simplex(a, K, p), K * a**p, log_simplex)),
            step("a pair's is below 1", is_positive(-log_pair)),
            step("and, for K > 2, below the simplex's: K/(K-1) < 2", is_positive((1 - p) * (2 - K / (K - 1)))),
            *_threshold(M),
            step("x'Bx + |x|'B|x| = 2 (x+'Bx+ + x-'Bx-)", _splits()),
            step("tr B (2 diag(a))^(p-1) = sum (2 a_k)^p/2", is_zero(a * (2 * a) ** (p - 1) - (2 * a) ** p / 2)),
            *_measured(),
        ],
        sizes=f"all real M > 3, K >= 2, n, decays, d >= K; {MATRICES} random B; K = 3, n = 2, M = 4",
    )


def _of_simplex(a: sympy.Expr, K: sympy.Expr, p: sympy.Expr) -> sympy.Expr:
    """K - 1 singular values a K/(K - 1): a (K I - J)/(K - 1) has the diagonal a and negative entries elsewhere."""
    return (K - 1) * (a * K / (K - 1)) ** p


def _is_ratio(cost: sympy.Expr, frame: sympy.Expr, log: sympy.Expr) -> bool:
    return is_zero(sympy.expand_log(sympy.log(cost) - sympy.log(frame) - log, force=True))


def _threshold(M: sympy.Expr) -> list[Finding]:
    """A pair's direction is a linear one whose strength^M has the factor 2^(3-M)."""
    w, x, rate, mu, y = sympy.symbols("w x lambda mu y", positive=True)
    p = 2 / (M - 1)
    cost = rate * w**2 + (M - 1) / 2 * mu * x**p  # of the classifier w I and the singular value x = 2 a sqrt n
    shared = {w: sympy.sqrt(y / 2 / rate), x: (y / mu) ** (1 / p)}  # 2 rate w^2 = mu x^p = y
    slope = x * sympy.diff(cost, x) - w * sympy.diff(cost, w)  # along a fixed product w x
    lam = (rate * mu ** (M - 1)) ** (1 / M)
    linear = 2 * M / 2 * lam * (w * x / 2) ** (2 / M)  # two directions, each w a sqrt n
    factor = (sympy.log(cost) - sympy.log(linear)).subs(shared)
    tie = Fraction(4, 3**6)  # (M-2)^(M-2) / (M-1)^(2M-2) at M = 4
    at = 3**4 * 2 * Fraction(8, 100) ** 4
    return [
        step("a pair shares its cost evenly", is_zero(slope.subs(shared))),
        step("its strength is 2^(3/M - 1) of the linear one's", _vanishes(factor - (3 / M - 1) * sympy.log(2))),
        step("less than 1, so that a pair stays where linear factors are zero", is_positive(1 - 3 / M)),
        step("K = 3, n = 2, M = 4, decays 0.08: linear factors are zero, a pair is not", tie <= at < 2 * tie),
    ]


def _vanishes(expression: sympy.Expr) -> bool:
    return is_zero(sympy.expand_log(sympy.powdenest(expression, force=True), force=True))


def _splits() -> bool:
    """With x = x+ - x- and |x| = x+ + x-, in the three numbers x+'Bx+, x-'Bx-, x+'Bx-."""
    plus, minus, mixed = sympy.symbols("plus minus mixed", real=True)
    return is_zero((plus + minus - 2 * mixed) + (plus + minus + 2 * mixed) - 2 * (plus + minus))


def _measured() -> list[Finding]:
    random = np.random.default_rng(0)
    short = max(_shortfall(random, p) for p in (2 / 3, 2 / 5) for _ in range(MATRICES // 2))
    problem = DeepProblem(SquaredError(), 3, 3, 2, 0.01, 0.01, None, (0.01, 0.01), is_rectified=True)
    lowest = float(minimise(problem, starts_at_scales(problem.size, STARTS), 1e-9, 2000).value.min())
    pairs = 2 * _class_value(2 ** (2 / 3 - 1)) + _class_value(1.0)
    return [
        cross_check("largest excess of sum (2 a_k)^p/2 over |B|_p^p", max(short, 0.0), 1e-12),
        cross_check(f"lowest of {STARTS} starts less the pairs' {pairs:.10f}", abs(lowest - pairs), 1e-9),
        step(f"the frame has {3 * _class_value(1.0):.7f}", 3 * _class_value(1.0) > 0.07),
    ]


def _shortfall(random: np.random.Generator, p: float) -> float:
    """By how much a random B >= 0 with entries <= 0 off its diagonal misses the bound, relative."""
    K = int(random.integers(2, 7))
    off = -np.triu(random.exponential(size=(K, K)) * (random.random((K, K)) < 0.7), 1)
    B = off + off.T
    B += np.diag(-B.sum(1) * random.choice([1.0, 1.2], K) + 0.1 * random.random(K))  # diagonally dominant
    bound = ((2 * np.diag(B)) ** p).sum() / 2
    return float(bound - (np.linalg.eigvalsh(B).clip(0) ** p).sum()) / float(bound)


def _class_value(ratio: float, K: int = 3, n: int = 2, decay: float = 0.01, M: int = 4) -> float:
    """The least share of one class in f, the classifier minimised: decay/2/(a^2 + K decay) + ratio cost(a sqrt n)."""
    a = np.linspace(0.0, 3.0, 300_001)
    share = decay / 2 / (a * a + K * decay) + (M - 1) / 2 * decay * ratio * (a * math.sqrt(n)) ** (2 / (M - 1))
    return float(share.min())
