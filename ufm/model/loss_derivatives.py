"""Does a loss compute in float64, and are its derivatives those of its values? Compared with differences of values.

A weight that was detached, a rounding whose gradient is made up, or a step in float32 gives end points that are none
and properties that the loss does not have. Every answer is numeric evidence on the samples given.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ufm.errors import check
from ufm.model.loss import Loss
from ufm.tolerances import DERIVATIVE, SAME_SLOPE, VALUE_NOISE

TINY, SMALL, WIDE = 1e-9, 1e-5, 1e-3
"""Steps: one that float32 does not see, one for derivatives, and one that float32 does see."""


def check_precision(loss: Loss, z: Float[Tensor, "M K"], labels: Int[Tensor, " M"]) -> None:
    """Refuse a loss whose values do not follow a tiny step as they follow a wide one, on half of the samples or more.

    Raises:
        ValueError: if the loss computes in less than float64 inside.
    """
    v = _directions(z)
    tiny, wide = ((loss(z + h * v, labels) - loss(z - h * v, labels)) / (2 * h) for h in (TINY, WIDE))
    rounding = VALUE_NOISE * float(loss(z, labels).abs().amax()) / TINY
    is_told = wide.abs() > max(rounding / SAME_SLOPE * 10, 1e-3 * float(wide.abs().amax()))
    is_off = is_told & ((tiny - wide).abs() > SAME_SLOPE * wide.abs())
    got = f"one whose values stand still or jump over steps of {TINY:g}: it computes in less inside"
    check(2 * int(is_off.sum()) <= int(is_told.sum()), "--loss", got, "computed in float64 throughout")


def check_derivatives(loss: Loss, z: Float[Tensor, "M K"], labels: Int[Tensor, " M"]) -> None:
    """Refuse a loss whose gradient is not that of its values, or whose Hessian not that of its gradient.

    Raises:
        ValueError: with the sample, and the derivative along one direction by either way.
    """
    v = _directions(z)
    ahead, here, behind = ((loss.value_and_gradient(z + h * v, labels)) for h in (SMALL, 0, -SMALL))
    values, gradients = zip(ahead, here, behind, strict=True)
    slope, trust = _difference(*(value[:, None] for value in values))
    _check(slope, trust, (here[1] * v).sum(1, keepdim=True), "gradient", "values", z, labels)
    turn, trust = _difference(*gradients)
    _check(turn, trust, loss.hessian(z, labels)(v), "Hessian", "gradient", z, labels)


def shown(z: Float[Tensor, "M K"], labels: Int[Tensor, " M"], sample: int) -> str:
    """A sample in words."""
    logits = ", ".join(f"{value + 0.0:.3g}" for value in z[sample].tolist())
    return f"a sample with logits ({logits}), label {int(labels[sample])}"


def _directions(z: Tensor) -> Tensor:
    """One unit vector a sample."""
    v = torch.randn(z.shape, dtype=z.dtype, generator=torch.Generator().manual_seed(1))
    return v / v.norm(dim=1, keepdim=True)


def _difference(ahead: Tensor, here: Tensor, behind: Tensor) -> tuple[Tensor, Float[Tensor, " M"]]:
    """The central difference quotient, and how far the two one-sided ones are apart, as they are at a kink."""
    return (ahead - behind) / (2 * SMALL), (ahead - 2 * here + behind).norm(dim=1) / SMALL


def _check(
    found: Tensor, trust: Tensor, given: Tensor, name: str, of: str, z: Float[Tensor, "M K"], labels: Int[Tensor, " M"]
) -> None:
    distance = (found - given).norm(dim=1)
    allowed = trust + DERIVATIVE * torch.cat([found, given]).nan_to_num(0, 0, 0).norm(dim=1).amax()
    is_wrong: Bool[Tensor, " M"] = distance > allowed
    worst = int(torch.where(is_wrong, distance - allowed, -torch.inf).argmax())
    numbers = f"{float(given[worst].norm()):.4g} where differences of its {of} give {float(found[worst].norm()):.4g}"
    got = f"{shown(z, labels, worst)}, along whose direction it is {numbers}"
    check(not bool(is_wrong.any()), "--loss", got, f"such that its {name} by torch is that of its {of}")
