"""`ufm atlas`: every orbit of critical points at its value and Morse index; area = labelled copies, colour = rank."""

from pathlib import Path
from typing import Any

from figures.style import COLOURS, COLUMN, in_our_style, loss_name, save, subplots

RECORDS = {"atlas": "python -m ufm atlas --loss ce --classes 4 --dim 5 --json figures/data/atlas.json"}
JOB = "atlas"

LARGEST_AREA = 2500
"""Square points."""


def fits(record: dict[str, Any]) -> bool:
    """Whether an orbit was found."""
    return bool(record["result"]["rows"])


@in_our_style
def draw(record: dict[str, Any], path: Path) -> Path:
    """One disc per orbit."""
    rows = record["result"]["rows"]
    figure, axes = subplots(figsize=(COLUMN, 4))
    scatter(axes, rows, largest_area(rows))
    axes.set_xlabel("objective")
    axes.set_ylabel("Morse index")
    axes.set_title(f"{title(record)}, area = labelled copies", wrap=True)
    axes.legend()
    return save(figure, path)


def largest_area(rows: list[dict[str, Any]]) -> float:
    """The area of one copy at which no disc is too large."""
    return min(12, LARGEST_AREA / max(row["copies"] for row in rows))


def scatter(axes: Any, rows: list[dict[str, Any]], area: float) -> None:
    """The discs, `area` a copy, with a legend entry of one size per rank."""
    from matplotlib.ticker import MaxNLocator

    for rank in sorted({row["rank"] for row in rows}):
        here = [row for row in rows if row["rank"] == rank]
        colour = COLOURS[rank % len(COLOURS)]
        areas = [area * row["copies"] for row in here]
        axes.scatter([row["value"] for row in here], [row["index"] for row in here], s=areas, color=colour, alpha=0.6)
        axes.scatter([], [], s=30, color=colour, alpha=0.6, label=f"rank {rank}")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))


def title(record: dict[str, Any]) -> str:
    """Loss, sizes and number of orbits; another model than the plain one in a line of its own."""
    setting = record["setting"]
    size = f"K = {setting['classes']}, d = {setting['dim']}, n = {setting['per_class']}"
    model = setting.get("model", {"name": "plain"})["name"]
    first, kind = ("", "orbits") if model == "plain" else (f"{model}\n", "rows")
    return f"{first}{loss_name(setting['loss'])}, {size}: {len(record['result']['rows'])} {kind}"
