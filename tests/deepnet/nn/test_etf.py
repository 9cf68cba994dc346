"""A classifier that is not trained: a simplex or a code, in every precision, and when classes are added."""

import copy
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import nnls
from torch import nn

import deepnet
from deepnet.nn import Criterion, ETFClassifier, replace_head
from ufm import CrossEntropy, RequestError
from ufm.theory.softmax_codes import annealed_codes, exact_margin, least_margin, packing_margin


def simplex_gram(K: int) -> np.ndarray:
    return (K * np.eye(K) - 1) / (K - 1)


def gram(W: torch.Tensor) -> np.ndarray:
    return W.double().numpy() @ W.double().numpy().T


def one_vs_rest(W: torch.Tensor) -> float:
    """The least distance of a class to the hull of the others, by non-negative least squares."""
    distances = []
    for k, w in enumerate(W.double().numpy()):
        others = np.delete(W.double().numpy(), k, 0)
        rows, target = np.vstack([others.T, np.full(len(others), 1e4)]), np.append(w, 1e4)
        distances.append(nnls(rows, target)[1])
    return min(distances)


@pytest.mark.parametrize(("K", "d"), [(2, 1), (5, 512), (200, 199), (1000, 1000)])
def test_it_is_the_simplex(K, d):
    head = ETFClassifier(d, K)
    assert head.weight.dtype == torch.float32
    assert np.abs((head.weight @ head.weight.mT).numpy() - simplex_gram(K)).max() < 1e-6
    assert np.abs(gram(head.weight) - simplex_gram(K)).max() < 1e-7
    assert list(head.parameters()) == []


def test_another_seed_is_another_rotation_of_all_features_and_scale_a_length():
    one, same, other = (ETFClassifier(40, 5, scale=3.0, seed=seed).weight for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.allclose(one, other, atol=0.1)
    assert np.abs(gram(other) - 9 * simplex_gram(5)).max() < 1e-6
    assert (one.abs().amax(0) > 1e-3).all()  # no feature is left out


def test_logits_are_cosines_where_features_are_normalised():
    x, plain, unit = torch.randn(7, 9), ETFClassifier(9, 4, scale=2.0), ETFClassifier(9, 4, scale=2.0, normalize=True)
    torch.testing.assert_close(plain(x), x @ plain.weight.mT)
    torch.testing.assert_close(unit(x), x @ plain.weight.mT / x.norm(dim=1, keepdim=True))
    assert unit(x).abs().max() <= 2
    assert unit.half()(1e4 * x.half()).isfinite().all()  # squares of these are beyond half precision
    torch.testing.assert_close(
        unit(1e4 * x.half()).float(), plain.float()(x / x.norm(dim=1, keepdim=True)), atol=1e-2, rtol=0
    )


@pytest.mark.parametrize(("K", "d"), [(5, 3), (6, 3), (11, 7), (200, 100)])
def test_up_to_twice_as_many_classes_as_dimensions_have_margin_one(K, d):
    W = ETFClassifier(d, K).weight.double()
    assert float(least_margin(W, W)) == pytest.approx(1, abs=1e-6)  # a lower bound of the distance
    assert exact_margin(K, d) == 1
    if K < 20:
        assert one_vs_rest(W) == pytest.approx(1, abs=1e-6)
        cut = torch.nn.functional.normalize(W[:, :-1], dim=1)  # the same in one dimension fewer is not as good
        assert one_vs_rest(cut) < 0.99


def test_more_classes_are_a_code_that_is_searched():
    K, d = 9, 3
    W = ETFClassifier(d, K).weight
    assert one_vs_rest(W) == pytest.approx(packing_margin(K, d), abs=1e-3)
    assert one_vs_rest(torch.nn.functional.normalize(torch.randn(K, d), dim=1)) < 0.5


def test_a_search_ends_near_the_largest_margin_and_starts_are_in_order():
    ends = least_margin(*annealed_codes(5, 2, 16))
    assert (ends[:-1] >= ends[1:]).all()
    assert exact_margin(5, 2) - math.log(5 * 4) / 4096 < ends[0] < exact_margin(5, 2) + 1e-12
    assert ends[-1] < 0.69  # not every start gets there


def test_too_many_classes_are_refused_in_a_sentence():
    with pytest.raises(RequestError, match=r"`num_classes` must be at most 1000 in 64 dimensions, .* got 1001"):
        ETFClassifier(64, 1001)
    with pytest.raises(RequestError, match=r"`num_classes` must be an integer in \[2, 16384\], got 50257"):
        ETFClassifier(64, 50257)
    with pytest.raises(RequestError, match=r"`capacity` must be >= 5, the number of classes, got 4"):
        ETFClassifier(64, 5, capacity=4)


# Classes that are added.


def test_within_its_capacity_old_vectors_stay_bit_for_bit():
    head = ETFClassifier(32, 4, capacity=10)
    old, whole = head.weight.clone(), ETFClassifier(32, 10).weight
    assert head(torch.randn(3, 32)).shape == (3, 4)
    assert head.expand(7) == 0
    assert head.out_features == 7
    assert torch.equal(head.weight[:4], old)
    assert head.expand(10) == 0
    assert torch.equal(head.weight, whole)
    assert len(head.spare) == 0


@pytest.mark.parametrize(("K", "C", "d"), [(2, 3, 2), (5, 6, 5), (5, 9, 20), (10, 13, 12)])
def test_beyond_it_all_old_vectors_turn_alike_and_by_the_least_there_is(K, C, d):
    head = ETFClassifier(d, K, scale=2.0, dtype=torch.float64)
    old = head.weight / 2
    angle = math.radians(head.expand(C))
    new = head.weight / 2
    assert np.abs(gram(new) - simplex_gram(C)).max() < 1e-12
    assert np.abs(np.arccos((old * new[:K]).sum(1).numpy()) - angle).max() < 1e-7
    assert angle == pytest.approx(math.acos(math.sqrt((K - 1) * C / (K * (C - 1)))), abs=1e-12)
    # Procrustes: of all rotations of a simplex, the largest sum of cosines is a nuclear norm.
    most = np.linalg.norm(ETFClassifier(d, C, seed=5, dtype=torch.float64).weight[:K].mT @ old, "nuc")
    assert K * math.cos(angle) == pytest.approx(most, abs=1e-12)


def test_beyond_it_old_classes_are_told_apart_as_before_whatever_the_feature():
    head, x = ETFClassifier(30, 6), torch.randn(50, 30)
    before = head(x)
    c = math.cos(math.radians(head.expand(11)))
    after = head(x)
    torch.testing.assert_close(after[:, :6] - after[:, :1], c * (before - before[:, :1]), rtol=0, atol=1e-5)
    another = ETFClassifier(30, 11, seed=1)(x)  # a simplex that is made anew keeps nothing
    assert (another[:, :6].argmax(1) != before.argmax(1)).float().mean() > 0.5
    assert (
        head(ETFClassifier(30, 6).weight).argmax(1) == torch.arange(6)
    ).all()  # nor do new classes take collapsed ones


def test_it_grows_again_and_again():
    head = ETFClassifier(30, 3, capacity=4)
    for C in (4, 5, 9, 31):
        head.expand(C)
        assert np.abs(gram(head.weight) - simplex_gram(C)).max() < 1e-6
    with pytest.raises(RequestError, match=r"`num_classes` must be an integer in \[31, 31\]: beyond .* got 32"):
        head.expand(32)
    with pytest.raises(RequestError, match=r"`num_classes` must be an integer in \[6, 6\]"):
        ETFClassifier(3, 6).expand(7)  # a code does not grow


# In a network.


def test_digits_are_learnt_and_the_classifier_is_what_it_was():
    data = deepnet.load("digits", Path(), deepnet.Selection())
    (x, y), (test, wanted) = ((data.normalise(x).flatten(1), y) for x, y in (data.splits["train"], data.splits["test"]))
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    assert replace_head(net, ETFClassifier(64, 10)) == "2"
    before = net[2].weight.clone()
    optimiser, criterion = torch.optim.AdamW(net.parameters(), 1e-2, weight_decay=1e-2), Criterion(CrossEntropy())
    for _ in range(60):
        optimiser.zero_grad()
        criterion(net(x), y).backward()
        optimiser.step()
    assert (net(test).argmax(1) == wanted).float().mean() > 0.9
    assert torch.equal(net[2].weight, before)
    found = deepnet.evaluate(net, [(x, y)])
    assert found.last_layer == "2"
    assert found.metrics["accuracy"] > 0.95


def test_state_copy_and_places():
    head, x = ETFClassifier(8, 4, capacity=6), torch.randn(2, 8)
    other = ETFClassifier(8, 4, capacity=6, seed=1)
    other.load_state_dict(head.state_dict())
    assert torch.equal(other(x), head(x))
    assert torch.equal(other.spare, head.spare)
    with pytest.raises(RuntimeError, match="size mismatch for weight"):
        ETFClassifier(8, 5).load_state_dict(ETFClassifier(8, 4).state_dict())
    twin = copy.deepcopy(head)
    twin.expand(6)
    assert head.out_features == 4
    assert head.bfloat16()(x.bfloat16()).dtype == torch.bfloat16
    with torch.device("meta"):
        empty = ETFClassifier(8, 4)
    assert empty.weight.is_meta
    assert empty(x.to("meta")).shape == (2, 4)
    filled = empty.to_empty(device="cpu")
    filled.load_state_dict(ETFClassifier(8, 4).state_dict())
    assert torch.equal(filled(x), ETFClassifier(8, 4)(x))
    assert ETFClassifier(8, 4).to("meta").weight.is_meta


def test_autocast_and_export():
    net, x = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), ETFClassifier(8, 4, normalize=True)), torch.randn(3, 6)
    with torch.autocast("cpu", torch.bfloat16):
        logits = net(x)
    assert logits.dtype == torch.bfloat16
    torch.testing.assert_close(logits.float(), net(x), atol=2e-2, rtol=0)
    exported = torch.export.export(net, (x,)).module()
    torch.testing.assert_close(exported(x), net(x))
