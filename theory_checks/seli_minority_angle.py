"""In SELI with K/2 classes of size R and K/2 of size 1, two minority rows of W have cosine (x - 2)/(x + K - 2), x^2 =
(R + 1)/2.

Source: Thrampoulidis et al. 2022, SELI geometry under step imbalance (minority collapse is asymptotic)

Evidence: symbolic. W W' is proportional to ((I - J) D (I - J))^(1/2), J = 11'/K, D = diag(n_k). Its eigenvalues are R
on differences of majority classes, 1 on differences of minority classes and (R + 1)/2 on the contrast of both groups,
shown for K = 4, 6, 8, 10; the cosine follows. It is -1/(K - 1) at R = 1, 0 at R = 7 for every K, rises with R and
tends to 1: without decay minority classifiers coincide only in the limit.

False twin: the harmonic mean 2R/(R + 1) in place of the arithmetic one.
"""

from collections.abc import Callable

import sympy
from sympy import Expr, Matrix

from theory_checks.verdict import Verdict, step

GROUP_SIZES = (2, 3, 4, 5)


def check() -> Verdict:
    """Arithmetic mean of the class sizes on the contrast."""
    return _verdict(lambda R: (R + 1) / 2)


def refuted() -> Verdict:
    """Harmonic mean."""
    return _verdict(lambda R: 2 * R / (R + 1))


def _verdict(mean: Callable[[Expr], Expr]) -> Verdict:
    R, half = sympy.symbols("R m", positive=True)
    x = sympy.sqrt(mean(R))
    K = 2 * half
    length, product = 1 - 1 / half + x / K, -1 / half + x / K  # of the rows' Gram matrix within the minority
    cosine = (x - 2) / (x + K - 2)
    others = sympy.Symbol("q", positive=True)  # K - 2
    slope = sympy.factor(sympy.diff(cosine, R).subs(half, others / 2 + 1))
    return Verdict.of(
        "symbolic",
        [
            *(
                step(f"K = {2 * m}: eigenvalues R, 1 and {mean(R)}", _has_eigenvalues(m, R, mean(R)))
                for m in GROUP_SIZES
            ),
            step("the cosine is that of the square root", _is_zero(product / length - cosine)),
            step("R = 1: -1/(K - 1)", _is_zero(cosine.subs(R, 1) + 1 / (K - 1))),
            step("R = 7: orthogonal", _is_zero(cosine.subs(R, 7))),
            step("rises with R", slope.is_positive),
            step("tends to 1 as R grows", sympy.limit(cosine.subs(half, 3), R, sympy.oo) == 1),
        ],
        sizes="all R > 0; eigenvalues for K = 4, 6, 8, 10, cosine for all K > 2",
    )


def _has_eigenvalues(m: int, R: Expr, on_contrast: Expr) -> bool:
    K = 2 * m
    centre = sympy.eye(K) - sympy.ones(K, K) / K
    A = centre * sympy.diag(*[R] * m, *[1] * m) * centre
    pairs = [(R, _difference(K, 0, j)) for j in range(1, m)] + [(1, _difference(K, m, m + j)) for j in range(1, m)]
    pairs += [(on_contrast, Matrix([1] * m + [-1] * m)), (0, sympy.ones(K, 1))]
    return all((A * v - value * v).applyfunc(sympy.simplify).is_zero_matrix for value, v in pairs)


def _difference(K: int, i: int, j: int) -> Matrix:
    return Matrix(K, 1, lambda k, _: int(k == i) - int(k == j))


def _is_zero(expression: Expr) -> bool:
    return sympy.simplify(expression) == 0
