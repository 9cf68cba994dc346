"""Unit features and weights, five cases with K = 4 and 6: all 16 random starts reach the simplex's value, also where d
= K - 1 and beyond the bound on tau.

Theme: spheres and codes

Source: Yaras et al. 2022 (normalised features), benign landscape (d > K and tau below a bound)

Evidence: numeric, 16 starts for each (K, d, n, tau), Euclidean L-BFGS on unnormalised vectors of f(x/|x|), which has
the same critical points and values. The minimum is that of `spheres_have_the_simplex_as_minimiser`.

False twin: d = K - 2.
"""

from theory_checks.random_starts import all_converged
from theory_checks.verdict import DIGITS, Finding, Verdict, deviation
from ufm.model.losses import CrossEntropy
from ufm.model.spheres import SphereProblem
from ufm.model.starts import normal_starts
from ufm.solve.minimise import minimise
from ufm.theory.prediction import cross_entropy_of_margin

CASES = ((4, 6, 2, 1.0), (4, 6, 2, 5.0), (4, 4, 2, 5.0), (4, 3, 2, 5.0), (6, 7, 1, 4.0))
"""K, d, n, tau; the bound on tau of the landscape theorem fails in the third and the fourth."""
STARTS = 16


def check() -> Verdict:
    """d >= K - 1."""
    return _verdict(CASES)


def refuted() -> Verdict:
    """d = K - 2."""
    return _verdict(((4, 2, 2, 5.0),))


def _verdict(cases: tuple[tuple[int, int, int, float], ...]) -> Verdict:
    return Verdict.of(
        "numeric",
        [finding for case in cases for finding in _reaches(*case)],
        margin_is=DIGITS,
        sizes=f"(K, d, n, tau) = {', '.join(map(str, cases))}",
        starts=STARTS * len(cases),
    )


def _reaches(K: int, d: int, n: int, tau: float) -> list[Finding]:
    problem = SphereProblem(CrossEntropy(), K, d, n, temperature=tau)
    ends = minimise(problem, normal_starts(problem.size, 0, 0, STARTS), tolerance=1e-8)
    minimum = cross_entropy_of_margin(tau * K / (K - 1), K)
    worst = float((ends.value - minimum).abs().max())
    # |gradient|^2 / (2 least curvature): 1e-16 / 2e-3, where curvature along non-zero modes is at least 1e-3.
    text = f"K = {K}, d = {d}, n = {n}, tau = {tau:g}: |f - minimum|"
    return [all_converged(ends), deviation(text, worst, 1e-12)]
