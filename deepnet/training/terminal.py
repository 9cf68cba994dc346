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

Of several processes each computes its share of the images: value and gradient are sums over all of them, as the moments
in a batch normalisation are, and L-BFGS takes the same step everywhere.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from deepnet import distributed
from deepnet.measures.features import forward
from deepnet.nets.conv_net import ConvNet
from deepnet.training.decayed import balance, decayed
from deepnet.training.training import Training
from ufm.tolerances import TERMINAL_CHANGE, TERMINAL_GRADIENT

ITERATIONS = 50
"""Of L-BFGS in a block."""
RAISED = 10.0
"""Factor of the decay in `RAISED_BLOCKS`. Which features share the price only the decay decides, at a rate proportional
to it; the geometry found is that of every decay, and later blocks rescale it. Before all training images are told
apart it would press classes into few dimensions, where they stay for long."""
RAISED_BLOCKS, RAISED_RESIDUAL = 2, 0.06
"""It is raised in so many blocks at least, from the first that begins with every training image right, and until the
last layer is stationary at that decay up to this residual."""
MEMORY = ITERATIONS
"""The pairs of steps and gradient differences that L-BFGS keeps: all of a block."""
KEPT = 2**31
"""Bytes of maps of all training images that an evaluation keeps for its gradient; where there are more, those inside of
blocks are computed twice. Pieces of the set would not do: each batch normalisation needs the moments of all
images before the next layer, and its gradient two more sums, so that exact pieces take a pass for every layer."""


def is_raised(training: Training) -> bool:
    """Whether the next block has the higher decay; the last block never has."""
    is_done = training.raised >= RAISED_BLOCKS and training.raised_residual < RAISED_RESIDUAL
    if is_done or training.epoch + 1 >= training.setting.lines:
        return False
    split = training.data.splits["train"]
    return bool(training.loss.is_right(keep_statistics(training), split.labels).all())


@dataclass
class _Objective:
    """The objective of a block, in the form that L-BFGS calls; `losses` are the mean losses of all calls."""

    training: Training
    decay: float
    on_call: Callable[[], None]
    losses: list[Tensor] = field(default_factory=list)

    def __call__(self) -> Tensor:
        """Return the value, and set the gradient of every parameter."""
        training, split, own = self.training, self.training.data.splits["train"], distributed.own_share()
        training.net.zero_grad()
        images = training.data.normalise(split.images[own]).to(training.net.classifier.W.dtype)
        logits, _ = forward(training.net, images, training.setting.precision)
        loss = training.loss(logits, split.labels[own]).sum() / len(split.labels)
        penalty = torch.stack([parameter.square().sum() for parameter in decayed(training.net)]).sum()
        value: Tensor = loss + self.decay / 2 * penalty / distributed.size()
        value.backward()  # type: ignore[no-untyped-call]
        distributed.total_gradient(training.net)
        self.losses.append(distributed.total(loss.detach()))
        self.on_call()
        return distributed.total(value.detach())


def terminal_block(training: Training, on_step: Callable[[int], None]) -> tuple[list[float], dict[str, float]]:
    """Run `ITERATIONS` of L-BFGS, in double precision from where single precision stalls.

    Returns:
        The mean loss at each evaluation, and the block's decay with mean loss, accuracy and objective at its end.
    """
    training.recorded, training.step_net = None, training.net  # parameters move to other places, and get longer
    net, split = training.net, training.data.splits["train"]
    images, shown = len(split.labels), 0
    has_more = is_raised(training)
    training.raised += has_more
    decay = training.setting.decay * (RAISED if has_more else 1.0)

    def on_call() -> None:
        nonlocal shown
        share = min(images // ITERATIONS, images - shown)
        shown += share
        on_step(share)

    objective = _Objective(training, decay, on_call)
    if isinstance(net.body, ConvNet):
        net.body.keeps_inside = bytes_of_maps(training) <= KEPT
    net.train()
    net.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # torch's L-BFGS takes no other
    balance(net)
    done = _minimise(objective, ITERATIONS)
    if done < ITERATIONS and training.setting.precision == "fp32":
        net.double()
        _minimise(objective, ITERATIONS - done)
        net.float()
    balance(net)
    value = float(objective())
    net.zero_grad()
    net.to(memory_format=net.memory_format)  # type: ignore[call-overload]
    logits = keep_statistics(training)
    on_step(images - shown)
    count = int(training.loss.is_right(logits, split.labels).sum())
    loss = float(training.loss(logits, split.labels).mean())
    end = {"decay": decay, "loss": loss, "accuracy": count / images, "objective": value}
    return torch.stack(objective.losses).tolist(), end


@torch.no_grad()
def bytes_of_maps(training: Training) -> int:
    """The bytes of the outputs of all convolutions and batch normalisations for the images of a process, at most."""
    net, images = training.net.eval(), training.data.splits["train"].images
    counts: list[int] = []
    layers = [module for module in net.modules() if isinstance(module, torch.nn.Conv2d | _BatchNorm)]
    hooks = [layer.register_forward_hook(lambda _, __, y: counts.append(y.nbytes)) for layer in layers]
    forward(net, training.data.normalise(images[:1]), training.setting.precision)
    for hook in hooks:
        hook.remove()
    return -(-len(images) // distributed.size()) * sum(counts)  # all processes decide alike


def _minimise(objective: _Objective, iterations: int) -> int:
    """Run at most this many iterations of L-BFGS; return how many were done before it stalled."""
    parameters = [parameter for parameter in objective.training.net.parameters() if parameter.requires_grad]
    optimiser = torch.optim.LBFGS(
        parameters,
        max_iter=iterations,
        max_eval=2 * iterations,
        history_size=MEMORY,
        line_search_fn="strong_wolfe",
        tolerance_grad=TERMINAL_GRADIENT,
        tolerance_change=TERMINAL_CHANGE,
    )
    optimiser.step(objective)  # type: ignore[no-untyped-call]
    return int(optimiser.state[parameters[0]]["n_iter"])


@torch.no_grad()
def keep_statistics(training: Training) -> Float[Tensor, "N K"]:
    """Set the running statistics to those of all training images (variances divided by N); return the logits."""
    net, split, own = training.net, training.data.splits["train"], distributed.own_share()
    layers = [module for module in net.modules() if isinstance(module, _BatchNorm)]
    momenta, counts = [layer.momentum for layer in layers], {}

    def count(layer: _BatchNorm, inputs: tuple[Tensor, ...], _: Tensor) -> None:
        counts[layer] = len(split.labels) * inputs[0].shape[2:].numel()

    hooks = [layer.register_forward_hook(count) for layer in layers]
    for layer in layers:
        layer.momentum = 1.0
    net.train()
    of_share, _ = forward(net, training.data.normalise(split.images[own]), training.setting.precision)
    logits = of_share.new_zeros(len(split.labels), of_share.shape[1])
    logits[own] = of_share
    for hook in hooks:
        hook.remove()
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
        assert layer.running_var is not None
        layer.running_var.mul_((counts[layer] - 1) / counts[layer])  # torch keeps the sum over N - 1
    return distributed.total(logits)
