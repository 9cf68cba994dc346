"""Composites show exactly the classes of their labels; what is measured of them is known at the predicted minimum."""

from itertools import combinations

import pytest
import torch

from deepnet.data.composites import composites, label_sets
from deepnet.data.images import Split
from deepnet.data.load import Selection, load
from deepnet.measures.features import LastLayer
from deepnet.measures.tags import measure_tags
from deepnet.settings import TrainSetting
from ufm.model.losses import CrossEntropy
from ufm.model.pick_all_labels import all_sets
from ufm.model.problem import Problem
from ufm.theory.multi_label_prediction import counts_of, multi_label_target, tag_wise_averages


def test_composites_show_the_images_of_their_labels(tmp_path):
    K, sizes = 5, (4, 3, 6, 5, 4)
    labels = torch.arange(K).repeat_interleave(torch.tensor(sizes))[torch.randperm(22)]
    images = (labels + 1).to(torch.uint8)[:, None, None, None].repeat(1, 1, 2, 3)
    loss = label_sets(K, 3)
    made = composites(Split(images, labels), loss, torch.Generator().manual_seed(0))
    assert made.images.shape[1:] == (1, 2, 9)
    assert set(made.labels.tolist()) == set(range(5 + 10 + 10))
    for image, label in zip(made.images, made.labels, strict=True):
        places = image.reshape(2, 3, 3).permute(1, 0, 2).reshape(3, 6)
        shown = sorted({int(value) - 1 for value in places.flatten() if value})
        assert shown == sorted(loss.sets[label])
        assert all(len(set(place.tolist())) == 1 for place in places)  # whole images
    counts = torch.bincount(made.labels)
    assert counts[:5].tolist() == [3] * 5  # the smallest class
    assert counts[5:].tolist() == [1] * 20


def test_every_split_of_a_run_is_made_of_composites(tmp_path):
    data = load("digits", tmp_path, Selection(0.2, 20, 10, 0, multilabel=2))
    assert data.classes == 10
    assert data.shape == (1, 8, 16)
    assert data.tags is not None
    assert [set(pair) for pair in data.tags.sets[10:]] == [set(pair) for pair in combinations(range(10), 2)]
    assert len(data.splits["train"].labels) == 10 * 20 + 45 * 4
    normal = data.normalise(data.splits["train"].images).double()
    assert abs(normal.mean()) < 1e-5


def test_measures_at_the_predicted_minimum():
    loss, sizes = all_sets(4, (2, 1))
    problem = Problem(loss, 4, 5, 1, 5e-3, 5e-3, 0.0, sizes=sizes)
    W, H, b = problem.unpack(multi_label_target(problem).point)
    found = measure_tags(LastLayer(H, problem.labels(), W, b), loss)
    expected = tag_wise_averages(4, counts_of(problem), 5e-3, 5e-3).margins
    assert found["margin_1"] == pytest.approx(expected[1], abs=1e-10)
    assert found["margin_2"] == pytest.approx(expected[2], abs=1e-10)
    assert found["accuracy"] == 1
    assert found["tag_wise_cosine"] == pytest.approx(1, abs=1e-12)
    assert found["nc1_trace"] == pytest.approx(0, abs=1e-12)
    assert found["nc2_etf_distance"] == pytest.approx(0, abs=1e-7)
    turned = H.clone()
    turned[problem.labels() >= 4] *= -1  # features of pairs point away from the sum of their tags'
    assert measure_tags(LastLayer(turned, problem.labels(), W, b), loss)["tag_wise_cosine"] < -0.99


def test_right_answers():
    loss = label_sets(3, 2)
    pair = torch.tensor([loss.sets.index((0, 2))] * 3)
    logits = torch.tensor([[2.0, 0, 1], [2.0, 1.5, 1], [0, 1.0, 2]])
    assert loss.is_right(logits, pair).tolist() == [True, False, False]
    assert CrossEntropy().is_right(logits, torch.tensor([0, 0, 2])).tolist() == [True, True, True]


def test_imbalance_thins_the_second_half_of_the_training_classes(tmp_path):
    data = load("digits", tmp_path, Selection(0.2, 20, 10, 0, imbalance=8.0))
    assert torch.bincount(data.splits["train"].labels).tolist() == [20] * 5 + [2] * 5
    assert torch.bincount(data.splits["test"].labels).tolist() == [10] * 10
    with pytest.raises(ValueError, match="`imbalance` must be at most 20"):
        load("digits", tmp_path, Selection(0.2, 20, 10, 0, imbalance=21.0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"multilabel": 2, "loss": {"name": "mse"}}, "`--loss` must be ce with --multilabel"),
        ({"multilabel": 2, "imbalance": 5.0}, "`--imbalance` must be 1 with --multilabel"),
        ({"multilabel": 2, "augment": True}, "`--augment` must be false with --multilabel"),
        ({"multilabel": 0}, "`--multilabel` must be >= 1"),
        ({"imbalance": 0.5}, "`--imbalance` must be finite and >= 1"),
    ],
)
def test_what_makes_no_sense_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        TrainSetting(**change)


def test_as_many_labels_as_classes_are_refused():
    with pytest.raises(ValueError, match="`--multilabel` must be below 3"):
        label_sets(3, 3)
