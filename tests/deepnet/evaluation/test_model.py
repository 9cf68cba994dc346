"""`deepnet.evaluate`: it finds what the last layer sees of any model, and leaves the model as it was."""

import re
import warnings
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from deepnet.evaluation import model as module
from deepnet.evaluation import watched
from deepnet.evaluation.model import evaluate
from ufm.collapse import FeatureStats, all_metrics
from ufm.errors import RequestError

K, N = 3, 30


@pytest.fixture
def data(normal) -> list[tuple[Tensor, Tensor]]:
    torch.manual_seed(0)
    X, y = torch.randn(N, 3, 8, 8), torch.arange(N) % K
    return [(X[i : i + 7], y[i : i + 7]) for i in range(0, N, 7)]


class Residual(nn.Module):
    """A body, pooled, and `fc`; defined in another order than they run, as torchvision's nets may be."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(5, K)
        self.inside = nn.Linear(5, 5)
        self.stem, self.drop = nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.ReLU()), nn.Dropout(0.5)

    def features(self, x: Tensor) -> Tensor:
        return self.inside(self.stem(x).mean((2, 3))) + 1

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.drop(self.features(x)))


class Transformer(nn.Module):
    """Takes a dict by name and returns an object with logits, as Hugging Face's do; a token has a class."""

    def __init__(self, of_tokens: bool) -> None:
        super().__init__()
        self.embed, self.block, self.lm_head = nn.Embedding(9, 4), nn.TransformerEncoderLayer(4, 2, 8), nn.Linear(4, K)
        self.of_tokens = of_tokens

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> SimpleNamespace:
        h = self.block(self.embed(input_ids))
        return SimpleNamespace(logits=self.lm_head(h if self.of_tokens else h[:, 0]), hidden_states=None)


def expected(H: Tensor, y: Tensor, linear: nn.Linear) -> dict[str, float]:
    stats = FeatureStats.from_features(H, y, linear.weight, linear.bias)
    right = (linear(H).argmax(-1) == y).double().mean()
    return {name: float(value) for name, value in all_metrics(stats).items()} | {"accuracy": float(right)}


def test_the_input_of_the_layer_that_decides(data):
    net = Residual()
    net.stem.train()
    net.drop.eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    found = evaluate(net, iter(data), layers=["stem", "inside"])
    assert (net.training, net.drop.training, net.stem[1].training) == (True, False, True)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())
    net.eval()
    X, y = (torch.cat(parts) for parts in zip(*data, strict=True))
    assert found.last_layer == "fc"
    assert list(found.layers) == ["input of fc", "stem", "inside"]
    assert found.metrics == pytest.approx(expected(net.features(X), y, net.fc), rel=1e-5)
    stem = all_metrics(FeatureStats.from_features(net.stem(X).mean((2, 3)), y))
    assert found.layers["stem"] == pytest.approx({name: float(value) for name, value in stem.items()}, rel=1e-5)
    assert (found.samples, found.classes, found.present, found.dim) == (N, K, K, 5)


def test_a_sequential_that_ends_in_a_softmax(data):
    net = nn.Sequential(nn.Flatten(), nn.Linear(192, 6), nn.ReLU(), nn.Linear(6, K), nn.LogSoftmax(-1))
    found = evaluate(net, data, test=data, outside=[(x, None) for x, _ in data])
    X, y = (torch.cat(parts) for parts in zip(*data, strict=True))
    assert found.last_layer == "3"
    values = dict(found.metrics)
    assert values.pop("nc4_test") == values["nc4"]
    assert values.pop("neco_auroc") == 0.5  # the same samples
    assert values.pop("nc5") > 0
    assert values == pytest.approx(expected(net[:3](X), y, net[3]), rel=1e-5)


def test_dicts_of_inputs_and_labels_of_tokens():
    torch.manual_seed(0)
    ids, labels = torch.randint(0, 9, (12, 5)), torch.randint(0, K, (12, 5))
    labels[:, -1] = -100
    batches = [{"input_ids": ids[i : i + 4], "labels": labels[i : i + 4]} for i in (0, 4, 8)]
    net = Transformer(of_tokens=True)
    found = evaluate(net, batches, layers="block")
    net.eval()
    h, kept = torch.cat([net.block(net.embed(each["input_ids"])) for each in batches]), labels != -100
    assert found.samples == 48
    assert found.metrics == pytest.approx(expected(h[kept], labels[kept], net.lm_head), rel=1e-5)
    assert found.layers["block"]["nc1_pinv"] == pytest.approx(found.metrics["nc1_pinv"])
    net = Transformer(of_tokens=False)
    found = evaluate(net, [each | {"labels": each["labels"][:, 0]} for each in batches])
    h = torch.cat([net.eval().block(net.embed(each["input_ids"]))[:, 0] for each in batches])
    assert found.metrics == pytest.approx(expected(h, labels[:, 0], net.lm_head), rel=1e-5)


def test_without_a_last_linear_layer_others_can_be_named(data):
    net = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Conv2d(5, K, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(RequestError, match=r"`layers` must name the layers of a Sequential: none of its nn\.Linear"):
        evaluate(net, data)
    with pytest.raises(RequestError, match="`num_classes` must be given where no linear layer"):
        evaluate(net, data, layers="1")
    found = evaluate(net, data, layers="1", num_classes=K)
    X, y = (torch.cat(parts) for parts in zip(*data, strict=True))
    stats = all_metrics(FeatureStats.from_features(net[:2](X).mean((2, 3)), y))
    assert found.metrics == pytest.approx({name: float(value) for name, value in stats.items()}, rel=1e-5)
    backbone = nn.Sequential(nn.Flatten(), nn.Linear(192, 6), nn.LayerNorm(6))
    with pytest.raises(RequestError, match=r"none of its nn\.Linear gives its output"):
        evaluate(nn.Sequential(backbone, nn.Tanh(), nn.Unflatten(1, (3, 2))), data)


def test_sums_of_many_batches_and_features_too_large_to_keep(data, monkeypatch):
    net = Residual()
    whole = evaluate(net, data).metrics
    monkeypatch.setattr(module, "MOST_WAITING", 0)
    monkeypatch.setattr(module, "MOST_KEPT", 200)
    counted: list[int] = []
    found = evaluate(net, data, progress=counted.append).metrics
    assert set(whole) - set(found) == {"nc4"}  # absent, not wrong
    assert found == pytest.approx({name: whole[name] for name in found}, rel=1e-6)
    assert counted == [1, 2, 3, 4, 5]


BAD = {
    "a name": ({"layers": ["stam"]}, "`layers` must be of layers that the model has, such as stem, .*got stam"),
    "nothing": ({"loader": []}, "`loader` must be one that gives batches of inputs and labels, got no batch"),
    "no labels": ({"loader": [torch.zeros(2, 3, 8, 8)]}, r"`loader` must be one that gives \(inputs, labels\)"),
    "a data set": ({"loader": [(torch.zeros(3, 8, 8), 0)]}, "`loader` must be one that gives batches, as a DataLoader"),
    "one of tensors": ({"loader": [(torch.zeros(3, 8, 8), torch.tensor(0))]}, "got single samples"),
    "labels beyond": ({"loader": [(torch.zeros(2, 3, 8, 8), torch.tensor([0, K]))]}, r"`labels` must be in \[0, 3\)"),
    "lengths": ({"loader": [(torch.zeros(2, 3, 8, 8), torch.tensor([0]))]}, "got 1 labels for 2 rows"),
    "nan": ({"loader": [(torch.zeros(2, 3, 8, 8) / 0, torch.tensor([0, 1]))]}, "`model` must be one whose features"),
    "classes": ({"num_classes": 7}, "`num_classes` must be left out or the last layer's, got 7"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_one_sentence(data, case):
    changed, sentence = BAD[case]
    net = Residual()
    with pytest.raises(RequestError, match=sentence):
        evaluate(**{"model": net, "loader": data} | changed)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())
    assert net.training


@pytest.mark.slow
@pytest.mark.parametrize(("library", "name", "last"), [
    ("torchvision.models", "resnet18", "fc"),
    ("torchvision.models", "vgg11", "classifier.6"),
    ("timm", "vit_tiny_patch16_224", "head"),
])  # fmt: skip
@pytest.mark.filterwarnings("ignore")
def test_models_of_the_libraries(library, name, last):
    try:
        made = __import__(library, fromlist=["x"])
    except (ImportError, RuntimeError) as error:  # torchvision's wheel beside a CPU torch lacks two operators
        pytest.skip(f"{library} cannot be imported here: {error}")
    torch.manual_seed(0)
    size = 224 if library == "timm" else 64
    net = made.create_model(name, num_classes=K) if library == "timm" else getattr(made, name)(num_classes=K)
    found = evaluate(net, [(torch.randn(6, 3, size, size), torch.arange(6) % K)])
    assert found.last_layer == last


class TwoHeads(nn.Module):
    """Returns the logits of both heads, the asked one first, or under their name after a loss."""

    def __init__(self, has_names: bool) -> None:
        super().__init__()
        self.head, self.other = nn.Linear(6, 3), nn.Linear(6, 5)
        self.has_names = has_names

    def forward(self, x):
        logits, others = self.head(x), self.other(x)
        return {"loss": others.sum(), "logits": logits} if self.has_names else (logits, others)


@pytest.mark.parametrize("has_names", [False, True])
def test_of_two_heads_it_is_the_one_whose_output_comes_first_or_has_the_name(has_names):
    found = evaluate(TwoHeads(has_names), [(torch.randn(30, 6), torch.arange(30) % 3)])
    assert found.last_layer == "head"
    assert found.classes == 3


@pytest.mark.parametrize(("changed", "sentence"), [
    ({"loader": [(torch.zeros(0, 6), torch.arange(0))]}, "`loader` must be one with samples of some class"),
    ({"loader": [(torch.zeros(2, 6), torch.full((2,), -100))]}, "`loader` must be one with samples of some class"),
    ({"test": []}, "`test` must be a loader that gives some, or left out, got no sample"),
    ({"outside": []}, "`outside` must be a loader that gives some, or left out, got no sample"),
])  # fmt: skip
def test_a_loader_that_gives_nothing_is_one_sentence(changed, sentence):
    given = {"loader": [(torch.randn(12, 6), torch.arange(12) % 3)]} | changed
    net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    with pytest.raises(RequestError, match=re.escape(sentence)):
        evaluate(net, **given)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())


@pytest.mark.parametrize("argument", ["loader", "test", "outside"])
def test_an_endless_loader_is_named_after_a_minute_and_one_of_known_length_never(argument, monkeypatch):
    monkeypatch.setattr(watched, "PATIENCE", 0.0)
    batches = [(torch.randn(12, 6), torch.arange(12) % 3)]
    net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    with warnings.catch_warnings(action="error"):
        evaluate(net, batches, test=batches, outside=batches)
        with pytest.raises(UserWarning, match=rf"^`{argument}` must end, and has given 1 batches, .*{argument}, 100"):
            evaluate(net, **{"loader": batches, argument: (batches[0] for _ in iter(int, 1))})


def test_which_values_are_loaders_and_names():
    assert [module.LOADER.holds(each) for each in ([], iter([]), 3, None)] == [True, True, False, False]
    assert [module.LAYERS.holds(each) for each in ("auto", ["a"], 3, [1])] == [True, True, False, False]
