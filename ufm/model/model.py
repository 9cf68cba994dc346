"""What every model of free features shares: sizes, labels, a loss; and what solvers ask of a model.

A model is a function of one flat vector of `size` numbers per start. `minimise` needs its value and gradient, the
search for critical points its Hessian; that is all they know of it. Models: `Problem` (`ufm/model/problem.py`:
classifier, features, bias, with decays; any class sizes, and with `ufm/model/pick_all_labels.py` several labels per
sample), `DeepProblem` (`ufm/model/deep.py`: more layers) and `SphereProblem` (`ufm/model/spheres.py`: unit vectors).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ufm.arguments import check_fields, each, instance, integer, shown, tensor
from ufm.errors import check
from ufm.model.loss import Loss
from ufm.model.parameters import Parameter, Rows

Self = TypeVar("Self", bound="Model")
"""Where `typing.Self` would stand: shape checks at run time look at methods one by one, without their class."""


class Point(NamedTuple):
    """Last layer: W (*batch, K, d), its features H (*batch, N, d), bias b (*batch, K) (zero where there is none)."""

    W: Float[Tensor, "*batch K d"]
    H: Float[Tensor, "*batch N d"]
    b: Float[Tensor, "*batch K"]


@dataclass(frozen=True)
class Model(ABC):
    """Sizes, labels and loss.

    Attributes:
        loss: per-sample loss.
        K: classes, >= 2.
        d: feature dimension, >= 1 (smaller than K is allowed).
        n: samples per class, >= 1.
        sizes: relative class sizes for an imbalanced model: class k has n sizes[k] samples (None: 1 each). Where the
            loss has other labels than the classes (sets of them), one entry for each of its labels.

    Raises:
        ValueError: on a size outside these bounds.
    """

    has_columns = False
    """Whether a critical point of rank r is, but for a rotation, one with r feature columns beside columns of zeros."""
    why_no_morse_relation = "no relation is derived here"
    """Why the relations of `ufm.atlas.morse` are not held against its critical points; empty where they are."""
    is_rectified = False
    """Whether the model has kinks, at which there is no Hessian."""

    loss: Loss
    K: int
    d: int
    n: int
    sizes: tuple[int, ...] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        check_fields(self, loss=instance(Loss), K=integer(2), d=integer(1), n=integer(1))
        if self.sizes is not None:
            count, argument = self.loss.label_count(self.K), f"{type(self).__name__}(sizes=...)"
            is_allowed = each(integer(1)).holds(self.sizes) and len(self.sizes) == count
            check(is_allowed, argument, shown(self.sizes), f"{count} integers >= 1, one per label")

    @property
    def N(self) -> int:
        """Number of samples."""
        return self.n * (self.loss.label_count(self.K) if self.sizes is None else sum(self.sizes))

    @property
    def is_balanced(self) -> bool:
        """Whether every class is the only label of n samples."""
        return self.sizes is None and self.loss.label_count(self.K) == self.K

    def labels(self, device: torch.device | str = "cpu") -> Int[Tensor, " N"]:
        """Label of each sample, sorted."""
        return _labels(self.n, self.sizes or self.loss.label_count(self.K), torch.device(device))

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of variables P."""

    @property
    @abstractmethod
    def has_bias(self) -> bool:
        """Whether b is a variable."""

    @property
    def has_free_bias(self) -> bool:
        """Whether b is a variable without decay."""
        return False

    @property
    def redundant(self) -> int:
        """How many variables change nothing at any point: lengths of vectors of which only the direction counts."""
        return 0

    @property
    def feature_spaces(self) -> int:
        """How many spaces can be rotated, each on its own."""
        return 1

    @property
    def rotates_labels(self) -> bool:
        """Whether rotations of label space, among classes of one size, are symmetries."""
        return self.loss.rotates_labels

    @property
    @abstractmethod
    def least_curvature(self) -> Parameter:
        """Roughly the least curvature at a minimiser, but for symmetries: |gradient| / this is a distance from it."""

    @property
    @abstractmethod
    def curvature_scale(self) -> Parameter:
        """Roughly the largest curvature that counts there."""

    def normalised(self, x: Float[Tensor, "*batch P"]) -> Float[Tensor, "*batch P"]:
        """The same point in the form that is measured: itself, unless variables are redundant."""
        return x

    @abstractmethod
    def unpack(self, x: Float[Tensor, "*batch P"]) -> Point:
        """The last layer."""

    def spanning(self, x: Float[Tensor, "*batch P"]) -> Float[Tensor, "*batch R d"]:
        """The vectors whose rank is that of a critical point: the rows of W, which the other factors balance."""
        return self.unpack(x).W

    @abstractmethod
    def logits(self, x: Float[Tensor, "*batch P"]) -> Float[Tensor, "*batch N K"]:
        """The logits of every sample."""

    @abstractmethod
    def value(self, x: Float[Tensor, "*batch P"]) -> Float[Tensor, "*batch"]:
        """The objective f, differentiable."""

    @abstractmethod
    def value_and_gradient(self, x: Float[Tensor, "*batch P"]) -> tuple[Float[Tensor, "*batch"], Tensor]:
        """f and its gradient, each start on its own."""

    @abstractmethod
    def hessian(self, x: Float[Tensor, "*batch P"]) -> Callable[[Float[Tensor, "*batch Q P"]], Tensor]:
        """The Hessian of f at each point as an operator on Q directions per point."""

    def take(self: Self, rows: Rows) -> Self:
        """The model of some of the starts: itself, unless parameters differ by start."""
        return self

    def split(self: Self, x: Float[Tensor, "B P"], width: int) -> list[tuple[Self, Float[Tensor, "b P"]]]:
        """The points in chunks of at most `width`, each with its model; one empty chunk where there are none."""
        chunks = (slice(first, first + width) for first in range(0, max(1, len(x)), width))
        return [(self.take(rows), x[rows]) for rows in chunks]


def check_points(x: Tensor, size: int) -> None:
    """Refuse what are not points of this many variables; in less than float64, rounding is above what is judged.

    Raises:
        ValueError: unless they are a float64 tensor (..., size).
    """
    tensor(..., size).check("x", x)


@lru_cache(maxsize=64)
def _labels(n: int, sizes: tuple[int, ...] | int, device: torch.device) -> Tensor:
    """Asked for at every evaluation."""
    counts = torch.tensor((1,) * sizes if isinstance(sizes, int) else sizes, device=device)
    return torch.repeat_interleave(torch.arange(len(counts), device=device), n * counts)
