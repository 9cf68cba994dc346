"""Names for terminal, tables and figures alike: of losses, decays, statuses, margins, the depth of a penalty."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ufm.specs import LossSpec


class ClaimWords(NamedTuple):
    """The names of a claim of `ufm verify` in the terminal, in a page's table and in a figure; empty if not shown."""

    terminal: str
    table: str = ""
    figure: str = ""


CLAIMS = {
    "all converged": ClaimWords("starts that did not converge", "starts that did not converge"),
    "reached": ClaimWords("starts at the minimum"),
    "value": ClaimWords("|objective - predicted| / f(0)", "objective, relative to f(0)", "objective"),
    "below": ClaimWords("(objective - predicted) / f(0)"),
    "states": ClaimWords("|objective - nearest predicted state| / f(0)"),
    "logits": ClaimWords("|logits - predicted| / margin", "logits, relative to the margin", "logits"),
    "norms": ClaimWords("|w|, |h| against predicted", "norms of w and h, relative"),
    "nc1_trace": ClaimWords("NC1 trace"),
    "nc1_quotient": ClaimWords("NC1 quotient", "NC1", "NC1"),
    "nc2_equinorm": ClaimWords("NC2 equinorm"),
    "nc2_equiangular": ClaimWords("NC2 equiangular"),
    "nc2_etf_distance": ClaimWords("NC2 ETF distance", "NC2, distance to the ETF", "NC2"),
    "nc3_self_duality": ClaimWords("NC3 self-duality", "NC3, self-duality", "NC3"),
    "nc4_disagreement": ClaimWords("NC4 disagreement", "NC4, disagreement"),
    "bias_residual": ClaimWords("W mu_G + b"),
    "tag-wise": ClaimWords("|h_S - tag-wise average| / |h|"),
    "duality gap": ClaimWords("duality gap / f(0)", "duality gap, relative to f(0)"),
    "smallest eigenvalue": ClaimWords("smallest eigenvalue, from below", "smallest Hessian eigenvalue"),
    "strict saddles": ClaimWords(
        "curvature at other critical points", "largest curvature along the direction given at another critical point"
    ),
}


def loss_text(spec: LossSpec) -> str:
    """A loss with its parameters as text, such as `focal 2`."""
    return " ".join(str(value).removesuffix(".0") for value in spec.values())


def decays_text(has_decays: bool, decay_W: float, decay_H: float, decay_b: float | None) -> str:
    """The decays as a title names them, after the sizes; nothing for a model without."""
    return f", decays W {decay_W:g}, H {decay_H:g}, b {bias_text(decay_b)}" if has_decays else ""


def bias_text(decay_b: float | None) -> str:
    """The decay of the bias as text; `none` for a model without bias."""
    return "none" if decay_b is None else f"{decay_b:g}"


def fixed(value: float, digits: int, sign: str = "-") -> str:
    """A number with so many decimals, with its sign (`+`) or its minus; one that rounds to zero has neither."""
    text = f"{value:{sign}.{digits}f}"
    return text if text.strip("+-0.") else text.lstrip("+-")


def numbered(noun: str, numbers: Sequence[int]) -> str:
    """`row 4`, `rows 1, 2 and 4`."""
    *most, last = map(str, numbers)
    return f"{noun}s {', '.join(most)} and {last}" if most else f"{noun} {last}"


def statuses_text(counts: Mapping[str, int]) -> str:
    """Counts of statuses as text: `1000 converged`, and every other status that occurred."""
    shown = {name: count for name, count in counts.items() if count or name == "CONVERGED"}
    return ", ".join(f"{count} {name.lower().replace('_', ' ')}" for name, count in shown.items())


def margin_text(margin: float | None, margin_is: str) -> str:
    """The margin of a claim as text: with its unit if that is digits; `exact` for identities; nan is `not a number`."""
    if margin is None or math.isnan(margin):
        return "exact" if "exact" in margin_is else "not a number"
    return f"{margin:.1f} digits" if "digits" in margin_is else f"{margin:.2g}"


def depth_sentence(fit: Mapping[str, Any]) -> str:
    """A sentence on the m that the line through all conditions gives, with its interval."""
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
