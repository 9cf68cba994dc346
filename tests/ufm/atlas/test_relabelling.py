"""Which points are the same: orbit sizes against brute-force enumeration, matching against explicit permutations."""

import itertools
import math

import pytest
import torch

from ufm.atlas.atlas import Atlas
from ufm.atlas.orbit import together
from ufm.atlas.relabelling import Relabellings, copies, same_copy
from ufm.model.losses import CrossEntropy, Focal
from ufm.model.model import Point
from ufm.model.problem import Problem


def _balanced(K, n):
    return Relabellings.of(Problem(CrossEntropy(), K, K, n, 1e-2, 1e-2))


def _images(logits):
    """Every image under every permutation of classes and of samples within classes, one by one."""
    K, n = logits.shape[:2]
    orders = list(itertools.permutations(range(n)))
    for p in itertools.permutations(range(K)):
        moved = logits[list(p)][:, :, list(p)]
        for choice in itertools.product(orders, repeat=K):
            yield torch.stack([moved[k][list(choice[k])] for k in range(K)])


PATTERNS = {
    "simplex": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "pair and one": [[1, 1, 0], [1, 1, 0], [0, 0, 2]],
    "antisymmetric": [[0, 1, -1], [-1, 0, 1], [1, -1, 0]],
    "generic": [[1, 2, 3], [4, 5, 6], [7, 8, 9]],
}


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("is_collapsed", [True, False])
def test_orbit_sizes_are_those_of_brute_force(pattern, n, is_collapsed):
    logits = torch.tensor(PATTERNS[pattern], dtype=torch.float64)[:, None].repeat(1, n, 1)
    if not is_collapsed:
        logits[0, -1, 0] += 10  # one sample of one class is apart
    exact = {tuple(image.flatten().tolist()) for image in _images(logits)}
    noisy = logits + 1e-9 * torch.randn(logits.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = copies(_balanced(3, n), noisy.flatten(0, 1))
    assert len(found.logits) * found.of_samples == len(exact)
    assert math.factorial(3) % len(found.logits) == 0
    assert found.spread < 1e-7
    assert found.gap > 0.5


def test_a_point_is_found_among_its_copies_whatever_the_order_of_samples(normal):
    logits, relabellings = normal(3, 2, 3), _balanced(3, 2)
    mine = copies(relabellings, logits.flatten(0, 1))
    assert len(mine.logits) * mine.of_samples == 6 * 2**3
    image = mine.logits[4].view(3, 2, 3)[:, [1, 0]]
    number, apart = same_copy(relabellings.ordered(image.flatten(0, 1)[None] + 1e-9), mine.logits)
    assert number.tolist() == [4]
    assert float(apart[0]) < 1e-8
    changed = image.clone()
    changed[0, 0, 0] += 1e-3
    assert same_copy(relabellings.ordered(changed.flatten(0, 1)[None]), mine.logits)[0].tolist() == [-1]


def test_as_often_here_as_there():
    """Two samples of one kind and one of another are not one of the first and two of the second."""
    relabellings = _balanced(2, 3)
    a = torch.zeros(2, 3, 2, dtype=torch.float64)
    a[0, :, 0] = torch.tensor([0.0, 0.0, 5.0])
    b = a.clone()
    b[0, :, 0] = torch.tensor([0.0, 5.0, 5.0])
    mine = relabellings.ordered(a.flatten(0, 1)[None])
    assert same_copy(mine, copies(relabellings, b.flatten(0, 1)).logits)[0].tolist() == [-1]
    assert same_copy(mine, copies(relabellings, a.flatten(0, 1)).logits)[0].tolist() != [-1]


def test_the_distance_of_rows_is_the_smallest_over_all_relabellings(normal):
    a, b = normal(4, 1, 4), normal(4, 1, 4)
    brute = min(float((a - image).abs().max()) for image in _images(b))
    relabellings = _balanced(4, 1)
    apart = same_copy(relabellings.ordered(a.flatten(0, 1)[None]), copies(relabellings, b.flatten(0, 1)).logits)[1]
    assert float(apart) == pytest.approx(brute, abs=1e-15)


def test_a_constant_in_the_logits_makes_no_new_orbit(normal):
    problem = Problem(CrossEntropy(), 3, 4, 2, 1e-2, 1e-2, 0.0)
    x = normal(problem.size)
    W, H, b = problem.unpack(x)
    shifted = problem.pack(Point(W + normal(4), H, b + 3.0))
    atlas = Atlas(problem)
    for point in (x, shifted):
        atlas.add(problem, point[None])
    assert [row.found for row in atlas.rows] == [2]


def test_which_classes_are_together():
    problem = Problem(Focal(2.0), 5, 2, 2, 1e-2, 1e-2, 0.0)
    w = torch.tensor([[1.0, 0], [1, 0], [-1, 1], [0, 0], [0, 0]], dtype=torch.float64)
    H = w.repeat_interleave(2, 0)
    point = problem.pack(Point(w, H, torch.zeros(5, dtype=torch.float64)))
    assert together(problem, point) == ([[0, 1], [2]], [3, 4], True)
    H[0, 1] += 0.1
    uneven = problem.pack(Point(w, H, torch.zeros(5, dtype=torch.float64)))
    assert together(problem, uneven) == ([[0, 1], [2]], [3, 4], False)
