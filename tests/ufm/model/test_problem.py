import math

import pytest
import torch

from ufm.model.losses import CrossEntropy, Focal, SquaredError
from ufm.model.model import Point
from ufm.model.problem import Problem


def test_value_is_the_definition_written_out(problem, normal):
    x = normal(problem.size)
    W, H, b = problem.unpack(x)
    total = 0.0
    for i in range(problem.N):
        label = torch.tensor([i // problem.n])
        total += float(problem.loss((W @ H[i] + b)[None], label)) / problem.N
    total += problem.decay_W / 2 * float((W**2).sum()) + problem.decay_H / 2 * float((H**2).sum())
    total += (problem.decay_b or 0) / 2 * float((b**2).sum())
    assert float(problem.value(x)) == pytest.approx(total, rel=1e-13)


@pytest.mark.parametrize("batch", [(), (3,), (2, 3)])
def test_pack_and_unpack_are_inverse(problem, normal, batch):
    x = normal(*batch, problem.size)
    torch.testing.assert_close(problem.pack(problem.unpack(x)), x, rtol=0, atol=0)
    assert problem.value(x).shape == batch
    assert problem.value_and_gradient(x)[1].shape == x.shape


def test_taylor_slopes_are_two_and_three(problem, normal):
    x, v = normal(problem.size), normal(problem.size)
    value, gradient = problem.value_and_gradient(x)
    curved = problem.hessian(x)(v[None])[0]
    steps = torch.logspace(-2.5, -1, 12, dtype=torch.float64)
    moved = problem.value(x + steps[:, None] * v)
    first = (moved - value - steps * (gradient @ v)).abs()
    second = (moved - value - steps * (gradient @ v) - steps**2 / 2 * (v @ curved)).abs()
    for error, expected in ((first, 2.0), (second, 3.0)):
        slope = float(
            torch.linalg.lstsq(torch.stack([steps.log(), torch.ones(12)], 1).double(), error.log()[:, None])[0][0]
        )
        assert slope == pytest.approx(expected, abs=0.2)


def test_hessian_is_the_dense_one_of_automatic_differentiation(problem, normal):
    x = normal(2, problem.size)
    eye = torch.eye(problem.size, dtype=torch.float64)
    dense = torch.func.vmap(torch.func.hessian(problem.value))(x)
    torch.testing.assert_close(problem.hessian(x)(eye.expand(2, -1, -1)), dense, rtol=1e-9, atol=1e-11)


def test_cross_entropy_hessian_block_is_a_kronecker_product(normal):
    problem = Problem(CrossEntropy(), 3, 2, 1, 0.1, 0.1, None)
    x = normal(problem.size)
    W, H, _ = problem.unpack(x)
    p = (H @ W.T).softmax(-1)
    block = sum(torch.kron(torch.diag(q) - torch.outer(q, q), torch.outer(h, h)) for q, h in zip(p, H, strict=True)) / 3
    block = block + 0.1 * torch.eye(6, dtype=torch.float64)
    found = problem.hessian(x)(torch.eye(problem.size, dtype=torch.float64)[:6])[:, :6]
    torch.testing.assert_close(found, block, rtol=1e-10, atol=1e-12)


def test_rotating_feature_space_changes_nothing(problem, normal):
    x = normal(problem.size)
    Q = torch.linalg.qr(normal(problem.d, problem.d))[0]
    W, H, b = problem.unpack(x)
    torch.testing.assert_close(problem.value(problem.pack(Point(W @ Q, H @ Q, b))), problem.value(x))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"K": 1}, r"Problem\(K=...\).*>= 2, got 1"),
        ({"d": 0}, r"Problem\(d=...\).*>= 1, got 0"),
        ({"n": 0}, r"Problem\(n=...\).*>= 1, got 0"),
        ({"decay_W": 0.0}, "decay_W.*> 0, got 0"),
        ({"decay_H": -1.0}, "decay_H.*got -1"),
        ({"decay_W": math.nan}, "decay_W.*got nan"),
        ({"decay_b": -0.1}, "decay_b.*>= 0.*got -0.1"),
        ({"decay_b": math.inf}, "decay_b.*got inf"),
    ],
)
def test_wrong_problems_are_refused(changes, complaint):
    right = {"loss": Focal(1.0), "K": 3, "d": 2, "n": 1, "decay_W": 0.1, "decay_H": 0.1, "decay_b": 0.0}
    with pytest.raises(ValueError, match=complaint):
        Problem(**right | changes)


def test_features_may_have_fewer_dimensions_than_classes(normal):
    problem = Problem(SquaredError(), 5, 1, 2, 0.1, 0.1)
    assert problem.logits(normal(3, problem.size)).shape == (3, 10, 5)
