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
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from deepnet import distributed
from deepnet.measures.features import forward
from deepnet.nets.conv_net import ConvNet
from deepnet.training.decayed import balance, decayed
from deepnet.training.recorded import Recorded, can_record
from deepnet.training.training import Training
from ufm.tolerances import TERMINAL_CHANGE, TERMINAL_GRADIENT

MEMORY = 2**32
"""Bytes of the steps and gradient differences that L-BFGS keeps: all of a block, if they find room. Forgetting costs
squared error most, whose curvatures lie farthest apart."""
KEPT, SHARE = 2**31, 1 / 4
"""Bytes of maps of all training images that an evaluation keeps for its gradient, and on a CUDA device the share of the
free memory; where there are more, those inside of blocks are computed twice. Pieces of the set would not do: each batch
normalisation needs the moments of all images before the next layer, and its gradient two more sums, so that exact
pieces take a pass for every layer."""


@dataclass
class _Objective:
    """The objective of a block; a call returns its value and the mean loss in it, and sets every gradient."""

    training: Training

    def __call__(self) -> tuple[Tensor, Tensor]:
        """Evaluate it without waiting for the device."""
        training, split, own = self.training, self.training.data.splits["train"], distributed.own_share()
        training.net.zero_grad()
        images = training.data.normalise(split.images[own]).to(training.net.classifier.W.dtype)
        logits, _ = forward(training.net, images, training.setting.precision)
        loss = training.loss(logits, split.labels[own]).sum() / len(split.labels)
        squares = [parameter.square().sum() for parameter in decayed(training.net)]
        penalty = torch.stack([torch.zeros_like(loss), *squares]).sum()
        value: Tensor = loss + training.setting.decay / 2 * penalty / distributed.size()
        value.backward()  # type: ignore[no-untyped-call]
        distributed.total_gradient(training.net)
        return distributed.total(value.detach()), distributed.total(loss.detach())


def terminal_block(training: Training, on_step: Callable[[int], None]) -> tuple[list[float], dict[str, float]]:
    """Run a block of L-BFGS, in double precision from where single precision stalls.

    Returns:
        The mean loss at each evaluation; and at the block's end mean loss, accuracy and objective.
    """
    training.recorded, training.step_net = None, training.net  # parameters move to other places, and get longer
    net, split = training.net, training.data.splits["train"]
    images, iterations, shown = len(split.labels), training.setting.terminal_iterations, 0

    def on_call() -> None:
        nonlocal shown
        share = min(-(-images // iterations), images - shown)
        shown += share
        on_step(share)

    is_too_much = torch.tensor(bytes_of_maps(training) > _kept(split.labels.device), device=split.labels.device).int()
    keeps_maps = not distributed.largest(is_too_much)  # sums in a second pass would not meet those of another process
    if isinstance(net.body, ConvNet):
        net.body.keeps_inside = keeps_maps
    net.train()
    net.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # torch's L-BFGS takes no other
    balance(net)
    done, losses = _minimise(training, iterations, on_call, keeps_maps)
    if done < iterations and training.setting.precision == "fp32":
        net.double()
        losses += _minimise(training, iterations - done, on_call, keeps_maps)[1]
        net.float()
    balance(net)
    net.classifier.retract()
    value = float(_Objective(training)()[0])
    net.zero_grad()
    net.to(memory_format=net.memory_format)  # type: ignore[call-overload]
    logits = keep_statistics(training)
    on_step(images - shown)
    count = int(training.loss.is_right(logits, split.labels).sum())
    loss = float(training.loss(logits, split.labels).mean())
    return losses, {"loss": loss, "accuracy": count / images, "objective": value}


def _kept(device: torch.device) -> int:
    return int(SHARE * torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else KEPT


@torch.no_grad()
def bytes_of_maps(training: Training) -> int:
    """The bytes of the outputs of all convolutions and batch normalisations for this process's training images."""
    net, images = training.net.eval(), training.data.splits["train"].images
    counts: list[int] = []
    layers = [module for module in net.modules() if isinstance(module, torch.nn.Conv2d | _BatchNorm)]
    hooks = [layer.register_forward_hook(lambda _, __, y: counts.append(y.nbytes)) for layer in layers]
    forward(net, training.data.normalise(images[:1]), training.setting.precision)
    for hook in hooks:
        hook.remove()
    return len(images[distributed.own_share()]) * sum(counts)


def _minimise(
    training: Training, iterations: int, on_call: Callable[[], None], keeps_maps: bool
) -> tuple[int, list[float]]:
    """Run at most this many iterations of L-BFGS.

    Returns:
        How many were done before it stalled, and the mean loss at each evaluation.
    """
    evaluate: Callable[[], tuple[Tensor, ...]] = _Objective(training)
    if keeps_maps and can_record(training.net, training.setting.loss, training.data.mean.device):
        evaluate = Recorded(evaluate)
    losses = []

    def closure() -> Tensor:
        value, loss = evaluate()
        losses.append(loss)
        on_call()
        return value

    parameters = [parameter for parameter in training.net.parameters() if parameter.requires_grad]
    of_a_pair = 2 * sum(parameter.nbytes for parameter in parameters)
    optimiser = torch.optim.LBFGS(
        parameters,
        max_iter=iterations,
        max_eval=2 * iterations,
        history_size=max(1, min(iterations, MEMORY // of_a_pair)),
        line_search_fn="strong_wolfe",
        tolerance_grad=TERMINAL_GRADIENT,
        tolerance_change=TERMINAL_CHANGE,
    )
    optimiser.step(closure)  # type: ignore[no-untyped-call]
    return int(optimiser.state[parameters[0]]["n_iter"]), torch.stack(losses).tolist()


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
