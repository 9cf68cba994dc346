"""Evaluation of the layers of any model in one pass over data, in eval mode and without gradients.

deepnet.evaluate(model, loader)
deepnet.evaluate(model, loader, layers=["layer1", "layer4"])
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from deepnet.evaluation.evaluation import Evaluation, evaluation, metrics_of, on_other_samples
from deepnet.evaluation.watched import LOADER, Watched, batches_of, labels_in, undisturbed
from ufm.arguments import Rule, any_integer, each, function, instance, integer, optional
from ufm.collapse import Moments
from ufm.collapse.arrays import IGNORED
from ufm.errors import check
from ufm.labels import labels_below

MOST_WAITING, MOST_KEPT = 2**26, 2**32
"""Bytes of features that wait to be summed together, and of the last layer's that are kept for NC4."""

LAYERS = Rule(lambda v: isinstance(v, str) or each(instance(str)).holds(v), '"auto", or names of layers')


@torch.no_grad()
def evaluate(
    model: nn.Module,
    loader: Iterable[Any],
    layers: str | Sequence[str] = "auto",
    *,
    test: Iterable[Any] | None = None,
    outside: Iterable[Any] | None = None,
    num_classes: int | None = None,
    ignore_index: int = IGNORED,
    progress: Callable[[int], object] | None = None,
) -> Evaluation:
    """Measure neural collapse of the features that a model's last linear layer sees, and of other layers by name.

    Batches are (inputs, labels), or dicts with labels under a usual name. The model stays where it is and as it was,
    and so do random numbers; inputs go to it. A layer's output with positions (maps, tokens) is averaged over them,
    unless every token has a label. NC4 needs the features once more, which are kept up to 4 GB and left out beyond.

    Args:
        model: any torch module.
        loader: batches of training data, which must end: `list(itertools.islice(loader, 100))` of one that does not.
        layers: "auto", or names of `model.named_modules()` measured beside the last layer (or alone, where no linear
            layer gives the output).
        test: batches of test data, whose features are compared with the means of `loader`'s: NC4 of the test set.
        outside: batches of data of no class, whose labels are ignored: NC5 and NECO.
        num_classes: required if no linear layer gives the output.
        ignore_index: label of samples that are left out.
        progress: called with the number of batches done.

    Returns:
        The metrics of every layer; those of the last layer come first.

    Raises:
        ValueError: if a layer is not found, the loader gives nothing, or batches are not of these shapes or not finite.
    """
    instance(nn.Module).check("model", model)
    optional(integer(1)).check("num_classes", num_classes)
    any_integer.check("ignore_index", ignore_index)
    optional(function).check("progress", progress)
    LOADER.check("loader", loader)
    optional(LOADER).check("test", test)
    optional(LOADER).check("outside", outside)
    LAYERS.check("layers", layers)
    names = [] if layers == "auto" else [layers] if isinstance(layers, str) else list(layers)
    with undisturbed(model, loader, test, outside):
        batches = batches_of(loader)
        first = next(batches, None)
        check(first is not None, "loader", "no batch", "one that gives batches of inputs and labels")
        labels_in(first)  # before the model runs on what may be no batch
        watched = Watched(model, first, names, num_classes)
        seen = {name: _Seen(watched.classes, keeps=name == watched.input) for name in watched.names}
        for done, batch in enumerate(chain([first], batches), 1):
            found = watched.run(batch, ignore_index)
            for name, layer in seen.items():
                layer.add(found.features[name], found.labels, found.right)
            if progress is not None:
                progress(done)
        has_some = all(layer.samples for layer in seen.values())
        check(has_some, "loader", "no sample with a label", "one with samples of some class")
        others = {name: watched.last_features(name, each) for name, each in (("test", test), ("outside", outside))}
    return _evaluation(watched, seen, others)


class _Seen:
    """The sums for one layer; features of small batches are collected first, as these cost as much as large ones."""

    def __init__(self, classes: int, keeps: bool) -> None:
        self.classes, self.keeps = classes, keeps
        self.sums: Moments | None = None
        self.waiting: list[tuple[Tensor, Tensor]] = []
        self.kept: list[Tensor] = []
        self.bytes_waiting = self.bytes_kept = self.samples = 0
        self.right: list[Tensor] = []

    def add(self, H: Tensor, labels: Tensor, right: Tensor) -> None:
        """Add the features of a batch."""
        labels, size = labels_below(labels, self.classes), H.numel() * H.element_size()
        self.samples += len(H)
        self.waiting.append((H, labels))
        self.bytes_waiting += size
        if self.bytes_waiting > MOST_WAITING:
            self.sum_up()
        if self.keeps:
            self.right.append(right.sum())
            self.bytes_kept += size
            self.kept = [] if self.bytes_kept > MOST_KEPT else self.kept
            self.kept += [H.cpu()] if self.bytes_kept <= MOST_KEPT else []

    def sum_up(self) -> Moments:
        """The sums over all batches so far."""
        H, labels = (torch.cat(parts) for parts in zip(*self.waiting, strict=True)) if self.waiting else (None, None)
        if H is not None and labels is not None:
            check(bool(H.isfinite().all()), "model", "nan or infinity", "one whose features of these data are finite")
            self.sums = Moments.zero(self.classes, H.shape[1], H.device) if self.sums is None else self.sums
            self.sums = self.sums.added(H, labels)
        self.waiting, self.bytes_waiting = [], 0
        assert self.sums is not None
        return self.sums


def _evaluation(watched: Watched, seen: dict[str, _Seen], others: dict[str, Tensor | None]) -> Evaluation:
    results: dict[str, dict[str, float]] = {}
    for name, layer in seen.items():
        W, b = watched.last_layer() if name == watched.input else (None, None)
        stats = layer.sum_up().stats(W, b)
        results[name] = metrics_of(stats)
        if name != watched.input:
            continue
        results[name]["accuracy"] = int(torch.stack(layer.right).sum()) / layer.samples
        if layer.kept:
            own = torch.cat(layer.kept).to(stats.class_means.device)
            results[name]["nc4"] = on_other_samples(stats, own, None, own)["nc4_test"]
            results[name] |= on_other_samples(stats, others["test"], others["outside"], own)
    main = next(iter(seen.values()))
    sums = main.sum_up()
    sizes = main.samples, watched.classes, int((sums.counts > 0).sum()), sums.shift.shape[1]
    return evaluation(type(watched.model).__name__, sizes, results, watched.last)
