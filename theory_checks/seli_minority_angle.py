"""In SELI with K >= 4, K/2 classes of size R and K/2 of size 1, two minority rows of W have cosine (x - 2)/(x + K - 2),
x^2 = (R + 1)/2.

Theme: imbalance

Source: Thrampoulidis et al. 2022, SELI geometry under step imbalance (minority collapse is asymptotic)

Evidence: symbolic. W W' is proportional to ((I - J) D (I - J))^(1/2), J = 11'/K, D = diag(n_k). Its eigenvalues are R
on differences of majority classes, 1 on differences of minority classes and (R + 1)/2 on the contrast of both groups,
for every even K; the cosine follows. It is -1/(K - 1) at R = 1, 0 at R = 7 for every K, rises with R and tends to 1:
without decay minority classifiers coincide only in the limit.

False twin: the harmonic mean 2R/(R + 1) in place of the arithmetic one.
"""

from collections.abc import Callable

import sympy
from sympy import Expr

from theory_checks.verdict import Verdict, step


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
            step(f"eigenvalues R, 1 and {mean(R)}, every K", _has_eigenvalues(half, R, mean(R))),
            step("the cosine is that of the square root", _is_zero(product / length - cosine)),
            step("R = 1: -1/(K - 1)", _is_zero(cosine.subs(R, 1) + 1 / (K - 1))),
            step("R = 7: orthogonal", _is_zero(cosine.subs(R, 7))),
            step("rises with R", slope.is_positive),
            step("tends to 1 as R grows, every K", sympy.limit(cosine, R, sympy.oo) == 1),
        ],
        sizes="all R > 0, all even K >= 4",
    )


def _has_eigenvalues(half: Expr, R: Expr, on_contrast: Expr) -> bool:
    """Of (I - J) D (I - J), on vectors that add up to zero: entries, class sizes, numbers of classes, eigenvalue.

    The differences of two classes of one group (beside the group's others and the other group), and the contrast.
    """

    def image(entries: list[Expr], weights: list[Expr], counts: list[Expr]) -> list[Expr]:
        scaled = [weight * entry for weight, entry in zip(weights, entries, strict=True)]
        mean = sum(count * entry for count, entry in zip(counts, scaled, strict=True)) / (2 * half)
        return [entry - mean for entry in scaled]

    one, none = sympy.Integer(1), sympy.Integer(0)
    vectors = [
        ([one, -one, none, none], [R, R, R, one], [one, one, half - 2, half], R),
        ([one, -one, none, none], [one, one, one, R], [one, one, half - 2, half], one),
        ([one, -one], [R, one], [half, half], on_contrast),
    ]
    return all(
        _is_zero(found - value * entry)
        for entries, weights, counts, value in vectors
        for found, entry in zip(image(entries, weights, counts), entries, strict=True)
    )


def _is_zero(expression: Expr) -> bool:
    return sympy.simplify(expression) == 0
