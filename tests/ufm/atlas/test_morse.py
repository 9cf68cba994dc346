"""Morse relations against manifolds and functions whose answer is known by other means."""

import dataclasses
import itertools
import math

import pytest

from ufm.atlas.morse import (
    CriticalSet,
    check_all,
    check_dimension,
    gaussian_binomial,
    grassmannian_euler,
    noticed,
    quotient_euler,
    unnoticed_pairs,
)

# Cross entropy at K = 3: rank, index within the columns, escapes per empty column, copies.
THREE = [CriticalSet(2, 0, 0, 1), CriticalSet(1, 0, 1, 3), CriticalSet(1, 1, 1, 3), CriticalSet(0, 0, 2, 1)]


# Cross entropy at K = 5, d = 6, decays 0.005, 0.005, 0.01: rank, index in six columns, copies, as `ufm atlas` prints.
FIVE = [
    *((4, 0, 1), (3, 3, 10), (3, 4, 15), (2, 8, 12), (3, 5, 20), (3, 6, 5), (2, 9, 60), (2, 10, 15), (2, 10, 60)),
    *((3, 6, 10), (2, 10, 30), (2, 11, 30), (2, 12, 10), (2, 11, 60), (1, 15, 60), (1, 16, 60), (1, 16, 60)),
    *(
        (2, 12, 15),
        (1, 17, 30),
        (2, 12, 10),
        (1, 17, 15),
        (1, 17, 10),
        (1, 17, 20),
        (1, 18, 10),
        (1, 18, 5),
        (0, 24, 1),
    ),
]


def _squared_error(R, escapes_at_zero=None):
    """Squared error without bias, R = K label directions: Gr(r, R) with index (R - r)(d - r)."""
    return [CriticalSet(r, 0, R - r, 1, (r, R)) for r in range(R + 1)]


def test_gaussian_binomials_count_subspaces():
    """At t = 2 they are the numbers of subspaces over the field of two elements, here counted by closure."""
    vectors = list(itertools.product((0, 1), repeat=3))
    planes = set()
    for a, b in itertools.product(vectors, repeat=2):
        span = {tuple((i * x + j * y) % 2 for x, y in zip(a, b, strict=True)) for i in (0, 1) for j in (0, 1)}
        if len(span) == 4:
            planes.add(frozenset(span))
    assert sum(c * 2**i for i, c in enumerate(gaussian_binomial(2, 3))) == len(planes) == 7
    assert gaussian_binomial(1, 4) == (1, 1, 1, 1)  # projective 3-space
    assert sum(gaussian_binomial(2, 5)) == math.comb(5, 2)  # Schubert cells


def test_euler_characteristics_of_grassmannians():
    for R in range(8):
        for r in range(R + 1):
            expected = 0 if r % 2 and not R % 2 else math.comb(R // 2, r // 2)
            assert grassmannian_euler(r, R) == expected


def test_quotients_of_spheres():
    """S((R^m)^k)/O(m): for m >= k all trace-1 semidefinite matrices (contractible); for m = 1 projective space."""
    for k in range(1, 7):
        assert quotient_euler(k, 0) == 1
        assert quotient_euler(k, 1) == 1 - grassmannian_euler(1, k)
        for m in range(k, k + 3):
            assert quotient_euler(k, m) == 0
    assert quotient_euler(0, 5) == 1
    # k = 3, m = 2: the boundary of the cone of 3 x 3 matrices, a 4-sphere.
    assert quotient_euler(3, 2) == 1 - 2


@pytest.mark.parametrize("d", [1, 2, 4, 7])
def test_three_classes(d):
    verdict = check_dimension(THREE, d)
    assert verdict.holds, verdict


def test_three_classes_in_one_dimension_by_hand():
    """d = 1: 2 + 6 + ... points: zero has index 2, six points of index 0 and six of index 1: 6 - 6 + 1 = 1."""
    verdict = check_dimension(THREE, 1)
    assert verdict.plain == (5, 1)  # 6 + 6 t + t^2 = 1 + (1 + t)(5 + t)
    assert verdict.equivariant[:2] == (2, 0)  # 3 + 3t + t^2/(1-t) - 1/(1-t) = (1 + t) 2


@pytest.mark.parametrize("R", [1, 2, 3, 4])
@pytest.mark.parametrize("d", [1, 2, 3, 5])
def test_squared_error_is_perfect(R, d):
    """Rank strata of R x d matrices: the equivariant relation holds with R(t) = 0."""
    verdict = check_dimension(_squared_error(R), d)
    assert verdict.holds
    assert not any(verdict.equivariant)


def test_squared_error_with_a_decayed_bias_is_perfect():
    """The direction 11'/K is on or off beside a Grassmannian of the others."""
    rows = [CriticalSet(r + on, (3 - r) * on, 3 - r + (1 - on), 1, (r, 3)) for r in range(4) for on in (0, 1)]
    assert all(verdict.holds and not any(verdict.equivariant) for verdict in check_all(rows, [4, 5, 6]))


def test_the_absence_of_every_row_is_noticed():
    dimensions = [1, 2, 4]
    for entry in noticed(THREE, dimensions):
        assert entry["euler"]
        assert entry["equivariant"] or entry["plain"]
    for number in range(len(THREE)):
        rest = [*THREE[:number], *THREE[number + 1 :]]
        assert not all(verdict.holds for verdict in check_all(rest, dimensions))


@pytest.mark.parametrize("change", [{"index_within": 1}, {"copies": 6}, {"escapes": 2}, {"rank": 0}])
def test_a_wrong_row_is_noticed(change):
    wrong = dataclasses.replace(THREE[1], **change)
    assert not all(verdict.holds for verdict in check_all([THREE[0], wrong, *THREE[2:]], [1, 2, 4]))


def test_what_no_relation_can_notice():
    """A pair of one rank, equally many copies, neighbouring indices: born together in a fold, missed together."""
    pair = [CriticalSet(1, 0, 1, 6), CriticalSet(1, 1, 1, 6)]
    assert all(verdict.holds for verdict in check_all([*THREE, *pair], [1, 2, 4]))


def test_two_pairs_of_the_five_class_atlas_could_be_missing():
    """By brute force over all 325 pairs; a|b (cde) and abc|de, 22 and 24, are no fold: their classes differ."""
    rows = [CriticalSet(r, index - (6 - r) * (4 - r), 4 - r, copies) for r, index, copies in FIVE]
    dimensions = [1, 2, 3, 4, 6]
    assert all(verdict.holds for verdict in check_all(rows, dimensions))
    missing = [
        (i, j)
        for i, j in itertools.combinations(range(len(rows)), 2)
        if all(v.holds for v in check_all([row for n, row in enumerate(rows) if n not in (i, j)], dimensions))
    ]
    assert missing == [(10, 11), (21, 23)]
    assert unnoticed_pairs(rows, dimensions) == missing


def test_a_negative_coefficient_far_out_is_seen():
    """The series is decided for ever, not up to some degree: t^41 / (1 + t) is negative first at 42."""
    minimum, pair = CriticalSet(0, 0, 0, 1), (CriticalSet(2, 40, 0, 1), CriticalSet(2, 41, 0, 1))
    assert check_dimension([minimum, *pair], 2).equivariant_holds
    assert not check_dimension([minimum, pair[1]], 2).equivariant_holds
