"""Two atlases side by side: the orbits of critical points of two losses, by value and Morse index."""

from pathlib import Path
from typing import Any

from figures.landscape import RECORDS as ATLAS
from figures.landscape import largest_area, scatter, title
from figures.style import COLUMN, in_our_style, outside_legend, save, subplots

RECORDS = ATLAS | {
    "atlas_focal": "python -m ufm atlas --loss focal --loss.gamma 3 --classes 4 --dim 5 "
    "--json figures/data/atlas_focal.json"
}


@in_our_style
def draw(first: dict[str, Any], second: dict[str, Any], path: Path) -> Path:
    """A panel per atlas, one scale of areas and of indices; the values are those of each loss."""
    figure, panels = subplots(1, 2, figsize=(1.5 * COLUMN, 4), sharey=True)
    area = largest_area([*first["result"]["rows"], *second["result"]["rows"]])
    for axes, record in zip(panels, (first, second), strict=True):
        scatter(axes, record["result"]["rows"], area)
        axes.set_title(title(record))
        axes.set_xlabel("objective")
    panels[0].set_ylabel("Morse index")
    handles, labels = panels[0].get_legend_handles_labels()
    outside_legend(
        figure, handles, labels, loc="outside lower center", ncols=len(labels), title="area: labelled copies"
    )
    return save(figure, path)
