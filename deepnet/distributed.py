"""Several processes, one run: `torchrun --nproc-per-node N -m deepnet train ...`.

Every process holds the same network and draws the same random numbers; of each batch it computes its own share. Sums
over the batch (gradient, batch statistics, losses) are taken over all processes, so that the run is that of one process
up to rounding, whatever their number: no checkpoint knows it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel


@contextmanager
def process_group(device: str) -> Iterator[None]:
    """Join the other processes that torchrun started, if there are any."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    try:
        yield
    finally:
        distributed.destroy_process_group()


def rank() -> int:
    """The number of this process, 0 for the first."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def size() -> int:
    """The number of processes."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def own_device(name: str) -> str:
    """The device of this process: `cuda` becomes the card of its number."""
    return f"cuda:{os.environ['LOCAL_RANK']}" if name == "cuda" and size() > 1 else name


def own_share() -> slice:
    """The samples of a batch that this process takes."""
    return slice(rank(), None, size())


@contextmanager
def first_goes_ahead() -> Iterator[None]:
    """Let the first process run the block before the others, which then find what it has downloaded."""
    if rank() > 0:
        distributed.barrier()
    yield
    if size() > 1 and rank() == 0:
        distributed.barrier()


@contextmanager
def all_there() -> Iterator[None]:
    """Make one sentence of what libraries raise where they wait for a process that has ended.

    Raises:
        ConnectionError: if another process has ended, or cannot be reached.
    """
    try:
        yield
    except RuntimeError as error:
        if size() > 1 and (isinstance(error, distributed.DistError) or "gloo" in str(error)):
            raise ConnectionError("another process of this run has ended, or cannot be reached") from error
        raise


def meet() -> None:
    """Wait until every process is here.

    Raises:
        ConnectionError: as `all_there`.
    """
    if size() > 1:
        with all_there():
            distributed.barrier()


def total(value: Tensor) -> Tensor:
    """The sum over all processes, in place."""
    if size() > 1:
        distributed.all_reduce(value)
    return value


def largest(value: Tensor) -> Tensor:
    """The largest over all processes, in place."""
    if size() > 1:
        distributed.all_reduce(value, distributed.ReduceOp.MAX)
    return value


def total_gradient(net: nn.Module) -> None:
    """Sum the gradient of every parameter over all processes, in place."""
    if size() > 1:
        gradients = [parameter.grad for parameter in net.parameters() if parameter.grad is not None]
        summed = total(torch.cat([gradient.flatten() for gradient in gradients]))
        parts = torch.split(summed, [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))


def parallel(net: nn.Module) -> nn.Module:
    """`net` with gradients averaged over the processes (its parameters stay the same tensors), or `net` itself."""
    return DistributedDataParallel(net) if size() > 1 else net


class DifferentiableTotal(torch.autograd.Function):
    """The sum over all processes; a gradient is the sum of what comes back to every process."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:  # noqa: D102
        return total(own.clone())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: D102
        return total(gradient.clone())
