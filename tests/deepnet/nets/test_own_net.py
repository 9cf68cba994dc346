"""Networks of the user's own: the last nn.Linear is found and gives way to a head, whatever comes before it."""

import sys
from pathlib import Path

import pytest
import torch

from deepnet.nets.nets import make_net
from deepnet.nets.own_net import LIBRARIES
from deepnet.settings import TrainSetting
from deepnet.training.training import begin
from ufm.errors import RequestError

K = 3
SOURCE = """
import torch
from torch import nn

def plain(num_classes, in_channels):
    return nn.Sequential(nn.Conv2d(in_channels, 6, 3, padding=1), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
                         nn.ReLU(), nn.Linear(24, num_classes))

class Layered(nn.Module):
    def __init__(self, num_classes, in_channels, image_size, width=1.0):
        super().__init__()
        self.first = nn.Conv2d(in_channels, 4, 1)
        self.norm = nn.LayerNorm(4 * image_size[0] * image_size[1])
        self.drop = nn.Dropout(0.5)
        self.out = nn.Linear(self.norm.normalized_shape[0], num_classes, bias=False)

    def forward(self, x):
        x = self.first(x)
        return {"logits": self.out(self.drop(self.norm(x.view(len(x), -1))))}

def softened(num_classes):
    return nn.Sequential(plain(num_classes, 3), nn.Softmax(1))

def scaled(num_classes):
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = plain(num_classes, 3)
        def forward(self, x):
            return 2 * self.net(x)
    return Scaled()

def many(num_classes):
    return plain(num_classes + 1, 3)

def convolved(num_classes):
    return nn.Sequential(nn.Conv2d(3, num_classes, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())

def narrow(num_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(7, num_classes))

def nothing(num_classes):
    return 3

def lacks(num_classes, depth):
    return plain(num_classes, 3)

def ends(num_classes):
    raise SystemExit(0)

def main():
    open("ran", "w")
"""


@pytest.fixture(autouse=True)
def own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    Path("own_nets.py").write_text(SOURCE)
    yield
    sys.modules.pop("own_nets", None)


def made(name, shape=(3, 8, 8), head=None, width=1.0):
    return make_net(f"own_nets:{name}", width, K, shape, torch.Generator().manual_seed(5), head)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 20, 24), (5, 7, 9)])
@pytest.mark.parametrize("name", ["plain", "Layered"])
def test_the_logits_are_those_of_the_users_net(name, shape):
    net, x = made(name, shape).eval(), torch.randn(4, *shape)
    import own_nets

    torch.manual_seed(int(torch.randint(2**62, (), generator=torch.Generator().manual_seed(5))))
    more = {"image_size": shape[1:]} if name == "Layered" else {}
    theirs = getattr(own_nets, name)(K, shape[0], **more).eval()(x)
    logits, features = net(x)
    torch.testing.assert_close(logits, theirs["logits"] if name == "Layered" else theirs, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(features @ net.classifier.W.mT + net.classifier.b, logits)
    assert net.body.is_random == (name == "Layered")
    assert ("classifier.bias" in dict(net.named_parameters())) == (name == "plain")
    assert bool(net.classifier.b.any()) == (name == "plain")


def test_the_generator_alone_decides_and_torchs_own_is_left_alone():
    torch.manual_seed(1)
    first, drawn = made("plain"), torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(1), drawn)
    for one, other in zip(first.parameters(), made("plain").parameters(), strict=True):
        assert torch.equal(one, other)


def test_any_head_takes_the_place():
    net = made("plain", head={"name": "etf", "dim": 5})
    assert net(torch.randn(2, 3, 8, 8))[1].shape == (2, 5)
    assert not any("4." in name for name in net.state_dict())


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("softened", "whose output is not|does more"),
        ("scaled", r"does more than net.4 does"),
        ("many", "network of 3 logits, one a class, got own_nets:many, which gives 4"),
        ("convolved", r"whose output \(2, 3\) is not"),
        ("narrow", r"must take images \(3, 8, 8\), got own_nets:narrow \(RuntimeError"),
        ("nothing", "which makes a int"),
        ("lacks", "depth"),
        ("ends", r"must make a network, got own_nets:ends \(SystemExit"),
        ("main", "must be a function that takes num_classes, or a subclass of torch.nn.Module, got own_nets:main"),
        ("nn", "own_nets.py defines no nn itself"),
        ("no", "defines no no itself"),
    ],
)
def test_what_is_no_such_net_is_refused_in_one_sentence(name, sentence):
    with pytest.raises(RequestError, match=sentence):
        made(name)
    assert not Path("ran").exists()


@pytest.mark.parametrize(
    "name", ["subprocess:Popen", "os:system", "builtins:exec", "rich.console:Console", "missing:f"]
)
def test_what_may_not_be_called_is_not(name):
    with pytest.raises(RequestError, match="`name` must be"):
        make_net(name, 1.0, K, (3, 8, 8), torch.Generator())


def test_a_width_that_nothing_takes_is_refused():
    assert made("Layered", width=2.0)
    with pytest.raises(RequestError, match="`width` must be 1 with name own_nets:plain"):
        made("plain", width=2.0)


TINY = TrainSetting(data="digits", net="own_nets:Layered", per_class=4, test_per_class=2, epochs=2)


def test_the_terminal_phase_says_what_it_cannot():
    import dataclasses

    with pytest.raises(RequestError, match="a network that normalises and is your own"):
        begin(dataclasses.replace(TINY, terminal=2))
    assert (
        begin(dataclasses.replace(TINY, terminal=2, net="own_nets:plain")).net.memory_format == torch.contiguous_format
    )


@pytest.mark.parametrize("package", LIBRARIES)
def test_a_package_that_cannot_be_imported_is_said(package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(RequestError, match=f"be of a package that can be imported, got {package}:resnet18"):
        make_net(f"{package}:resnet18", 1.0, K, (3, 8, 8), torch.Generator())
