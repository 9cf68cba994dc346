"""Every critical point is a global minimiser or a strict saddle: cross entropy and label smoothing for d >= K - 1,
squared error for d >= K, and for d = K - 1 if its bias is free.

Theme: critical points

Source: Zhu et al. 2021, Theorem 3.2 and Zhou et al. 2022 (all losses, squared error), for d > K; Shen and Gu 2024, d =
K; d = K - 1 is derived here

Evidence: symbolic, derived here, for any class sizes and decays. Checked by algebra: that 1'G has no part but 1'W H C,
the balance of nuclear norm and decays, and at two problems that |G|_2 = s at the minimiser. Read on paper:
1. A unit a with W a = 0 gives the curvature -2 (|G|_2 - s) (`negative_curvature_direction`), so with one a critical
   point is a strict saddle or has |G|_2 <= s.
2. Without one W has rank d. Softmax losses have 1'G = 0, so 1'W = 0 and d = K - 1; G G'W = s^2 W on the range of W and
   G'1 = 0 give |G|_2 = s. For squared error at d = K G G' = s^2 I; rank W <= K leaves a null vector for d > K.
3. Squared error, free bias: G1 = 0 is b = mean(r Y - Z), so G = (k/N) (Z - r Y) C, C centring the samples. As 1'Y C =
   0, 1'G = (k/N) 1'W H C, and G H' = -decay_W W gives 1'W ((k/N) H C H' + decay_W I) = 0, whose matrix is positive
   definite: 1'W = 0, 1'G = 0, and 2 goes as for softmax losses.
4. |G|_2 <= s is a global minimiser: convexity gives g(Z' + b'1') >= g + <G, Z' - Z> + <G1, b' - b>; -<G, Z> = decay_W
   |W|^2 = decay_H |H|^2 <= s |Z|_* <= (decay_W |W|^2 + decay_H |H|^2)/2, so all are equal; <G, Z'> >= -s |Z'|_* and G1
   = -decay_b b. Summed: f(W', H', b') >= f(W, H, b).

False twin: |G|_2 = s at the minimiser, on which the proof rests, for squared error without a bias at d = K - 1. It is
larger there, in the direction that W leaves out. (Saddles may be strict there all the same: another proof, as of
low-rank approximation.)
"""

import sympy
import torch
from sympy import Matrix

from theory_checks.random_starts import all_converged, starts_at_scales
from theory_checks.symbols import is_zero
from theory_checks.verdict import Finding, Verdict, cross_check, step
from ufm.model.losses import SquaredError
from ufm.model.problem import Problem
from ufm.solve.minimise import minimise

K = 3


def check() -> Verdict:
    """With a free bias at d = K - 1, without one at d = K."""
    return _verdict([(K - 1, 0.0), (K, None)])


def refuted() -> Verdict:
    """Without a bias at d = K - 1."""
    return _verdict([(K - 1, 0.0), (K - 1, None)])


def _verdict(cases: list[tuple[int, float | None]]) -> Verdict:
    x, y = sympy.symbols("x y", positive=True)
    decay_W, decay_H = sympy.symbols("decay_W decay_H", positive=True)
    gap = (decay_W * x**2 + decay_H * y**2) / 2 - sympy.sqrt(decay_W * decay_H) * x * y
    square = (sympy.sqrt(decay_W) * x - sympy.sqrt(decay_H) * y) ** 2 / 2
    return Verdict.of(
        "symbolic",
        [
            step("1'G = (k/N) 1'W H C for squared error with a free bias", _is_centred()),
            step("s x y <= (decay_W x^2 + decay_H y^2)/2: the gap is half a square", is_zero(gap - square)),
            step("zero where decay_W x^2 = decay_H y^2", is_zero(square.subs(y, sympy.sqrt(decay_W / decay_H) * x))),
            *(finding for case in cases for finding in _at_minimum(*case)),
        ],
        sizes=f"all K, d, decays, class sizes; 1'G at K = 2, N = 3, d = 2; |G|_2 at K = {K}, (d, bias decay) = {cases}",
    )


def _is_centred() -> bool:
    """At K = 2, d = 2 and three samples, of one and two to a class."""
    W = Matrix(2, 2, sympy.symbols("w:4", real=True))
    H = Matrix(2, 3, sympy.symbols("h:6", real=True))
    k, r = sympy.symbols("k r", positive=True)
    Y, ones = Matrix([[1, 1, 0], [0, 0, 1]]), Matrix([[1, 1]])
    centring = sympy.eye(3) - sympy.ones(3, 3) / 3
    b = (r * Y - W * H) * sympy.ones(3, 1) / 3
    G = k / 3 * (W * H + b * sympy.ones(1, 3) - r * Y)
    difference = ones * G - k / 3 * ones * W * H * centring
    return all(is_zero(entry) for entry in difference)


def _at_minimum(d: int, decay_b: float | None) -> list[Finding]:
    problem = Problem(SquaredError(), K, d, 2, 0.02, 0.05, decay_b)
    ends = minimise(problem, starts_at_scales(problem.size, 6), 1e-11)
    norm = torch.linalg.matrix_norm(problem.logit_gradient(ends.x), 2)
    excess = float((norm[ends.value.argmin()] - problem.radius).abs())
    name = f"d = {d}, {'no' if decay_b is None else 'free'} bias"
    return [all_converged(ends), cross_check(f"{name}: excess of |G|_2 over s at the minimiser", excess, 1e-8)]
