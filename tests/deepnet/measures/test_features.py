import math

import pytest
import torch

from deepnet.measures import features
from deepnet.measures.features import LastLayer, last_layer
from deepnet.measures.measure import measure, top_accuracy
from deepnet.measures.reading import stationarity
from deepnet.settings import TrainSetting
from deepnet.training.training import begin
from ufm.model.losses import CrossEntropy


@pytest.fixture(scope="module")
def training():
    return begin(TrainSetting(data="digits", width=0.25, per_class=6, test_per_class=2, precision="fp32"))


def test_features_are_what_the_last_layer_sees(training):
    split = training.data.splits["train"]
    layer = last_layer(training.net, training.data, split, "fp32")
    seen = []
    hook = training.net.classifier.register_forward_hook(lambda _, inputs, output: seen.append((inputs[0], output[0])))
    training.net.eval()(training.data.normalise(split.images))
    hook.remove()
    torch.testing.assert_close(layer.H, seen[0][0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(layer.logits, seen[0][1], rtol=1e-5, atol=1e-5)


def test_batches_and_training_mode_do_not_matter(training, monkeypatch):
    split = training.data.splits["train"]
    whole = last_layer(training.net, training.data, split, "fp32").H
    statistics = {name: value.clone() for name, value in training.net.state_dict().items()}
    monkeypatch.setattr(features, "BATCH", 7)
    training.net.train()
    torch.testing.assert_close(last_layer(training.net, training.data, split, "fp32").H, whole, rtol=1e-5, atol=1e-5)
    for name, value in training.net.state_dict().items():
        assert torch.equal(value, statistics[name])


def test_measures_equal_the_dense_formulas():
    generator = torch.Generator().manual_seed(0)
    K, n, d = 3, 5, 8
    labels = torch.arange(K).repeat_interleave(n)
    H = torch.randn(K * n, d, generator=generator)
    W, b = torch.randn(K, d, generator=generator), torch.randn(K, generator=generator)
    measures = measure(LastLayer(H, labels, W, b), CrossEntropy())
    mu = torch.stack([H[labels == k].mean(0) for k in range(K)]).double()
    M, x = mu - mu.mean(0), H.double() - mu[labels]
    S_W, S_B = x.mT @ x / (K * n), M.mT @ M / K
    logits = H @ W.mT + b
    assert measures["nc1_trace"] == pytest.approx(float(S_W.trace() / S_B.trace()), rel=1e-6)
    quotient = (S_W @ torch.linalg.pinv(S_B, rtol=1e-9)).trace() / K
    assert measures["nc1_quotient"] == pytest.approx(float(quotient), rel=1e-6)
    order = logits.argsort(1, descending=True)
    ranks = [row.tolist().index(int(label)) for row, label in zip(order, labels, strict=True)]
    assert top_accuracy(logits, labels, 2) == pytest.approx(sum(rank < 2 for rank in ranks) / len(ranks))
    assert measures["top5_accuracy"] == 1  # of three classes
    gaps = [float(z[y] - max(z[j] for j in range(K) if j != y)) for z, y in zip(logits, labels, strict=True)]
    assert measures["least_margin"] == pytest.approx(min(gaps), rel=1e-5)
    assert measures["accuracy"] == pytest.approx(float((logits.argmax(1) == labels).float().mean()))
    assert measures["loss"] == pytest.approx(float(torch.nn.functional.cross_entropy(logits, labels)), rel=1e-6)
    angles = [float(M[i] @ M[j] / M[i].norm() / M[j].norm()) for i in range(K) for j in range(K) if i != j]
    assert measures["mean_cosine"] == pytest.approx(sum(angles) / len(angles), rel=1e-6)
    assert all(math.isfinite(value) for value in measures.values())


def test_stationarity_is_the_share_of_the_gradient_that_the_decay_leaves():
    generator = torch.Generator().manual_seed(0)
    labels, decay = torch.arange(15) % 3, 0.02
    H, W, b = (torch.randn(*shape, generator=generator).double() for shape in ((15, 8), (3, 8), (3,)))
    free = W.clone().requires_grad_()
    (torch.nn.functional.cross_entropy(H @ free.mT + b, labels) + decay / 2 * free.square().sum()).backward()
    found = stationarity(measure(LastLayer(H, labels, W, b), CrossEntropy()), decay)
    assert found == pytest.approx(float(free.grad.norm() / (decay * W.norm())), rel=1e-6)
    assert stationarity({"gradient_norm": 3.0, "gradient_along_W": -3.0 - 1e-15, "norm_W": 1.0}, 3.0) == 0.0
