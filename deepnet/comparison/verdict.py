"""The verdict on a condition in words: how close its networks are to the theory.

Words stand for fixed bounds (`CLOSE`, `FAIR`), chosen as what a reader would call close, not derived: the numbers are
in the sentence. What is an identity for a stationary last layer on collapsed features is kept apart from what the model
predicts with nothing fitted on its target.
"""

import math
from typing import Any

CLOSE, FAIR = 0.05, 0.25
"""Relative deviations up to which a number is called close, and fair; larger ones are far."""
COLLAPSED = 0.01
"""tr S_W / tr S_B up to which features are called collapsed."""
SIMPLEX = 0.95
"""The share of the K - 1 dimensions from which on class means are called a simplex."""
NORMS = ("margin", "|w|", "|h|")
"""The quantities that the words are about; the tables have p_y and the training loss besides."""


def verdict(condition: dict[str, Any], transfer_errors: list[dict[str, Any]]) -> dict[str, Any]:
    """The verdict on a condition: words, and the numbers behind them.

    Args:
        condition: rows, stationarity and NC1 as spreads over the seeds (`deepnet.comparison.study`).
        transfer_errors: as `deepnet.comparison.transfer.errors` gives them, of the same network.
    """
    rows = {row["name"]: row for row in condition["rows"]}
    why = condition.get("no_prediction")
    identity = None if why else _worst({name: _deviation(rows[name]) for name in NORMS})
    model = [entry for entry in transfer_errors if entry["target"] == condition["condition"] and _is_model(entry)]
    prediction = _worst({name: model[0]["mean"][name] for name in NORMS}) if model else None
    sentences = [*_nothing_fitted(condition), _geometry(condition, rows), _last_layer(condition, identity)]
    if why:
        sentences.append(f"The model's minimum is not known here: {why}")
    if prediction is not None:
        value, name = prediction
        sentences.append(
            f"Calibrated on other conditions the model is {grade(value)}: {name} is off by {value:.0%} on average."
        )
    return {
        "verdict": " ".join(sentences),
        "identity_error": None if identity is None else identity[0],
        "prediction_error": None if prediction is None else prediction[0],
    }


def _nothing_fitted(condition: dict[str, Any]) -> list[str]:
    """A list with a sentence on the distance from the derived values; empty where nothing is derived."""
    found = condition.get("derived")
    if not found:
        return []
    deviations = {row["name"]: abs(row["deviation"]["mean"]) for row in found["rows"] if row["name"] in NORMS}
    value, name = _worst(deviations)
    residual, over = condition["stationarity"]["running"]["mean"], found["objective_over_bound"]["mean"]
    state = f"Stationary to {residual:.1%}" if residual is not None and residual <= CLOSE else "Not stationary"
    bound = "" if over is None else f", objective {over - 1:.2%} above a lower bound (numeric)"
    return [f"{state}; of what is derived, with nothing fitted, {name} is off most, by {value:.2%}{bound}."]


def grade(deviation: float) -> str:
    """The word for a relative deviation: close, fair or far."""
    return "close" if deviation <= CLOSE else "fair" if deviation <= FAIR else "far"


def _geometry(condition: dict[str, Any], rows: dict[str, Any]) -> str:
    nc1, dimensions = condition["nc1_trace"]["mean"], rows["dimensions of class means"]
    collapse = "Collapsed" if nc1 is not None and nc1 <= COLLAPSED else "Not collapsed"
    share = dimensions["ratio"]["mean"]
    shape = "a simplex" if share is not None and share >= SIMPLEX else "short of a simplex"
    measured, predicted = dimensions["measured"]["mean"], dimensions["predicted"]["mean"]
    return f"{collapse} (NC1 trace {number(nc1)}), {shape} ({number(measured)} of {predicted:.0f} dimensions)."


def _last_layer(condition: dict[str, Any], identity: tuple[float, str] | None) -> str:
    residuals = {name: spread["mean"] for name, spread in condition["stationarity"].items()}
    running = residuals["running"]
    shown = f"residual {number(running)}" + (
        f", {number(residuals['batch'])} in batches" if "batch" in residuals else ""
    )
    state = "stationary" if running is not None and running <= CLOSE else "not stationary"
    if identity is None:
        return f"Last layer {state} ({shown})."
    value, name = identity
    return f"Last layer {state} ({shown}); identities {grade(value)}, {name} off by {value:.0%}."


def _deviation(row: dict[str, Any]) -> float:
    mean = row["ratio"]["mean"]
    return float("inf") if mean is None else abs(mean - 1)


def _is_model(entry: dict[str, Any]) -> bool:
    return entry["depth"] == 1 and not entry["is_fitted"]


def _worst(deviations: dict[str, float]) -> tuple[float, str]:
    name = max(deviations, key=lambda key: deviations[key])
    return deviations[name], name


def number(value: float | None, digits: int = 2) -> str:
    """A number to so many digits, or the word for what is none."""
    if value is None:
        return "-"
    if not math.isfinite(value):
        return "not defined" if math.isnan(value) else "infinite"
    return f"{value:.{digits}g}"


def percent(deviation: float) -> str:
    """A relative deviation, such as 3.14%; one of a hundred or more as 2.7e+05 times."""
    return f"{deviation:.2%}" if deviation < 100 else f"{deviation:.1e} times"
