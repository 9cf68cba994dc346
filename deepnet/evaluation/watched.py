"""Recording of layers while a model runs: the input of the last linear layer, the outputs of others by name."""

import inspect
import random
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import cycle
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from deepnet.evaluation.last_linear import last_linear, logits_in, named
from ufm.arguments import Rule
from ufm.collapse.arrays import tensor_of
from ufm.errors import RequestError, check, complaint
from ufm.labels import check_label_type, described, int64_of

LABELS = ("labels", "label", "targets", "target")
"""Keys of the labels in a batch that is a dict; its other entries go to the model by name."""

LOADER = Rule(
    lambda v: (isinstance(v, Iterable) or hasattr(v, "__getitem__")) and not isinstance(v, cycle | str | Tensor),
    "a loader, or an iterable of batches that ends",
)
PATIENCE = 60.0
"""The seconds after which a loader is named that may never end."""


class Found(NamedTuple):
    """The features of one batch by layer, its labels without ignored samples, and whether each label was picked."""

    features: dict[str, Tensor]
    labels: Tensor
    right: Tensor


class Watched:
    """The model, the name of its last linear layer (None if none gives its output), and the layers to look at.

    `first` is a batch, which is run to find the last linear layer.
    """

    def __init__(self, model: nn.Module, first: Any, names: list[str], classes: int | None) -> None:
        self.model = model
        self.device = device_of(model)
        self.modules = {name: named(model, name) for name in names}
        try:
            self.last: str | None = last_linear(model, lambda: self._call(first))
        except RequestError:
            if not names:
                raise
            self.last = None
        self.input = f"input of {self.last}"  # no layer has spaces in its name
        self.names = [*([] if self.last is None else [self.input]), *names]
        linear = self.linear
        if linear is None and classes is None:
            raise complaint("num_classes", None, "given where no linear layer gives the model's output")
        self.classes = classes or (0 if linear is None else linear.out_features)
        check(
            linear is None or linear.out_features == self.classes,
            "num_classes",
            classes,
            "left out or the last layer's",
        )

    @property
    def linear(self) -> Any:
        """The last linear layer of the model."""
        return None if self.last is None else named(self.model, self.last)

    def last_layer(self) -> tuple[Tensor, Tensor]:
        """W and b of the last linear layer."""
        assert self.linear is not None
        W = self.linear.weight.detach()
        return W, W.new_zeros(len(W)) if self.linear.bias is None else self.linear.bias.detach()

    def run(self, batch: Any, ignore_index: int) -> Found:
        """Run the model on a batch with labels, and return what was found."""
        labels = labels_in(batch).to(self.device)
        seen, logits = self._seen(batch)
        has_tokens = labels.ndim == 2
        y = labels.flatten()
        features = {name: rows_in(each, name, has_tokens, len(y)) for name, each in seen.items()}
        kept = y != ignore_index
        has_logits = self.last is not None
        right = (
            (rows_in(logits, "its output", has_tokens, len(y)).argmax(-1) == y)
            if has_logits
            else torch.zeros_like(kept)
        )
        return Found({name: each[kept] for name, each in features.items()}, y[kept], right[kept])

    def last_features(self, argument: str, loader: Iterable[Any] | None) -> Tensor | None:
        """The features of other data, given as this argument, that the last linear layer sees."""
        if loader is None or self.last is None:
            return None
        batches = batches_of(loader, argument)
        parts = [rows_in(self._seen(batch)[0][self.input], self.input, False, None) for batch in batches]
        check(any(map(len, parts)), argument, "no sample", "a loader that gives some, or left out")
        return torch.cat(parts)

    def _seen(self, batch: Any) -> tuple[dict[str, Tensor], Tensor]:
        """The recorded tensor of each layer, and the model's output."""
        seen: dict[str, Tensor] = {}
        handles = [
            module.register_forward_hook(lambda _, __, output, name=name: seen.__setitem__(name, logits_in(output)))
            for name, module in self.modules.items()
        ]
        if self.linear is not None:
            handles.append(
                self.linear.register_forward_pre_hook(lambda _, inputs: seen.__setitem__(self.input, inputs[0]))
            )
        try:
            logits = logits_in(self._call(batch))
        finally:
            for handle in handles:
                handle.remove()
        for name in self.names:
            check(name in seen, "layers", f"{name}, which does not run", "names of layers that run on these data")
        return {name: seen[name].detach() for name in self.names}, logits

    def _call(self, batch: Any) -> Any:
        return run_on(self.model, batch, self.device)


def batches_of(loader: Iterable[Any], argument: str = "loader") -> Iterator[Any]:
    """The batches of a loader; after a minute it warns of one that goes on beyond its length, or has none.

    Only its user knows whether such a loader ends.
    """
    began, is_told = time.monotonic(), False
    for done, batch in enumerate(loader, 1):
        yield batch
        if not is_told and time.monotonic() - began > PATIENCE and done > _length(loader):
            is_told = True
            text = f"`{argument}` must end, and has given {done} batches, more than any length it says"
            warnings.warn(f"{text}: list(itertools.islice({argument}, 100)) is the first 100", stacklevel=3)


def _length(loader: Iterable[Any]) -> int:
    try:
        return len(loader)  # type: ignore[arg-type]
    except Exception:  # what an endless one raises is its own choice
        return 0


def run_on(model: nn.Module, batch: Any, device: torch.device) -> Any:
    """The model's output for the inputs of a batch, (inputs, labels) or a dict, without its labels."""
    if isinstance(batch, Mapping):
        named_inputs = {name: moved(each, device) for name, each in batch.items() if name not in LABELS}
        try:
            inspect.signature(model.forward).bind(**named_inputs)
        except TypeError as error:
            allowed = f"one whose dicts hold labels and what {type(model).__name__} takes"
            raise complaint("loader", f"{', '.join(named_inputs) or 'labels only'} ({error})", allowed) from None
        return model(**named_inputs)
    inputs = batch[0] if isinstance(batch, list | tuple) else batch
    return model(moved(inputs, device))


def device_of(model: nn.Module) -> torch.device:
    """Where a model runs.

    Raises:
        ValueError: if its layers cannot be looked at.
    """
    is_script = any(isinstance(module, torch.jit.ScriptModule) for module in model.modules())
    check(not is_script, "model", type(model).__name__, "the module from which torch.jit made this one")
    device = next((each.device for each in model.parameters()), torch.device("cpu"))
    check(device.type != "meta", "model", "one on the device meta", "one whose weights have numbers")
    return device


@contextmanager
def undisturbed(model: nn.Module, *loaders: Any) -> Iterator[None]:
    """Put the model in eval mode; afterwards its modes and all random numbers are as they were.

    Data sets draw from torch, Python and numpy, loaders and their samplers from generators of their own, too.
    """
    owners = [each for loader in loaders for each in (loader, getattr(loader, "sampler", None))]
    own = [getattr(each, "generator", None) for each in owners]
    states = [(each, each.get_state()) for each in own if isinstance(each, torch.Generator)]
    of_python, of_numpy = random.getstate(), np.random.get_state()
    device = device_of(model)
    with torch.random.fork_rng([device] if device.type == "cuda" else []), evaluating(model):
        try:
            yield
        finally:
            random.setstate(of_python)
            np.random.set_state(of_numpy)
            for generator, state in states:
                generator.set_state(state)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put the model in eval mode, and each module back in its own mode afterwards."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def labels_in(batch: Any) -> Tensor:
    """The labels of a batch, of samples or of tokens.

    Raises:
        ValueError: if it has none.
    """
    allowed = f"one that gives (inputs, labels), or a dict with one of {', '.join(LABELS)}"
    if isinstance(batch, Mapping):
        found = next((batch[name] for name in LABELS if name in batch), None)
    else:
        found = batch[1] if isinstance(batch, list | tuple) and len(batch) > 1 else None
    check(found is not None, "loader", f"a batch that is a {type(batch).__name__}", allowed)
    is_sample = isinstance(found, int) or getattr(found, "ndim", 1) == 0
    check(not is_sample, "loader", "single samples, as of a data set", "one that gives batches, as a DataLoader does")
    labels = tensor_of("labels", found)
    check_label_type(labels)
    check(labels.ndim in (1, 2), "labels", described(labels), "one class per sample or per token")
    return int64_of(labels)


def rows_in(H: Tensor, name: str, has_tokens: bool, count: int | None) -> Tensor:
    """One row of features per sample, or per token if tokens have labels; other positions are averaged."""
    if has_tokens and H.ndim == 3:
        H = H.flatten(0, 1)
    elif H.ndim == 3:
        H = H.mean(1)
    elif H.ndim > 3:
        H = H.flatten(2).mean(2)
    check(H.ndim == 2, "layers", f"{described(H)} from {name}", "layers with features of each sample")
    allowed = "one class for each row of features (the argmax of one-hot labels)"
    check(count in (None, len(H)), "labels", f"{count} labels for {len(H)} rows of {name}", allowed)
    return H


def moved(value: Any, device: torch.device) -> Any:
    """A tensor on the device; anything else as it is."""
    return value.to(device) if isinstance(value, Tensor) else value
