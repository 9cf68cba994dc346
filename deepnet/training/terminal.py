"""The terminal phase of a run as a minimisation: L-BFGS on all training images at once.

Stochastic steps do not end in a stationary point of what a run minimises, and theory speaks of those only.

- *Time.* What only the decay moves relaxes like exp(-t), t = the sum over steps of lr decay / (1 - momentum).
- *Batches.* The mean and variance of a random batch, whose classes have unequal numbers, are not those of the set.
- *What a residual amplifies.* The gradient of a softmax loss falls like exp(-margin): logits off by 5 % at a margin of
  6 leave a residual |G'H + decay W| / |decay W| of exp(0.3) - 1 = 0.35.

On all images at once batch statistics are those of evaluation, and the objective

    mean loss + decay/2 (sum of squares of what `deepnet/training/decayed.py` names)

is a smooth function, which a quasi-Newton method brings to a stationary point in some hundred iterations. A block
counts as an epoch and begins with an empty memory, so that it depends on the parameters alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from deepnet.measures.features import forward
from deepnet.training.decayed import balance, decayed
from deepnet.training.training import Training

ITERATIONS = 50
"""Of L-BFGS in a block."""
FIRST = 10.0
"""Factor of the decay in the first block. Which features share the price only the decay decides, at a rate proportional
to it; the geometry found is that of every decay, and later blocks rescale it."""
MEMORY = 30
"""Pairs of steps and gradient differences that L-BFGS keeps."""


def decay_of(training: Training) -> float:
    """The decay of the block that comes."""
    setting = training.setting
    return setting.decay * (FIRST if training.epoch == setting.epochs else 1.0)


@dataclass
class _Objective:
    """What a block minimises, as L-BFGS calls it; `losses` are the mean losses of all its calls."""

    training: Training
    decay: float
    on_call: Callable[[], None]
    losses: list[Tensor] = field(default_factory=list)

    def __call__(self) -> Tensor:
        """Its value, and the gradient in every parameter."""
        training, split = self.training, self.training.data.splits["train"]
        training.net.zero_grad()
        images = training.data.normalise(split.images).to(training.net.classifier.W.dtype)
        logits, _ = forward(training.step_net, images, training.setting.precision)
        loss = training.loss(logits, split.labels).mean()
        penalty = torch.stack([parameter.square().sum() for parameter in decayed(training.net)]).sum()
        value: Tensor = loss + self.decay / 2 * penalty
        value.backward()  # type: ignore[no-untyped-call]
        self.losses.append(loss.detach())
        self.on_call()
        return value


def terminal_block(training: Training, on_step: Callable[[int], None]) -> tuple[list[float], float, float, float]:
    """`ITERATIONS` of L-BFGS, from where single precision stalls in double.

    Returns:
        The mean loss at each evaluation, and mean loss, accuracy and objective at the end.
    """
    net, split = training.net, training.data.splits["train"]
    images, shown = len(split.labels), 0

    def on_call() -> None:
        nonlocal shown
        share = min(images // ITERATIONS, images - shown)
        shown += share
        on_step(share)

    objective = _Objective(training, decay_of(training), on_call)
    net.train()
    net.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # torch's L-BFGS takes no other
    balance(net)
    done = _minimise(objective, ITERATIONS)
    if done < ITERATIONS and training.setting.precision == "fp32":
        net.double()
        _minimise(objective, ITERATIONS - done)
        net.float()
    balance(net)
    value = float(objective().detach())
    net.zero_grad()
    net.to(memory_format=net.memory_format)  # type: ignore[call-overload]
    logits = keep_statistics(training)
    on_step(images - shown)
    count = int(training.loss.is_right(logits, split.labels).sum())
    loss = float(training.loss(logits, split.labels).mean())
    return torch.stack(objective.losses).tolist(), loss, count / images, value


def _minimise(objective: _Objective, iterations: int) -> int:
    """At most so many iterations of L-BFGS; how many were done before it stalled."""
    parameters = [parameter for parameter in objective.training.net.parameters() if parameter.requires_grad]
    optimiser = torch.optim.LBFGS(
        parameters,
        max_iter=iterations,
        max_eval=2 * iterations,
        history_size=MEMORY,
        line_search_fn="strong_wolfe",
        tolerance_grad=1e-9,
        tolerance_change=1e-12,
    )
    optimiser.step(objective)  # type: ignore[no-untyped-call]
    return int(optimiser.state[parameters[0]]["n_iter"])


@torch.no_grad()
def keep_statistics(training: Training) -> Float[Tensor, "N K"]:
    """Make the running statistics those of all training images, variances over their number; return the logits."""
    net = training.net
    layers = [module for module in net.modules() if isinstance(module, _BatchNorm)]
    momenta, counts = [layer.momentum for layer in layers], {}

    def count(layer: _BatchNorm, inputs: tuple[Tensor, ...], _: Tensor) -> None:
        counts[layer] = inputs[0].numel() // inputs[0].shape[1]

    hooks = [layer.register_forward_hook(count) for layer in layers]
    for layer in layers:
        layer.momentum = 1.0
    net.train()
    logits, _ = forward(net, training.data.normalise(training.data.splits["train"].images), training.setting.precision)
    for hook in hooks:
        hook.remove()
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
        assert layer.running_var is not None
        layer.running_var.mul_((counts[layer] - 1) / counts[layer])  # torch keeps the sum over N - 1
    return logits
