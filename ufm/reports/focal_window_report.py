"""The focal window in words, and its states as a table."""

from collections import Counter
from typing import Any

from rich.table import Table

from ufm.cli.table import console, table
from ufm.cli.words import fixed
from ufm.proof.enclosure import PRECISION
from ufm.reports.focal_window import FocalWindow, is_lowest_partial, spurious
from ufm.reports.focal_window_setting import FocalWindowSetting


def show(setting: FocalWindowSetting, result: FocalWindow) -> None:
    """Print the thresholds, the order of transitions and the states, and what is proved of them."""
    out = console()
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
        out.print(_table(result))
        for line in _verdict(setting, result):
            out.print(line, soft_wrap=True, highlight=False)


def _verdict(setting: FocalWindowSetting, result: FocalWindow) -> list[str]:
    proofs = [row["proof"] for row in result["states"] if row["proof"]]
    if not proofs:
        return []
    doubles = f"c = {result['at']!r}, gamma = {setting.gamma!r}"
    doubles += "" if not setting.decay_b else f", bias decay = {setting.decay_b!r}"
    worst = max((proof["radius"] for proof in proofs if proof["is_critical"]), default=None)
    balls = "" if worst is None else f"balls of radius <= {worst:.0e}, {PRECISION} bits, "
    lines = [
        f"{len(spurious(result))} states are proved to be strict local minimisers (up to rotations, n = 1) although a "
        f"lower point exists: {balls}for exactly the doubles {doubles}.",
        f"zero is {'proved' if result['zero_is_minimum'] else 'not proved'} to be a strict local minimiser.",
    ]
    for reason, count in Counter(proof["reason"] for proof in proofs if proof["reason"]).items():
        lines.append(f"{count} of {len(proofs)} states are not proved to be minimisers: {reason}.")
    if is_lowest_partial(result):
        m = min(result["states"], key=lambda row: row["value"])["m"]
        lines.append(f"m = {m} is proved to lie below zero and the ETF: neither is the global minimiser here.")
    return lines


def _table(result: FocalWindow) -> Table:
    title = f"states at c = {result['at']:.12g} (value at zero {result['value_at_zero']:.12f})"
    columns = ("m", "others", "objective", "less zero's", "t", "beta", "B", "angle", "smallest eigenvalue", "proved")
    found = table(title, *columns, left=["others", "proved"], section="window")
    for row in result["states"]:
        proof = row["proof"]
        numbers = (fixed(row[name], 9) for name in ("t", "beta", "bias", "angle"))
        smallest = "-" if proof is None else f"{proof['smallest_eigenvalue']:.3g}"
        values = f"{row['value']:.14f}", f"{row['value'] - result['value_at_zero']:.3e}"
        found.add_row(str(row["m"]), row["others"], *values, *numbers, smallest, _proved(proof))
    return found


def _proved(proof: dict[str, Any] | None) -> str:
    if proof is None:
        return "-"
    if proof["is_minimum"]:
        return f"minimum, within {proof['radius']:.0e}"
    return f"critical, within {proof['radius']:.0e}" if proof["is_critical"] else proof["reason"]
