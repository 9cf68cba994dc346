"""Batch normalisation that sees the whole batch when several processes share it, on any device.

torch's SyncBatchNorm is for GPUs only. With one process this is torch's own batch normalisation.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from deepnet import distributed


class BatchNorm2d(nn.BatchNorm2d):
    """As in torch, with statistics of the samples of all processes."""

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Normalise by the statistics of the whole batch, or in eval mode by the running ones."""
        if not self.training or distributed.size() == 1:
            return super().forward(x)
        y = x.float()
        own_count = y.new_tensor([y.numel() / y.shape[1]])
        # Mean and variance come one after the other, so that no large squares cancel.
        sums = _total(torch.cat([y.sum((0, 2, 3)), own_count]))
        mean, count = sums[:-1] / sums[-1], sums[-1]
        centred = y - mean[:, None, None]
        variance = _total(centred.square().sum((0, 2, 3))) / count
        self._remember(mean.detach(), variance.detach() * count / (count - 1))
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)

    @torch.no_grad()
    def _remember(self, mean: Float[Tensor, " c"], variance: Float[Tensor, " c"]) -> None:
        for running, value in ((self.running_mean, mean), (self.running_var, variance)):
            assert running is not None
            running.lerp_(value, self.momentum or 0.0)
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)


def _total(own: Float[Tensor, " m"]) -> Float[Tensor, " m"]:
    return distributed.DifferentiableTotal.apply(own)  # type: ignore[no-untyped-call]
