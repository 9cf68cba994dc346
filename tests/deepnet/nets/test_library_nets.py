"""Networks of timm and torchvision, where they are installed and can be imported."""

import importlib

import pytest
import torch

from deepnet.nets.nets import make_net
from ufm.errors import RequestError

_operators = []


@pytest.fixture(scope="module", autouse=True)
def lacking_operators():
    """torchvision's wheel may not import beside torch for CPUs: two operators lack, which no classifier calls."""
    if not hasattr(torch.ops.torchvision, "nms"):
        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _operators.append(library)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "shape", "size"),
    [
        ("timm:vit_tiny_patch16_224", (3, 32, 48), 192),
        ("timm:resnet18", (1, 32, 32), 512),
        ("torchvision:resnet18", (3, 40, 32), 512),
        ("torchvision:resnet18", (1, 32, 32), 512),
    ],
)
def test_features_are_what_the_last_layer_sees(name, shape, size):
    package = name.partition(":")[0]
    try:
        importlib.import_module(package)
    except Exception as error:
        pytest.skip(f"{package} cannot be imported: {error}")
    net = make_net(name, 1.0, 5, shape, torch.Generator().manual_seed(0)).eval()
    logits, features = net(torch.randn(2, *shape))
    assert (logits.shape, features.shape) == ((2, 5), (2, size))
    torch.testing.assert_close(features @ net.classifier.W.mT + net.classifier.b, logits)
    with pytest.raises(RequestError, match="`name` must be"):
        make_net(f"{package}:no_such_net", 1.0, 5, shape, torch.Generator())
    with pytest.raises(RequestError, match="`width` must be 1"):
        make_net(name, 0.5, 5, shape, torch.Generator())
