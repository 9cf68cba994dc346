"""`python -m theory_checks`: seconds of every claim, coloured by the rank of its evidence, and its margin in words."""

from pathlib import Path
from typing import Any

from figures.style import COLOURS, COLUMN, save, use_style

RECORDS = {"claims": "python -m theory_checks --json figures/data/claims.json"}

RIGOUR = dict(zip(("symbolic", "interval", "certificate", "numeric"), COLOURS, strict=False))
"""Ranks of evidence, strongest first."""
LEAST = 1e-3
"""Seconds; shorter bars are drawn this long."""


def draw(record: dict[str, Any], path: Path) -> Path:
    """A bar per claim; claims that fail or did not run are marked."""
    use_style()
    from matplotlib import pyplot

    rows = record["result"]["rows"]
    figure, axes = pyplot.subplots(figsize=(1.5 * COLUMN, 0.26 * len(rows) + 1.3))
    for place, row in enumerate(rows):
        verdict = row["verdict"]
        axes.barh(place, max(row["seconds"], LEAST), color=RIGOUR[verdict["rigour"]] if verdict else "0.8")
        axes.text(max(row["seconds"], LEAST), place, f" {_note(row)}", va="center", fontsize=6)
    for name, colour in RIGOUR.items():
        axes.barh(0, 0, color=colour, label=name)
    axes.set_yticks(range(len(rows)), [row["claim"]["name"].replace("_", " ") for row in rows], fontsize=7)
    axes.invert_yaxis()
    axes.set(xlabel="seconds", xscale="log", xlim=(LEAST, 100))
    axes.margins(y=0.01)
    figure.legend(loc="outside upper center", ncols=len(RIGOUR))
    return save(figure, path)


def _note(row: dict[str, Any]) -> str:
    if row["verdict"] is None:
        return "NOT RUN"
    if not row["holds"]:
        return "FAILS"
    return margin_text(row["verdict"])


def margin_text(verdict: dict[str, Any]) -> str:
    """The margin with its unit where it is digits, `exact` where there is none to speak of."""
    if verdict["margin"] is None:
        return "exact"
    return f"{verdict['margin']:.1f} digits" if "digits" in verdict["margin_is"] else f"{verdict['margin']:.2g}"
