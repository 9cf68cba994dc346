"""With fewer than K - 1 dimensions, unit features and rows approach the softmax code as the temperature falls.

Source: Jiang et al. 2024 (generalized neural collapse for a large number of classes)

Their temperature is 1/tau here. The margin of rows W and class means H is the least <w_k - w_j, h_k> (unit vectors);
the softmax code has the largest. At a finite tau the minimiser of cross entropy has less of it: for ten classes in
space 0.5695 at tau = 5 and 0.5833 at tau = 30 against 0.5956 of the best code known; in the plane it is the regular
polygon at both, 0.1910. The prediction is the lowest of many minimisations (`ufm/theory/softmax_codes.py`): numeric, no
proof that there is nothing lower.
"""

from functools import partial

import torch

from deepnet.experiments.run import TERMINAL, Run
from deepnet.experiments.statement import Runs, Statement
from ufm.theory.softmax_codes import least_margin, margin_at_temperature

WARM, COLD = 5.0, 30.0
TRIED = "the other temperature."
RUNS = {
    f"{name}_{dim}d": {"head": {"name": "normalised", "temperature": tau, "dim": dim}, **TERMINAL}
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


def _gain(runs: Runs) -> float:
    """What the lower temperature adds to the margin in space; in the plane theory predicts 0."""
    return _margin(runs, "cold_3d") - _margin(runs, "warm_3d")


def _self_duality(runs: Runs, dim: int) -> float:
    """Mean cosine between a row and the mean of its class's features."""
    W, H = _units(runs[f"cold_{dim}d"])
    return float((W * H).sum(-1).mean())


def _predicted(runs: Runs, name: str) -> float:
    training = runs[name].training
    head = training.setting.head
    return margin_at_temperature(training.data.classes, int(head["dim"]), float(head["temperature"]))


STATEMENTS = (
    Statement(
        f"margin in 3 dimensions, tau = {COLD:g} less tau = {WARM:g}: above 0 (minimisers of ten classes: 0.014)",
        _gain,
        low=0.0,
        strict=True,
    ),
    *(
        Statement(
            f"margin at tau = {tau:g} in {dim} dimensions, within 10 % of the minimiser's",
            partial(_margin, name=f"{name}_{dim}d"),
            low=0.9,
            high=1.1,
            predicted=partial(_predicted, name=f"{name}_{dim}d"),
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
