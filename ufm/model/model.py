"""What every model of free features shares: sizes, labels, a loss; and what solvers ask of a model.

A model is a function of one flat vector of `size` numbers per start. `minimise` needs its value and gradient, the
search for critical points its Hessian; that is all they know of it. Models: `Problem` (`ufm/model/problem.py`:
classifier, features, bias, with decays; any class sizes, and with `ufm/model/pick_all_labels.py` several labels per
sample), `DeepProblem` (`ufm/model/deep.py`: more layers) and `SphereProblem` (`ufm/model/spheres.py`: unit vectors).
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import NamedTuple, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ufm.arguments import check_fields, each, instance, integer, shown, tensor
from ufm.errors import check
from ufm.model.loss import Loss
from ufm.model.loss_claims import is_shift_invariant
from ufm.model.parameters import Parameter, Rows

Self = TypeVar("Self", bound="Model")
"""Stands in for `typing.Self`, which beartype cannot resolve when it checks the shapes of single methods."""


class Factors(NamedTuple):
    """The matrices of a point: logits = H W_1' ... W_L' W' + b, where only some models have the layers W_1 ... W_L.

    They are views of the flat vector, so that rows on spheres have any length; b is zero in a model without bias.
    """

    W: Float[Tensor, "*batch K d"]
    inner: list[Float[Tensor, "*batch d d"]]
    H: Float[Tensor, "*batch N d"]
    b: Float[Tensor, "*batch K"]


class Point(NamedTuple):
    """The last layer of a point: classifier W, the features H that it sees, and bias b (zero where there is none)."""

    W: Float[Tensor, "*batch K d"]
    H: Float[Tensor, "*batch N d"]
    b: Float[Tensor, "*batch K"]


@dataclass(frozen=True)
class Model(ABC):
    """A function of free features that is to be minimised: its sizes, labels and loss.

    Attributes:
        loss: one number per sample, of which the objective has the mean over the N samples.
        K: classes, >= 2.
        d: feature dimension, >= 1 (smaller than K is allowed).
        n: samples per class, >= 1.
        sizes: relative class sizes for an imbalanced model: class k has n sizes[k] samples (None: 1 each). Where the
            loss has other labels than the classes (sets of them), one entry for each of its labels.

    Raises:
        ValueError: on a size outside these bounds.
    """

    has_columns = False
    """Whether every critical point of rank r can be rotated so that all but r feature columns are zero."""
    why_no_morse_relation = "no relation is derived here"
    """The reason why `ufm.atlas.morse` does not check Morse relations of this model; empty if it does."""
    is_rectified = False
    """Whether the model has a ReLU, hence kinks, at which there is no Hessian."""

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
        """The number of samples."""
        return self.n * (self.loss.label_count(self.K) if self.sizes is None else sum(self.sizes))

    @property
    def is_balanced(self) -> bool:
        """Whether every class is the only label of n samples, so that permutations of classes change nothing."""
        return self.sizes is None and self.loss.label_sets(self.K) == tuple((k,) for k in range(self.K))

    def labels(self, device: torch.device | str = "cpu") -> Int[Tensor, " N"]:
        """The label of each sample, sorted."""
        return _labels(self.n, self.sizes or self.loss.label_count(self.K), torch.device(device))

    @property
    @abstractmethod
    def size(self) -> int:
        """The number of variables P, the length of a point."""

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
        """The number of variables that change nothing: lengths of vectors of which only the direction counts."""
        return 0

    @property
    def feature_spaces(self) -> int:
        """The number of feature spaces that can be rotated independently without changing the objective."""
        return 1

    @property
    def rotates_labels(self) -> bool:
        """Whether rotations of label space, among classes of one size, are symmetries."""
        return self.loss.rotates_labels

    @cached_property
    def is_shift_invariant(self) -> bool:
        """Whether a constant added to all logits of a sample changes no loss; measured where the loss does not say."""
        said = self.loss.is_shift_invariant
        return is_shift_invariant(self.loss, self.K) if said is None else said

    @property
    def radius(self) -> Parameter:
        """The singular value of `logit_gradient` above which a feature column of zeros has a direction of descent.

        Infinite for a model in which no critical point has such columns.
        """
        return math.inf

    @property
    @abstractmethod
    def least_curvature(self) -> Parameter:
        """An estimate of the least non-zero Hessian eigenvalue at a minimiser; |gradient| over it is a distance."""

    @property
    @abstractmethod
    def curvature_scale(self) -> Parameter:
        """An estimate of the largest relevant curvature: the largest decay, or tau / K on spheres."""

    def normalised(self, x: Float[Tensor, "*batch P"]) -> Float[Tensor, "*batch P"]:
        """The canonical form of a point: unit vectors on spheres, otherwise x itself."""
        check_points(x, self.size)
        return x

    @abstractmethod
    def unpack(self, x: Float[Tensor, "*batch P"]) -> Point:
        """The last layer of a point as matrices."""

    @abstractmethod
    def factorised(self, x: Float[Tensor, "*batch P"]) -> Factors:
        """All matrices of a point, as views of the flat vector where that is possible."""

    @abstractmethod
    def assembled(self, W: Tensor, inner: list[Tensor], H: Tensor, b: Tensor) -> Float[Tensor, "*batch P"]:
        """The flat vector of these matrices, the inverse of `factorised`; b is ignored in a model without bias."""

    def before_last(self, x: Float[Tensor, "*batch P"]) -> Float[Tensor, "*batch N d"]:
        """The features that the last layer sees, before the ReLU if the model has one."""
        return self.unpack(x).H

    def spanning(self, x: Float[Tensor, "*batch P"]) -> Float[Tensor, "*batch R d"]:
        """The vectors whose rank is the rank of a critical point: the rows of W, unless a model says otherwise."""
        return self.unpack(x).W

    @abstractmethod
    def logits(self, x: Float[Tensor, "*batch P"]) -> Float[Tensor, "*batch N K"]:
        """The logits of every sample."""

    def logit_gradient(self, x: Float[Tensor, "*batch P"]) -> Float[Tensor, "*batch N K"]:
        """G, the gradient of the mean loss (factor 1/N) in the logits; the papers write (grad_Z g)'."""
        return self.loss.value_and_gradient(self.logits(x), self.labels(x.device))[1] / self.N

    @abstractmethod
    def value(self, x: Float[Tensor, "*batch P"]) -> Float[Tensor, "*batch"]:
        """The objective f of each point, differentiable by torch."""

    @abstractmethod
    def value_and_gradient(self, x: Float[Tensor, "*batch P"]) -> tuple[Float[Tensor, "*batch"], Tensor]:
        """The objective f and its gradient at each point; points do not influence each other."""

    @abstractmethod
    def hessian(self, x: Float[Tensor, "*batch P"]) -> Callable[[Float[Tensor, "*batch Q P"]], Tensor]:
        """The Hessian of f at each point, as a function that maps Q directions per point to their Hessian products."""

    def take(self: Self, rows: Rows) -> Self:
        """The model of the starts `rows`: itself, unless its parameters differ by start."""
        return self

    def split(self: Self, x: Float[Tensor, "B P"], width: int) -> list[tuple[Self, Float[Tensor, "b P"]]]:
        """The points in chunks of at most `width`, each with its model; one empty chunk if there are no points."""
        chunks = (slice(first, first + width) for first in range(0, max(1, len(x)), width))
        return [(self.take(rows), x[rows]) for rows in chunks]


def check_points(x: Tensor, size: int) -> None:
    """Refuse points of another length or precision: rounding in less than float64 would exceed the tolerances.

    Raises:
        ValueError: unless they are a float64 tensor (..., size).
    """
    tensor(..., size).check("x", x)


@lru_cache(maxsize=64)
def _labels(n: int, sizes: tuple[int, ...] | int, device: torch.device) -> Tensor:
    """The labels, cached because every evaluation of a model needs them."""
    counts = torch.tensor((1,) * sizes if isinstance(sizes, int) else sizes, device=device)
    return torch.repeat_interleave(torch.arange(len(counts), device=device), n * counts)
