"""Which points are the same: orbit sizes against brute-force enumeration, matching against explicit permutations."""

import itertools
import math

import pytest
import torch

from ufm.losses import CrossEntropy, Focal
from ufm.model import Point
from ufm.problem import Problem
from ufm.symmetry import copies, distance, labelled_logits, same_copy, together


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
    found = copies(noisy)
    assert found.count == len(exact)
    assert found.of_classes == len(found.logits)
    assert math.factorial(3) % found.of_classes == 0
    assert found.spread < 1e-7
    assert found.gap > 0.5


def test_a_point_is_found_among_its_copies_whatever_the_order_of_samples(normal):
    logits = normal(3, 2, 3)
    mine = copies(logits)
    assert mine.count == 6 * 2**3
    image = mine.logits[4][:, [1, 0]]
    number, apart = same_copy(image[None] + 1e-9, mine.logits)
    assert number.tolist() == [4]
    assert float(apart[0]) < 1e-8
    changed = image.clone()
    changed[0, 0, 0] += 1e-3
    assert same_copy(changed[None], mine.logits)[0].tolist() == [-1]


def test_as_often_here_as_there():
    """Two samples of one kind and one of another are not one of the first and two of the second."""
    a = torch.zeros(2, 3, 2, dtype=torch.float64)
    a[0, :, 0] = torch.tensor([0.0, 0.0, 5.0])
    b = a.clone()
    b[0, :, 0] = torch.tensor([0.0, 5.0, 5.0])
    assert same_copy(a[None], copies(b).logits)[0].tolist() == [-1]
    assert same_copy(a[None], copies(a).logits)[0].tolist() != [-1]


def test_the_distance_of_rows_is_the_smallest_over_all_relabellings(normal):
    a, b = normal(4, 1, 4), normal(4, 1, 4)
    brute = min(float((a - image).abs().max()) for image in _images(b))
    assert distance(a, copies(b).logits) == pytest.approx(brute, abs=1e-15)


def test_softmax_logits_lose_their_constant(normal):
    problem = Problem(CrossEntropy(), 3, 4, 2, 1e-2, 1e-2, 0.0)
    x = normal(problem.size)
    W, H, b = problem.unpack(x)
    shifted = problem.pack(Point(W + normal(4), H, b + 3.0))
    torch.testing.assert_close(labelled_logits(problem, x), labelled_logits(problem, shifted))


def test_which_classes_are_together():
    problem = Problem(Focal(2.0), 5, 2, 2, 1e-2, 1e-2, 0.0)
    w = torch.tensor([[1.0, 0], [1, 0], [-1, 1], [0, 0], [0, 0]], dtype=torch.float64)
    H = w.repeat_interleave(2, 0)
    point = problem.pack(Point(w, H, torch.zeros(5, dtype=torch.float64)))
    assert together(problem, point) == ([[0, 1], [2]], [3, 4], True)
    H[0, 1] += 0.1
    H[1, 1] -= 0.1
    split = problem.pack(Point(w, H, torch.zeros(5, dtype=torch.float64)))
    assert together(problem, split) == ([[0, 1], [2]], [3, 4], False)
