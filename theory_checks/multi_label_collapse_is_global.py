"""Pick-all-labels: simplex classifier and scaled tag-wise averages attain the minimum, also with unequal or missing m.

Source: Li et al. 2024 (multi-label neural collapse), global minimisers

Evidence: certificate by cvxpy (primal and dual of the convex relaxation) at the data sets listed; the closed form is
`pick_all_labels_has_tag_wise_averages` with rho from the balance of the decays, (K - 1) decay_W rho^2 = decay_H sum_m
C(K, m) n_m t_m^2 m (K - m)/K. The bias is free; objective with decay/2.

False twin: one common margin t_1 for all multiplicities.
"""

from itertools import combinations

import numpy as np

from theory_checks.verdict import DIGITS, Verdict, deviation
from ufm.pick_all_labels import TagWiseAverages, tag_wise_averages, value_of

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

    findings = []
    for K, counts, decay_W, decay_H in DATA:
        y = np.array([row for m, n in counts.items() for row in _label_sets(K, m) for _ in range(n)])
        found = bracket(y, (decay_W * decay_H) ** 0.5, free_bias=True)
        predicted = _value(K, counts, decay_W, decay_H, one_margin=one_margin)
        name = f"K = {K}, n_m = {counts}"
        findings += [
            deviation(f"{name}: [{found.lower:.9f}, {found.upper:.9f}], relative width", found.gap, ALLOWED),
            deviation(f"{name}: prediction {predicted:.9f} off the bracket", found.misses(predicted), ALLOWED),
        ]
    return Verdict.of("certificate", findings, margin_is=DIGITS, sizes="; ".join(f"K = {K}, {c}" for K, c, *_ in DATA))


def _label_sets(K: int, m: int) -> list[list[float]]:
    return [[float(k in chosen) for k in range(K)] for chosen in combinations(range(K), m)]


def _value(K: int, counts: dict[int, int], decay_W: float, decay_H: float, *, one_margin: bool) -> float:
    """The closed-form minimum, or the value with the least multiplicity's margin for all."""
    found = tag_wise_averages(K, counts, decay_W, decay_H)
    if one_margin:
        found = TagWiseAverages(found.rho, dict.fromkeys(counts, found.margins[min(counts)]))
    return value_of(K, counts, decay_W, decay_H, found)
