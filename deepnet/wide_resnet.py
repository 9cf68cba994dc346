"""ResNet-50 for 32 x 32 images whose bottlenecks can be made narrower or wider, returning logits and features.

The widths are those of the networks of Zhou et al. 2022 (all losses are created equal): only the 3x3 convolution inside
a bottleneck scales, as in torchvision's `wide_resnet50_2`, so that features have dimension 2,048 at every width.
For 10 classes the net has 5,880,074 parameters at width 0.25 and 23,520,842 at width 1.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

FEATURE_SIZE = 2048
_EXPANSION = 4
_STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))  # channels, blocks, stride of the first block


class WideResNet(nn.Module):
    """Bottleneck ResNet-50 with a 3x3 stem and no max-pool; `classifier` is the last layer.

    Args:
        width: Factor of the bottlenecks' inner width.
        classes: Number of classes K.
        channels: Channels of the images.
        generator: Draws the initial parameters: torchvision's, with every residual branch starting at zero (Goyal et
            al. 2017). Otherwise the first steps at the usual learning rates throw small subsets off for good.
    """

    def __init__(self, width: float, classes: int, channels: int, generator: torch.Generator) -> None:
        super().__init__()
        self.stem = _convolution(channels, 64, 3)
        blocks, size = [], 64
        for base, depth, stride in _STAGES:
            for index in range(depth):
                blocks.append(Bottleneck(size, int(base * width), base * _EXPANSION, stride if index == 0 else 1))
                size = base * _EXPANSION
        self.blocks = nn.Sequential(*blocks)
        self.classifier = nn.Linear(FEATURE_SIZE, classes)
        self._initialise(generator)

    def forward(
        self, images: Float[Tensor, "n channels height width"]
    ) -> tuple[Float[Tensor, "n K"], Float[Tensor, "n d"]]:
        """Return logits and the features that the last layer sees, both in float32 under any autocast.

        The last layer is the one that theory speaks about, and it is cheap: it never runs in bfloat16.
        """
        features = self.blocks(functional.relu(self.stem(images))).float().mean((2, 3))
        with torch.autocast(images.device.type, enabled=False):
            return self.classifier(features), features

    def _initialise(self, generator: torch.Generator) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
            if isinstance(module, Bottleneck):
                module.start_at_zero()
        bound = FEATURE_SIZE**-0.5
        nn.init.uniform_(self.classifier.weight, -bound, bound, generator=generator)
        nn.init.uniform_(self.classifier.bias, -bound, bound, generator=generator)


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions around a shortcut that is projected where the shape changes."""

    def __init__(self, size_in: int, inner: int, size_out: int, stride: int) -> None:
        super().__init__()
        self.reduce = _convolution(size_in, inner, 1)
        self.spatial = _convolution(inner, inner, 3, stride)
        self.expand = _convolution(inner, size_out, 1)
        keeps_shape = stride == 1 and size_in == size_out
        self.shortcut = nn.Identity() if keeps_shape else _convolution(size_in, size_out, 1, stride)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c2 h2 w2"]:
        """One residual step."""
        inner = functional.relu(self.spatial(functional.relu(self.reduce(x))))
        return functional.relu(self.expand(inner) + self.shortcut(x))

    def start_at_zero(self) -> None:
        """Make the block its shortcut: the scale of the last batch normalisation is zero."""
        normalisation = self.expand[1]
        assert isinstance(normalisation, nn.BatchNorm2d)
        nn.init.zeros_(normalisation.weight)


def _convolution(size_in: int, size_out: int, kernel: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(size_in, size_out, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(size_out))
