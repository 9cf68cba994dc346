"""Running averages, averages over a whole set, and a batch's own statistics: three nets in one."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from deepnet.measures.features import last_layer
from deepnet.measures.normalisation import (
    batch_layer,
    largest_second_moment,
    normalises_batches,
    with_precise_statistics,
)
from deepnet.settings import TrainSetting
from deepnet.training.training import Training, begin


def training(net: str) -> Training:
    options = {"data": "digits", "data_folder": Path(), "per_class": 4, "test_per_class": 1, "validation": 0.0}
    return begin(TrainSetting(**options, net=net, width=0.125, device="cpu"))


@pytest.fixture(scope="module")
def resnet() -> Training:
    run = training("resnet18")
    for parameter in run.net.parameters():  # residual branches start at zero; here they should matter
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=run.generator)
    return run


def test_with_the_whole_set_as_one_batch_precise_and_batch_statistics_agree(resnet):
    split = resnet.data.splits["train"]
    everything = [torch.arange(len(split.labels))]
    net = with_precise_statistics(resnet.net, resnet.data, split, "fp32", everything)
    precise, batch = (
        last_layer(net, resnet.data, split, "fp32"),
        batch_layer(resnet.net, resnet.data, split, "fp32", everything),
    )
    running = last_layer(resnet.net, resnet.data, split, "fp32")
    # The precise variance has N - 1, the batch's N in its denominator; at the last maps N is 40 x 1 x 1.
    assert float((precise.H - batch.H).norm() / batch.H.norm()) < 0.05
    assert float((running.H - batch.H).norm() / batch.H.norm()) > 0.2


def test_the_largest_second_moment_against_eigenvalues(resnet):
    net = copy.deepcopy(resnet.net)
    layers = [net.body.blocks[-1].normalisation, net.body.blocks[-2].shortcut[1]]
    for layer in layers:
        layer.eps = 0.01  # so that it counts
    split, seen = resnet.data.splits["train"], {}
    hooks = [each.register_forward_hook(lambda layer, x, _: seen.update({layer: x[0].numpy()})) for each in layers]
    last_layer(net, resnet.data, split, "fp32")
    for hook in hooks:
        hook.remove()
    largest = 0.0
    for layer, inputs in seen.items():
        flat = np.moveaxis(inputs, 1, -1).reshape(-1, inputs.shape[1]).astype(float)
        x = (flat - layer.running_mean.numpy()) / np.sqrt(layer.running_var.numpy() + layer.eps)
        channels = [np.stack([channel, np.ones_like(channel)]) for channel in x.T]
        largest = max(largest, *(np.linalg.eigvalsh(c @ c.T / c.shape[1])[-1] for c in channels))
    found = largest_second_moment(net, layers, resnet.data, split, "fp32")
    assert found == pytest.approx(largest, rel=1e-5)
    assert largest > 1.01


def test_looking_changes_nothing(resnet):
    before = {name: value.clone() for name, value in resnet.net.state_dict().items()}
    split = resnet.data.splits["train"]
    order = list(torch.arange(len(split.labels)).split(10))
    batch_layer(resnet.net, resnet.data, split, "fp32", order)
    with_precise_statistics(resnet.net, resnet.data, split, "fp32", order)
    assert all(bool((value == before[name]).all()) for name, value in resnet.net.state_dict().items())


def test_a_batch_layer_follows_its_order(resnet):
    split = resnet.data.splits["train"]
    order = [torch.arange(10), torch.arange(5, 15)]
    layer = batch_layer(resnet.net, resnet.data, split, "fp32", order)
    assert layer.labels.tolist() == split.labels[torch.cat(order)].tolist()
    assert layer.H.shape == (20, resnet.net.feature_size)


def test_a_net_without_it_says_so(resnet):
    assert normalises_batches(resnet.net)
    assert not normalises_batches(training("mlp").net)
