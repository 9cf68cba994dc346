"""HardMax, unit rows of W: the best unit feature's smallest margin against the other classes is the distance to their
hull.

Theme: spheres and codes

Source: Jiang et al. 2023 (generalised neural collapse), HardMax problem and one-vs-rest distance

Evidence: symbolic, derived here. For a unit h and x in the hull of the other rows, the least <w - w_j, h> is at most <w
- x, h> <= |w - x|. At the nearest point x no y of the hull has <w - x, y - x> > 0 (the squared distance along x + t (y
- x) falls at t = 0), so h = (w - x)/|w - x| has <w - w_j, h> = |w - x| - <w - x, w_j - x>/|w - x| >= |w - x| for every
j. (A unit w lies in the hull of unit vectors only if it is one of them; then h = w has the least margin 0.)
Cross-check: a quadratic programme at random classifiers.

False twin: the nearest of the other rows in place of their hull.
"""

import numpy as np
import sympy

from theory_checks.symbols import is_zero
from theory_checks.verdict import Finding, Verdict, cross_check, step

SIZES = ((5, 2), (7, 3), (10, 3), (12, 4))


def check() -> Verdict:
    """Distance to the hull."""
    return _verdict(of_hull=True)


def refuted() -> Verdict:
    """Distance to the nearest row."""
    return _verdict(of_hull=False)


def _verdict(*, of_hull: bool) -> Verdict:
    random = np.random.default_rng(0)
    findings = _proof()
    for K, d in SIZES:
        W = random.standard_normal((K, d))
        W /= np.linalg.norm(W, axis=1, keepdims=True)
        gaps = [_gap(W[k], np.delete(W, k, 0), of_hull=of_hull) for k in range(K)]
        # The distance is that of a feasible point; the margin errs by the square root of the solver's gap, 1e-8.
        findings.append(cross_check(f"K = {K}, d = {d}: distance less margin", max(gaps), 1e-4))
    sizes = f"all K and d, unit rows; random rows at (K, d) = {SIZES}"
    return Verdict.of("symbolic", findings, sizes=sizes, starts=len(SIZES))


def _proof() -> list[Finding]:
    """In the inner products of r = w - x with y - x, and of y - x with itself."""
    t = sympy.Symbol("t", positive=True)
    rr, yy = sympy.symbols("rr yy", positive=True)
    ry = sympy.Symbol("ry", real=True)
    square = rr - 2 * t * ry + t**2 * yy  # |w - x - t (y - x)|^2
    margin = (rr - ry) / sympy.sqrt(rr)  # <w - y, r>/|r|, w - y = r - (y - x)
    return [
        step(
            "the squared distance has the slope -2 <w - x, y - x>", is_zero(sympy.diff(square, t).subs(t, 0) + 2 * ry)
        ),
        step("the margin is |w - x| - <w - x, y - x>/|w - x|", is_zero(margin - sympy.sqrt(rr) + ry / sympy.sqrt(rr))),
    ]


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
