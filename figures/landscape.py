"""`ufm atlas`: every orbit of critical points at its value and Morse index; area = labelled copies, colour = rank."""

from pathlib import Path
from typing import Any

from figures.style import COLOURS, COLUMN, save, use_style

LARGEST_AREA = 2500
"""Square points."""


def draw(record: dict[str, Any], path: Path) -> Path:
    """One disc per orbit."""
    use_style()
    from matplotlib import pyplot
    from matplotlib.ticker import MaxNLocator

    rows = record["result"]["rows"]
    setting = record["setting"]
    figure, axes = pyplot.subplots(figsize=(COLUMN, 4))
    area = min(12, LARGEST_AREA / max(row["copies"] for row in rows))
    for rank in sorted({row["rank"] for row in rows}):
        here = [row for row in rows if row["rank"] == rank]
        colour = COLOURS[rank % len(COLOURS)]
        areas = [area * row["copies"] for row in here]
        values, indices = [row["value"] for row in here], [row["index"] for row in here]
        axes.scatter(values, indices, s=areas, color=colour, alpha=0.6, label=f"rank {rank}")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("objective")
    axes.set_ylabel("Morse index")
    size = f"K = {setting['classes']}, d = {setting['dim']}, n = {setting['per_class']}"
    axes.set_title(f"{setting['loss']['name']}, {size}: {len(rows)} orbits, area = labelled copies")
    for handle in axes.legend().legend_handles:
        handle.set_sizes([30])  # type: ignore[union-attr]
    return save(figure, path)
