"""ReLU after two linear factors (M = 3), K = d = 5, n = 1, squared error, no bias: at decays of 0.08 the minimum is
below the linear one, which is zero there.

Theme: more layers

Source: Sukenik, Mondelli and Lampert 2024 (features that are strongly regular graphs, a ReLU in every layer); this
model's pentagon is found and derived here. Against Tirer and Bruna 2022, nonlinear extra layer, without its condition
on nuclear norms

Evidence: symbolic, one instance: K = d = 5, n = 1, all decays 0.08. Before the ReLU B = x (C - phi I), C the adjacency
matrix of the pentagon, phi = (sqrt 5 - 1)/2 its double eigenvalue: rank 3, while relu(B) = x C has rank 5 and a larger
nuclear norm. With the best classifier, f at x = 0.41 is in Q(sqrt 5) and less than f(0) = 1/2, the linear minimum: K^3
n decay^3 = 0.064 > 1/16 (`deep_linear_threshold_of_the_zero_solution`). Numeric cross-check: the objective of the
factors themselves.

False twin: decays of 0.07, where the linear minimum is lower.
"""

import sympy
import torch

from theory_checks.symbols import is_zero
from theory_checks.verdict import Finding, Verdict, cross_check, step
from ufm.model.deep import DeepProblem
from ufm.model.losses import SquaredError

K = 5
SCALE = sympy.Rational(41, 100)
PHI = (sympy.sqrt(5) - 1) / 2
PENTAGON = sympy.Matrix(K, K, lambda i, j: int((i - j) % K in (1, K - 1)))
BEFORE = SCALE * (PENTAGON - PHI * sympy.eye(K))


def check() -> Verdict:
    """Decays of 0.08."""
    return _verdict(sympy.Rational(8, 100))


def refuted() -> Verdict:
    """Of 0.07."""
    return _verdict(sympy.Rational(7, 100))


def _verdict(decay: sympy.Rational) -> Verdict:
    eigenvalues = {sympy.Integer(2): 1, PHI: 2, -PHI - 1: 2}
    ridge = sum(m / ((SCALE * e) ** 2 + K * decay) for e, m in eigenvalues.items())
    nuclear = SCALE * sum(m * sympy.Abs(e - PHI) for e, m in eigenvalues.items())
    value = sympy.radsimp(decay / 2 * ridge + decay * nuclear)
    half = sympy.Rational(1, 2)
    return Verdict.of(
        "symbolic",
        [
            step("relu(B) = x C", BEFORE.applyfunc(lambda entry: sympy.Max(entry, 0)) == SCALE * PENTAGON),
            step("C has the eigenvalues 2, phi, -phi - 1", _are_eigenvalues(eigenvalues)),
            step("the ReLU raises the nuclear norm", SCALE * sum(m * abs(e) for e, m in eigenvalues.items()) > nuclear),
            step("the linear minimum is f(0) = 1/2: K^3 decay^3 >= 1/16", (K * decay) ** 3 >= sympy.Rational(1, 16)),
            step(f"the pentagon's value {float(value):.9f} is less than 1/2", value < half),
            *_measured(decay, float(value)),
        ],
        sizes="K = d = 5, n = 1, M = 3, decays 0.08, no bias",
    )


def _are_eigenvalues(multiplicities: dict[sympy.Expr, int]) -> bool:
    """Three different ones of a symmetric matrix, by its minimal polynomial and the traces of two powers."""
    shifted = [PENTAGON - e * sympy.eye(K) for e in multiplicities]
    product = (shifted[0] * shifted[1] * shifted[2]).applyfunc(sympy.expand)
    traces = [sum(m * e**power for e, m in multiplicities.items()) - (PENTAGON**power).trace() for power in (0, 1, 2)]
    return product == sympy.zeros(K, K) and all(map(is_zero, traces))


def _measured(decay: sympy.Rational, value: float) -> list[Finding]:
    """f of W, one layer and H whose product is B, shared evenly."""
    B = torch.tensor(BEFORE.evalf(20).tolist(), dtype=torch.float64)
    U, s, V = torch.linalg.svd(B)
    A = B.clamp(min=0)
    rate = float(decay)
    problem = DeepProblem(SquaredError(), K, K, 1, rate, rate, None, (rate,), is_rectified=True)
    W = A.mT @ torch.linalg.inv(A @ A.mT + K * rate * torch.eye(K, dtype=torch.float64))
    x = problem.assembled(W, [U * s.sqrt()], V.mT * s.sqrt(), W[:, 0] * 0)
    return [cross_check("objective of the factors less the value", abs(float(problem.value(x)) - value), 1e-12)]
