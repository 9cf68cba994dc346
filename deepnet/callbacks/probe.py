"""Neural collapse of the features that a model's last linear layer sees, in one forward pass over all processes."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from deepnet import distributed
from deepnet.callbacks.share import own_share
from deepnet.evaluation.last_linear import is_linear, last_linear, logits_in, named
from deepnet.evaluation.watched import LOADER, device_of, labels_in, rows_in, run_on, undisturbed
from deepnet.measures.neural_collapse import NeuralCollapse
from ufm.arguments import instance, optional
from ufm.collapse import FeatureStats, all_metrics
from ufm.collapse.arrays import IGNORED, last_layer_of
from ufm.collapse.cautions import warn_of
from ufm.errors import RequestError, check

MOST_WAITING = 2**26
"""Bytes of features that are collected before they are summed, as small batches cost as much as large ones."""
Call = Callable[[Any], Any]
"""Runs a model on a batch and returns what has its logits, or None where they are not to be had."""


def check_layer(model: nn.Module, layer: str | None) -> None:
    """Refuse what is not the name of a linear layer of the model."""
    optional(instance(str)).check("layer", layer)
    if layer is not None:
        check(is_linear(named(model, layer, "layer")), "layer", layer, "the name of a linear layer")


class Probe:
    """The last linear layer of a model, which is found in the pass over the first batch, and its input.

    Attributes:
        name: of the layer; None before it is known.
    """

    def __init__(self, model: nn.Module, call: Call | None = None, layer: str | None = None) -> None:
        self.model, self.name = model, layer
        self.device = device_of(model)
        self.call = call or (lambda batch: run_on(model, batch, self.device))
        check_layer(model, layer)

    @property
    def linear(self) -> Any:
        """The last linear layer."""
        assert self.name is not None
        return named(self.model, self.name)

    def features(self, batch: Any) -> Tensor:
        """The input of the last linear layer on a batch."""
        seen: dict[str, Tensor] = {}
        outputs: dict[str, Tensor] = {}
        names = [self.name] if self.name else [n for n, module in self.model.named_modules() if is_linear(module)]
        handles = []
        for name in names:

            def keep(_: nn.Module, inputs: Any, output: Tensor, name: str = name) -> None:
                seen[name] = inputs[0]
                outputs.pop(name, None)
                outputs[name] = output  # the last is the one that ran last

            handles.append(named(self.model, name).register_forward_hook(keep))
        try:
            if self.name is None:
                self.name = last_linear(self.model, lambda: self._logits(batch, outputs))
            else:
                self.call(batch)
        finally:
            for handle in handles:
                handle.remove()
        check(self.name in seen, "layer", f"{self.name}, which does not run", "a layer that runs on these data")
        return seen[self.name].detach()

    def _logits(self, batch: Any, outputs: dict[str, Tensor]) -> Tensor:
        found = self.call(batch)
        if found is not None:
            return logits_in(found)
        if not outputs:
            raise RequestError("`layer` must be the name of a linear layer: none of the model's ran.")
        return next(reversed(outputs.values()))


@torch.no_grad()
def collapse_of(
    model: nn.Module,
    loader: Iterable[Any],
    call: Call | None = None,
    layer: str | None = None,
    ignore_index: int = IGNORED,
) -> dict[str, float]:
    """Measure neural collapse of a model on a loader: the metrics of `deepnet.NeuralCollapse`, equal in all processes.

    The model is in eval mode meanwhile; it, its random numbers and the loader go on as if nothing had been measured.
    Every process runs its share of the samples, through the model that it has, so that they may be of unequal size.

    Args:
        call: what runs the model on a batch; default: on the batch's inputs, or by name if it is a dict.
        layer: name of the last linear layer; default: the one that gives the model's output.

    Raises:
        ValueError: if no such layer is found, or batches do not suit it.
    """
    LOADER.check("loader", loader)
    model = model.module if isinstance(model, DistributedDataParallel) else model
    probe = Probe(model, call, layer)
    with undisturbed(model, loader):
        waiting = _Waiting(probe, ignore_index)
        for batch in own_share(loader):
            labels = labels_in(batch)  # before the model runs on what may be no batch
            waiting.add(probe.features(batch), labels)
        return waiting.metrics()


class _Waiting:
    """Features of several batches that are added to the metric together."""

    def __init__(self, probe: Probe, ignore_index: int) -> None:
        self.probe, self.ignore_index = probe, ignore_index
        self.metric: NeuralCollapse | None = None
        self.parts: list[tuple[Tensor, Tensor]] = []
        self.bytes = 0

    def add(self, H: Tensor, labels: Tensor) -> None:
        y = labels.to(H.device).flatten()
        H = rows_in(H, str(self.probe.name), labels.ndim == 2, len(y))
        self.parts.append((H, y))
        self.bytes += H.numel() * H.element_size()
        if self.bytes > MOST_WAITING:
            self.sum_up()

    def sum_up(self) -> None:
        if self.parts:
            self.metric = self.metric or self._made(self.probe.linear.out_features)
            H, y = (torch.cat(parts) for parts in zip(*self.parts, strict=True))
            self.metric.update(H, y, self.probe.linear.weight, self.probe.linear.bias)
        self.parts, self.bytes = [], 0

    def metrics(self) -> dict[str, float]:
        if self.parts and self.metric is None and distributed.size() == 1:
            return self._in_two_passes()
        self.sum_up()
        own = 0 if self.metric is None else self.metric.num_classes
        K = int(distributed.largest(torch.tensor(own, device=self.probe.device)))
        check(K > 0, "loader", "no batch", "one that gives batches of inputs and labels")
        metric = self.metric or self._made(K)  # of a process that had no sample
        return {name: float(value) for name, value in metric.compute().items()}

    def _in_two_passes(self) -> dict[str, float]:
        """The same numbers where all features are at hand: without products of d x d, and with NC4 left out."""
        H, y = (torch.cat(parts) for parts in zip(*self.parts, strict=True))
        W, b = last_layer_of(self.probe.linear.weight, self.probe.linear.bias)
        assert W is not None
        assert b is not None
        check(
            bool((y != self.ignore_index).any()), "loader", "no sample with a label", "one with samples of some class"
        )
        for name, value in {"features": H, "weight": W, "bias": b}.items():
            check(bool(torch.stack(value.aminmax()).isfinite().all()), name, "nan or infinity", "finite")
        stats = FeatureStats.from_features(H, y, num_classes=len(W), ignore_index=self.ignore_index)
        assert stats.present is not None
        values = all_metrics(replace(stats, W=W[stats.present], b=b[stats.present]))
        values["present"] = stats.present.sum().double()
        found = dict(zip(values, torch.stack(list(values.values())).tolist(), strict=True))
        warn_of(found, int((y != self.ignore_index).sum()))
        return found

    def _made(self, classes: int) -> NeuralCollapse:
        return NeuralCollapse(classes, ignore_index=self.ignore_index).to(self.probe.device)
