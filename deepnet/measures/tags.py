"""The measures of a last layer whose samples have several labels each (Li et al. 2024, multi-label collapse)."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from deepnet.measures.features import LastLayer
from deepnet.measures.reading import pulls
from ufm.collapse import FeatureStats, collapse_metrics
from ufm.model.pick_all_labels import PickAllLabels


def measure_tags(layer: LastLayer, loss: PickAllLabels) -> dict[str, float]:
    """Loss, accuracy, norms, margins; collapse of samples with one label; tag-wise averages of the others.

    - `margin_m`: mean over samples with m labels of the mean logit inside less the mean outside;
    - `norm_w`, `norm_h`: root mean square of the centred rows of W and of all features;
    - `gradient_norm`, `gradient_along_W`, `norm_W`: the loss gradient in W (`deepnet/measures/reading.py`);
    - `tag_wise_cosine`: mean over sets S of two or more of the cosine between h_S and sum_{k in S} h_k, where h_S and
      h_k are means of the features with these labels, less the mean of the h_k;
    - the metrics of collapse, on the samples with one label.
    """
    H, W, b = layer.H.double(), layer.W.double(), layer.b.double()
    logits, labels, K = H @ W.mT + b, layer.labels, len(W)
    inside = loss.indicators(labels, logits)
    m = inside.sum(-1)
    margins = (inside * logits).sum(-1) / m - ((1 - inside) * logits).sum(-1) / (K - m)
    single = m == 1
    values = {
        "loss": loss(logits, labels).mean(),
        "accuracy": loss.is_right(logits, labels).double().mean(),
        "norm_w": (W - W.mean(0)).square().sum(-1).mean().sqrt(),
        "norm_h": (H - H.mean(0)).square().sum(-1).mean().sqrt(),
        "tag_wise_cosine": _tag_wise_cosine(H, labels, loss, K),
        **pulls(layer, loss),
        **{f"margin_{int(size)}": margins[m == size].mean() for size in torch.unique(m)},
        **collapse_metrics(FeatureStats.from_features(H[single], labels[single], W, b)),
    }
    return dict(zip(values, torch.stack(list(values.values())).tolist(), strict=True))


def _tag_wise_cosine(
    H: Float[Tensor, "N d"], labels: Int[Tensor, " N"], loss: PickAllLabels, K: int
) -> Float[Tensor, ""]:
    count = len(loss.sets)
    totals = H.new_zeros(count, H.shape[-1]).index_add(0, labels, H)
    means = totals / torch.bincount(labels, minlength=count)[:, None]
    means = means - means[:K].mean(0)
    averages = loss.indicators(torch.arange(count, device=H.device), H.new_zeros(count, K)) @ means[:K]
    return torch.nn.functional.cosine_similarity(means[K:], averages[K:]).mean()
