"""Another head for a model that is there."""

import pytest
import torch
from torch import nn

from deepnet.nn import ETFClassifier, replace_head
from tests.deepnet.evaluation.test_model import Residual, Transformer
from ufm import RequestError


def test_the_layer_that_decides_is_found_by_running_the_model():
    net, x = Residual(), torch.randn(6, 3, 8, 8)
    statistics = net.stem[1].running_mean.clone()
    head = ETFClassifier(5, 3)
    assert replace_head(net, head, x) == "fc"
    assert net.fc is head
    assert torch.equal(net.stem[1].running_mean, statistics)
    assert net.training
    nn.CrossEntropyLoss()(net(x), torch.arange(6) % 3).backward()
    assert net.inside.weight.grad is not None


def test_without_inputs_it_is_the_one_registered_last():
    net = Residual()
    assert replace_head(net, ETFClassifier(5, 5)) == "inside"  # which is another here, as the docstring says
    model = Transformer(of_tokens=False)
    assert replace_head(model, ETFClassifier(4, 3)) == "lm_head"
    assert model(torch.zeros(2, 5, dtype=torch.long)).logits.shape == (2, 3)
    nested = nn.Sequential(nn.Flatten(), nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2))).double().eval()
    assert replace_head(nested, ETFClassifier(4, 7)) == "1.2"
    assert nested(torch.randn(3, 8).double()).shape == (3, 7)
    assert not nested[1][2].training
    assert replace_head(nested, nn.Linear(4, 2)) == "1.2"  # and back


def test_what_does_not_fit_is_refused_and_nothing_changed():
    net = nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 2))
    last = net[1]
    with pytest.raises(RequestError, match="`head` must be one of 4 features, as 1 takes, got one of 5"):
        replace_head(net, ETFClassifier(5, 2))
    assert net[1] is last
    for model in (nn.Linear(4, 2), nn.Sequential(nn.ReLU())):
        with pytest.raises(RequestError, match="`model` must have a linear layer inside"):
            replace_head(model, ETFClassifier(4, 2))
