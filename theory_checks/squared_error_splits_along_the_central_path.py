"""Equal class sizes, decay > 0: the squared error is exactly L_NC1 + L_NC2/3 + L_perp, and L_perp = 0 iff W is the
least-squares classifier.

Theme: squared error

Source: Han, Papyan, Donoho 2021 (squared error, central path), decomposition

Evidence: symbolic, written out at C = 2 classes and d = 2 and from traces for all sizes; along training it is looked at
in `training_approaches_the_central_path`. With A = Sigma_T + m m' + decay I, W_LS = M' A^-1 / C: L_NC1 = tr W_LS
(Sigma_W + decay I) W_LS' / 2, L_NC2/3 = |W_LS M - I|^2/(2C), L_perp = tr (W - W_LS) A (W - W_LS)' / 2.

False twin: W_LS without the global mean's m m' in A.
"""

import sympy

from theory_checks.verdict import Verdict, step


def check() -> Verdict:
    """With m m'."""
    return _verdict(1)


def refuted() -> Verdict:
    """Without m m'."""
    return _verdict(0)


def _verdict(has_mean: int) -> Verdict:
    C = 2
    W = sympy.Matrix(2, 2, sympy.symbols("w:4", real=True))
    M = sympy.Matrix(2, 2, sympy.symbols("m:4", real=True))  # columns: class means
    b = sympy.symbols("b:3", real=True)
    within = sympy.Matrix([[b[0], b[1]], [b[1], b[2]]])  # Sigma_W + decay I
    mean = M * sympy.ones(C, 1) / C
    second_moment = within + M * M.T / C
    A = second_moment - (1 - has_mean) * mean * mean.T
    best = M.T * A.inv() / C
    # Ave |W h - y|^2 + decay |W|^2 with class means M and equal class sizes.
    loss = (W * second_moment * W.T).trace() / 2 - (W * M).trace() / C + sympy.Rational(1, 2)
    collapse = (best * within * best.T).trace() / 2
    fit = best * M - sympy.eye(C)
    geometry = (fit * fit.T).trace() / (2 * C)
    away = ((W - best) * A * (W - best).T).trace() / 2
    total = sympy.cancel(sympy.together(loss - collapse - geometry - away))
    normal = (best * second_moment - M.T / C).applyfunc(sympy.cancel)
    return Verdict.of(
        "symbolic",
        [
            step("the loss is the sum of the three parts", total == 0),
            step("the same for all sizes, from traces alone", _by_traces() == 0),
            step("W_LS solves the normal equations", normal.is_zero_matrix),
        ],
        sizes="all C and d (written out: C = d = 2), equal class sizes, any scatter, decay > 0 and W",
    )


def _by_traces() -> sympy.Expr:
    """Loss less its parts in w = tr W A W', m = tr W M, b = tr W_LS M, with A W_LS' = M / C and A = within + M M'/C.

    Then tr W A W_LS' = m / C, tr W_LS A W_LS' = b / C, tr W_LS within W_LS' = (b - square) / C, square = |W_LS M|^2.
    """
    w, m, b, square = sympy.symbols("w m b square", real=True)
    C = sympy.Symbol("C", positive=True)
    loss = w / 2 - m / C + sympy.Rational(1, 2)
    collapse = (b / C - square / C) / 2
    geometry = (square - 2 * b + C) / (2 * C)
    away = (w - 2 * m / C + b / C) / 2
    return sympy.simplify(loss - collapse - geometry - away)
