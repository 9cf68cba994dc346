"""Rotated and scaled features are the same features; random ones are not; against dense formulas and scipy."""

import numpy as np
import pytest
import torch
from scipy.linalg import subspace_angles

from deepnet.measures.features import LastLayer
from deepnet.measures.similarity import similarities

N, D, K = 40, 9, 4
LABELS = torch.arange(N) % K


@pytest.fixture
def layer(normal) -> LastLayer:
    return LastLayer(normal(N, D) + 3, LABELS, normal(K, D), normal(K))


def test_a_rotation_and_a_factor_change_nothing(layer, normal):
    Q = torch.linalg.qr(normal(D, D))[0]
    turned = LastLayer(2.5 * layer.H @ Q + 1, LABELS, layer.W, layer.b)
    (found,) = similarities([layer, turned])
    assert found.cka == pytest.approx(1, abs=1e-12)
    assert found.cosines == pytest.approx([1.0] * (K - 1), abs=1e-12)


def test_against_dense_kernels_and_scipy(layer, normal):
    other = LastLayer(normal(N, D + 2), LABELS, normal(K, D + 2), normal(K))
    (found,) = similarities([layer, other])
    A, B = (each.H - each.H.mean(0) for each in (layer, other))
    kernels = A @ A.mT, B @ B.mT
    expected = (kernels[0] * kernels[1]).sum() / kernels[0].norm() / kernels[1].norm()
    assert found.cka == pytest.approx(float(expected), rel=1e-12)
    assert found.cka < 0.5
    leading = [torch.linalg.svd(X, full_matrices=False)[0][:, : K - 1].numpy() for X in (A, B)]
    assert found.cosines == pytest.approx(np.sort(np.cos(subspace_angles(*leading)))[::-1].tolist(), abs=1e-12)
    same = (layer.logits.argmax(-1) == other.logits.argmax(-1)).double().mean()
    assert found.agreement == float(same)


def test_pairs_are_all_pairs(layer):
    assert [(entry.first, entry.second) for entry in similarities([layer] * 3)] == [(0, 1), (0, 2), (1, 2)]
    assert similarities([layer]) == []


def test_other_images_are_refused(layer):
    with pytest.raises(ValueError, match="same images in the same order"):
        similarities([layer, LastLayer(layer.H, LABELS.flip(0), layer.W, layer.b)])
