"""The numerical rank, against numpy's."""

import numpy as np
import torch

from ufm.solve.rank import numerical_rank


def test_as_numpy_for_large_matrices_and_absolute_for_small_ones():
    A = torch.randn(4, 6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    A[1, :, 3:] = A[1, :, :2]
    A[2] *= 1e-9
    A[3] = torch.diag(torch.tensor([1e3, 1.0, 2e-3, 5e-4, 0.0])).double()[[0, 1, 2, 3, 4, 4]]
    found = numerical_rank(A)
    relative = [int(np.linalg.matrix_rank(a.numpy(), rtol=1e-6)) for a in A]
    assert found.tolist() == [5, 3, 0, 3]
    assert [found[i] for i in (0, 1, 3)] == [relative[i] for i in (0, 1, 3)]
    assert relative[2] == 5  # the near twin: relative to the largest singular value alone


def test_each_matrix_may_have_its_tolerance():
    A = torch.diag(torch.tensor([1.0, 1e-3])).double().expand(2, 2, 2)
    assert numerical_rank(A, torch.tensor([1e-2, 1e-4])).tolist() == [1, 2]
