"""The last layers of a network, from its body's output to logits; each is a model that `ufm` analyses.

Every head says which features theory speaks about, `seen(x)`, and which classifier acts on them:

    logits == seen(x) @ W.mT + b ,

so that metrics and comparisons are the same for all. A new head is one subclass of `Head` and its line in `HEADS`.
"""

import inspect
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from ufm.arguments import instance, integer, takes
from ufm.errors import check, in_python
from ufm.simplex import simplex_on_axes
from ufm.specs import HeadSpec

Inputs = Float[Tensor, "n size"]
MOST_DIMENSIONS, MOST_LAYERS, HIGHEST_TEMPERATURE = 10_000, 100, 1000
"""More is a slip: it fills the memory, or float32 logits overflow."""


class Head(nn.Module):
    """A head; `dim` is the feature dimension d, reached from the body's by a linear map without bias (None: as it is).

    Raises:
        ValueError: unless `dim` is None or in [1, 10000].
    """

    def __init__(self, size: int, dim: int | None, generator: torch.Generator) -> None:
        super().__init__()
        check(dim is None or 1 <= dim <= MOST_DIMENSIONS, "--head.dim", dim, f"in [1, {MOST_DIMENSIONS}]")
        self.reduce = nn.Identity() if dim is None else _linear(size, dim, generator)
        self.dim = size if dim is None else dim

    @property
    def W(self) -> Float[Tensor, "K d"]:
        """The classifier that acts on the features."""
        raise NotImplementedError

    @property
    def b(self) -> Float[Tensor, " K"]:
        """Its bias, zero where it has none."""
        return self.W.new_zeros(len(self.W))

    def seen(self, x: Inputs) -> Float[Tensor, "n d"]:
        """The features."""
        return self.reduce(x)

    def forward(self, x: Inputs) -> tuple[Float[Tensor, "n K"], Float[Tensor, "n d"]]:
        """Logits and features."""
        features = self.seen(x)
        return functional.linear(features, self.W, self.b), features

    @torch.no_grad()
    def retract(self) -> None:
        """Bring constrained parameters back to their set, after each step of the optimiser."""


class Linear(Head):
    """Weight and bias: the unconstrained feature model's classifier."""

    def __init__(self, size: int, classes: int, generator: torch.Generator, *, dim: int | None = None) -> None:
        super().__init__(size, dim, generator)
        bound = self.dim**-0.5
        self.weight = _uniform((classes, self.dim), bound, generator)
        self.bias = _uniform((classes,), bound, generator)

    @property
    def W(self) -> Float[Tensor, "K d"]:
        """The weight."""
        return self.weight

    @property
    def b(self) -> Float[Tensor, " K"]:
        """The bias."""
        return self.bias


class Normalised(Head):
    """Features and classifier rows of norm 1, logits tau <w_k, h> (Yaras et al. 2022; Jiang et al. 2024 with 1/tau).

    The weight enters as w / |w|, so that its gradient at |w| = 1 is the one on the sphere, and is divided by its norm
    after each step: without momentum, Riemannian gradient descent with the metric projection as retraction, and weight
    decay, which pulls along w only, is undone by it but for a factor of the step. Momentum stays as it is from step to
    step, not moved along the sphere.

    Raises:
        ValueError: unless 0 < temperature <= 1000.
    """

    def __init__(
        self,
        size: int,
        classes: int,
        generator: torch.Generator,
        *,
        temperature: float = 5.0,
        dim: int | None = None,
    ) -> None:
        super().__init__(size, dim, generator)
        allowed = f"in (0, {HIGHEST_TEMPERATURE}]"
        check(0 < temperature <= HIGHEST_TEMPERATURE, "--head.temperature", temperature, allowed)
        self.temperature = float(temperature)
        self.weight = _uniform((classes, self.dim), 1.0, generator)
        self.retract()

    @property
    def W(self) -> Float[Tensor, "K d"]:
        """The unit rows times tau."""
        return self.temperature * functional.normalize(self.weight, dim=-1)

    def seen(self, x: Inputs) -> Float[Tensor, "n d"]:
        """The features on the unit sphere."""
        return functional.normalize(self.reduce(x), dim=-1)

    @torch.no_grad()
    def retract(self) -> None:
        """Rows of norm 1."""
        self.weight.copy_(functional.normalize(self.weight, dim=-1))


class FixedSimplex(Head):
    """A classifier that is not trained: unit rows on a simplex equiangular tight frame, no bias (Zhu et al. 2021).

    Their choice is d = K, the default. For a network of your own there is `deepnet.nn.ETFClassifier`.

    Raises:
        ValueError: if dim < K - 1, where no simplex fits.
    """

    simplex: Tensor

    def __init__(self, size: int, classes: int, generator: torch.Generator, *, dim: int | None = None) -> None:
        dim = classes if dim is None else dim
        super().__init__(size, dim, generator)
        allowed = f">= {classes - 1}, what a simplex of {classes} classes spans"
        check(dim >= classes - 1, "--head.dim", dim, allowed)
        self.register_buffer("simplex", simplex_on_axes(classes, dim).float())

    @property
    def W(self) -> Float[Tensor, "K d"]:
        """The frame."""
        return self.simplex


class Layers(Head):
    """Linear layers W_L .. W_1 without bias, with or without a ReLU between them (Tirer and Bruna 2022; Ergen and
    Pilanci 2021); the features are the input of the last one.

    Args:
        count: L in [2, 100]; all but the last keep the feature dimension.
        relu: whether each layer but the last is followed by a ReLU.

    Raises:
        ValueError: unless 2 <= count <= 100.
    """

    def __init__(
        self,
        size: int,
        classes: int,
        generator: torch.Generator,
        *,
        count: int = 2,
        relu: bool = False,
        dim: int | None = None,
    ) -> None:
        super().__init__(size, dim, generator)
        allowed = f"in [2, {MOST_LAYERS}] (one layer is the head linear)"
        check(2 <= count <= MOST_LAYERS, "--head.count", count, allowed)
        widths = [self.dim] * count + [classes]
        self.layers = nn.ModuleList(_linear(*pair, generator) for pair in pairwise(widths))
        self.activation = nn.ReLU() if relu else nn.Identity()

    @property
    def matrices(self) -> list[Float[Tensor, "out in"]]:
        """W_1 .. W_L."""
        return [layer.weight for layer in self.layers]  # type: ignore[misc]

    @property
    def W(self) -> Float[Tensor, "K d"]:
        """W_L."""
        return self.matrices[-1]

    def inputs(self, x: Inputs) -> list[Float[Tensor, "n d"]]:
        """What each layer sees, the first one first."""
        inputs = [self.reduce(x)]
        for matrix in self.matrices[:-1]:
            inputs.append(self.activation(inputs[-1] @ matrix.mT))
        return inputs

    def seen(self, x: Inputs) -> Float[Tensor, "n d"]:
        """What the last layer sees."""
        return self.inputs(x)[-1]


TYPES: dict[Any, tuple[tuple[type, ...], str]] = {
    bool: ((bool,), "true or false"),
    int: ((int,), "an integer"),
    int | None: ((int,), "an integer"),
    float: ((int, float), "a number"),
}
"""What a parameter of a head may be, by its annotation."""

HEADS: dict[str, type[Head]] = {
    "linear": Linear,
    "normalised": Normalised,
    "etf": FixedSimplex,
    "layers": Layers,
}


@takes(spec=instance(dict), size=integer(1), classes=integer(2), generator=instance(torch.Generator))
def make_head(spec: HeadSpec, size: int, classes: int, generator: torch.Generator) -> Head:
    """The head that `{"name": "layers", "count": 3}` asks for, for a body with `size` outputs.

    Raises:
        ValueError: on an unknown name or parameter, or a value that the head refuses.
    """
    with in_python(head="spec"):
        return made_head(spec, size, classes, generator)


def made_head(spec: HeadSpec, size: int, classes: int, generator: torch.Generator) -> Head:
    """As `make_head`, for a command, whose options sentences name."""
    parameters: dict[str, Any] = dict(spec)
    name = parameters.pop("name", None)
    check(name in HEADS, "--head", name, f"one of {', '.join(HEADS)}")
    kind: Any = HEADS[name]
    allowed = {key: p.annotation for key, p in inspect.signature(kind).parameters.items() if p.kind is p.KEYWORD_ONLY}
    for key, value in parameters.items():
        known = ", ".join(f"--head.{option}" for option in allowed)
        check(key in allowed, f"--head.{key}", value, f"left out: the head {name} takes {known}")
        types, described = TYPES[allowed[key]]
        check(type(value) in types, f"--head.{key}", value, described)
    return kind(size, classes, generator, **parameters)


def _linear(size_in: int, size_out: int, generator: torch.Generator) -> nn.Linear:
    """A map without bias that keeps lengths on average (torch's own is shorter by sqrt(3))."""
    layer = nn.Linear(size_in, size_out, bias=False)
    nn.init.normal_(layer.weight, std=size_in**-0.5, generator=generator)
    return layer


def _uniform(shape: tuple[int, ...], bound: float, generator: torch.Generator) -> nn.Parameter:
    return nn.Parameter(nn.init.uniform_(torch.empty(shape), -bound, bound, generator=generator))
