"""The unconstrained feature model: free features H, classifier W, bias b, one loss, weight decay on each.

    f(W, H, b) = (1/N) sum_i loss(W h_i + b, y_i) + decay_W/2 |W|^2 + decay_H/2 |H|^2 + decay_b/2 |b|^2

(Zhu et al. 2021; Zhou et al. 2022). Rows are samples and classes: the papers' H is `H.mT`. Leading axes
are independent starts. Solvers see a point as one flat vector of P = K d + N d (+ K) numbers, in the order W, H, b.
The decays and the loss's parameters may differ by start, so that many problems of one size are one batch.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ufm.errors import check
from ufm.model import parameters, problem_compiled
from ufm.model.model import Factors, Model, Point, check_points
from ufm.model.parameters import Parameter, Rows, along, check_parameter, is_per_start


@dataclass(frozen=True)
class Problem(Model):
    """The unconstrained feature model: its sizes, loss and decays.

    Attributes:
        loss, K, d, n, sizes: as in every `Model`.
        decay_W, decay_H: weight decays, > 0 (the objective has a factor 1/2 in front of each).
        decay_b: weight decay of the bias: > 0 decayed, 0 free, None for a model without bias.

    Decays and parameters of the loss are numbers, or float64 tensors (S,) with one entry per start; then every point
    handed in must be one of S rows (`take` makes the problem of some of them).

    Raises:
        ValueError: on a size or decay outside these bounds.
    """

    has_columns = True
    why_no_morse_relation = ""

    decay_W: Parameter
    decay_H: Parameter
    decay_b: Parameter | None = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for argument in ("decay_W", "decay_H"):
            name = f"Problem({argument}=...)"
            check_parameter(lambda v: (v > 0) & (v < math.inf), name, getattr(self, argument), "finite and > 0")
        if self.decay_b is not None:
            allowed = "finite and >= 0 (0: free bias), or None (no bias)"
            check_parameter(lambda v: (v >= 0) & (v < math.inf), "Problem(decay_b=...)", self.decay_b, allowed)
        given = (value for part in (self, self.loss) for value in vars(part).values() if isinstance(value, Tensor))
        lengths = sorted({len(value) for value in given})
        check(len(lengths) <= 1, "Problem(...)", f"lengths {lengths}", "given parameters of one length")

    @property
    def has_bias(self) -> bool:
        """Whether b is a variable."""
        return self.decay_b is not None

    @property
    def has_free_bias(self) -> bool:
        """Whether b is a variable without decay."""
        return isinstance(self.decay_b, int | float) and self.decay_b == 0

    @property
    def size(self) -> int:
        """The number of variables P = (K + N) d, plus K with a bias."""
        return (self.K + self.N) * self.d + (self.K if self.has_bias else 0)

    @property
    def is_mixed(self) -> bool:
        """Whether any parameter differs by start."""
        return is_per_start(self) or is_per_start(self.loss)

    def take(self, rows: Rows) -> "Problem":
        """The problem of the starts `rows`: itself, unless its parameters differ by start."""
        if not self.is_mixed:
            return self
        result = parameters.take(self, rows)
        object.__setattr__(result, "loss", parameters.take(self.loss, rows))
        return result

    def unpack(self, x: Float[Tensor, "*batch P"]) -> Point:
        """W, H and b of each point, as views of the flat vector; b is zero without a bias.

        Raises:
            ValueError: unless x is a float64 tensor of points of this size.
        """
        check_points(x, self.size)
        in_W, in_H = self.K * self.d, self.N * self.d
        W = x[..., :in_W].view(*x.shape[:-1], self.K, self.d)
        H = x[..., in_W : in_W + in_H].view(*x.shape[:-1], self.N, self.d)
        b = x[..., in_W + in_H :] if self.has_bias else x.new_zeros(*x.shape[:-1], self.K)
        return Point(W, H, b)

    def pack(self, point: Point) -> Float[Tensor, "*batch P"]:
        """The flat vector of a point, the inverse of `unpack`; b is ignored in a model without bias."""
        parts = [point.W.flatten(-2), point.H.flatten(-2), *([point.b] if self.has_bias else [])]
        return torch.cat(parts, -1)

    def factorised(self, x: Float[Tensor, "*batch P"]) -> Factors:
        """W, H and b of each point; this model has no layers between them."""
        W, H, b = self.unpack(x)
        return Factors(W, [], H, b)

    def assembled(self, W: Tensor, inner: list[Tensor], H: Tensor, b: Tensor) -> Float[Tensor, "*batch P"]:
        """The flat vector of W, H and b."""
        return self.pack(Point(W, H, b))

    def logits(self, x: Float[Tensor, "*batch P"]) -> Float[Tensor, "*batch N K"]:
        """W h_i + b of every sample."""
        # Laid out with the samples innermost, so that reductions over the few classes run over contiguous vectors.
        W, H, b = self.unpack(x)
        return (W @ H.mT + b[..., None]).mT

    def value(self, x: Float[Tensor, "*batch P"]) -> Float[Tensor, "*batch"]:
        """The objective f of each point, differentiable by torch."""
        return self.loss(self.logits(x), self.labels(x.device)).mean(-1) + self.penalty(x)

    def penalty(self, x: Float[Tensor, "*batch P"]) -> Float[Tensor, "*batch"]:
        """The sum of the weight-decay terms, decay/2 times the squared norm each."""
        squares = (part.flatten(x.dim() - 1).square().sum(-1) for part in self.unpack(x))
        return sum((decay / 2 * square for decay, square in zip(self.decays, squares, strict=True)), x.new_zeros(()))

    def value_and_gradient(self, x: Float[Tensor, "*batch P"]) -> tuple[Float[Tensor, "*batch"], Tensor]:
        """The objective f and its gradient at each point; points do not influence each other."""
        self.check_batch(x)
        if problem_compiled.serves(x, self.K, self.d, self.N):
            Z, T = problem_compiled.logits(x, self.K, self.d, self.N)
            loss, G = self.loss.value_and_gradient(Z.mT, self.labels(x.device))
            result, penalty = problem_compiled.gradient(x, T, G.mT, self._decay_table(len(x)))
            return loss.mean(-1) + penalty, result
        loss, G = self.loss.value_and_gradient(self.logits(x), self.labels(x.device))
        W, H, b = self.unpack(x)
        decay_W, decay_H = (along(decay, G) for decay in self.decays[:2])
        G = G / self.N
        gradient = Point(G.mT @ H + decay_W * W, G @ W + decay_H * H, G.sum(-2) + along(self.decays[2], b) * b)
        return loss.mean(-1) + self.penalty(x), self.pack(gradient)

    def logit_hessian(self, x: Float[Tensor, "*batch P"]) -> Float[Tensor, "*batch N K K"]:
        """The Hessian of the mean loss (factor 1/N) in each sample's logits, as a function of directions."""
        check_points(x, self.size)
        unit = torch.eye(self.K, dtype=x.dtype, device=x.device)[:, None].expand(*x.shape[:-1], -1, self.N, -1)
        rows = self.loss.hessian(self.logits(x).unsqueeze(-3), self.labels(x.device))(unit)
        return rows.transpose(-3, -2) / self.N

    def hessian(self, x: Float[Tensor, "*batch P"]) -> Callable[[Float[Tensor, "*batch Q P"]], Tensor]:
        """The Hessian of f at each point, as a function that maps Q directions per point to their Hessian products."""
        self.check_batch(x)
        labels = self.labels(x.device)
        if problem_compiled.serves(x, self.K, self.d, self.N):
            Z, T = problem_compiled.logits(x, self.K, self.d, self.N)
            of_loss = self.loss.hessian(Z.mT.unsqueeze(-3), labels)
            G = self.loss.value_and_gradient(Z.mT, labels)[1].mT
            return problem_compiled.hessian(x, T, G, of_loss, self._decay_table(len(x)))
        logits = self.logits(x)
        W, H, _ = (part.unsqueeze(x.dim() - 1) for part in self.unpack(x))
        G = self.logit_gradient(x).unsqueeze(-3)
        of_loss = self.loss.hessian(logits.unsqueeze(-3), labels)
        decay_W, decay_H = (along(decay, G) for decay in self.decays[:2])

        def product(v: Float[Tensor, "*batch Q P"]) -> Float[Tensor, "*batch Q P"]:
            dW, dH, db = self.unpack(v)
            decay_b = along(self.decays[2], db)
            R = of_loss((W @ dH.mT + dW @ H.mT + db[..., None]).mT) / self.N
            return self.pack(
                Point(
                    R.mT @ H + G.mT @ dH + decay_W * dW,
                    R @ W + G @ dW + decay_H * dH,
                    R.sum(-2) + decay_b * db,
                )
            )

        return product

    @property
    def decays(self) -> tuple[Parameter, Parameter, Parameter]:
        """The decays of W, H and b; zero for a bias that is free or absent."""
        return self.decay_W, self.decay_H, 0.0 if self.decay_b is None else self.decay_b

    @property
    def least_curvature(self) -> Parameter:
        """The smaller decay of W and H."""
        return self._of_decays(min, torch.minimum)

    @property
    def curvature_scale(self) -> Parameter:
        """The larger decay of W and H."""
        return self._of_decays(max, torch.maximum)

    @property
    def radius(self) -> Parameter:
        """s = sqrt(decay_W decay_H), computed without underflow."""
        return self.decay_W**0.5 * self.decay_H**0.5

    def _of_decays(
        self, of_numbers: Callable[[float, float], float], of_tensors: Callable[[Tensor, Tensor], Tensor]
    ) -> Parameter:
        decay_W, decay_H = self.decay_W, self.decay_H
        if not isinstance(decay_W, Tensor) and not isinstance(decay_H, Tensor):
            return of_numbers(decay_W, decay_H)
        return of_tensors(torch.as_tensor(decay_W + 0 * decay_H), torch.as_tensor(decay_H + 0 * decay_W))

    def check_batch(self, x: Tensor) -> None:
        """Refuse points of another length, or of another number than there are parameters per start.

        Raises:
            ValueError: says which points are allowed.
        """
        check_points(x, self.size)
        every = [value for part in (self, self.loss) for value in vars(part).values() if isinstance(value, Tensor)]
        if every:
            found, allowed = tuple(x.shape), f"a row for each of the {len(every[0])} starts that have parameters"
            check(x.shape[:1] == every[0].shape, "x", found, allowed)

    def _decay_table(self, starts: int) -> Float[np.ndarray, "B 3"]:
        table = np.empty((starts, 3))
        for column, decay in zip(table.T, self.decays, strict=True):
            column[:] = decay
        return table
