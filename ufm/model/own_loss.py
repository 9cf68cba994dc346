"""A loss of your own by its import path: any callable (logits (M, K), labels (M,)) -> loss per sample (M,).

`--loss mymodule.MyLoss --loss.param 0.3` calls MyLoss(param=0.3) and takes the result as the loss; where `MyLoss` is a
function, `param` is passed with every call; an instance, which may be a `functools.partial`, is taken as it is. A
subclass of `ufm.model.loss.Loss` keeps its own derivatives; of anything else they come from automatic differentiation.

The path may stand in a file from elsewhere, so nothing is called that is not a loss by its looks:
`ufm/import_string.py` finds the object, `_found` looks at it.
"""

import dataclasses
import functools
import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ufm import import_string
from ufm.arguments import instance, integer, takes
from ufm.errors import check
from ufm.import_string import foreign
from ufm.labels import Labels
from ufm.model.loss import Logits, Loss, PerSample, checked_labels
from ufm.model.loss_claims import check_claims
from ufm.model.loss_derivatives import check_derivatives, check_precision, shown
from ufm.model.losses import make_loss, parameters_of
from ufm.model.parameters import Parameter
from ufm.specs import LOSS_NAMES, LossSpec
from ufm.tolerances import BATCHED_LOSS, LOSS_ROUNDING

SAMPLES = 64
SCALES = (0.0, 1.0, 10.0)


@dataclass(frozen=True)
class OwnLoss(Loss):
    """A loss that wraps a callable of logits (M, K); a subclass has the callable's numeric parameters as its fields."""

    make: ClassVar[Callable[..., Callable[[Tensor, Tensor], Tensor]]]
    """Makes the callable from the parameters."""

    @property
    def on_samples(self) -> Callable[[Tensor, Tensor], Tensor]:
        """The callable at these parameters."""
        return _frozen(self.make(**vars(self)))

    def __str__(self) -> str:
        """The callable's own name, and the parameters."""
        return f"{_name(self)}({', '.join(f'{name}={value}' for name, value in vars(self).items())})"

    def __call__(self, logits: Logits, labels: Labels) -> PerSample:
        """The loss of all samples of all starts in one call, by `vmap` where parameters differ by start."""
        labels = checked_labels(labels, logits)
        each = {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}
        if not each:
            return _flat(self.on_samples, logits, labels)

        def of_start(values: dict[str, Tensor], z: Tensor) -> Tensor:
            return _flat(_frozen(self.make(**{**vars(self), **values})), z, labels)

        return torch.func.vmap(of_start)(each, logits)


def _frozen(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """Freeze a module's own parameters: they are constants of the loss."""
    inner = function.func if isinstance(function, functools.partial) else function
    if isinstance(inner, torch.nn.Module):
        inner.requires_grad_(False)
    return function


def _flat(function: Callable[[Tensor, Tensor], Tensor], logits: Tensor, labels: Tensor) -> Tensor:
    every = labels.expand(logits.shape[:-1]).reshape(-1)
    with foreign("--loss", "take finite logits of any size", _name(function)):
        return function(logits.reshape(-1, logits.shape[-1]), every).view(logits.shape[:-1])


def is_own(spec: LossSpec) -> bool:
    """Whether the loss is named by an import path."""
    return "." in str(spec.get("name"))


def check_spec(spec: object) -> None:
    """Refuse a specification that is not a loss's name with plain parameters; it may come from a file.

    Raises:
        ValueError: unless it is a mapping of a name and of finite numbers, texts and truth values.
    """
    is_named = isinstance(spec, dict) and isinstance(spec.get("name"), str)
    check(is_named, "--loss", spec, "a name, with parameters as --loss.NAME VALUE")
    assert isinstance(spec, dict)
    for key, value in spec.items():
        is_plain = isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))
        check(is_plain, f"--loss.{key}", value, "a finite number, a text, true or false")


@takes(spec=instance(dict))
def loss_of(spec: LossSpec) -> Loss:
    """The loss, of this project or of your own.

    Raises:
        ValueError: on a name that is neither, an import that fails, or parameters the loss does not take.
    """
    check_spec(spec)
    name, parameters = str(spec["name"]), {key: value for key, value in spec.items() if key != "name"}
    if not is_own(spec):
        check(name in LOSS_NAMES, "--loss", name, f"one of {', '.join(LOSS_NAMES)} or an import path (module.Class)")
        return make_loss(spec)
    found = _found(name)
    parameters = _as_declared(found, parameters)
    with foreign("--loss", f"take its parameters{_named(found)}", f"{name}({parameters})"):
        if isinstance(found, Loss) and not parameters:
            return found
        inspect.signature(found).bind(*(() if inspect.isclass(found) else (None, None)), **parameters)
        make = found if inspect.isclass(found) else functools.partial(functools.partial, found)
        made: Any = make(**parameters)
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
    return _with_defaults(_found(str(spec["name"])), spec)


def source_of(spec: LossSpec) -> str:
    """A hash of the file that defines a loss of your own, which tells results of different versions apart."""
    return import_string.source_hash(str(spec["name"])) if is_own(spec) else ""


@takes(loss=instance(Loss), K=integer(2))
def check_loss(loss: Loss, K: int) -> None:
    """Refuse a callable unless it gives a loss per sample in float64 whose derivatives are those of its values.

    Raises:
        ValueError: on a wrong shape or type, a value that is not finite or another at a second call, logits or labels
            that it changes, samples that see each other, less than float64 inside, derivatives that are missing or not
            those of its values, or something that it says of itself and is not; names the shape, sample or claim.
    """
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(SAMPLES) % K
    for scale in SCALES:
        z = scale * torch.randn(SAMPLES, K, dtype=torch.float64, generator=generator)
        with foreign("--loss", f"take logits {tuple(z.shape)} and labels ({len(z)},)", _name(loss)):
            values = _checked(loss, z, labels)
            again = float((loss(z, labels) - values).abs().amax())
            got = f"{_name(loss)}, whose values move by {again:.2g} from one call to the next"
            check(again <= LOSS_ROUNDING * _size(values), "--loss", got, "the same at every call with the same samples")
            _check_apart(loss, z, labels, values)
            if scale:
                check_precision(loss, z, labels)
        if scale:
            with foreign("--loss", "be twice differentiable in the logits by torch", _name(loss)):
                check_derivatives(loss, z, labels)
    check_claims(loss, K)


def _checked(loss: Loss, z: Float[Tensor, "M K"], labels: Int[Tensor, " M"]) -> Tensor:
    """The losses, if they are M finite numbers of the logits' type that can be differentiated."""
    given = z.clone().requires_grad_(), labels.clone()
    values: Any = loss.on_samples(*given)
    is_left = torch.equal(given[0], z) and torch.equal(given[1], labels)
    check(is_left, "--loss", f"{_name(loss)}, which changes them", "one that leaves logits and labels as they are")
    is_tensor = isinstance(values, Tensor)
    got = f"{values.dtype} {tuple(values.shape)}" if is_tensor else type(values).__name__
    expected = f"one {z.dtype} per sample, a tensor ({len(z)},)"
    check(is_tensor and values.shape == (len(z),) and values.dtype == z.dtype, "--loss", got, expected)
    (gradient,) = torch.autograd.grad(values.sum(), given[0], allow_unused=True) if values.requires_grad else (None,)
    allowed = "differentiable in the logits by torch"
    check(gradient is not None, "--loss", f"{_name(loss)}, a value without gradient", allowed)
    assert gradient is not None
    is_finite = torch.isfinite(values) & torch.isfinite(gradient).all(1)
    bad = int(is_finite.logical_not().int().argmax())
    check(bool(is_finite.all()), "--loss", shown(z, labels, bad), "finite with a finite gradient at every sample")
    return values.detach()


def _check_apart(loss: Loss, z: Float[Tensor, "M K"], labels: Int[Tensor, " M"], values: Float[Tensor, " M"]) -> None:
    """Refuse a loss whose samples see each other."""
    company = torch.cat([z[: SAMPLES // 2], 3 * z[SAMPLES // 2 :] + 1])
    for other, kept in ((company, SAMPLES // 2), (z[:1], 1)):
        moved = (loss(other, labels[: len(other)])[:kept] - values[:kept]).abs()
        worst = int(moved.argmax())
        sample = f"{shown(z, labels, worst)}, whose loss moves by {float(moved[worst]):.2g} with the others"
        allowed = "such that no sample's loss depends on other samples"
        check(float(moved[worst]) <= LOSS_ROUNDING * _size(values), "--loss", sample, allowed)


def _size(values: Tensor) -> float:
    return float(values.abs().amax().clamp(min=1))


def _name(loss: Any) -> str:
    """What the loss, or the function of a partial one, is called."""
    loss = getattr(loss, "on_samples", loss)
    if isinstance(loss, functools.partial):
        return _name(loss.func)
    return str(getattr(loss, "__qualname__", type(loss).__qualname__))


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
        return torch.allclose(
            dataclasses.replace(loss, **per_start)(z, labels), loss(z, labels), rtol=BATCHED_LOSS, atol=0
        )
    except Exception:  # whatever it does to a number that it cannot do to a tensor
        return False


def _with_defaults(function: Callable[..., Any], parameters: LossSpec) -> LossSpec:
    """All parameters that are numbers or text."""
    defaults = {p.name: p.default for p in _parameters(function) if isinstance(p.default, int | float | str)}
    return {**defaults, **_as_declared(function, parameters)}


def _as_declared(function: Callable[..., Any], parameters: LossSpec) -> LossSpec:
    """Whole numbers become floats where the default is one, and the words true and false what they say."""
    kinds = {parameter.name: type(parameter.default) for parameter in _parameters(function)}
    truth = {"true": True, "false": False}

    def declared(key: str, value: Any) -> Any:
        if kinds.get(key) is float and type(value) is int:
            return float(value)
        return truth.get(value, value) if kinds.get(key) is bool else value

    return {key: declared(key, value) for key, value in parameters.items()}


def _named(found: Any) -> str:
    """Its parameters for a sentence, where it says what they are: those of a function come after logits and labels."""
    names = [parameter.name for parameter in _parameters(found)][0 if inspect.isclass(found) else 2 :]
    return f" ({', '.join(names)})" if names else ""


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """What it takes by name; nothing where it does not say."""
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return []


def _found(path: str) -> Any:
    """The callable of that import path, a loss by its looks."""
    found = import_string.find(path, "--loss")
    check(callable(found), "--loss", path, "a class, or a function (logits, labels)")
    is_installed = import_string.is_installed(path)
    if inspect.isclass(found):
        bases = (Loss, torch.nn.Module) if is_installed else (object,)
        allowed = "a subclass of ufm.model.loss.Loss or torch.nn.Module, as it is of an installed package"
        check(issubclass(found, bases), "--loss", path, allowed)
        is_called = any("__call__" in vars(each) for each in found.__mro__)
        check(is_called, "--loss", path, "a class whose instances are called as (logits, labels)")
    elif is_installed:
        places = sum(each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD) for each in _parameters(found))
        check(places >= 2, "--loss", path, "a function (logits, labels), as it is of an installed package")
    return found
