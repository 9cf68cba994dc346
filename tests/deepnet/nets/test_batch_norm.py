"""The compiled passes against torch's own layers in float64, and what they must keep of them."""

import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional

from deepnet.nets import batch_norm_compiled
from deepnet.nets.batch_norm import BatchNorm2d

TOLERANCES = {torch.float32: 2e-6, torch.bfloat16: 2**-8}
"""Of the largest entry: a few roundings, and one to eight bits."""
SHAPES = ((4, 16, 8), (3, 7, 5), (5, 300, 3), (2, 1, 4), (70, 256, 1))
"""Images, channels, height and width: several pixels a row, an odd number of pixels, a long row, one channel."""


def layer(channels: int, is_rectified: bool = True) -> BatchNorm2d:
    made = BatchNorm2d(channels, is_rectified)
    generator = torch.Generator().manual_seed(1)
    nn.init.normal_(made.weight, generator=generator)
    nn.init.normal_(made.bias, generator=generator)
    return made


def reference(of: BatchNorm2d, x: torch.Tensor, shortcut: torch.Tensor | None, is_training: bool = True):
    """torch's layers, in float64, and the layer that remembers."""
    norm = nn.BatchNorm2d(of.num_features).double().train(is_training)
    norm.load_state_dict(of.state_dict())
    y = norm(x.double())
    y = y if shortcut is None else y + shortcut.double()
    return (functional.relu(y) if of.is_rectified else y), norm


def maps(shape: tuple[int, int, int], dtype: torch.dtype, mean: float = 0.0) -> torch.Tensor:
    images, channels, size = shape
    x = mean + torch.randn(images, channels, size, size, generator=torch.Generator().manual_seed(2))
    return x.to(dtype).contiguous(memory_format=torch.channels_last).requires_grad_()


def assert_near(found: torch.Tensor, expected: torch.Tensor, dtype: torch.dtype) -> None:
    worst = (found.double() - expected.double()).abs().max() / expected.abs().max().clamp_min(1e-3)
    assert float(worst.detach()) <= TOLERANCES[dtype]


@pytest.mark.parametrize(("is_rectified", "has_shortcut"), [(True, True), (True, False), (False, False)])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
def test_output_gradients_and_running_statistics_are_torchs(dtype, shape, is_rectified, has_shortcut):
    made, x = layer(shape[1], is_rectified), maps(shape, dtype, 5.0)
    shortcut = maps(shape, dtype) if has_shortcut else None
    expected, norm = reference(made, x, shortcut)
    inputs = [x] if shortcut is None else [x, shortcut]
    dy = torch.randn(expected.shape, generator=torch.Generator().manual_seed(3)).to(dtype)
    expected_gradients = torch.autograd.grad(expected, [*inputs, norm.weight, norm.bias], dy.double())
    found = made(x, shortcut)
    gradients = torch.autograd.grad(found, [*inputs, made.weight, made.bias], dy)
    assert found.dtype == gradients[0].dtype == dtype
    assert_near(found, expected, dtype)
    for one, other in zip(gradients, expected_gradients, strict=True):
        assert_near(one, other, dtype)
    assert_near(made.running_mean, norm.running_mean, torch.float32)
    assert_near(made.running_var, norm.running_var, torch.float32)
    made.eval()
    with torch.no_grad():
        assert_near(made(x, shortcut), reference(made, x, shortcut, is_training=False)[0], dtype)


def test_the_loops_are_what_runs(monkeypatch):
    made, x = layer(4), maps((4, 4, 4), torch.float32)
    expected = made(x)
    monkeypatch.setattr(batch_norm_compiled, "moments", lambda x: batch_norm_compiled.Moments(*torch.zeros(2, 4)))
    assert not torch.allclose(made(x), expected)


def test_a_mean_far_from_zero_cancels_nothing():
    x = maps((8, 32, 8), torch.float32, 1000.0)
    of_x = batch_norm_compiled.moments(x)
    # Each value of x is rounded to 6e-5 already; E[x^2] - E[x]^2 in float32 would be off by 0.1.
    assert_near(of_x.variance, x.double().var((0, 2, 3), correction=0), torch.float32)


def test_the_number_of_threads_moves_no_bit():
    made, x = layer(64), maps((50, 64, 7), torch.float32)
    threads = torch.get_num_threads()
    found = []
    for count in (1, 2):
        torch.set_num_threads(count)
        y = made(x)
        found.append([y, *torch.autograd.grad(y.square().sum(), [x, made.weight])])
    torch.set_num_threads(threads)
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("count", [1, 2])
def test_torch_keeps_its_number_of_threads(count):
    code = f"""
import torch
from deepnet.nets.batch_norm import BatchNorm2d
torch.set_num_threads({count})
BatchNorm2d(3)(torch.randn(2, 3, 4, 4)).sum().backward()
print(torch.get_num_threads())
"""
    # A process of its own, because it is the first call that could change it.
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) == count


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_is_not_hidden(dtype, value):
    x = maps((2, 3, 4), dtype).detach()
    x[0, 1, 0, 0] = value
    y = layer(3)(x)
    assert not y[:, 1].isfinite().any()
    assert y[:, ::2].isfinite().all()


def test_one_pixel_a_channel_is_refused_as_by_torch():
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        layer(3)(torch.randn(1, 3, 1, 1))


def test_gradients_in_eval_mode_are_torchs():
    made, x = layer(3).eval(), maps((2, 3, 4), torch.float32)
    (found,) = torch.autograd.grad(made(x).square().sum(), x)
    expected, _ = reference(made, x, None, is_training=False)
    assert_near(found, torch.autograd.grad(expected.square().sum(), x)[0], torch.float32)


def test_no_momentum_is_a_plain_average():
    made, norm = layer(3), nn.BatchNorm2d(3, momentum=None)
    made.momentum = None
    for mean in (0.0, 1.0, 5.0):
        x = maps((4, 3, 4), torch.float32, mean)
        made(x), norm(x)
    assert_near(made.running_mean, norm.running_mean, torch.float32)
    assert_near(made.running_var, norm.running_var, torch.float32)
