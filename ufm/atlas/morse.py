"""Morse relations between the numbers of critical points, in exact integer arithmetic: they show missing orbits.

The objective is coercive (except along the constant of a free bias, which is free) and, where no row is degenerate,
Morse-Bott; its domain is contractible. All homology has coefficients in Z/2, so orientations play no part. A labelled
copy of rank r and index i is an orbit O(d)/O(d - r). With a Poincare series P and BO(m) the classifying space,
P(BO(m)) = prod_{j=1}^m 1/(1 - t^j), three statements hold (Bott 1954; Atiyah and Bott 1983 for the equivariant one):

equivariant   sum over copies of t^i P(BO(d - r)) - P(BO(d))  =  (1 + t) R(t) ,  R >= 0, a power series
plain         sum over copies of t^i P(V_r(R^d)) - 1          =  (1 + t) R(t) ,  R >= 0, a polynomial
              P(V_r(R^d)) = prod_{j=d-r}^{d-1} (1 + t^j)
Euler         sum over copies of (-1)^(i - m k) e(k, m)       =  1 ,  m = d - r, k = `escapes` ,

the last one being the Euler characteristic of the contractible orbit space domain/O(d): a critical orbit attaches
D/O(m) along S/O(m), D and S the unit disc and sphere in R^(i - mk) + k copies of R^m, and S((R^m)^k)/O(m) is the set
of positive semidefinite k x k matrices of trace 1 and rank <= m, a union over j = 1..m of cells of dimension
j(j + 1)/2 - 1 over Grassmannians. So e(k, m) = sum_{j=0}^m (-1)^(j(j+1)/2) chi(Gr_j(R^k)).

Each statement holds in *every* dimension d: the points of rank <= d of an atlas are all critical points of the model
with d feature columns (`ufm.atlas.orbit`). In dimension d a row of rank d enters the Euler sum with +- its copies, so
the sums for d = 1, 2, ... notice every single row that is missing. What they cannot notice: sets of missing rows whose
terms cancel, such as two of one rank, equally many copies, and indices of opposite parity, whether or not they are born
in one fold (`unnoticed_pairs`: for cross entropy with K = 5 the two rows ab|c|d|e of rank 2 with 30 copies, and a|b
(cde) with abc|de, 10 copies each); and a Grassmannian of Euler characteristic zero.

For squared error a row is a Grassmannian Gr_r(R^R) of orbits. Its equivariant series is P(Gr_r(R^R)) P(BO(d - rank)):
the homotopy quotient of {isometries of the tautological bundle into R^d} is Gr x BO. Its plain one is P(Gr) P(V) where
d >= R, because the obstruction classes w_j(complement), j > d - r >= R - r, vanish; with d < R, the two change roles:
P(Gr_r(R^d)) P(V_r(R^R)).
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

Polynomial = tuple[int, ...]
"""The coefficients of a polynomial, lowest degree first."""


@dataclass(frozen=True)
class CriticalSet:
    """The data of a row that Morse relations need.

    Attributes:
        rank, index_within, escapes: the index in d columns is `index_within` + (d - rank) `escapes`.
        copies: labelled copies.
        manifold: (r, R) for a Grassmannian of r-planes in R dimensions, else None.
    """

    rank: int
    index_within: int
    escapes: int
    copies: int
    manifold: tuple[int, int] | None = None

    def index(self, d: int) -> int:
        """The Morse index in a model with d feature columns."""
        return self.index_within + (d - self.rank) * self.escapes


@dataclass(frozen=True)
class Verdict:
    """The three statements in one dimension.

    Attributes:
        dimension: d.
        equivariant: R's coefficients, the beginning of the power series.
        equivariant_holds: whether all coefficients, to infinity, are >= 0.
        plain: R's coefficients; None if 1 + t does not divide (Euler characteristics differ).
        plain_holds: whether it divides and all coefficients are >= 0.
        euler: the Euler sum, which has to be 1.
    """

    dimension: int
    equivariant: Polynomial
    equivariant_holds: bool
    plain: Polynomial | None
    plain_holds: bool
    euler: int

    @property
    def holds(self) -> bool:
        """Whether all three statements hold."""
        return self.equivariant_holds and self.plain_holds and self.euler == 1


def check_dimension(rows: Sequence[CriticalSet], d: int) -> Verdict:
    """The three statements about the critical sets of rank <= d, in dimension d."""
    rows = [row for row in rows if row.rank <= d]
    total: Polynomial = ()
    for row in rows:
        sets = _scaled(gaussian_binomial(*_plane(row)), row.copies)
        missing = _product(*(_one_minus(j) for j in range(d - row.rank + 1, d + 1)))
        total = _sum(total, _shifted(_times(sets, missing), row.index(d)))
    numerator = _sum(total, (-1,))  # times prod_{j=1}^d 1/(1 - t^j)
    series, is_nonnegative = _nonnegative_series(numerator, (*range(1, d + 1),))
    plain: Polynomial = (-1,)
    for row in rows:
        plain = _sum(plain, _shifted(_scaled(_plain_series(row, d), row.copies), row.index(d)))
    quotient = _over_one_plus_t(plain)
    euler = sum(_euler_term(row, d) for row in rows)
    return Verdict(d, series, is_nonnegative, quotient, quotient is not None and min(quotient, default=0) >= 0, euler)


def check_all(rows: Sequence[CriticalSet], dimensions: Sequence[int]) -> list[Verdict]:
    """The statements in several dimensions."""
    return [check_dimension(rows, d) for d in dimensions]


def noticed(rows: Sequence[CriticalSet], dimensions: Sequence[int]) -> list[dict[str, list[int]]]:
    """For every row: the dimensions in which each statement fails once the row is left out."""
    found = []
    for number in range(len(rows)):
        verdicts = check_all([*rows[:number], *rows[number + 1 :]], dimensions)
        found.append(
            {
                "equivariant": [v.dimension for v in verdicts if not v.equivariant_holds],
                "plain": [v.dimension for v in verdicts if not v.plain_holds],
                "euler": [v.dimension for v in verdicts if v.euler != 1],
            }
        )
    return found


def unnoticed_pairs(rows: Sequence[CriticalSet], dimensions: Sequence[int]) -> list[tuple[int, int]]:
    """The pairs of rows that could be missing together, each noticed by itself, and all statements would still hold."""
    alone = [bool(any(entry.values())) for entry in noticed(rows, dimensions)]
    terms = [tuple(_euler_term(row, d) if row.rank <= d else 0 for d in dimensions) for row in rows]
    found = []
    for i, j in itertools.combinations(range(len(rows)), 2):
        if alone[i] and alone[j] and not any(map(sum, zip(terms[i], terms[j], strict=True))):
            rest = [row for number, row in enumerate(rows) if number not in (i, j)]
            if all(verdict.holds for verdict in check_all(rest, dimensions)):
                found.append((i, j))
    return found


@cache
def gaussian_binomial(r: int, R: int) -> Polynomial:
    """Poincare polynomial of the Grassmannian of r-planes in R dimensions with Z/2 coefficients."""
    if r in (0, R):
        return (1,)
    return _sum(gaussian_binomial(r - 1, R - 1), _shifted(gaussian_binomial(r, R - 1), r))


def grassmannian_euler(r: int, R: int) -> int:
    """Euler characteristic of the real Grassmannian: the Gaussian binomial at t = -1."""
    return sum(coefficient * (-1) ** power for power, coefficient in enumerate(gaussian_binomial(r, R)))


def quotient_euler(k: int, m: int) -> int:
    """e(k, m) of the module's text: 1 - chi(S((R^m)^k) / O(m))."""
    return sum((-1) ** (j * (j + 1) // 2) * grassmannian_euler(j, k) for j in range(min(k, m) + 1))


def _euler_term(row: CriticalSet, d: int) -> int:
    m = d - row.rank
    sets = grassmannian_euler(*_plane(row))
    return row.copies * sets * (-1) ** row.index_within * quotient_euler(row.escapes, m)


def _plain_series(row: CriticalSet, d: int) -> Polynomial:
    """P(Gr_r(R^R)) P(V_rank(R^d)), r planes and frames in the smaller and the larger space."""
    r, R = _plane(row)
    common = row.rank - r  # one more column for 11'/K, or all columns of a row that is no Grassmannian
    small, large = min(R, d - common), max(R, d - common)
    planes = _times(gaussian_binomial(r, small), _frames(r, large))
    return _times(planes, _frames(common, d))


def _frames(r: int, d: int) -> Polynomial:
    """P(V_r(R^d))."""
    return _product(*((1, *(0,) * (j - 1), 1) if j else (2,) for j in range(d - r, d)))


def _plane(row: CriticalSet) -> tuple[int, int]:
    return row.manifold or (0, 0)


def _nonnegative_series(numerator: Polynomial, factors: tuple[int, ...]) -> tuple[Polynomial, bool]:
    """numerator / ((1 + t) prod (1 - t^j)) as a power series: its beginning, and whether no coefficient is negative.

    With L a common multiple of 2 and all j, the denominator divides (1 - t^L)^p, p = number of factors + 1. So from a
    degree on (numerator less denominator, plus one) the coefficients of each residue class mod L are a polynomial of
    degree < p; if its value and all its forward differences at one place are >= 0, all later ones are.
    """
    p, L = len(factors) + 1, math.lcm(2, *factors)
    begin = max(0, len(numerator) - (1 + sum(factors))) + 1
    for tries in (1, 4, 16):
        length = begin + L * (p + tries)
        series = _series(numerator, factors, length)
        if min(series) < 0:
            return series[: len(numerator) + 2], False
        tail = length - L * p
        if all(_rises_for_ever(series[start::L][:p]) for start in range(tail, tail + L)):
            return series[: len(numerator) + 2], True
    return series[: len(numerator) + 2], False  # not shown


def _series(numerator: Polynomial, factors: tuple[int, ...], length: int) -> Polynomial:
    """The first coefficients of numerator / ((1 + t) prod (1 - t^j))."""
    coefficients = [*numerator[:length], *[0] * (length - len(numerator))]
    for j in factors:
        for power in range(j, length):
            coefficients[power] += coefficients[power - j]
    for power in range(1, length):
        coefficients[power] -= coefficients[power - 1]
    return tuple(coefficients)


def _rises_for_ever(values: Sequence[int]) -> bool:
    """Whether value and forward differences of a polynomial of degree < len(values) are >= 0 at its first place."""
    differences = list(values)
    while differences:
        if differences[0] < 0:
            return False
        differences = [after - before for before, after in itertools.pairwise(differences)]
    return True


def _over_one_plus_t(p: Polynomial) -> Polynomial | None:
    """p / (1 + t), None if it does not divide."""
    quotient, carry = [], 0
    for coefficient in p:
        carry = coefficient - carry
        quotient.append(carry)
    if carry:
        return None
    while quotient and not quotient[-1]:
        quotient.pop()
    return tuple(quotient)


def _one_minus(j: int) -> Polynomial:
    return (1, *(0,) * (j - 1), -1)


def _scaled(p: Polynomial, factor: int) -> Polynomial:
    return tuple(factor * coefficient for coefficient in p)


def _shifted(p: Polynomial, power: int) -> Polynomial:
    return (0,) * power + p


def _sum(p: Polynomial, q: Polynomial) -> Polynomial:
    p, q = sorted((p, q), key=len)
    return tuple(a + b for a, b in zip(p + (0,) * (len(q) - len(p)), q, strict=True))


def _times(p: Polynomial, q: Polynomial) -> Polynomial:
    result = [0] * (len(p) + len(q) - 1)
    for i, a in enumerate(p):
        for j, b in enumerate(q):
            result[i + j] += a * b
    return tuple(result)


def _product(*factors: Polynomial) -> Polynomial:
    result: Polynomial = (1,)
    for factor in factors:
        result = _times(result, factor)
    return result
