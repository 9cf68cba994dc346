"""The focal window: thresholds, the window, the states at one strength and what is proved about them."""

import dataclasses
import math
from functools import partial
from typing import Any, TypedDict

import torch
from flint import arb, ctx
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

from ufm.cli.table import console
from ufm.model.losses import Focal
from ufm.proof.ball_losses import FocalInBalls, focal_slope_ball, focal_value_ball
from ufm.proof.enclosure import PRECISION
from ufm.proof.focal_certificate import prove_minimum, state_found
from ufm.reports.focal_window_setting import FocalWindowSetting
from ufm.theory.focal_window import KINDS, Thresholds, TwoLevels, order_of_transitions, ray_thresholds, window
from ufm.theory.prediction import focal_of_margin

CURVES = 12
"""The sizes m that are drawn."""


class FocalWindow(TypedDict, total=False):
    """The contents of the record.

    Attributes:
        thresholds: the fields of `Thresholds`; `is_continuous`: whether the ETF shrinks to zero, without a window.
        value_at_zero: the objective at W = H = 0.
        window: first and last c at which a partial state is lower than zero and the ETF (numeric); None without.
        order: the best m in that window: `m`, and `from` which c.
        at: the c of the states, None where there are none; the next two are then left out.
        zero_is_minimum: whether zero is proved to be a strict local minimiser there (balls).
        zero_low: a proved lower bound of the value at zero.
        states: `m`, where the `others` are, `value`, `t`, `beta`, `bias`, `angle`, and the `proof`, the fields of
            `ufm.proof.focal_certificate.Proof`, None if it was not asked for.
        curves: the lowest `values` of some m, by m, over `c`; None without a window.
    """

    thresholds: dict[str, float]
    is_continuous: bool
    value_at_zero: float
    window: tuple[float, float] | None
    order: list[dict[str, Any]]
    at: float | None
    zero_is_minimum: bool
    zero_low: float
    states: list[dict[str, Any]]
    curves: dict[str, Any] | None


def measure(setting: FocalWindowSetting) -> FocalWindow:
    """Compute the contents of the record."""
    columns = "{task.description}", BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, transient=True, disable=not console().is_terminal) as bars:
        return _measured(setting, bars)


def _measured(setting: FocalWindowSetting, bars: Progress) -> FocalWindow:
    K, gamma = setting.classes, setting.gamma
    task = bars.add_task("minimising for every m and c", total=None)
    levels = TwoLevels(K, gamma, setting.decay_b, partial(bars.advance, task))
    thresholds = ray_thresholds(K, gamma)
    result: FocalWindow = {
        "thresholds": dataclasses.asdict(thresholds),
        "is_continuous": thresholds.is_continuous,
        "value_at_zero": focal_of_margin(0.0, K, gamma),
    }
    if thresholds.is_continuous and setting.at is None:
        return {**result, "window": None, "order": [], "states": [], "curves": None, "at": None}
    inner = None if thresholds.is_continuous else window(levels, thresholds)
    order = [] if inner is None else order_of_transitions(levels, *inner, setting.points)
    at = thresholds.maxwell if setting.at is None else setting.at
    return {
        **result,
        "window": inner,
        "order": order,
        "at": at,
        "zero_is_minimum": zero_is_minimum(K, gamma, at, setting.decay_b),
        "zero_low": _zero_low(K, gamma),
        "states": _states(setting, levels, at, bars),
        "curves": None if thresholds.is_continuous else _curves(levels, thresholds, setting.points),
    }


def zero_is_minimum(K: int, gamma: float, c: float, decay_b: float | None) -> bool:
    """Whether W = H = 0 is proved, in balls, to be a strict local minimiser (up to a free constant of the bias).

    There the Hessian splits: it is positive in (W, H) where S(0) < (K - 1) c, and (phi'' - phi')/K + decay_b in the
    bias, up to its constant; phi as a function of log p, at p = 1/K.
    """
    with ctx.workprec(PRECISION):
        slope, curvature = FocalInBalls(Focal(gamma)).in_log_p(arb(K))
        in_bias = (curvature - slope) / K + arb(decay_b or 0.0)
        in_factors = (K - 1) * arb(c) - focal_slope_ball(arb(0), K, arb(gamma))
        return bool(in_factors > 0) and (decay_b is None or bool(in_bias > 0))


def _zero_low(K: int, gamma: float) -> float:
    """A proven lower bound of the objective at W = H = 0, tight to rounding."""
    with ctx.workprec(PRECISION):
        return math.nextafter(float(focal_value_ball(arb(0), K, arb(gamma)).lower()), -math.inf)


def _states(setting: FocalWindowSetting, levels: TwoLevels, at: float, bars: Progress) -> list[dict[str, Any]]:
    """One entry per m and kind at one strength, with its proof."""
    states = levels.states(torch.tensor([at], dtype=torch.float64))
    rows = []
    sizes = range(1, setting.classes + 1)
    for m in bars.track(sizes, description="proving") if setting.certify else sizes:
        for kind, name in enumerate(KINDS):
            state = state_found(levels, states, m, kind)
            if state is None:
                continue
            proof = prove_minimum(state) if setting.certify else None
            others = "ETF" if m == setting.classes else name
            rows.append(
                {"m": m, "others": others, "value": float(states.value[m - 1, kind, 0])}
                | {"t": state.omega**2, "beta": state.eta**2, "bias": state.bias, "angle": state.angle}
                | {"proof": proof and dataclasses.asdict(proof)}
            )
    return rows


def _curves(levels: TwoLevels, thresholds: Thresholds, points: int) -> dict[str, Any]:
    """The lowest value of every m against c, for the picture."""
    margin = 0.1 * (thresholds.high - thresholds.low)
    grid = torch.linspace(thresholds.low - margin, thresholds.high, points, dtype=torch.float64)
    states = levels.states(grid)
    lowest = states.value.nan_to_num(nan=math.inf).amin(1)
    chosen = sorted({round(1 + j * (levels.K - 2) / (CURVES - 1)) for j in range(CURVES)} | {levels.K})
    return {"c": grid, "values": {str(m): lowest[m - 1] for m in chosen}}


def spurious(result: FocalWindow) -> list[dict[str, Any]]:
    """States proved to be local minimisers with a value proved to be above another one's."""
    proved = [row for row in result["states"] if row["proof"] and row["proof"]["is_minimum"]]
    if not proved:
        return []
    lowest = min(row["proof"]["value_high"] for row in proved)
    return [row for row in proved if row["proof"]["value_low"] > lowest]


def is_lowest_partial(result: FocalWindow) -> bool:
    """Whether the lowest state is proved to lie below zero and the ETF."""
    if not any(row["proof"] for row in result["states"]):
        return False
    best = min(result["states"], key=lambda row: row["value"])
    rivals = [row["proof"]["value_low"] for row in result["states"] if row["others"] == "ETF" and row["proof"]]
    is_below = best["proof"]["is_critical"] and best["proof"]["value_high"] < min([*rivals, result["zero_low"]])
    return best["others"] != "ETF" and bool(is_below)
