"""`ufm softmax-codes`: the least margin of the best code found against the number of classes."""

from pathlib import Path
from typing import Any

from figures.style import COLOURS, COLUMN, in_our_style, save, subplots

RECORDS = {"softmax_codes": "python -m ufm softmax-codes --starts 512 --json figures/data/softmax_codes.json"}
JOB = "softmax-codes"


@in_our_style
def draw(record: dict[str, Any], path: Path) -> Path:
    """Margins found, exact values, and the best known packings."""
    rows, dim = record["result"]["rows"], record["setting"]["dim"]
    figure, axes = subplots(figsize=(COLUMN, 3.6))
    exact = [(row["K"], row["exact"]) for row in rows if row["exact"] is not None]
    packings = [(row["K"], row["packing"]) for row in rows if row["packing"] is not None]
    if exact:
        axes.plot(*zip(*exact, strict=True), "s", color=COLOURS[1], fillstyle="none", markersize=9, label="exact value")
    if packings:
        axes.plot(*zip(*packings, strict=True), "x", color=COLOURS[6], label="best known packing")
    axes.plot([row["K"] for row in rows], [row["margin"] for row in rows], ".", color=COLOURS[0], label="code found")
    axes.set(xlabel="classes K", ylabel="least margin", ylim=(0, None), title=f"generalised collapse, d = {dim}")
    axes.legend()
    return save(figure, path)
