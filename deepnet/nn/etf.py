"""A classifier that is not trained, for the end of any network: `net.fc = ETFClassifier(512, 5)`."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from deepnet.nn.frames import frame, grown
from ufm.arguments import Rule, boolean, device, integer, optional, positive, seed, takes
from ufm.errors import check

MOST_FEATURES, MOST_CLASSES = 2**16, 2**14
"""Limits because the frame is made in float64, by a QR decomposition."""


class ETFClassifier(nn.Module):
    """Logits W h with a fixed simplex equiangular tight frame W (Zhu et al. 2021; Yang et al. 2022), without bias.

    With more classes than `in_features` + 1 no simplex fits, and W is a softmax code (`deepnet/nn/frames.py`): for up
    to 2 `in_features` classes the best there is, beyond that the best that a search finds.

    Args:
        in_features: d, the length of a feature vector.
        num_classes: K.
        capacity: the number of vectors that are made at once, K unless given; those beyond K wait for `expand`.
        scale: the length of each row of W.
        normalize: whether features are brought to length 1 first, so that logits are `scale` times cosines.
        seed: of the random rotation (and of the search).
        device, dtype: where and in which precision W is kept; None: torch's defaults.

    Attributes:
        weight: W, a buffer, so that no optimiser touches it.
        spare: the vectors that wait.

    Raises:
        ValueError: if an argument is out of range, or for more than 1000 classes and 2 `in_features`.
    """

    weight: Tensor
    spare: Tensor
    bias = None

    @takes(
        in_features=integer(1, MOST_FEATURES),
        num_classes=integer(2, MOST_CLASSES),
        capacity=optional(integer(2, MOST_CLASSES)),
        scale=positive,
        normalize=boolean,
        seed=seed,
        device=optional(device),
        dtype=optional(Rule(lambda v: isinstance(v, torch.dtype) and v.is_floating_point, "a floating-point dtype")),
    )
    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        capacity: int | None = None,
        scale: float = 1.0,
        normalize: bool = False,
        seed: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        capacity = num_classes if capacity is None else capacity
        check(capacity >= num_classes, "capacity", capacity, f">= {num_classes}, the number of classes")
        self.in_features, self.scale, self.normalize, self.seed = in_features, float(scale), normalize, seed
        device = torch.get_default_device() if device is None else device
        with torch.device("cpu"):
            rows = scale * frame(capacity, in_features, seed)
        rows = rows.to(device, dtype or torch.get_default_dtype())
        self.register_buffer("weight", rows[:num_classes].clone())
        self.register_buffer("spare", rows[num_classes:].clone())

    @property
    def out_features(self) -> int:
        """The number of classes K."""
        return len(self.weight)

    def forward(self, features: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch K"]:
        """The logits of the features."""
        if self.normalize:
            at_least_single = features.to(
                torch.promote_types(features.dtype, torch.float32)
            )  # squares overflow in half
            features = functional.normalize(at_least_single, dim=-1).to(features.dtype)
        return functional.linear(features, self.weight)

    @torch.no_grad()
    def expand(self, num_classes: int) -> float:
        """Add classes; return the angle in degrees by which the vectors of the old classes turned.

        Within `capacity` the vectors of old classes stay as they are, bit for bit: 0 degrees. Beyond it all become the
        simplex of `num_classes` whose old vectors turn least, all by arccos sqrt((K - 1) C / (K (C - 1))) from K to C
        vectors (9 degrees from 10 to 13): less is not possible. What stays is how old classes are told apart: for any
        feature whatever, the differences of their logits shrink by one factor, the cosine of that angle.

        Raises:
            ValueError: unless there are more classes than before, and no more than capacity or `in_features` + 1.
        """
        ready = torch.cat([self.weight, self.spare])
        most = max(len(ready), self.in_features + 1)
        allowed = f"an integer in [{self.out_features}, {most}]: beyond the capacity they must form a simplex"
        Rule(integer(self.out_features, most).holds, allowed).check("num_classes", num_classes)
        angle, added = 0.0, num_classes - len(ready)
        if added > 0:
            rows, angle = grown(ready.double().cpu() / self.scale, added, self.seed + len(ready))
            ready = (self.scale * rows).to(ready)
        self.weight, self.spare = ready[:num_classes].clone(), ready[num_classes:].clone()
        return angle

    def extra_repr(self) -> str:
        """Sizes and settings, for `print`."""
        sizes = f"in_features={self.in_features}, out_features={self.out_features}, spare={len(self.spare)}"
        return f"{sizes}, scale={self.scale}, normalize={self.normalize}"
