"""Pick-all-labels, d >= K - 1, K^2 - K < sum_m C(K, m) n_m m (K - m)/(N^2 decay_W decay_H): simplex classifier and
scaled tag-wise averages attain the minimum, also with unequal or missing m.

Theme: several labels

Source: Li et al. 2024 (multi-label neural collapse), global minimisers

Evidence: symbolic, derived here, for every K, all n_m and decays with a solution rho > 0 of (K - 1) decay_W rho^2 =
decay_H sum_m C(K, m) n_m t_m^2 m (K - m)/K, N decay_H t_m (m e^t_m + K - m) = K rho; any decay of the bias; objective
with decay/2; 1 <= m < K. As t_m/rho falls from 1/(N decay_H) to 0 with rho, there is one iff the decays are as small as
stated. A sample of the set S costs at least the convex phi_m(t) = m log(m + (K - m) e^-t) at the difference t of its
mean logits inside and outside (`pick_all_labels_has_tag_wise_averages`). The rows M_S = a_m K (1_S - m/K)/(m (K - m)),
a_m = t_m m (K - m)/(K z), z = rho sqrt(decay_W/decay_H), have <Z, M> = sum a_m t, without any part of the bias, and M'M
is a multiple of I - 11'/K by symmetry, of norm 1 by the equation for rho. So f >= sum over samples of phi_m(t)/N + s
a_m t, s = sqrt(decay_W decay_H), each least at t_m by the equation for t_m; the tag-wise averages attain the sum, as Z
= z M there. Cross-check by cvxpy (primal and dual of the relaxation) at the data sets listed.

False twin: one common margin t_1 for all multiplicities.
"""

from itertools import combinations

import numpy as np
import sympy

from theory_checks.symbols import is_positive, is_zero
from theory_checks.verdict import Finding, Verdict, cross_check, step
from ufm.theory.multi_label_prediction import TagWiseAverages, tag_wise_averages, value_of

DATA = (
    (4, {1: 2, 2: 1}, 5e-3, 5e-3),
    (4, {1: 3, 2: 2, 3: 1}, 2e-3, 1e-3),
    (4, {2: 1}, 5e-3, 5e-3),
    (5, {1: 1, 3: 1}, 5e-3, 2e-3),
)
"""K, samples per label set of each size, decay_W, decay_H."""


def check() -> Verdict:
    """A margin per multiplicity."""
    return _verdict(one_margin=False)


def refuted() -> Verdict:
    """One margin."""
    return _verdict(one_margin=True)


def _verdict(*, one_margin: bool) -> Verdict:
    from theory_checks.softmax_relaxation import ALLOWED, bracket

    findings = _proof()
    for K, counts, decay_W, decay_H in DATA:
        y = np.array([row for m, n in counts.items() for row in _label_sets(K, m) for _ in range(n)])
        found = bracket(y, (decay_W * decay_H) ** 0.5, free_bias=True)
        predicted = _value(K, counts, decay_W, decay_H, one_margin=one_margin)
        name = f"K = {K}, n_m = {counts}"
        findings += [
            cross_check(f"{name}: [{found.lower:.9f}, {found.upper:.9f}], relative width", found.gap, ALLOWED),
            cross_check(f"{name}: prediction {predicted:.9f} off the bracket", found.misses(predicted), ALLOWED),
        ]
    sizes = "; ".join(f"K = {K}, {c}" for K, c, *_ in DATA)
    return Verdict.of("symbolic", findings, sizes=f"all K, n_m, decays with rho > 0; cvxpy at {sizes}")


def _proof() -> list[Finding]:
    """One multiplicity m of K = m + rest classes; `count` = C(K, m) n_m, the samples of that kind."""
    m, rest, t, rho, count, N, lW, lH = sympy.symbols("m rest t rho count N decay_W decay_H", positive=True)
    K = m + rest
    s, z = sympy.sqrt(lW * lH), rho * sympy.sqrt(lW / lH)
    square = m * rest / K  # |1_S - m/K|^2
    a = t * square / z
    phi = m * sympy.log(m + rest * sympy.exp(-t))
    slope = sympy.diff(phi / N, t) + s * a
    condition = N * lH * t * (m * sympy.exp(t) + rest) - K * rho
    share = lH * count * t**2 * square / ((K - 1) * lW * rho**2)  # of 1, in the equation for rho
    per_rho = K / (N * lH * (m * sympy.exp(t) + rest))  # t_m/rho, by the condition
    in_norm = count * (a / square) ** 2 * square / (K - 1)  # trace of the outer products over K - 1 equal eigenvalues
    return [
        step("phi_m is convex", is_positive(sympy.simplify(sympy.diff(phi, t, 2)))),
        step(
            "<1_S - m/K, z>/|1_S - m/K|^2 is the difference of means: 1/m in S", is_zero((1 - m / K) / square - 1 / m)
        ),
        step("and -1/(K - m) outside", is_zero(-m / K / square + 1 / rest)),
        step(
            "phi_m(t)/N + s a_m t is stationary at t_m",
            is_zero(slope - m * rest / (N * K * rho * (m * sympy.exp(t) + rest)) * condition),
        ),
        step(
            "t_m/rho falls, from 1/(N decay_H) at rho = 0",
            is_positive(-sympy.diff(per_rho, t)) and is_zero(per_rho.subs(t, 0) - 1 / (N * lH)),
        ),
        step(
            "the share is C(K, m) n_m m (K - m)/(N^2 decay_W decay_H)/(K^2 - K) there",
            is_zero(share.subs(t, rho / (N * lH)) - count * m * rest / (N**2 * lW * lH) / (K**2 - K)),
        ),
        step("the norm of M'M is the sum of the shares, 1", is_zero(in_norm - share)),
        step(
            "the sum of a_m t_m is |Z|_* = (K - 1) z times the sum of the shares",
            is_zero(count * a * t - (K - 1) * z * share),
        ),
        step("s |Z|_* is the decays' part: decay_W |W|^2 = decay_W (K - 1) rho", is_zero(s * z - lW * rho)),
    ]


def _label_sets(K: int, m: int) -> list[list[float]]:
    return [[float(k in chosen) for k in range(K)] for chosen in combinations(range(K), m)]


def _value(K: int, counts: dict[int, int], decay_W: float, decay_H: float, *, one_margin: bool) -> float:
    """The closed-form minimum, or the value with the least multiplicity's margin for all."""
    found = tag_wise_averages(K, counts, decay_W, decay_H)
    if one_margin:
        found = TagWiseAverages(found.rho, dict.fromkeys(counts, found.margins[min(counts)]))
    return value_of(K, counts, decay_W, decay_H, found)
