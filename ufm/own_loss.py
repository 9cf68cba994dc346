"""A loss of your own by its import path: any callable (logits (M, K), labels (M,)) -> loss per sample (M,).

`--loss mymodule.MyLoss --loss.param 0.3` calls MyLoss(param=0.3) and takes the result as the loss; where `MyLoss` is a
function, `param` is passed with every call. A subclass of `ufm.loss.Loss` is taken as it is, with its own
derivatives; of anything else they come from automatic differentiation.
"""

import dataclasses
import functools
import hashlib
import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ufm.arguments import instance, integer, takes
from ufm.command_line import LOSS_NAMES, LossSpec, RequestError, check
from ufm.loss import Labels, Logits, Loss, PerSample
from ufm.losses import make_loss, parameters_of
from ufm.parameters import Parameter

SAMPLES = 64
SCALES = (0.0, 1.0, 10.0)
ROUNDING = 1e-10
"""Relative to the largest loss; what a sample's loss may change by when others change."""


@dataclass(frozen=True)
class OwnLoss(Loss):
    """A callable that knows nothing of leading axes. The fields of a subclass are its parameters that are numbers."""

    make: ClassVar[Callable[..., Callable[[Tensor, Tensor], Tensor]]]
    """(parameters) -> the callable."""

    @property
    def function(self) -> Callable[[Tensor, Tensor], Tensor]:
        """The callable at these parameters."""
        return self.make(**vars(self))

    def __call__(self, logits: Logits, labels: Labels) -> PerSample:
        """All samples of all starts in one call; under `vmap` where parameters differ by start."""
        each = {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}
        if not each:
            return _flat(self.function, logits, labels)

        def of_start(values: dict[str, Tensor], z: Tensor) -> Tensor:
            return _flat(self.make(**{**vars(self), **values}), z, labels)

        return torch.func.vmap(of_start)(each, logits)


def _flat(function: Callable[[Tensor, Tensor], Tensor], logits: Tensor, labels: Tensor) -> Tensor:
    every = labels.expand(logits.shape[:-1]).reshape(-1)
    return function(logits.reshape(-1, logits.shape[-1]), every).view(logits.shape[:-1])


def is_own(spec: LossSpec) -> bool:
    """Whether the loss is named by an import path."""
    return "." in str(spec["name"])


@takes(spec=instance(dict))
def loss_of(spec: LossSpec) -> Loss:
    """The loss, of this project or of your own.

    Raises:
        ValueError: on a name that is neither, an import that fails, or parameters the loss does not take.
    """
    name, parameters = str(spec["name"]), {key: value for key, value in spec.items() if key != "name"}
    if not is_own(spec):
        check(name in LOSS_NAMES, "--loss", name, f"one of {', '.join(LOSS_NAMES)} or an import path (module.Class)")
        return make_loss(spec)
    found = _imported(name)
    parameters = _as_declared(found, parameters)
    make = found if inspect.isclass(found) else functools.partial(functools.partial, found)
    try:
        inspect.signature(found).bind_partial(**parameters)
        made: Any = make(**parameters)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise RequestError(f"`--loss` must take its parameters, got {name}({parameters}) ({reason}).") from None
    check(callable(made), "--loss", name, "callable as (logits, labels)")
    return made if isinstance(made, Loss) else _own(make, _with_defaults(found, parameters))


@takes(spec=instance(dict))
def full_spec(spec: LossSpec) -> LossSpec:
    """The loss with all its parameters that are numbers or text, defaults included.

    Raises:
        ValueError: as `loss_of`.
    """
    loss = loss_of(spec)
    if not is_own(spec):
        return {"name": spec["name"], **parameters_of(loss)}
    return _with_defaults(_imported(str(spec["name"])), spec)


def source_of(spec: LossSpec) -> str:
    """A hash of the file that defines a loss of your own, so that results of another version are not taken for its."""
    if not is_own(spec):
        return ""
    path = inspect.getsourcefile(inspect.unwrap(_imported(str(spec["name"]))))
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16] if path else ""


@takes(loss=instance(Loss), K=integer(2))
def check_loss(loss: Loss, K: int) -> None:
    """Refuse what is not a loss per sample.

    Raises:
        ValueError: on a wrong shape or type, a value that is not finite, a loss that cannot be differentiated, or one
            whose samples see each other; names the shape or the sample.
    """
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(SAMPLES) % K
    for scale in SCALES:
        z = scale * torch.randn(SAMPLES, K, dtype=torch.float64, generator=generator)
        values = _checked(loss, z, labels)
        company = torch.cat([z[: SAMPLES // 2], 3 * z[SAMPLES // 2 :] + 1])
        for other, kept in ((company, SAMPLES // 2), (z[:1], 1)):
            moved = (loss(other, labels[: len(other)])[:kept] - values[:kept]).abs()
            worst = int(moved.argmax())
            sample = f"{_shown(z, labels, worst)}, whose loss moves by {float(moved[worst]):.2g} with the others"
            allowed = "such that no sample's loss depends on other samples"
            check(float(moved[worst]) <= ROUNDING * float(values.abs().amax().clamp(min=1)), "--loss", sample, allowed)


def _checked(loss: Loss, z: Float[Tensor, "M K"], labels: Int[Tensor, " M"]) -> Tensor:
    """The losses, if they are M finite numbers of the logits' type that can be differentiated."""
    z = z.clone().requires_grad_()
    function = loss.function if isinstance(loss, OwnLoss) else loss
    try:
        values: Any = function(z, labels)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise RequestError(
            f"`--loss` must take logits {tuple(z.shape)} and labels ({len(z)},), got {reason}."
        ) from None
    is_tensor = isinstance(values, Tensor)
    got = f"{values.dtype} {tuple(values.shape)}" if is_tensor else type(values).__name__
    expected = f"one {z.dtype} per sample, a tensor ({len(z)},)"
    check(is_tensor and values.shape == (len(z),) and values.dtype == z.dtype, "--loss", got, expected)
    check(values.requires_grad, "--loss", "a value without gradient", "differentiable in the logits by torch")
    (gradient,) = torch.autograd.grad(values.sum(), z)
    is_finite = torch.isfinite(values) & torch.isfinite(gradient).all(1)
    bad = int(is_finite.logical_not().int().argmax())
    check(bool(is_finite.all()), "--loss", _shown(z, labels, bad), "finite with a finite gradient at every sample")
    return values.detach()


def _own(make: Callable[..., Any], parameters: LossSpec) -> Loss:
    """The callable as a loss; numbers that may be tensors, as `vmap` has them, are declared so and can be batched."""
    numbers = {name: value for name, value in parameters.items() if isinstance(value, float)}
    others = {name: value for name, value in parameters.items() if name not in numbers}
    making = {"make": staticmethod(functools.partial(make, **others))}
    for kind in (Parameter, float):
        fields = [(name, kind) for name in numbers]
        loss = dataclasses.make_dataclass("OwnLoss", fields, bases=(OwnLoss,), frozen=True, namespace=making)(**numbers)
        if kind is float or _can_be_batched(loss):
            break
    return loss


def _can_be_batched(loss: Any) -> bool:
    """Whether one parameter per start gives what one number does; not where Python decides by its value."""
    z, labels = torch.linspace(-1, 1, 12, dtype=torch.float64).view(2, 2, 3), torch.arange(2)
    per_start = {name: torch.full((2,), value, dtype=torch.float64) for name, value in vars(loss).items()}
    try:
        return torch.allclose(dataclasses.replace(loss, **per_start)(z, labels), loss(z, labels), rtol=1e-12, atol=0)
    except Exception:  # whatever it does to a number that it cannot do to a tensor
        return False


def _with_defaults(function: Callable[..., Any], parameters: LossSpec) -> LossSpec:
    """All parameters that are numbers or text."""
    signature = inspect.signature(function).parameters.values()
    defaults = {p.name: p.default for p in signature if isinstance(p.default, int | float | str)}
    return {**defaults, **_as_declared(function, parameters)}


def _as_declared(function: Callable[..., Any], parameters: LossSpec) -> LossSpec:
    """Whole numbers become floats where the default is one."""
    signature = inspect.signature(function).parameters
    is_float = {name for name, parameter in signature.items() if isinstance(parameter.default, float)}
    return {key: float(value) if key in is_float and type(value) is int else value for key, value in parameters.items()}


def _shown(z: Tensor, labels: Tensor, sample: int) -> str:
    logits = ", ".join(f"{value + 0.0:.3g}" for value in z[sample].tolist())
    return f"a sample with logits ({logits}), label {int(labels[sample])}"


def _imported(path: str) -> Any:
    module, _, name = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        allowed = f"an import path that works here, got {path} (importing {module}: {reason})"
        raise RequestError(f"`--loss` must be {allowed}.") from None
    check(callable(found), "--loss", path, "a class, or a function (logits, labels)")
    return found
