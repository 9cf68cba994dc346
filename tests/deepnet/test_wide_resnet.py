import pytest
import torch

from deepnet.wide_resnet import FEATURE_SIZE, WideResNet


def net(width: float = 0.25, classes: int = 10, channels: int = 3, seed: int = 0) -> WideResNet:
    return WideResNet(width, classes, channels, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("width", "count"), [(0.25, 5_880_074), (1.0, 23_520_842)])
def test_parameter_count_is_the_reference_networks(width, count):
    assert sum(parameter.numel() for parameter in net(width).parameters()) == count


@pytest.mark.parametrize(("channels", "size"), [(3, 32), (1, 8)])
def test_logits_are_the_last_layer_of_the_features(channels, size):
    model = net(channels=channels, classes=7)
    images = torch.randn(4, channels, size, size, generator=torch.Generator().manual_seed(1))
    logits, features = model(images)
    assert features.shape == (4, FEATURE_SIZE)
    torch.testing.assert_close(logits, features @ model.classifier.weight.mT + model.classifier.bias)


def test_last_layer_is_float32_under_autocast():
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.autocast("cpu", torch.bfloat16):
        logits, features = net()(images)
    assert logits.dtype == features.dtype == torch.float32


def test_parameters_depend_on_the_generator_alone():
    torch.rand(3)  # moves the global generator, which must not matter
    same, other = net(seed=0).state_dict(), net(seed=1).state_dict()
    for name, value in net(seed=0).state_dict().items():
        assert torch.equal(value, same[name])
    assert not torch.equal(same["classifier.weight"], other["classifier.weight"])
