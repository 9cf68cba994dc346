"""HardMax: the best unit feature's smallest margin against the other classes is the distance to their hull.

Source: Jiang et al. 2023 (generalised neural collapse), HardMax problem and one-vs-rest distance

Evidence: certificate. For random unit classifiers a quadratic programme finds the nearest point of the hull of the
other rows: its distance bounds every feature's margin from above, and the normalised difference is a feature whose
smallest margin, evaluated anew, bounds it from below.

False twin: the nearest of the other rows in place of their hull.
"""

import numpy as np

from theory_checks.verdict import DIGITS, Verdict, deviation

SIZES = ((5, 2), (7, 3), (10, 3), (12, 4))


def check() -> Verdict:
    """Distance to the hull."""
    return _verdict(of_hull=True)


def refuted() -> Verdict:
    """Distance to the nearest row."""
    return _verdict(of_hull=False)


def _verdict(*, of_hull: bool) -> Verdict:
    random = np.random.default_rng(0)
    findings = []
    for K, d in SIZES:
        W = random.standard_normal((K, d))
        W /= np.linalg.norm(W, axis=1, keepdims=True)
        gaps = [_gap(W[k], np.delete(W, k, 0), of_hull=of_hull) for k in range(K)]
        # The distance is that of a feasible point; the margin errs by the square root of the solver's gap, 1e-8.
        findings.append(deviation(f"K = {K}, d = {d}: distance less margin", max(gaps), 1e-4))
    return Verdict.of("certificate", findings, margin_is=DIGITS, sizes=f"(K, d) = {SIZES}", starts=len(SIZES))


def _gap(w: np.ndarray, others: np.ndarray, *, of_hull: bool) -> float:
    import cvxpy

    from theory_checks.softmax_relaxation import solve

    weights = cvxpy.Variable(len(others), nonneg=True)
    solve(cvxpy.Minimize(cvxpy.sum_squares(others.T @ weights - w)), [cvxpy.sum(weights) == 1])
    share = np.maximum(weights.value, 0)
    difference = w - others.T @ (share / share.sum())
    distance = np.linalg.norm(difference)
    if distance < 1e-3:  # inside the hull: no feature has a margin, both values are zero
        return 0.0
    margin = ((w - others) @ difference).min() / distance
    bound = distance if of_hull else np.linalg.norm(w - others, axis=1).min()
    return float(bound - margin)
