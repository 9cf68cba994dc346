"""What L-BFGS makes of its memory, against the formula of one pair."""

import torch

from ufm.solve.lbfgs.batched import AtWork, _coefficients, _combine
from ufm.solve.lbfgs.rules import MEMORY


def test_pairs_that_were_given_up_leave_no_trace(normal):
    """One pair in a memory of zeros, and in one that still holds what was in the other slots."""
    x, g, S = normal(1, 6), normal(1, 6), normal(1, MEMORY + 1, 6)
    Y = 2 * S + 0.3 * normal(1, MEMORY + 1, 6)
    s, y = S[0, 0], Y[0, 0]
    scale = float(s @ y / (y @ y))
    left = torch.eye(6, dtype=torch.float64) - torch.outer(s, y) / (s @ y)
    expected = (scale * left @ left.mT + torch.outer(s, s) / (s @ y)) @ g[0]
    for is_stale in (False, True):
        work = AtWork.loaded(x, torch.tensor([0]), torch.ones(1, dtype=torch.float64))
        work.S, work.Y = S.clone(), Y.clone()
        work.S[:, 1:] *= is_stale
        work.Y[:, 1:] *= is_stale
        kept_S, kept_Y = work.S[:, :MEMORY], work.Y[:, :MEMORY]
        work.SY, work.YY = kept_S @ kept_Y.mT, kept_Y @ kept_Y.mT
        work.g, work.pairs = g, torch.tensor([1])
        of_g = (kept_S @ g[:, :, None], kept_Y @ g[:, :, None])
        factor, from_S, from_Y, slope = _coefficients(work, g.square().sum(1), *of_g)
        found = _combine(-factor, g, from_S, work.S, from_Y, work.Y, torch.ones(1, 6, dtype=torch.float64))[0]
        torch.testing.assert_close(found, -expected, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(slope[0], -expected @ g[0], rtol=1e-12, atol=1e-12)
