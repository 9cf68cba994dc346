"""`focal-window`: thresholds, the window, the states at one strength and what is proved of them."""

import dataclasses
import math
from collections import Counter
from typing import Any

import torch
from flint import arb, ctx
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ufm.model.losses import Focal
from ufm.proof.ball_model import in_log_p
from ufm.proof.enclosure import PRECISION
from ufm.proof.focal_certificate import prove_minimum, state_found
from ufm.proof.margin_enclosure import focal_slope_ball, focal_value_ball
from ufm.reports.focal_window_setting import FocalWindowSetting
from ufm.theory.focal_window import KINDS, Thresholds, TwoLevels, order_of_transitions, ray_thresholds, window
from ufm.theory.prediction import focal_of_margin

CURVES = 12
"""Sizes m that are drawn."""


def measure(setting: FocalWindowSetting) -> dict[str, Any]:
    """Everything for the record."""
    K, gamma = setting.classes, setting.gamma
    levels, thresholds = TwoLevels(K, gamma, setting.decay_b), ray_thresholds(K, gamma)
    result: dict[str, Any] = {"thresholds": dataclasses.asdict(thresholds), "is_continuous": thresholds.is_continuous}
    result["value_at_zero"] = focal_of_margin(0.0, K, gamma)
    if thresholds.is_continuous and setting.at is None:
        return result | {"window": None, "order": [], "states": [], "curves": None, "at": None}
    inner = None if thresholds.is_continuous else window(levels, thresholds)
    order = [] if inner is None else order_of_transitions(levels, *inner, setting.points)
    at = thresholds.maxwell if setting.at is None else setting.at
    return result | {
        "window": inner,
        "order": order,
        "at": at,
        "zero_is_minimum": zero_is_minimum(K, gamma, at, setting.decay_b),
        "zero_low": _zero_low(K, gamma),
        "states": _states(setting, levels, at),
        "curves": None if thresholds.is_continuous else _curves(levels, thresholds, setting.points),
    }


def zero_is_minimum(K: int, gamma: float, c: float, decay_b: float | None) -> bool:
    """Whether W = H = 0 is proved, in balls, to be a strict local minimiser (up to a free constant of the bias).

    There the Hessian splits: it is positive in (W, H) where S(0) < (K - 1) c, and (phi'' - phi')/K + decay_b in the
    bias, up to its constant; phi as a function of log p, at p = 1/K.
    """
    with ctx.workprec(PRECISION):
        slope, curvature = in_log_p(Focal(gamma), arb(K))
        in_bias = (curvature - slope) / K + arb(decay_b or 0.0)
        in_factors = (K - 1) * arb(c) - focal_slope_ball(arb(0), K, arb(gamma))
        return bool(in_factors > 0) and (decay_b is None or bool(in_bias > 0))


def _zero_low(K: int, gamma: float) -> float:
    """A proven lower bound of the objective at W = H = 0, tight to rounding."""
    with ctx.workprec(PRECISION):
        return math.nextafter(float(focal_value_ball(arb(0), K, arb(gamma)).lower()), -math.inf)


def _states(setting: FocalWindowSetting, levels: TwoLevels, at: float) -> list[dict[str, Any]]:
    """One entry per m and kind at one strength, with its proof."""
    states = levels.states(torch.tensor([at], dtype=torch.float64))
    rows = []
    sizes = range(1, setting.classes + 1)
    for m in track(sizes, description="proving", transient=True) if setting.certify else sizes:
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
    """Lowest value of every m against c, for the picture."""
    margin = 0.1 * (thresholds.high - thresholds.low)
    grid = torch.linspace(thresholds.low - margin, thresholds.high, points, dtype=torch.float64)
    states = levels.states(grid)
    lowest = states.value.nan_to_num(nan=math.inf).amin(1)
    chosen = sorted({round(1 + j * (levels.K - 2) / (CURVES - 1)) for j in range(CURVES)} | {levels.K})
    return {"c": grid, "values": {str(m): lowest[m - 1] for m in chosen}}


def spurious(result: dict[str, Any]) -> list[dict[str, Any]]:
    """States proved to be local minimisers with a value proved to be above another one's."""
    proved = [row for row in result["states"] if row["proof"] and row["proof"]["is_minimum"]]
    if not proved:
        return []
    lowest = min(row["proof"]["value_high"] for row in proved)
    return [row for row in proved if row["proof"]["value_low"] > lowest]


def show(setting: FocalWindowSetting, result: dict[str, Any]) -> None:
    """Print the thresholds, the order of transitions and the states."""
    console = Console()
    if not console.is_terminal:
        console.width = 150
    thresholds = result["thresholds"]
    print(f"focal {setting.gamma:g}, K = {setting.classes}, c = sqrt(n decay_W decay_H):")
    if result["is_continuous"]:
        print(f"the transition is continuous: the ETF shrinks to zero at c = {thresholds['low']:.14g}; no window.")
    else:
        if setting.decay_b == 0:
            onset = thresholds["onset"]
            print(f"  c_x    = {onset:.14g}  all classes but one on a simplex: a saddle below, a minimiser above")
        print(f"  c_low  = {thresholds['low']:.14g}  zero is a local minimiser from here on")
        maxwell, margin = thresholds["maxwell"], thresholds["margin"]
        print(f"  c_M    = {maxwell:.14g}  zero and the ETF have the same value, margin {margin:.9g}")
        print(f"  c_high = {thresholds['high']:.14g}  the ETF exists up to here")
    if result["window"]:
        first, last = result["window"]
        print(
            f"between c = {first:.9g} and {last:.9g} a partial state is lower than both (numeric, of two-level states)."
        )
        print("best m: " + ", ".join(f"{step['m']} from {step['from']:.8g}" for step in result["order"]))
    elif not result["is_continuous"]:
        print("no partial state is lower than both the ETF and zero (numeric, of two-level states).")
    if result["states"]:
        console.print(_table(setting, result))
        for line in _verdict(setting, result):
            console.print(line, soft_wrap=True, highlight=False)


def _verdict(setting: FocalWindowSetting, result: dict[str, Any]) -> list[str]:
    proofs = [row["proof"] for row in result["states"] if row["proof"]]
    if not proofs:
        return []
    doubles = f"c = {result['at']!r}, gamma = {setting.gamma!r}"
    doubles += "" if not setting.decay_b else f", bias decay = {setting.decay_b!r}"
    worst = max((proof["radius"] for proof in proofs if proof["is_critical"]), default=math.nan)
    lines = [
        f"{len(spurious(result))} states are proved to be strict local minimisers (up to rotations, n = 1) although a "
        f"lower point exists: balls of radius <= {worst:.0e}, {PRECISION} bits, for exactly the doubles {doubles}.",
        f"zero is {'proved' if result['zero_is_minimum'] else 'not proved'} to be a strict local minimiser.",
    ]
    for reason, count in Counter(proof["reason"] for proof in proofs if proof["reason"]).items():
        lines.append(f"{count} of {len(proofs)} states are not proved to be minimisers: {reason}.")
    best = min(result["states"], key=lambda row: row["value"])
    rivals = [row["proof"]["value_low"] for row in result["states"] if row["others"] == "ETF" and row["proof"]]
    rivals.append(result["zero_low"])
    if best["others"] != "ETF" and best["proof"]["is_critical"] and best["proof"]["value_high"] < min(rivals):
        lines.append(f"m = {best['m']} is proved to lie below zero and the ETF: neither is the global minimiser here.")
    return lines


def _table(setting: FocalWindowSetting, result: dict[str, Any]) -> Table:
    title = f"states at c = {result['at']:.12g} (value at zero {result['value_at_zero']:.12f})"
    table = Table(title=title, title_justify="left")
    for name in ("m", "others", "value", "less zero's", "t", "beta", "B", "angle", "smallest eigenvalue", "proved"):
        table.add_column(name, justify="left" if name in ("others", "proved") else "right")
    for row in result["states"]:
        proof = row["proof"]
        numbers = (f"{row[name]:.9f}" for name in ("t", "beta", "bias", "angle"))
        smallest = "-" if proof is None else f"{proof['smallest_eigenvalue']:.3g}"
        values = f"{row['value']:.14f}", f"{row['value'] - result['value_at_zero']:.3e}"
        table.add_row(str(row["m"]), row["others"], *values, *numbers, smallest, _proved(proof))
    return table


def _proved(proof: dict[str, Any] | None) -> str:
    if proof is None:
        return "-"
    if proof["is_minimum"]:
        return f"minimum, ball {proof['radius']:.0e}"
    return f"critical, ball {proof['radius']:.0e}" if proof["is_critical"] else proof["reason"]
