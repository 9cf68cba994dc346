"""Search for the last linear layer of any model by running it, as names differ between models."""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor, nn

from ufm.errors import RequestError, check, complaint


def last_linear(model: nn.Module, run: Callable[[], Any]) -> str:
    """The name of the linear layer that runs last, if its output picks the same classes as the model's; or gives it.

    torchvision's `fc` and `classifier.6`, timm's `head`, Hugging Face's `classifier` and `lm_head`, the last entry of
    a Sequential, also before a softmax.

    Raises:
        ValueError: if no such layer runs.
    """
    check(not is_linear(model), "model", "one layer alone", "one with its last layer inside, nn.Sequential(layer)")
    ran: list[tuple[str, Tensor]] = []
    handles = [
        module.register_forward_hook(lambda _, __, output, name=name: ran.append((name, output)))
        for name, module in model.named_modules()
        if is_linear(module)
    ]
    try:
        logits = logits_in(run())
    finally:
        for handle in handles:
            handle.remove()
    for name, output in reversed(ran[-1:]):
        if output.shape == logits.shape and torch.equal(output.argmax(-1), logits.argmax(-1)):
            return name
    for name, output in reversed(ran[:-1]):  # of several heads, the one whose output the model's is
        if torch.equal(output, logits):
            return name
    raise RequestError(
        f"`layers` must name the layers of a {type(model).__name__}: none of its nn.Linear gives its output."
    )


def is_linear(module: nn.Module) -> bool:
    """Whether a module is an `nn.Linear` or has the attributes of one, as `deepnet.nn.ETFClassifier` has.

    A quantised one has a method in place of its weights.
    """
    has_names = all(hasattr(module, name) for name in ("in_features", "out_features", "weight", "bias"))
    return has_names and isinstance(module.weight, Tensor)


def logits_in(output: Any) -> Tensor:
    """The logits in what a model returns: a tensor, its `logits`, or the first tensor in a tuple or dict.

    Raises:
        ValueError: if there is none.
    """
    if isinstance(output, Tensor):
        return output
    if isinstance(getattr(output, "logits", None), Tensor):
        return output.logits
    if isinstance(output, Mapping) and isinstance(output.get("logits"), Tensor):
        return output["logits"]
    entries = list(output.values()) if isinstance(output, Mapping) else output
    tensors = [each for each in entries if isinstance(each, Tensor)] if isinstance(entries, list | tuple) else []
    if not tensors:
        raise RequestError(
            f"`model` must return logits, a tensor or something that holds one, got {type(output).__name__}."
        )
    return tensors[0]


def named(model: nn.Module, name: str, argument: str = "layers") -> nn.Module:
    """The layer of a model that has this name.

    Raises:
        ValueError: if there is none of that name, with those like it.
    """
    modules = dict(model.named_modules())
    if name in modules and name:
        return modules[name]
    near = get_close_matches(name, [each for each in modules if each]) or [each for each in modules if each][:8]
    raise complaint(argument, name, f"of layers that the model has, such as {', '.join(near)}")
