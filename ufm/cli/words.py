"""What terminal, tables and figures call the same things: losses, decays, statuses, margins, the depth of a penalty."""

import math
from collections.abc import Mapping
from typing import Any

from ufm.specs import LossSpec


def loss_text(spec: LossSpec) -> str:
    """`focal 2`."""
    return " ".join(str(value).removesuffix(".0") for value in spec.values())


def bias_text(decay_b: float | None) -> str:
    """The bias's decay, `none` where there is no bias."""
    return "none" if decay_b is None else f"{decay_b:g}"


def statuses_text(counts: Mapping[str, int]) -> str:
    """`1000 converged`, and every other way of ending that occurred."""
    shown = {name: count for name, count in counts.items() if count or name == "CONVERGED"}
    return ", ".join(f"{count} {name.lower().replace('_', ' ')}" for name, count in shown.items())


def margin_text(margin: float | None, margin_is: str) -> str:
    """A claim's margin with its unit where it is digits, `exact` where there is none to speak of; nan is not that."""
    if margin is None or math.isnan(margin):
        return "exact" if "exact" in margin_is else "not a number"
    return f"{margin:.1f} digits" if "digits" in margin_is else f"{margin:.2g}"


def depth_sentence(fit: Mapping[str, Any]) -> str:
    """What the line through all conditions says of m, and how sure it is."""
    line = (
        f"log |W|^2 against log |h| of {fit['conditions']} conditions (log |h| spread {fit['spread']:.2g}): "
        f"slope {fit['slope']:.3g} (95 % {fit['low']:.3g} to {fit['high']:.3g}), scatter {fit['scatter']:.2g}"
    )
    if fit["depth"] is None:
        return f"{line}; no penalty |H|^(2/m) has a slope that is not positive."
    bounds = " to ".join("none" if bound is None else f"{bound:.3g}" for bound in fit["range"])
    if None in fit["range"]:
        return f"{line}: m is not determined (best {fit['depth']:.3g}, {bounds})."
    return f"{line}; m = {fit['depth']:.3g} ({bounds})."
