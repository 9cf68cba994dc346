"""A loss psi(x) with a free bias: at every critical point with |G|_2 <= s the mean of psi' over the samples of any
class is at most (K - 1) c, whatever n.

Theme: critical points

Source: Zhou et al. 2022 (all losses), landscape of focal loss: local only; this bound is derived here

Evidence: symbolic, derived here. psi is a function of x = log sum_{j != y} e^{z_j} - z_y, S_i = psi'(x_i) >= 0, so the
columns of G are g_i = (S_i/N) u_i, u_i = w_i - e_y, w_i the softmax over j != y (`softmax_loss_derivatives`). Checked
by algebra: the unit vector, its products, both sums over samples and the ratio of the bound to S at the ETF. Read on
paper:
1. v = sqrt(K/(K - 1)) (e_y - 1/K) has length 1, so |v'G|^2 <= s^2; 1'u_i = 0 turns it into the row of class y, sum_{i
   in y} S_i^2 + sum_{i not in y} S_i^2 w_iy^2 <= n c^2 K (K - 1), with c = s sqrt(n), N = n K.
2. A free bias makes row y of G add up to zero: sum_{i not in y} S_i w_iy = n m_y, m_y the mean of S over class y.
3. Cauchy and Schwarz: the first sum is at least n m_y^2, and the second, of n (K - 1) terms, at least n m_y^2/(K - 1).
Any bias: step 1 alone bounds the root mean square of S in a class by c sqrt(K (K - 1)). The ETF attains m_y = (K - 1)
c.

False twin: m_y <= (K - 1) s, as one column of G suggests. The ETF at n = 2 exceeds it.
"""

import sympy
from sympy import Expr

from theory_checks.symbols import is_zero
from theory_checks.verdict import Verdict, step


def check() -> Verdict:
    """With c."""
    return _verdict(sympy.Rational(1, 2))


def refuted() -> Verdict:
    """With s."""
    return _verdict(sympy.Integer(0))


def _verdict(power: Expr) -> Verdict:
    """The bound (K - 1) s n^power."""
    K, n, s, m, w = sympy.symbols("K n s m w", positive=True)
    N, bound = n * K, (K - 1) * s * n**power
    length = sympy.sqrt(K / (K - 1))
    in_row, on_label = length * (1 - 1 / K), -length / K
    along_other = in_row * w + on_label * (1 - w)  # v'w of a sample of another class, w = w_iy
    along_label = on_label * sympy.Integer(1) - in_row  # v'(w - e_y) of a sample of class y, w_iy = 0
    own, others = n * m**2, (n * m) ** 2 / (n * (K - 1))
    largest = N**2 * s**2 * (K - 1) / K
    at_etf = s * N / sympy.sqrt(n) * (K - 1) / K  # S where |G|_2 = S K/((K - 1) N) sqrt(n) is s
    return Verdict.of(
        "symbolic",
        [
            step("|v| = 1", is_zero(in_row**2 + (K - 1) * on_label**2 - 1)),
            step("v'u = -sqrt(K/(K - 1)) for a sample of class y", is_zero(along_label + length)),
            step("v'u = sqrt(K/(K - 1)) w_y for another's: -1 at its label", is_zero(_other(along_other, on_label, w))),
            step("N^2 s^2 (K - 1)/K = n c^2 K (K - 1)", is_zero(largest - n * (s**2 * n) * K * (K - 1))),
            step("both sums are n m^2 K/(K - 1) or more", is_zero(own + others - n * m**2 * K / (K - 1))),
            step("at equality m is the bound", is_zero((own + others).subs(m, bound) - largest)),
            step("the ETF's S is at most the bound", sympy.simplify((at_etf / bound).subs(n, 2)) <= 1),
        ],
        sizes="every loss psi(x) with psi' >= 0; all K >= 2, n, d, decays > 0, free bias",
    )


def _other(along_w: Expr, on_label: Expr, w: Expr) -> Expr:
    """v'(w - e_label) less sqrt(K/(K - 1)) w_y; v has the same entry at the label as at every class but y."""
    K = sympy.Symbol("K", positive=True)
    return along_w - on_label - sympy.sqrt(K / (K - 1)) * w
