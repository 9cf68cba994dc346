"""A device that is none: tensors on it are CPU tensors that refuse to meet those of the CPU, as a card's do.

Every operation runs on the CPU, after a look at where its arguments are: tensors of both places in one operation are an
error (a number as a 0-dimensional CPU tensor may come along, as torch allows), and so is reading memory of the card as
if it were the CPU's. So what mixes devices is found without a card. `main` runs a
module with such a device.
"""

import runpy
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend

NAME = "card"
ALLOWED_TO_MIX = {"aten::_to_copy", "aten::copy_", "aten::index_put_", "aten::index_put", "aten::index"}
"""What moves from device to device, and indexing, which takes indices from the CPU."""


class OnCard(torch.Tensor):
    """A tensor on the card; `inside` is its CPU tensor."""

    inside: torch.Tensor

    @staticmethod
    def __new__(cls, inside: torch.Tensor) -> "OnCard":
        return torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined, no-any-return]
            cls,
            inside.size(),
            strides=inside.stride(),
            storage_offset=inside.storage_offset(),
            dtype=inside.dtype,
            layout=inside.layout,
            device=torch.device(NAME, 0),
            requires_grad=inside.requires_grad,
        )

    def __init__(self, inside: torch.Tensor) -> None:
        self.inside = inside

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        """So that a module that moves swaps its parameters; assigned data would leave `inside` behind."""
        return ["inside"], None

    @staticmethod
    def __tensor_unflatten__(parts: dict[str, torch.Tensor], context: None, size: Any, stride: Any) -> "OnCard":
        return OnCard(parts["inside"])

    def __reduce_ex__(self, protocol: Any) -> Any:
        """In a file it is a plain tensor."""
        return self.inside.__reduce_ex__(protocol)

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"{NAME} {self.inside!r}"

    def tolist(self) -> Any:
        """As numbers, which torch reads of a card as well."""
        return self.inside.tolist()

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return on_card(function, args, kwargs or {})


def on_card(function: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """The operation on CPU tensors; what it makes lies on the card unless it was asked for elsewhere."""
    flat = tree_flatten((args, kwargs))[0]
    given = [each for each in flat if isinstance(each, torch.Tensor)]
    there = [each for each in given if isinstance(each, OnCard)]
    name = function._schema.name
    mixed = [each for each in given if not isinstance(each, OnCard) and each.dim() > 0]
    if there and mixed and name not in ALLOWED_TO_MIX:
        raise RuntimeError(f"Expected all tensors to be on the same device, but {name} got some on {NAME} and on cpu.")
    wanted = kwargs.get("device")
    is_there = bool(there) if wanted is None else torch.device(wanted).type == NAME
    moved = {key: value for key, value in kwargs.items() if key not in ("device", "pin_memory")}
    if wanted is not None:
        moved["device"] = torch.device("cpu")
    inputs, named = (tree_map(lambda each: each.inside if isinstance(each, OnCard) else each, x) for x in (args, moved))
    found = function(*inputs, **named)
    if is_there:
        found = tree_map(lambda each: OnCard(each) if isinstance(each, torch.Tensor) else each, found)
    return return_and_correct_aliasing(function, args, kwargs, found) if there and is_there else found


class _Makes(TorchDispatchMode):
    """Operations that make a tensor where there was none."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        wanted = kwargs.get("device")
        if wanted is not None and torch.device(wanted).type == NAME:
            return on_card(function, args, kwargs)
        return function(*args, **kwargs)


class _Copies(TorchFunctionMode):
    """What makes a tensor of Python's numbers: torch does not ask the other mode about it."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        wanted = kwargs.get("device")
        if function in (torch.tensor, torch.as_tensor) and wanted is not None and torch.device(wanted).type == NAME:
            return function(*args, **kwargs | {"device": "cpu"}).to(wanted)
        if function is torch.Tensor.new_tensor and isinstance(args[0], OnCard):
            return args[0].inside.new_tensor(*args[1:], **kwargs).to(args[0].device)
        if function in (torch.Tensor.__setitem__, torch.Tensor.__getitem__) and isinstance(args[1], list):
            return function(args[0], torch.tensor(args[1]), *args[2:])
        return function(*args, **kwargs)


class _Backend(_DummyBackendModule):
    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16]


_setup_privateuseone_for_python_backend(NAME, _Backend())


@contextmanager
def a_fake_card() -> Iterator[None]:
    """Where tensors can be made on the device `card`."""
    with _Makes(), _Copies(), patch("torch.accelerator.synchronize", lambda *_: None):
        yield


def main(module: str, *arguments: str) -> None:
    """Run a module as a program."""
    sys.argv[1:] = arguments
    with a_fake_card():
        runpy.run_module(module, run_name="__main__", alter_sys=True)
