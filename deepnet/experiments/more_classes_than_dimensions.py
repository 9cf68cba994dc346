"""With fewer than K - 1 dimensions, unit features and rows approach the softmax code as the temperature falls.

Source: Jiang et al. 2024 (generalized neural collapse for a large number of classes)

Their temperature is 1/tau here. The margin of rows W and class means H is the least <w_k - w_j, h_k> (unit vectors);
the softmax code has the largest. In the plane it is the regular polygon; in space the best packing is the best code
known (`ufm/softmax_codes.py`), no proof that there is no better one.
"""

from functools import partial

import torch

from deepnet.experiments.run import Run
from deepnet.experiments.statement import Runs, Statement
from ufm.softmax_codes import exact_margin, least_margin, packing_margin

WARM, COLD = 5.0, 30.0
TRIED = (
    "two temperatures; the colder one leaves hardly any gradient once the classes are apart, and in the plane some "
    "runs do not even separate all of them."
)
RUNS = {
    f"{name}_{dim}d": {"head": {"name": "normalised", "temperature": tau, "dim": dim}}
    for dim in (2, 3)
    for name, tau in (("warm", WARM), ("cold", COLD))
}


def _units(run: Run) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows and class means at length 1."""
    layer = run.layer()
    W, H = layer.W, layer.stats.class_means
    return W / W.norm(dim=-1, keepdim=True), H / H.norm(dim=-1, keepdim=True)


def _margin(runs: Runs, name: str) -> float:
    return float(least_margin(*_units(runs[name])))


def _gain(runs: Runs, dim: int) -> float:
    """What the lower temperature adds to the margin."""
    return _margin(runs, f"cold_{dim}d") - _margin(runs, f"warm_{dim}d")


def _self_duality(runs: Runs, dim: int) -> float:
    """Mean cosine between a row and the mean of its class's features."""
    W, H = _units(runs[f"cold_{dim}d"])
    return float((W * H).sum(-1).mean())


def _best(runs: Runs, dim: int) -> float:
    K = runs["cold_2d"].training.data.classes
    return exact_margin(K, dim) or packing_margin(K, dim) or 0.0


STATEMENTS = (
    *(
        Statement(
            f"margin in {dim} dimensions, tau = {COLD:g} less tau = {WARM:g}: above 0",
            partial(_gain, dim=dim),
            low=0.0,
        )
        for dim in (2, 3)
    ),
    *(
        Statement(
            f"margin at tau = {tau:g} in {dim} dimensions, within 10 % of the best code's",
            partial(_margin, name=f"{name}_{dim}d"),
            low=0.9,
            high=1.1,
            predicted=partial(_best, dim=dim),
            tried=TRIED,
        )
        for name, tau in (("warm", WARM), ("cold", COLD))
        for dim in (2, 3)
    ),
    *(
        Statement(
            f"self-duality at tau = {COLD:g} in {dim} dimensions, cosine of a row and its class mean: at least 0.95",
            partial(_self_duality, dim=dim),
            low=0.95,
        )
        for dim in (2, 3)
    ),
)
