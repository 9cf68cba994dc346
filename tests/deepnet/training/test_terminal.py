"""The terminal phase on a few digits: what it decreases and decays, and that a block depends on its start alone."""

import copy
import dataclasses

import pytest
import torch

from deepnet.comparison.study import compared_run, study
from deepnet.measures.features import forward, last_layer
from deepnet.settings import TrainSetting
from deepnet.training import checkpoint
from deepnet.training.decayed import balance, decayed
from deepnet.training.epoch import batches
from deepnet.training.optimiser import relaxation_time, warning_of_time
from deepnet.training.report import print_end
from deepnet.training.terminal import bytes_of_maps, keep_statistics, terminal_block
from deepnet.training.training import begin
from tests.deepnet.training.test_train import assert_same_run, in_folder, run
from ufm.errors import RequestError

TINY = TrainSetting(
    data="digits", net="resnet18", width=0.125, per_class=6, test_per_class=2, validation=0.2, epochs=2, terminal=4,
    terminal_iterations=50, terminal_residual=1e-9, batch_size=20, lr=0.05, decay=0.01, clip=5.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    assert run(in_folder(TINY, folder)) is None
    return folder


def objective(training, decay: float) -> float:
    """By hand, in float64."""
    net, split = training.net, training.data.splits["train"]
    net.train()
    with torch.no_grad():
        logits, _ = forward(net, training.data.normalise(split.images), "fp32")
        loss = torch.nn.functional.cross_entropy(logits.double(), split.labels)
    block = net.body.blocks[-1], net.body.blocks[-2]
    scales = [block[0].normalisation, block[1].normalisation, block[1].shortcut[1]]
    parameters = [net.classifier.weight, net.classifier.bias, *(p for s in scales for p in (s.weight, s.bias))]
    return float(loss) + decay / 2 * sum(float(p.detach().double().square().sum()) for p in parameters)


@pytest.mark.slow
def test_every_block_decreases_the_objective_of_what_decays():
    training = begin(TINY)
    training.epoch = TINY.epochs
    for _ in range(2):
        before = objective(training, TINY.decay)
        losses, end = terminal_block(training, lambda _: None)
        assert end["objective"] == pytest.approx(objective(training, TINY.decay), rel=1e-5)
        assert end["objective"] < before
        assert len(losses) > 10
        training.epoch += 1


@pytest.mark.parametrize(("done", "left"), [(3, []), (1, [(2, torch.float64)])])
def test_iterations_that_single_precision_leaves_are_done_in_double(monkeypatch, done, left):
    training, called = begin(dataclasses.replace(TINY, terminal_iterations=3)), []

    def minimise(training, iterations, on_call, keeps_maps):
        called.append((iterations, training.net.classifier.weight.dtype))
        return done, [float(len(called))]

    monkeypatch.setattr("deepnet.training.terminal._minimise", minimise)
    losses, _ = terminal_block(training, lambda _: None)
    assert called == [(3, torch.float32), *left]
    assert losses == [1.0, 2.0][: len(called)]
    assert training.net.classifier.weight.dtype == torch.float32


def test_blocks_are_lines_of_the_run(whole):
    metrics = checkpoint.read_metrics(whole)
    assert [line["lr"] for line in metrics[2:]] == [0.0] * 4
    assert all(line["residual"] > 0 and "train" in line for line in metrics[2:])
    assert max(line["residual"] for line in metrics[4:]) < 0.06
    assert [line["t"] for line in metrics[1:]] == [metrics[1]["t"]] * 5


@pytest.mark.parametrize(("count", "is_right"), [(2, False), (3, True), (4, False)])
def test_the_data_refuse_one_normalisation_more_or_less(whole, count, is_right):
    """|w|/|h| is 1/sqrt((K - 1) J): by hand for the J = 3 of a ResNet-18, and one off."""
    measures = checkpoint.read_metrics(whole)[-1]["train"]
    deviation = abs(measures["norm_w"] / measures["norm_h"] * (9 * count) ** 0.5 - 1)
    assert deviation < 0.02 if is_right else deviation > 0.1


def test_sgd_with_decay_on_all_is_reported_as_not_stationary(whole, tmp_path):
    folder = tmp_path / "sgd"
    assert run(in_folder(TINY, folder, terminal=0, epochs=8)) is None
    found = [compared_run(each, "cpu", None) for each in (whole, folder)]
    words = [network["conditions"][0]["verdict"] for network in study(found, [1.0])["networks"]]
    assert words[0].startswith("Stationary to ")
    assert words[1].startswith("Not stationary; ")
    assert found[0].entry["warning"] is None
    assert "--terminal brings the last layer to rest" in found[1].entry["warning"]


@pytest.mark.slow
@pytest.mark.parametrize("stop", [2, 3, 5])
def test_resume_is_bit_for_bit(whole, tmp_path, stop):
    with pytest.raises(KeyboardInterrupt):
        run(in_folder(TINY, tmp_path / "half"), stop_after=stop)
    assert run(TrainSetting(resume=tmp_path / "half")) is None
    assert_same_run(tmp_path / "half", whole)


@pytest.mark.slow
def test_a_run_stops_at_the_residual_and_stays_stopped(tmp_path):
    folder = tmp_path / "run"
    assert run(in_folder(TINY, folder, terminal_residual=1e3, terminal=5)) is None
    assert len(checkpoint.read_metrics(folder)) == TINY.epochs + 1
    assert run(TrainSetting(resume=folder)) is None
    assert len(checkpoint.read_metrics(folder)) == TINY.epochs + 1


@pytest.mark.slow
def test_more_blocks_may_be_given_and_more_epochs_not(whole, tmp_path):
    folder = tmp_path / "run"
    assert run(in_folder(TINY, folder, terminal=1)) is None
    given = frozenset({"terminal"})
    assert run(TrainSetting(resume=folder, terminal=4, given=given)) is None
    assert checkpoint.read_metrics(folder)[-1]["loss"] == checkpoint.read_metrics(whole)[-1]["loss"]
    with pytest.raises(RequestError, match="`--epochs` must be 2, as the run has it, or left out after a terminal"):
        run(TrainSetting(resume=folder, epochs=9, given=frozenset({"epochs"})))


def test_evaluation_sees_what_training_saw():
    training = begin(TINY)
    logits = keep_statistics(training)
    layer = last_layer(training.net, training.data, training.data.splits["train"], "fp32")
    assert torch.allclose(layer.logits, logits, atol=1e-4)
    layer_of_one = next(m for m in training.net.modules() if isinstance(m, torch.nn.BatchNorm2d))
    assert layer_of_one.momentum == 0.1


def test_a_run_that_ends_early_says_why(capsys):
    print_end(6, TINY, 1.0)
    print_end(3, TINY, 5e-10)
    assert capsys.readouterr().out == "ended after terminal block 1 of 4: residual 5e-10 < --terminal-residual 1e-09\n"


@pytest.mark.parametrize(
    ("net", "width"), [("resnet18", 0.125), ("wide_resnet", 0.0625), ("preact_resnet", 0.125), ("conv", 0.125)]
)
def test_balance_changes_no_logit_and_equals_the_channels(net, width):
    training = begin(dataclasses.replace(TINY, net=net, width=width))
    for parameter in decayed(training.net):
        torch.nn.init.uniform_(parameter.data, 0.5, 1.5)
    images = training.data.normalise(training.data.splits["train"].images)
    with torch.no_grad():
        before, _ = copy.deepcopy(training.net)(images)
        balance(training.net)
        after, _ = training.net(images)
    weight, _, *theta = decayed(training.net)
    assert torch.allclose(after, before, atol=1e-4)
    assert torch.allclose(weight.square().sum(0), sum(p.square() for p in theta), rtol=1e-5)


def test_maps_that_are_not_kept_are_computed_again_to_the_same_gradient():
    training = begin(TINY)
    net, images = training.net.train(), training.data.normalise(training.data.splits["train"].images)
    found = []
    for keeps in (True, False):
        net.zero_grad()
        net.body.keeps_inside = keeps
        kept = 0

        def count(tensor):
            nonlocal kept
            kept += tensor.nbytes
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            value = forward(net, images, "fp32")[0].square().mean()
        value.backward()
        found.append((kept, [parameter.grad.clone() for parameter in net.parameters()]))
    assert all(torch.equal(one, other) for one, other in zip(found[0][1], found[1][1], strict=True))
    assert found[1][0] < found[0][0] / 3


def test_maps_by_hand():
    """A ResNet-18 of width 1/8 on 8 x 8 images: two maps a layer, stages of 8 to 64 channels."""
    training = begin(TINY)
    stem, first = 2 * 8 * 64, 4 * 2 * 8 * 64
    later = sum((2 * 4 + 2) * channels * pixels for channels, pixels in ((16, 16), (32, 4), (64, 1)))
    assert bytes_of_maps(training) == 60 * 4 * (stem + first + later)


def test_what_decays():
    def names(**changes):
        net = begin(dataclasses.replace(TINY, **changes)).net
        chosen = {id(parameter) for parameter in decayed(net)}
        return [name for name, parameter in net.named_parameters() if id(parameter) in chosen]

    assert names() == [
        *("body.blocks.6.normalisation.weight", "body.blocks.6.normalisation.bias"),
        *("body.blocks.6.shortcut.1.weight", "body.blocks.6.shortcut.1.bias"),
        *("body.blocks.7.normalisation.weight", "body.blocks.7.normalisation.bias"),
        *("classifier.weight", "classifier.bias"),
    ]
    assert len(names(net="mlp")) == 8
    assert names(head={"name": "normalised", "dim": 3}) == []
    assert names(head={"name": "linear", "dim": 12})[-4:] == [
        "body.blocks.7.normalisation.bias",
        *("classifier.weight", "classifier.bias", "classifier.reduce.weight"),
    ]
    assert names(head={"name": "etf"})[-2:] == ["body.blocks.7.normalisation.bias", "classifier.reduce.weight"]
    with pytest.raises(RequestError, match="--terminal"):
        begin(dataclasses.replace(TINY, net="vit_unnormalised", head={"name": "linear", "dim": 12}))


@pytest.mark.parametrize("head", [{"name": "normalised", "dim": 3}, {"name": "etf"}, {"name": "layers", "count": 2}])
def test_loss_feels_the_scale_of_what_decays_and_of_nothing_else(head):
    """Twice a single convolution, or all parameters before what decays: the same logits; twice what decays: others."""
    training = begin(dataclasses.replace(TINY, head=head))
    images = training.data.normalise(training.data.splits["train"].images)
    own = {id(parameter) for parameter in decayed(training.net)}

    def logits(is_doubled):
        net = copy.deepcopy(training.net).double().train()
        for parameter, original in zip(net.parameters(), training.net.parameters(), strict=True):
            if is_doubled(original):
                parameter.data *= 2
        return net(images.double())[0].detach()

    before = logits(lambda _: False)
    free = [p for p in training.net.parameters() if p.ndim == 4 and id(p) not in own]
    for parameter in free[:1] + free[-1:]:
        torch.testing.assert_close(logits(lambda p, chosen=parameter: p is chosen), before, atol=1e-3, rtol=1e-3)
    for parameter in decayed(training.net):
        if parameter.norm() > 0:
            assert not torch.allclose(logits(lambda p, chosen=parameter: p is chosen), before, atol=1e-3)
    if not own:
        weight = training.net.classifier.weight
        torch.testing.assert_close(logits(lambda p: p is weight), before)


def test_balanced_batches_have_each_class_alike():
    labels = torch.arange(10).repeat(20)
    generator = torch.Generator().manual_seed(0)
    parts = batches(200, 50, generator, torch.device("cpu"), labels)
    assert all(labels[part].bincount(minlength=10).tolist() == [5] * 10 for part in parts)
    assert sorted(torch.cat(parts).tolist()) == list(range(200))
    assert not torch.equal(torch.cat(parts), torch.cat(batches(200, 50, generator, torch.device("cpu"), labels)))
    any_order = batches(200, 50, generator, torch.device("cpu"))
    assert any(labels[part].bincount(minlength=10).tolist() != [5] * 10 for part in any_order)


def test_shares_of_unequal_classes():
    labels = torch.tensor([0] * 60 + [1] * 30 + [2] * 10)
    for part in batches(100, 20, torch.Generator().manual_seed(0), torch.device("cpu"), labels):
        assert labels[part].bincount(minlength=3).tolist() == [12, 6, 2]


def test_relaxation_time_by_hand():
    """4 steps an epoch, 3 epochs, lr 0.1, decay 0.01, momentum 0.9: 0.01 a step at the first epoch's rate."""
    step = TrainSetting(lr=0.1, decay=0.01, momentum=0.9, epochs=7)
    assert relaxation_time(step, 4, 3) == pytest.approx(0.12)
    assert relaxation_time(step, 4, 7) == pytest.approx(0.12 + 0.008 + 0.0008)
    cosine = TrainSetting(lr=0.1, decay=0.01, momentum=0.9, epochs=2, schedule="cosine", terminal=2)
    assert relaxation_time(cosine, 4, 2) == relaxation_time(cosine, 4, 4) == pytest.approx(0.04 + 0.02)


def test_a_short_run_of_sgd_alone_is_warned_of():
    """By hand: 10 steps, rate 0.1, decay 0.01 and momentum 0.9 are 0.01 a step; 1,000 of them are t = 10."""
    step = TrainSetting(lr=0.1, decay=0.01, momentum=0.9, epochs=1)
    assert "reaches 9.9, less than 10" in str(warning_of_time(step, 990))
    assert warning_of_time(step, 1000) is None
    assert warning_of_time(dataclasses.replace(step, terminal=2), 10) is None
    assert warning_of_time(dataclasses.replace(step, optimiser="adam"), 10) is None


@pytest.mark.slow
def test_images_with_several_labels_end_in_a_stationary_last_layer(tmp_path):
    assert run(in_folder(TINY, tmp_path / "run", multilabel=2, terminal=3, terminal_iterations=150)) is None
    residuals = [line["residual"] for line in checkpoint.read_metrics(tmp_path / "run")[TINY.epochs :]]
    assert residuals[-1] < 0.1 < residuals[0]
