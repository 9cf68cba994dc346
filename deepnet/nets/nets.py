"""The networks of `--net`, one line each in `NETS`: bodies that make features of images (heads:
`deepnet/nets/heads.py`).

A further net is a function (width, shape of an image) -> module with an attribute `feature_size`, and its line.
"""

import itertools
import math
from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from deepnet.nets.conv_net import Block, ConvNet, Plain
from deepnet.nets.heads import Head, made_head
from deepnet.nets.own_net import OwnBody, Shape, begin_as, is_own, maker, own_body
from deepnet.nets.resnet import BasicBlock, Bottleneck, PreActivation, Residual
from deepnet.nets.transformer import Transformer
from ufm.arguments import each, instance, integer, optional, positive, takes
from ufm.errors import check, in_python
from ufm.specs import HeadSpec


class MLP(nn.Sequential):
    """Three hidden layers of 512 units times the width, ReLU after each: nothing but what the theory speaks about."""

    def __init__(self, width: float, shape: Shape) -> None:
        self.feature_size = int(512 * width)
        sizes = (math.prod(shape), *3 * (self.feature_size,))
        hidden = [layer for pair in itertools.pairwise(sizes) for layer in (nn.Linear(*pair), nn.ReLU())]
        super().__init__(nn.Flatten(), *hidden)


def _of_blocks(block: type[Block], depths: tuple[int, ...], width: float, shape: Shape) -> ConvNet:
    return ConvNet(block, depths, width, shape[0])


NETS: dict[str, Callable[[float, Shape], nn.Module]] = {
    "wide_resnet": partial(_of_blocks, Bottleneck, (3, 4, 6, 3)),
    "resnet18": partial(_of_blocks, BasicBlock, (2, 2, 2, 2)),
    "preact_resnet": partial(_of_blocks, PreActivation, (2, 2, 2, 2)),
    "conv": partial(_of_blocks, Plain, (1, 1, 1, 1)),
    "vit": partial(Transformer, "scaled"),
    "vit_unscaled": partial(Transformer, "unscaled"),
    "vit_unnormalised": partial(Transformer, "none"),
    "mlp": MLP,
}


class Network(nn.Module):
    """A body and a head, whose last layer theory speaks about: `classifier` names the features that it sees.

    Attributes:
        feature_size: d.
    """

    @takes(body=instance(nn.Module), classifier=instance(Head))
    def __init__(self, body: nn.Module, classifier: Head) -> None:
        super().__init__()
        self.body = body
        self.classifier = classifier
        self.feature_size = classifier.dim

    @property
    def memory_format(self) -> torch.memory_format:
        """How its maps lie in memory; those of a body of your own as torch has them by default, which it may need."""
        return torch.contiguous_format if isinstance(self.body, OwnBody) else torch.channels_last

    def forward(
        self, images: Float[Tensor, "n channels height width"]
    ) -> tuple[Float[Tensor, "n K"], Float[Tensor, "n d"]]:
        """Return logits and features, both in float32 under any autocast: the head is cheap, and never bfloat16."""
        maps = self.body(images)
        features = maps.to(torch.promote_types(maps.dtype, torch.float32))
        with torch.autocast(images.device.type, enabled=False):
            return self.classifier(features)


@takes(
    name=instance(str),
    width=positive,
    classes=integer(2),
    shape=each(integer(1), 3),
    generator=instance(torch.Generator),
    head=optional(instance(dict)),
)
def make_net(
    name: str, width: float, classes: int, shape: Shape, generator: torch.Generator, head: HeadSpec | None = None
) -> Network:
    """A network with fresh parameters, which depend on the generator alone; the head is linear by default.

    Args:
        name: One of `NETS`, or of your own (`deepnet/nets/own_net.py`).
        width: Factor of its width.
        classes: K.
        shape: Channels, height and width of an image.
        generator: On the CPU.
        head: The last layers.

    Raises:
        ValueError: if there is no such network or head, or a network of your own cannot be had.
    """
    with in_python(net="name"):
        return made_net(name, width, classes, shape, generator, head)


def made_net(
    name: str, width: float, classes: int, shape: Shape, generator: torch.Generator, head: HeadSpec | None
) -> Network:
    """As `make_net`, for a command, whose options sentences name."""
    check_net(name)
    spec: HeadSpec = {"name": "linear"} if head is None else head
    if is_own(name):
        own, last = own_body(name, width, classes, shape, generator)
        made = made_head(spec, own.feature_size, classes, generator)
        begin_as(made, last)
        return Network(own, made)
    body = NETS[name](width, shape)
    _initialise(body, generator)
    return Network(body, made_head(spec, int(body.feature_size), classes, generator))  # type: ignore[arg-type]


def check_net(name: str) -> None:
    """Refuse a network that cannot be had, before anything else is done; code of your own is looked at, not called.

    Raises:
        ValueError: if there is none of this name.
    """
    if is_own(name):
        maker(name)
    else:
        check(name in NETS, "--net", name, f"one of {', '.join(NETS)}")


def _initialise(body: nn.Module, generator: torch.Generator) -> None:
    """Draw the parameters as torchvision does, and start every residual branch at zero (Goyal et al. 2017).

    Without the zeros the first steps at the usual learning rates throw small subsets off for good.
    """
    for module in body.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
        if isinstance(module, nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
            nn.init.zeros_(module.bias)
        if isinstance(module, Residual):
            module.start_at_zero()
