"""Every network: known sizes, features that are what the last layer sees, parameters that a seed decides."""

import pytest
import torch

from deepnet.nets.nets import NETS, Network, make_net

SHAPES = ((3, 32, 32), (1, 8, 8))


def net(name: str, width: float = 0.25, shape: tuple[int, int, int] = (3, 32, 32), seed: int = 0) -> Network:
    return make_net(name, width, 10, shape, torch.Generator().manual_seed(seed))


def images(shape: tuple[int, int, int]) -> torch.Tensor:
    return torch.randn(4, *shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("name", "width", "parameters", "feature_size"),
    [
        ("wide_resnet", 0.25, 5_880_074, 2048),  # as in the code of Zhou et al. 2022
        ("wide_resnet", 1.0, 23_520_842, 2048),
        ("resnet18", 1.0, 11_173_962, 512),  # the usual ResNet-18 for CIFAR-10
        ("resnet18", 0.25, 701_466, 128),
        # kuangliu/pytorch-cifar's PreActResNet18 has 11,171,146 and no normalisation of its 512 channels at the end
        ("preact_resnet", 1.0, 11_171_146 + 2 * 512, 512),
        ("conv", 1.0, 9 * (3 * 64 + 64 * 64 + 64 * 128 + 128 * 256 + 256 * 512) + 2 * (64 + 960) + 5130, 512),
        # embedding of 8 x 8 patches, 16 positions, three blocks, the last normalisation and layer; d = 64
        ("vit", 0.125, 192 * 64 + 16 * 64 + 3 * (256 + 65 * 192 + 65 * 64 + 65 * 128 + 129 * 64) + 128 + 650, 64),
        ("vit_unscaled", 0.125, 114_506 - 128, 64),
        ("vit_unnormalised", 0.125, 114_506 - 128, 64),
        ("mlp", 0.25, 3072 * 128 + 2 * 128 * 128 + 3 * 128 + 1290, 128),
    ],
)
def test_sizes(name, width, parameters, feature_size):
    model = net(name, width)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    assert model.feature_size == feature_size


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", NETS)
def test_logits_are_the_last_layer_of_the_features(name, shape):
    model = net(name, 0.125, shape)
    logits, features = model(images(shape))
    assert features.shape == (4, model.feature_size)
    torch.testing.assert_close(logits, features @ model.classifier.weight.mT + model.classifier.bias)


@pytest.mark.parametrize("name", NETS)
def test_last_layer_is_float32_under_autocast(name):
    with torch.autocast("cpu", torch.bfloat16):
        logits, features = net(name, 0.125)(images(SHAPES[0]))
    assert logits.dtype == features.dtype == torch.float32


@pytest.mark.parametrize("name", NETS)
def test_parameters_depend_on_the_generator_alone(name):
    torch.rand(3)  # moves the global generator, which must not matter
    same, other = net(name, 0.125, seed=0).state_dict(), net(name, 0.125, seed=1).state_dict()
    for key, value in net(name, 0.125, seed=0).state_dict().items():
        assert torch.equal(value, same[key])
    assert not torch.equal(same["classifier.weight"], other["classifier.weight"])
