"""Batch normalisation with what follows it in a residual network: the shortcut and ReLU.

One process on CPU cores runs them in compiled loops (`deepnet/nets/batch_norm_compiled.py`), an accelerator as torch
has them. When several processes share a batch, the statistics are those of the whole batch, on any device; torch's
SyncBatchNorm is for GPUs only.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from deepnet import distributed
from deepnet.nets import batch_norm_compiled as compiled


class BatchNorm2d(nn.BatchNorm2d):
    """relu(batch normalisation + shortcut), with the parameters and running statistics of torch's layer.

    Args:
        channels: of the maps.
        is_rectified: ReLU at the end; without it there is no shortcut.
    """

    def __init__(self, channels: int, is_rectified: bool = True) -> None:
        super().__init__(channels)
        self.is_rectified = is_rectified

    def forward(
        self, x: Float[Tensor, "n c h w"], shortcut: Float[Tensor, "n c h w"] | None = None
    ) -> Float[Tensor, "n c h w"]:
        """Normalise by the statistics of the whole batch, or in eval mode by the running ones."""
        if compiled.can_take(x) and (distributed.size() == 1 if self.training else not torch.is_grad_enabled()):
            return self._compiled(x, shortcut)
        y = self._of_all(x) if self.training and distributed.size() > 1 else super().forward(x)
        y = y if shortcut is None else y + shortcut
        return functional.relu(y) if self.is_rectified else y

    def _compiled(
        self, x: Float[Tensor, "n c h w"], shortcut: Float[Tensor, "n c h w"] | None
    ) -> Float[Tensor, "n c h w"]:
        if self.training:
            of_x, count = compiled.moments(x), x.numel() // x.shape[1]
            self._remember(of_x.mean, of_x.variance * count / (count - 1))
        else:
            assert self.running_mean is not None
            assert self.running_var is not None
            of_x = compiled.Moments(self.running_mean, self.running_var)
        y: Tensor = compiled.Normalise.apply(  # type: ignore[no-untyped-call]
            x, shortcut, self.weight, self.bias, of_x, self.eps, self.is_rectified
        )
        return y

    def _of_all(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Normalise by the statistics of the samples of all processes."""
        y = x.to(torch.promote_types(x.dtype, torch.float32))
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
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        # As torch has it, no momentum means a plain average over all batches.
        share = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        for running, value in ((self.running_mean, mean), (self.running_var, variance)):
            assert running is not None
            running.lerp_(value, share)


def _total(own: Float[Tensor, " m"]) -> Float[Tensor, " m"]:
    return distributed.DifferentiableTotal.apply(own)  # type: ignore[no-untyped-call]
