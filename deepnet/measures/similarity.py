"""Similarity of the features of networks trained with different losses, measured on the same images.

Features are centred by their mean over the samples first.

- linear CKA (Kornblith, Norouzi, Lee, Hinton 2019, section 3): |A'B|^2 / |A'A| |B'B|, 1 iff B is A up to a rotation and
  one factor. Here through singular values, A = U s V': |A'B|^2 = |s_A U_A' U_B s_B|^2, so that no d x d matrix appears
  where N is smaller.
- principal angles between the spaces in R^N that the K - 1 leading principal components of the features span over the
  samples: cosines are the singular values of U_A' U_B (Bjorck, Golub 1973). All 1 iff each space's leading K - 1
  features are linear functions of the other's.
- agreement: share of images to which both nets give the same class, whether right or wrong.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from deepnet.measures.features import LastLayer
from ufm.arguments import each, instance, takes
from ufm.errors import check


@dataclass(frozen=True)
class Similarity:
    """The similarity of two nets on the same images.

    Attributes:
        first, second: positions in the sequence given.
        cka: linear CKA of the features.
        cosines: of the principal angles, largest first.
        agreement: share of images with the same predicted class.
    """

    first: int
    second: int
    cka: float
    cosines: tuple[float, ...]
    agreement: float


@dataclass(frozen=True)
class _Spectrum:
    U: Float[Tensor, "N r"]
    s: Float[Tensor, " r"]
    picked: Int[Tensor, " N"]


@takes(layers=each(instance(LastLayer)))
def similarities(layers: Sequence[LastLayer]) -> list[Similarity]:
    """The similarity of every pair of nets.

    Raises:
        ValueError: if the nets were not shown the same labels in the same order.
    """
    for layer in layers[1:]:
        same = layer.labels.shape == layers[0].labels.shape and bool((layer.labels == layers[0].labels).all())
        check(same, "layers", len(layers), "of nets on the same images in the same order")
    spectra = [_spectrum(layer) for layer in layers]
    K = layers[0].W.shape[0] if layers else 0
    return [_pair(i, j, spectra[i], spectra[j], K) for i, j in itertools.combinations(range(len(layers)), 2)]


def _spectrum(layer: LastLayer) -> _Spectrum:
    H = layer.H.double()
    U, s, _ = torch.linalg.svd(H - H.mean(0), full_matrices=False)
    return _Spectrum(U, s, layer.logits.argmax(-1))


def _pair(first: int, second: int, A: _Spectrum, B: _Spectrum, K: int) -> Similarity:
    overlap = A.U.mT @ B.U
    cross = (A.s[:, None] * overlap * B.s).square().sum()
    cka = cross / (A.s.pow(4).sum() * B.s.pow(4).sum()).sqrt()
    cosines = torch.linalg.svdvals(overlap[: K - 1, : K - 1]).clamp(max=1)
    agreement = (A.picked == B.picked).double().mean()
    return Similarity(first, second, float(cka), tuple(cosines.tolist()), float(agreement))
