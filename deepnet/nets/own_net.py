"""Networks of your own, of timm and of torchvision: their last linear layer gives way to a head, all else stays.

`--net mymodule:make_net` is a function that takes `num_classes`, or a subclass of `torch.nn.Module`; either may also
take `in_channels`, `image_size` (height, width) and `width`. `timm:NAME` and `torchvision:NAME` are nets of these
packages without their weights; grey images are shown to torchvision's three times. The net must give logits, as the
output of the `nn.Linear` that runs last; it may have any layers and any normalisation, or none.

The path may stand in a file from elsewhere: `ufm/import_string.py` finds the object, `_found` looks at it before it is
called.
"""

import copy
import inspect
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from deepnet.evaluation.last_linear import last_linear, logits_in
from deepnet.evaluation.watched import evaluating
from deepnet.nets.heads import Head, Linear
from ufm import import_string
from ufm.errors import RequestError, check
from ufm.import_string import foreign

Shape = tuple[int, int, int]
"""Channels, height and width of an image."""
Maker = Callable[[float, int, Shape], Any]
"""(width, classes, shape of an image) -> the net, logits and all; what code of the user makes may be anything."""
IMAGES = 2
"""That are shown to a net before it is trained: the fewest that batch normalisation takes."""
SAME = 1e-4
"""How far logits by another way of calling the same layers may lie apart, relative to the largest."""


class OwnBody(nn.Module):
    """A net without its last linear layer: images to what that layer would see.

    Attributes:
        is_random: whether two passes in training differ, as dropout makes them.
    """

    def __init__(self, net: nn.Module, feature_size: int) -> None:
        super().__init__()
        self.net = net
        self.feature_size = feature_size
        self.is_random = False

    def forward(self, images: Float[Tensor, "n C h w"]) -> Float[Tensor, "n d"]:
        """Features; the images lie as torch has them by default, for nets that count on it."""
        return logits_in(self.net(images.contiguous()))


class _OfColours(nn.Module):
    """A net for images of three channels, which sees grey ones three times."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Float[Tensor, "n 1 h w"]) -> Any:
        """What the net gives."""
        return self.net(images.expand(-1, 3, -1, -1))


def is_own(name: str) -> bool:
    """Whether a net is none of ours."""
    return ":" in name


def maker(name: str) -> Maker:
    """What makes the net; it is looked at here, and not called.

    Raises:
        ValueError: if there is none of this name, its package cannot be imported, or it is no maker by its looks.
    """
    package, _, rest = name.partition(":")
    return LIBRARIES[package](rest) if package in LIBRARIES else _found(name)


def own_body(name: str, width: float, classes: int, shape: Shape, generator: torch.Generator) -> tuple[OwnBody, Any]:
    """The net without its last linear layer, and that layer; parameters depend on the generator alone.

    Raises:
        ValueError: as `maker`, and if the net cannot be made, does not take such images, has another number of logits,
            or logits that are not those of its last linear layer.
    """
    make, seed = maker(name), int(torch.randint(2**62, (), generator=generator))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        with foreign("--net", "make a network", name):
            net = make(width, classes, shape)
        check(isinstance(net, nn.Module), "--net", f"{name}, which makes a {type(net).__name__}", "of torch modules")
        images = torch.randn(IMAGES, *shape)
        with foreign("--net", f"take images {shape}", name), torch.no_grad():
            return _without_last_layer(net.float(), name, classes, images)


def begin_as(head: Head, last: nn.Linear) -> None:
    """Let a linear head on the same features begin with the layer's parameters, without a bias if it has none."""
    if type(head) is not Linear or not isinstance(head.reduce, nn.Identity):
        return
    with torch.no_grad():
        head.weight.copy_(last.weight)
        if last.bias is not None:
            head.bias.copy_(last.bias)
            return
    zero = torch.zeros_like(head.bias)
    del head.bias
    head.register_buffer("bias", zero)


def _without_last_layer(
    net: nn.Module, name: str, classes: int, images: Float[Tensor, "n C h w"]
) -> tuple[OwnBody, nn.Linear]:
    allowed = "a network whose logits are the output of its last nn.Linear, as it is"
    with evaluating(net):
        logits = logits_in(net(images))
        try:
            place = last_linear(net, lambda: net(images))
        except RequestError:
            place = ""
        check(place != "", "--net", f"{name}, whose output {tuple(logits.shape)} is not", allowed)
        last: Any = net.get_submodule(place)
        got = f"{name}, which gives {last.out_features}"
        check(last.out_features == classes, "--net", got, f"a network of {classes} logits, one a class")
        net.set_submodule(place, nn.Identity())
        body = OwnBody(net, last.in_features)
        features = body(images)
        is_seen = features.shape == (len(images), last.in_features)
        is_same = is_seen and bool(((last(features) - logits).abs() <= SAME * logits.abs().amax()).all())
        check(is_same, "--net", f"{name}, which does more than {place} does", allowed)
    body.is_random = _is_random(body, name, images)
    return body, last


def _is_random(body: OwnBody, name: str, images: Float[Tensor, "n C h w"]) -> bool:
    """Whether a copy in training gives other features the second time."""
    trained = copy.deepcopy(body).train()
    first, second = trained(images), trained(images)
    allowed = f"a network of features {(len(images), body.feature_size)} in training, too"
    check(first.shape == (len(images), body.feature_size), "--net", f"{name}, of {tuple(first.shape)}", allowed)
    return not torch.equal(first, second)


def _found(name: str) -> Maker:
    """The maker of that import path, one by its looks."""
    found = import_string.find(name.replace(":", "."), "--net")
    is_module = inspect.isclass(found) and issubclass(found, nn.Module)
    with foreign("--net", "say what it takes", name):
        takes = inspect.signature(found).parameters if is_module or inspect.isfunction(found) else {}
    allowed = "a function that takes num_classes, or a subclass of torch.nn.Module"
    check(is_module or "num_classes" in takes, "--net", name, allowed)

    def make(width: float, classes: int, shape: Shape) -> Any:
        known = {"num_classes": classes, "in_channels": shape[0], "image_size": shape[1:], "width": width}
        if "width" not in takes:
            _check_width(width, name)
        return found(**{key: value for key, value in known.items() if key in takes})

    return make


def _of_timm(name: str) -> Maker:
    with foreign("--net", "be of a package that can be imported", f"timm:{name}"):
        import timm
    check(timm.is_model(name), "--net", f"timm:{name}", "timm: and one of timm.list_models()")
    is_fixed = getattr(timm.get_pretrained_cfg(name), "fixed_input_size", False)

    def make(width: float, classes: int, shape: Shape) -> Any:
        _check_width(width, f"timm:{name}")
        size: dict[str, Any] = {"img_size": shape[1:]} if is_fixed else {}
        return timm.create_model(name, pretrained=False, num_classes=classes, in_chans=shape[0], **size)

    return make


def _of_torchvision(name: str) -> Maker:
    with foreign("--net", "be of a package that can be imported", f"torchvision:{name}"):
        from torchvision import models
    check(name in models.list_models(module=models), "--net", f"torchvision:{name}", "of torchvision.models")

    def make(width: float, classes: int, shape: Shape) -> Any:
        _check_width(width, f"torchvision:{name}")
        size = {"image_size": shape[1]} if name.startswith("vit_") else {}
        made = models.get_model(name, weights=None, num_classes=classes, **size)
        return _OfColours(made) if shape[0] == 1 else made

    return make


def _check_width(width: float, name: str) -> None:
    check(width == 1, "--width", width, f"1 with --net {name}, which takes no width")


LIBRARIES: dict[str, Callable[[str], Maker]] = {"timm": _of_timm, "torchvision": _of_torchvision}
"""What stands before the colon for nets of a package."""
