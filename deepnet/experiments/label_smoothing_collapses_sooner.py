"""Label smoothing collapses in fewer epochs, with a better geometry, smaller norms and better calibration.

Source: Guo et al. 2024 (cross entropy versus label smoothing)

The prediction of margin and norms has one number read off the net that was trained with cross entropy, its feature
decay (decay_W |W|^2 = decay_H |H|^2, centred), and nothing of the net trained with label smoothing.
"""

import math
from functools import partial

from deepnet.experiments.measures import LEVELS, collapses_sooner
from deepnet.experiments.run import Run
from deepnet.experiments.statement import Runs, Statement
from deepnet.measures.calibration import calibration
from ufm.model.losses import make_loss
from ufm.model.problem import Problem
from ufm.specs import LossSpec
from ufm.theory.prediction import predict

SMOOTHING: LossSpec = {"name": "ls", "alpha": 0.1}
RUNS = {"cross_entropy": {}, "label_smoothing": {"loss": SMOOTHING}}


def _over(runs: Runs, of: str) -> float:
    return runs["label_smoothing"].last(of) / runs["cross_entropy"].last(of)


def _smoothed(runs: Runs, of: str) -> float:
    return runs["label_smoothing"].last(of)


def _nc2_at_level(run: Run) -> float:
    """NC2 at the first measured epoch at which NC1 is at most its level (by how much less differs from run to run)."""
    form = "nc1_quotient"
    levels = zip(run.curve(form), run.curve("nc2_etf_distance"), strict=True)
    return next((nc2 for (_, nc1), (_, nc2) in levels if nc1 <= LEVELS[form]), math.nan)


def _predicted(runs: Runs, of: str) -> float:
    plain = runs["cross_entropy"]
    K, n = plain.training.data.classes, plain.training.setting.per_class or 0
    decay = plain.training.setting.decay
    decay_H = decay * plain.last("norm_w") ** 2 / (n * plain.last("norm_h") ** 2)
    return float(getattr(predict(Problem(make_loss(SMOOTHING), K, K, n, decay, decay_H, decay)), of))


def _calibration_error(runs: Runs, name: str, *, scaled: bool) -> float:
    """On test images; the temperature is fitted on validation images."""
    run = runs[name]
    fitted, measured = (run.layer(split) for split in ("validation", "test"))
    result = calibration((fitted.logits, fitted.labels), (measured.logits, measured.labels))
    return float(result["scaled" if scaled else "as_trained"]["ece"])


STATEMENTS = (
    *collapses_sooner("label_smoothing", "cross_entropy"),
    Statement(
        f"NC2 at the first measured epoch with NC1 (quotient form) <= {LEVELS['nc1_quotient']}, label smoothing over "
        "cross entropy: below 1",
        lambda runs: _nc2_at_level(runs["label_smoothing"]) / _nc2_at_level(runs["cross_entropy"]),
        high=1.0,
        strict=True,
    ),
    Statement(
        "final NC2, label smoothing over cross entropy: below 1",
        lambda runs: _over(runs, "nc2_etf_distance"),
        high=1.0,
        strict=True,
    ),
    *(
        Statement(
            f"{what} with label smoothing within 10 % of the closed form at the decay balanced on cross entropy",
            partial(_smoothed, of=name),
            low=0.9,
            high=1.1,
            predicted=partial(_predicted, of=name),
        )
        for what, name in (("logit margin", "margin"), ("|w|", "norm_w"), ("|h|", "norm_h"))
    ),
    Statement(
        "expected calibration error on test images, label smoothing less cross entropy: below 0",
        lambda runs: (
            _calibration_error(runs, "label_smoothing", scaled=False)
            - _calibration_error(runs, "cross_entropy", scaled=False)
        ),
        high=0.0,
        strict=True,
        tried="temperature scaling (next row).",
    ),
    Statement(
        "the same after temperature scaling of both: within 0.03 of 0",
        lambda runs: (
            _calibration_error(runs, "label_smoothing", scaled=True)
            - _calibration_error(runs, "cross_entropy", scaled=True)
        ),
        low=-0.03,
        high=0.03,
    ),
)
