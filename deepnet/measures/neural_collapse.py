"""Neural collapse as a `torchmetrics.Metric`: one pass over batches, in any loop, over any number of processes.

    metric = NeuralCollapse(num_classes=10)
    for images, labels in loader:
        metric.update(net.features(images), labels, net.fc.weight, net.fc.bias)
    metric.compute()["nc1_pinv"]

Needs the extra `metrics`: `pip install 'neural-collapse-laboratory[metrics]'`.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ufm.arguments import any_integer, instance, integer, optional
from ufm.collapse import Moments, all_metrics
from ufm.collapse.arrays import IGNORED, labels_of, last_layer_of, tensor_of
from ufm.collapse.cautions import warn_of
from ufm.errors import RequestError, check
from ufm.labels import described, one_per_sample

try:
    from torchmetrics import Metric
    from torchmetrics.utilities.distributed import gather_all_tensors
except ImportError as error:
    needed = "needs torchmetrics: pip install 'neural-collapse-laboratory[metrics]'"
    raise ImportError(f"deepnet.NeuralCollapse {needed} ({error}).") from error
except RuntimeError as error:  # torchmetrics imports torchvision, which fails so beside a torch it was not built for
    reason = f"torchmetrics is installed but does not import ({error})"
    remedy = "a torchvision that does not fit torch does that: install the one for this torch, or uninstall it"
    raise ImportError(f"deepnet.NeuralCollapse: {reason}; {remedy}.") from error

MOMENTS = tuple(field.name for field in fields(Moments))
ADDED = ("counts", "total", "squares", "second")
"""The moments that add up over processes once all have taken them about the same samples."""
LAST_LAYER = ("weight", "bias")


class NeuralCollapse(Metric):
    """The metrics of NC1 to NC3 of the features seen since the last `reset`; those that need W if it is given.

    The states are sums in float64 about one sample of each class (`ufm/collapse/moments.py`): NC1 keeps its digits
    where classes are far from zero and samples close to their class. Processes agree on those samples when they
    synchronise, so that each may see any share of the data, and some not every class.

    Args:
        num_classes: K; classes that no sample has are left out of the metrics.
        num_features: d; None takes it from the first batch.
        ignore_index: label of samples that are left out.
        kwargs: those of `torchmetrics.Metric`.

    Raises:
        ValueError: if a number is out of range; from `update`, if features, labels and last layer do not belong
            together or are not finite; from `compute`, if there was no sample.
    """

    is_differentiable = False
    higher_is_better = None
    counts: Tensor
    shift: Tensor
    weight: Tensor
    bias: Tensor
    full_state_update = True  # `forward` may not add states of batches whose shifts differ

    def __init__(
        self, num_classes: int, num_features: int | None = None, *, ignore_index: int = IGNORED, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        integer(1, 2**24).check("num_classes", num_classes)
        optional(integer(1, 2**16)).check("num_features", num_features)
        any_integer.check("ignore_index", ignore_index)
        self.num_classes, self.num_features, self.ignore_index = num_classes, num_features, ignore_index
        for name, value in self._zero(num_features or 0).items():
            self.add_state(name, value, dist_reduce_fx="sum" if name in ADDED else _largest, persistent=True)

    def update(self, features: Any, labels: Any, weight: Any = None, bias: Any = None) -> None:
        """Add a batch: features (n, d), labels (n,), and the last layer, which replaces an earlier one."""
        H, y = tensor_of("features", features), labels_of(labels)
        is_features = H.ndim == 2 and H.is_floating_point() and H.shape[1] == (self._d or H.shape[1] or 1)
        allowed = f"a floating-point tensor (samples, {self._d or 'd'})"
        check(is_features, "features", described(H), allowed)
        check(len(y) == len(H), "labels", described(y), f"one class per sample, ({len(H)},)")
        kept = y != self.ignore_index
        H, y = (H, y) if bool(kept.all()) else (H[kept], y[kept])
        y = one_per_sample(y, H, self.num_classes)
        check(bool(H.isfinite().all()), "features", "nan or infinity", "finite")
        W, b = self._checked(weight, bias, H.shape[1])
        self._grow(H.shape[1])
        self._set(self._moments().added(H, y))
        if W is not None and b is not None:
            self.weight, self.bias = W, b

    def compute(self) -> dict[str, Tensor]:
        """The metrics by name (`ufm/collapse/README.md`); `present` counts the classes that had samples.

        A warning names those that these samples leave undefined, which are nan.
        """
        check(bool(self.counts.sum() > 0), "NeuralCollapse", "none", "given a sample before it computes")
        W, b = (self.weight, self.bias) if bool(self.weight.isfinite().all()) else (None, None)
        stats = self._moments().stats(W, b)
        found = {**all_metrics(stats), "present": (self.counts > 0).sum()}
        numbers = torch.stack([*(value.double() for value in found.values()), self.counts.sum().double()]).tolist()
        warn_of(dict(zip(found, numbers, strict=False)), int(numbers[-1]))
        return found

    def merge_state(self, incoming_state: "dict[str, Any] | Metric") -> None:
        """Add the samples that another metric of these classes has seen."""
        if isinstance(incoming_state, Metric):
            is_same = isinstance(incoming_state, NeuralCollapse)
            check(is_same, "incoming_state", type(incoming_state).__name__, "a NeuralCollapse or its metric_state")
            incoming_state = dict(incoming_state.metric_state)
        instance(dict).check("incoming_state", incoming_state)
        missing = [name for name in (*MOMENTS, *LAST_LAYER) if name not in incoming_state]
        check(not missing, "incoming_state", f"none of {missing}", "a NeuralCollapse or its metric_state")
        theirs: dict[str, Tensor] = {name: incoming_state[name].to(self.device) for name in (*MOMENTS, *LAST_LAYER)}
        d = theirs["shift"].shape[1]
        if d == 0:
            return
        is_same = len(theirs["counts"]) == self.num_classes and self._d in (0, d)
        allowed = f"one of {self.num_classes} classes and {self._d or d} features"
        check(is_same, "incoming_state", described(theirs["shift"]), allowed)
        self._grow(d)
        self._set(self._moments().merged(Moments(**{name: theirs[name] for name in MOMENTS})))
        if not bool(self.weight.isfinite().all()):
            self.weight, self.bias = theirs["weight"], theirs["bias"]
        self._update_count += 1
        self._computed = None

    def plot(self, val: "dict[str, Tensor] | Sequence[dict[str, Tensor]] | None" = None, ax: Any = None) -> Any:
        """Figure and axes: the values, or their curves where `val` is a list of results, on a logarithmic axis."""
        figure, axes = self._plot(val, ax)
        for each in np.atleast_1d(np.asarray(axes, dtype=object)).flat:
            each.set_yscale("log")
        return figure, axes

    @property
    def _d(self) -> int:
        """The number of features d; 0 before the first batch."""
        return self.shift.shape[1]

    def _zero(self, d: int) -> dict[str, Tensor]:
        moments = Moments.zero(self.num_classes, d)
        unknown = {"weight": (self.num_classes, d), "bias": (self.num_classes,)}
        return vars(moments) | {name: torch.full(s, -torch.inf, dtype=torch.float64) for name, s in unknown.items()}

    def _grow(self, d: int) -> None:
        """Make room once the number of features is known."""
        if self._d == 0:
            for name, value in self._zero(d).items():
                setattr(self, name, value.to(self.device))

    def _moments(self) -> Moments:
        return Moments(**{name: getattr(self, name) for name in MOMENTS})

    def _set(self, moments: Moments) -> None:
        for name, value in vars(moments).items():
            setattr(self, name, value)

    def _checked(self, weight: Any, bias: Any, d: int) -> tuple[Tensor | None, Tensor | None]:
        try:
            W, b = last_layer_of(weight, bias)
        except RequestError as error:
            raise RequestError(str(error).replace("`W`", "`weight`").replace("`b`", "`bias`")) from None
        allowed = f"a floating-point tensor ({self.num_classes}, {d})"
        check(W is None or W.shape == (self.num_classes, d), "weight", described(W), allowed)
        for name, value in (("weight", W), ("bias", b)):
            check(value is None or bool(value.isfinite().all()), name, "nan or infinity", "finite")
        return W, b

    def _sync_dist(self, dist_sync_fn: Callable[..., Any] = gather_all_tensors, process_group: Any = None) -> None:
        """Before the sums are added, every process takes its own about the samples of the first that has the class."""
        group = process_group or self.process_group
        self._grow(max(int(d) for d in dist_sync_fn(torch.tensor(self._d, device=self.device), group=group)))
        counts, shifts = (torch.stack(dist_sync_fn(x, group=group)) for x in (self.counts, self.shift))
        first = (counts > 0).int().argmax(0)
        self._set(self._moments().with_shift(shifts[first, torch.arange(self.num_classes, device=self.device)]))
        super()._sync_dist(dist_sync_fn, process_group)


def _largest(of_processes: Tensor) -> Tensor:
    """Reduce a value that is the same in every process, or -inf or 0 in those that do not know it."""
    return of_processes.amax(0)
