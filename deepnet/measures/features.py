"""The features that the last layer of a network sees in eval mode, as tensors and as `FeatureStats`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from deepnet import distributed
from deepnet.data.images import Split, split_rule
from deepnet.data.load import Data
from deepnet.nets.nets import Network
from ufm.arguments import check_fields, floats, instance, one_of, takes, tensor
from ufm.collapse import FeatureStats, chunks
from ufm.errors import check

Precision = Literal["fp32", "bf16"]
Forward = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Maps images to logits and features: a network, also wrapped for several processes."""
BATCH, MOST_VALUES = 500, 500 * 3 * 64 * 64
"""Images a forward pass, and their pixels times channels; eval mode, so the number moves nothing but rounding and
memory."""


@dataclass(frozen=True)
class LastLayer:
    """A network reduced to its last layer on one split: `logits == H @ W.mT + b`."""

    H: Float[Tensor, "N d"]
    labels: Int[Tensor, " N"]
    W: Float[Tensor, "K d"]
    b: Float[Tensor, " K"]

    def __post_init__(self) -> None:
        check_fields(
            self,
            H=tensor("N", "d", dtypes=floats),
            labels=tensor("N", dtypes=(torch.int64,)),
            W=tensor("K", "d", dtypes=floats),
            b=tensor("K", dtypes=floats),
        )

    @property
    def logits(self) -> Float[Tensor, "N K"]:
        """The logits of the samples."""
        return self.H @ self.W.mT + self.b

    @property
    def stats(self) -> FeatureStats:
        """The statistics that metrics take; features that are not finite give metrics that are nan.

        Raises:
            ValueError: if a class has no sample.
        """
        stats = FeatureStats.from_sweeps(
            lambda: ((self.H[rows], self.labels[rows]) for rows in chunks(self.H)), self.W, self.b
        )
        absent = [] if stats.present is None else (~stats.present).nonzero()[:, 0].tolist()
        check(not absent, "labels", f"none of classes {absent}", "such that every class has a sample")
        return stats


@takes(net=instance(Network), data=instance(Data), split=split_rule, precision=one_of(get_args(Precision)))
@torch.no_grad()
def last_layer(net: Network, data: Data, split: Split, precision: Precision) -> LastLayer:
    """The features of a split, (N, d) float32, in eval mode and without augmentation, and the last layer's W and b.

    With several processes, each runs its share of the images, and all get all features.
    """
    net.eval()
    H = torch.zeros(len(split.labels), net.feature_size, device=split.images.device)
    size = max(1, min(BATCH, MOST_VALUES // split.images[0].numel()))
    for start in range(distributed.rank() * size, len(H), distributed.size() * size):
        images = split.images[start : start + size]
        H[start : start + size] = forward(net, data.normalise(images), precision)[1]
    distributed.total(H)
    return LastLayer(H, split.labels, net.classifier.W.detach(), net.classifier.b.detach())


def forward(
    net: Forward, images: Float[Tensor, "n C h w"], precision: Precision
) -> tuple[Float[Tensor, "n K"], Float[Tensor, "n d"]]:
    """Logits and features, float32; `bf16` runs the convolutions in bfloat16 (autocast)."""
    images = images.contiguous(memory_format=torch.channels_last)
    with torch.autocast(images.device.type, torch.bfloat16, enabled=precision == "bf16"):
        logits, features = net(images)
    return logits, features
