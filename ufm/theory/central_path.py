"""The squared error of a last layer, split along the central path (Han, Papyan, Donoho 2021).

Given the features, let (W_LS, b_LS) be the least-squares last layer. With the extended feature h~ = (h, 1), V = [W, b],
V_LS = [W_LS, b_LS], the decays D = diag(decay_W, ..., decay_W, decay_b), and classes of weight n_k / N with means mu_k,

    1/2 Ave |V h~ - y|^2 + 1/2 tr V D V' = L_NC1 + L_NC2/3 + L_perp ,
    L_NC1   = 1/2 tr V_LS (S_W + D) V_LS' ,               S_W the within-class scatter (1/N) of h~
    L_NC2/3 = 1/2 sum_k (n_k / N) |V_LS mu~_k - e_k|^2 ,
    L_perp  = 1/2 tr (V - V_LS) A (V - V_LS)' ,           A = S_W + sum_k (n_k / N) mu~_k mu~_k' + D .

The central path is where L_perp = 0. The sum is exact at every point because V_LS solves V_LS A = Ave y h~'. The paper
has equal classes and one decay for W and b; both are only notation in its proof. Another target r e_k and another
weight in front of the square (`SquaredError`) scale the terms and do not change the split. The decay of the features,
which no last layer can change, is not part of the loss here.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ufm.arguments import class_labels, floats, instance, optional, takes, tensor
from ufm.errors import check
from ufm.labels import labels_below
from ufm.model.losses import SquaredError
from ufm.model.parameters import Parameter, along, check_parameter

CHUNK_BYTES = 2**24
"""Features are converted to float64 in pieces of about this size."""


class CentralPathSplit(NamedTuple):
    """The terms, one number per start: loss = nc1 + nc23 + away up to rounding; and the least-squares last layer.

    Attributes:
        loss: squared error with the decays of W and b, computed from the residuals.
        nc1: L_NC1, what the variability within classes costs the best last layer.
        nc23: L_NC2/3, what the geometry of the class means costs it.
        away: L_perp, what (W, b) costs beyond the best: the distance from the central path.
        W_LS, b_LS: the least-squares last layer (b_LS zero for a last layer without bias).
    """

    loss: Float[Tensor, "*batch"]
    nc1: Float[Tensor, "*batch"]
    nc23: Float[Tensor, "*batch"]
    away: Float[Tensor, "*batch"]
    W_LS: Float[Tensor, "*batch K d"]
    b_LS: Float[Tensor, "*batch K"]


@takes(
    H=tensor(..., "N", "d", dtypes=floats),
    labels=class_labels,
    W=tensor(..., "K", "d", dtypes=floats),
    b=optional(tensor(..., "K", dtypes=floats)),
    loss=instance(SquaredError),
)
def split_along_central_path(
    H: Float[Tensor, "*batch N d"],
    labels: Int[Tensor, " N"],
    W: Float[Tensor, "*batch K d"],
    b: Float[Tensor, "*batch K"] | None,
    decay_W: Parameter,
    decay_b: Parameter = 0.0,
    loss: SquaredError = SquaredError(),  # noqa: B008 -- frozen
) -> CentralPathSplit:
    """Split the squared error of the last layer (W, b) on the features H; None is a last layer without bias.

    Where A is singular (no decay and dependent features), the least-squares layer of least norm is taken.

    Raises:
        ValueError: if a decay is negative or not finite, or a class has no sample.
    """
    for name, decay in (("decay_W", decay_W), ("decay_b", decay_b)):
        check_parameter(lambda v: (v >= 0) & (v < float("inf")), name, decay, "finite and >= 0")
    K, N = W.shape[-2], H.shape[-2]
    labels = labels_below(labels, K)
    counts = torch.bincount(labels, minlength=K).double()
    check(bool((counts > 0).all()), "labels", counts.long().tolist(), "such that every class has a sample (counts)")
    V = _extended(W, b)
    decays = _decays(V, decay_W, decay_b, has_bias=b is not None)
    means, within, squares = _moments(H, labels, V, loss, counts)
    share, weight, rescale = counts / N, loss.weight(K), along(loss.rescale, V)
    within = weight * within + torch.diag_embed(decays)
    A = within + weight * means.mT @ (share[:, None] * means)
    best = (rescale * weight * share[:, None] * means) @ torch.linalg.pinv(A, rtol=_cut(A), hermitian=True)
    fit = best @ means.mT - rescale * torch.eye(K, dtype=V.dtype, device=V.device)
    off = V - best
    return CentralPathSplit(
        weight / 2 * squares / N + (decays.unsqueeze(-2) * V.square()).sum((-2, -1)) / 2,
        ((best @ within) * best).sum((-2, -1)) / 2,
        weight / 2 * (share * fit.square()).sum((-2, -1)),
        ((off @ A) * off).sum((-2, -1)) / 2,
        best[..., : W.shape[-1]],
        best[..., -1] if b is not None else torch.zeros_like(best[..., 0]),
    )


def _extended(W: Tensor, b: Tensor | None) -> Tensor:
    """[W, b] in float64."""
    return W.double() if b is None else torch.cat([W.double(), b.double().unsqueeze(-1)], -1)


def _decays(V: Tensor, decay_W: Parameter, decay_b: Parameter, *, has_bias: bool) -> Tensor:
    """The diagonal of D, (*batch, d) or (*batch, d + 1)."""
    decays = torch.zeros_like(V[..., 0, :]) + along(decay_W, V[..., 0, :])
    if has_bias:
        decays[..., -1:] = along(decay_b, V[..., 0, :])
    return decays


def _moments(H: Tensor, labels: Tensor, V: Tensor, loss: SquaredError, counts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Means (*batch, K, D) and within-class scatter (*batch, D, D) of h~, and the sum of |V h~ - r y|^2, in chunks."""
    (K, D), N = V.shape[-2:], H.shape[-2]
    step = max(1, CHUNK_BYTES * N // (8 * H.numel()))
    chunks = [slice(first, first + step) for first in range(0, N, step)]

    def read(rows: slice) -> tuple[Tensor, Tensor]:
        h = H[..., rows, :].double()
        h = h if h.shape[-1] == D else torch.nn.functional.pad(h, (0, 1), value=1.0)
        return h, torch.nn.functional.one_hot(labels[rows], K).double()

    sums = sum(y.mT @ h for h, y in map(read, chunks))
    means = sums / counts[:, None]
    within, squares = V.new_zeros(*V.shape[:-2], D, D), V.new_zeros(V.shape[:-2])
    for h, y in map(read, chunks):
        spread = h - y @ means
        within += spread.mT @ spread / N
        squares += (h @ V.mT - along(loss.rescale, V) * y).square().sum((-2, -1))
    return means, within, squares


def _cut(A: Tensor) -> float:
    """Eigenvalues of A below this times the largest are rounding."""
    return A.shape[-1] * torch.finfo(A.dtype).eps
