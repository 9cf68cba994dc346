"""At a critical point with W a = 0, |a| = 1, the direction (x u a', -v a'/x), x = (decay_H/decay_W)^(1/4), has
curvature -2 (|G|_2 - s) for every loss, (u, v) the top singular pair of G.

Theme: critical points

Source: Zhu et al. 2021, proof of Theorem 3.2; Zhou et al. 2022 (squared error)

Evidence: symbolic, for an arbitrary twice differentiable loss of the logits and all sizes. H a = 0 too, since decay_W
W'W = decay_H H'H at a critical point. Along W + e x u a', H - e y v a' every logit is exactly z - e^2 x y u_k v_i (the
generic one, a along the last axis): its first derivative at e = 0 is zero and its second -2 x y u_k v_i, so that by the
chain rule that of the loss is -2 x y <G, u v'>. With the decays, x = 1/y and <G, u v'> = |G|_2 it is -2 (|G|_2 - s), s
= sqrt(decay_W decay_H). Once more with an undefined function of all K N logits at K = 2, N = 3, d = 3.

False twin: the opposite sign of the step in H.
"""

import sympy

from theory_checks.symbols import is_zero
from theory_checks.verdict import Verdict, step


def check() -> Verdict:
    """With opposite signs."""
    return _verdict(-1)


def refuted() -> Verdict:
    """With equal signs."""
    return _verdict(1)


def _verdict(sign: int) -> Verdict:
    decay_W, decay_H, norm = sympy.symbols("decay_W decay_H norm", positive=True)
    e = sympy.Symbol("e", real=True)
    x = (decay_H / decay_W) ** sympy.Rational(1, 4)
    y = sign / x
    # a is the last axis of feature space; any other a is a rotation of it.
    K, N = 2, 3
    W = sympy.Matrix(K, 3, lambda k, j: sympy.Symbol(f"w{k}{j}", real=True) if j < 2 else 0)
    H = sympy.Matrix(N, 3, lambda i, j: sympy.Symbol(f"h{i}{j}", real=True) if j < 2 else 0)
    u, v = sympy.Matrix(sympy.symbols("u:2", real=True)), sympy.Matrix(sympy.symbols("v:3", real=True))
    a = sympy.Matrix([[0, 0, 1]])
    along_W, along_H = W + e * x * u * a, H + e * y * v * a
    logits, before = along_H * along_W.T, H * W.T
    moved = (logits - before - e**2 * x * y * v * u.T).applyfunc(sympy.simplify)
    names = sympy.symbols("z:6", real=True)
    g = sympy.Function("g")
    second = sympy.diff(g(*logits), e, 2).doit().subs(e, 0).doit()
    slopes = [sympy.Subs(sympy.diff(g(*names), z), names, tuple(before)).doit() for z in names]
    inner = sum(slope * entry for slope, entry in zip(slopes, v * u.T, strict=True))
    curvature = decay_W * x**2 + decay_H * y**2 + 2 * x * y * norm  # |u| = |v| = 1, <G, u v'> = norm
    claimed = -2 * (norm - sympy.sqrt(decay_W * decay_H))
    return Verdict.of(
        "symbolic",
        [
            step("the generic logit, any K, N and d: no first and the second derivative 2 x y u v", _generic(x, y)),
            step("every logit moves by e^2 x y u_k v_i and by nothing else", moved.is_zero_matrix),
            step("the loss's second derivative is 2 x y <G, u v'>", is_zero(second - 2 * x * y * inner)),
            step("with the decays it is -2 (|G| - s)", is_zero(curvature - claimed)),
        ],
        sizes="every twice differentiable loss; all K, N, d, decays > 0; all logits at once at K = 2, N = 3, d = 3",
    )


def _generic(x: sympy.Expr, y: sympy.Expr) -> bool:
    """Of logit (i, k): the inner product over the axes other than a is a number, along a both rows start at 0."""
    e, before, u, v = sympy.symbols("e before u v", real=True)
    logit = before + (e * x * u) * (e * y * v)
    at_zero = [sympy.diff(logit, e, order).subs(e, 0) for order in (1, 2)]
    return is_zero(at_zero[0]) and is_zero(at_zero[1] - 2 * x * y * u * v)
