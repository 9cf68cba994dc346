"""ReLU after M - 1 >= 2 linear factors, two classes, d >= 2, squared error, no bias: an opposite pair or zero is a
global minimiser.

Theme: more layers

Source: derived here, for this model; Sukenik, Mondelli and Lampert 2023 (deep neural collapse is optimal for two
classes, a ReLU in every layer)

Evidence: symbolic, for all real M >= 4 and M = 3, n, decays and widths d >= 2. *Samples*: |B|_p^p = tr (BB')^(p/2), p =
2/(M-1), is concave in BB', so f is at least its mean over the n^2 points at which both classes copy one of their
samples: collapsed, and n = 1 but for scales. *The ReLU lowers the nuclear norm* of d x 2 matrices: (s1 + s2)^2 = tr G +
2 sqrt(det G), G the Gram matrix of the columns. Rows (-, -) only lower A = relu(B); rows (+, +) are the same in both,
P; the others give Q to B and diag(u1, u2) to A. *The classifier* leaves (decay_W/2) sum h(s_i), h(s) = 1/(s^2 + c),
with the singular values of A, while |B|_p >= T = s1 + s2. M = 3: each s_i pays on its own; an orthogonal frame ties.
M >= 4: at fixed T the sum is least for s = (T/2, T/2), the pair, or (T, 0), which at its best, if lower than zero, has
T^2 >= (M - 2) c >= 2 c and is not below the pair. Numeric cross-check: the norms on 2000 random matrices.

False twin: three classes, where the ReLU can raise the nuclear norm.
"""

import numpy as np
import sympy

from theory_checks.symbols import is_positive, is_zero
from theory_checks.verdict import Finding, Verdict, step

MATRICES = 2000
RAISED = ((3, 0, 2), (0, 2, 3), (2, -1, 0))
"""The ReLU raises the nuclear norm of this matrix by 3.6 %; that of its first two columns it cannot."""


def check() -> Verdict:
    """Two columns."""
    return _verdict(2)


def refuted() -> Verdict:
    """Three."""
    return _verdict(3)


def _verdict(columns: int) -> Verdict:
    return Verdict.of(
        "symbolic",
        [*_nuclear_norm(), *_sampled(columns), *_two_singular_values(), *_one_alone()],
        sizes="all real M >= 4 and M = 3, n, decays, d >= 2; random matrices of up to 6 rows",
    )


def _nuclear_norm() -> list[Finding]:
    """A row (+, -) or (-, +) keeps one entry in A: u1, u2 are the sums of their squares, v1, v2 of those that are lost.

    Then tr G_B - tr G_A >= v1 + v2. With u = sqrt(u1 u2) and v = sqrt(v1 v2), det G_A = X + u^2 and det G_B >= X +
    (u - v)^2.
    """
    a, b, c, u1, u2, v1, v2, g = sympy.symbols("a b c u1 u2 v1 v2 g", positive=True)
    w, X, v, s1, s2 = sympy.symbols("w X v s1 s2", positive=True)
    P, Q = sympy.Matrix([[a, c], [c, b]]), sympy.Matrix([[u1 + v1, -g], [-g, u2 + v2]])
    X_of = P.det() + a * u2 + b * u1
    of_A, of_B = (P + sympy.diag(u1, u2)).det(), (P + Q).det()
    most = sympy.sqrt(v1 * u2) + sympy.sqrt(u1 * v2)  # of g, by Cauchy and Schwarz
    gap = (sympy.sqrt(X + w**2) + v) ** 2 - X - (w + v) ** 2
    return [
        step("(s1 + s2)^2 = tr + 2 sqrt(det)", is_zero((s1 + s2) ** 2 - s1**2 - s2**2 - 2 * sympy.sqrt(s1**2 * s2**2))),
        step("det G_A = X + u^2", is_zero(of_A - X_of - u1 * u2)),
        step("det G_B - X - det Q > 0", is_positive(sympy.expand(of_B - X_of - Q.det()))),
        step("det Q >= (u - v)^2", is_zero((Q.det().subs(g, most)) - (sympy.sqrt(u1 * u2) - sympy.sqrt(v1 * v2)) ** 2)),
        step("u <= w + v, w = |u - v|: sqrt(X + u^2) <= sqrt(X + w^2) + v", _is_twice(gap, v, X, w)),
        step("2 v <= v1 + v2", is_zero(v1 + v2 - 2 * sympy.sqrt(v1 * v2) - (sympy.sqrt(v1) - sympy.sqrt(v2)) ** 2)),
    ]


def _is_twice(gap: sympy.Expr, v: sympy.Symbol, X: sympy.Symbol, w: sympy.Symbol) -> bool:
    """The gap is 2 v (sqrt(X + w^2) - w), which is positive."""
    root = sympy.sqrt(X + w**2)
    return is_zero(gap - 2 * v * (root - w)) and is_positive((X + w**2) - w**2)


def _sampled(columns: int) -> list[Finding]:
    random = np.random.default_rng(0)
    sizes = random.integers(1, 7, MATRICES)
    matrices = [random.normal(size=(rows, columns)) for rows in sizes] + [np.array(RAISED, dtype=float)[:, :columns]]
    ratio = max(_nuclear(matrix.clip(0)) / _nuclear(matrix) for matrix in matrices)
    return [step(f"{columns} columns, largest ratio of the nuclear norms: {ratio:.6f}", ratio < 1 + 1e-12)]


def _nuclear(matrix: np.ndarray) -> float:
    return float(np.linalg.norm(matrix, "nuc"))


def _two_singular_values() -> list[Finding]:
    """At fixed T = s1 + s2, in y = s1 s2 between 0 and T^2/4."""
    T, c, y, more = sympy.symbols("T c y more", positive=True)
    s1, s2 = sympy.symbols("s1 s2", positive=True)
    total = (T**2 - 2 * y + 2 * c) / (y**2 + c * (T**2 - 2 * y) + c**2)
    parts = 1 / (s1**2 + c) + 1 / (s2**2 + c)
    slope = sympy.fraction(sympy.together(sympy.diff(total, y)))[0]
    sign = y**2 - y * (2 * c + T**2) + c**2
    half, whole = 2 / (T**2 / 4 + c), 1 / c + 1 / (T**2 + c)
    wide = (whole - half).subs(c, T**2 / (2 + more))
    return [
        step("h(s1) + h(s2) in T and y", is_zero(parts - total.subs({T: s1 + s2, y: s1 * s2}))),
        step("its slope in y has the sign of y^2 - (2c + T^2) y + c^2", is_zero(slope - 2 * sign)),
        step("which falls on [0, T^2/4]: least at an end", is_positive(-sympy.diff(sign, y).subs(y, T**2 / 4))),
        step("T^2 > 2 c: the pair is lower than (T, 0)", is_positive(sympy.factor(wide))),
        step("T^2 = 2 c: they tie", is_zero((whole - half).subs(c, T**2 / 2))),
    ]


def _one_alone() -> list[Finding]:
    """(T, 0) gains phi = T^2/(T^2 + c), pays k T^p: stationary where T phi' = p k T^p, below zero where phi > k T^p."""
    T, c, more = sympy.symbols("T c more", positive=True)
    M = 4 + more
    phi = T**2 / (T**2 + c)
    least = c * (M - 2)
    elasticity = T * sympy.diff(phi, T) / phi
    at_least = elasticity.subs(T, sympy.sqrt(least))
    return [
        step("T phi'/phi falls with T", is_positive(-sympy.diff(sympy.simplify(elasticity), T))),
        step("and is p = 2/(M-1) at T^2 = (M - 2) c", is_zero(at_least - 2 / (M - 1))),
        step("(M - 2) c >= 2 c", is_zero(least.subs(more, 0) - 2 * c) and is_positive(sympy.expand(least - 2 * c))),
    ]
