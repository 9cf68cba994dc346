"""For 2 to 5 classes of any sizes the centred labels solve the nuclear-norm SVM: their multipliers are positive (SELI).

Source: Thrampoulidis et al. 2022, simplex-encoded-labels interpolation (any imbalance)

Evidence: symbolic, derived here. With P = I - 11'/K, D = diag(n_k) and A = P D P, the polar factor of P D^(1/2) is
UV' = A^(-1/2) D^(1/2), the inverse root being that on the sums zero. Its norm is 1 and its columns sum to 0, so it is
dual feasible once its entries off the diagonal are negative, and then attains the primal value. On the sums zero
A^(-1/2) is the integral of t^(-1/2) (A + t)^(-1)/pi over t > 0, and (A + t)^(-1) = M - M11'M/(1'M1), M = (D + t)^(-1),
has entries -M_jj M_kk/(1'M1) < 0 off the diagonal. The inverse is verified for K = 2 to 5.

False twin: labels that are not centred, with (D + t)^(-1) itself, which has zeros off the diagonal.
"""

import sympy

from theory_checks.verdict import Finding, Verdict, step

LARGEST_K = 5


def check() -> Verdict:
    """Centred labels."""
    return _verdict(is_centred=True)


def refuted() -> Verdict:
    """Plain labels."""
    return _verdict(is_centred=False)


def _verdict(is_centred: bool) -> Verdict:
    t, a = sympy.symbols("t a", positive=True)
    primitive = 2 * sympy.atan(sympy.sqrt(t / a)) / (sympy.pi * sympy.sqrt(a))
    slope = 1 / (sympy.pi * sympy.sqrt(t) * (a + t))
    ends = sympy.limit(primitive, t, sympy.oo) - sympy.limit(primitive, t, 0, "+")
    is_integral = (
        sympy.simplify(sympy.diff(primitive, t) - slope) == 0 and sympy.simplify(ends - 1 / sympy.sqrt(a)) == 0
    )
    findings = [step("1/sqrt(a) is the integral of t^(-1/2)/(a + t)/pi", is_integral)]
    for K in range(2, LARGEST_K + 1):
        findings += _resolvent(K, is_centred)
    return Verdict.of("symbolic", findings, sizes=f"K = 2 to {LARGEST_K}, all class sizes n_k > 0")


def _resolvent(K: int, is_centred: bool) -> list[Finding]:
    shares = sympy.symbols(f"r:{K}", positive=True)  # 1/(n_k + t), any positive numbers
    ones, M = sympy.ones(K, 1), sympy.diag(*shares)
    resolvent = M - M * ones * ones.T * M / sum(shares) if is_centred else M
    rest = M.inv() * resolvent - sympy.eye(K)  # P maps it to 0 iff its rows are equal
    differences = (rest[1:, :] - sympy.ones(K - 1, 1) * rest[0, :]).applyfunc(sympy.cancel)
    off_diagonal = [resolvent[j, k] for j in range(K) for k in range(K) if j != k]
    return [
        step(
            f"K = {K}: the stated matrix has columns with sum 0",
            (ones.T * resolvent).applyfunc(sympy.cancel).is_zero_matrix,
        ),
        step(f"K = {K}: and P (D + t) maps it to P", differences.is_zero_matrix),
        step(f"K = {K}: negative off the diagonal", all(entry.is_negative for entry in off_diagonal)),
    ]
