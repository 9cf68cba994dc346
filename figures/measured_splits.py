"""How far each split of a run is from collapse: one group of bars a metric, 0 is perfect."""

from pathlib import Path
from typing import Any

import numpy as np

from figures.style import COLUMN, in_our_style, save, subplots

RECORDS = {"measure": "python -m deepnet measure --run runs/usual-ls-0 --json figures/data/measure.json"}
JOB = "measure"

METRICS = {
    "nc1_quotient": "NC1",
    "nc1_trace": "NC1\ntrace",
    "nc2_equinorm": "NC2\nlengths",
    "nc2_equiangular": "NC2\nangles",
    "nc2_etf_distance": "NC2\nsimplex",
    "nc3_self_duality": "NC3",
    "nc4_disagreement": "NC4",
}


@in_our_style
def draw(record: dict[str, Any], path: Path) -> Path:
    """Collapse metrics by split, from a record of `deepnet measure`; what is 0 or was no number has no bar."""
    result = record["result"]
    figure, axes = subplots(figsize=(1.3 * COLUMN, 0.6 * COLUMN))
    places, width = np.arange(len(METRICS)), 0.8 / len(result["splits"])
    for index, (split, measures) in enumerate(result["splits"].items()):
        values = [measures[key] or float("nan") for key in METRICS]
        label = f"{split}, accuracy {measures['accuracy']:.1%}"
        axes.bar(places + (index + 0.5) * width - 0.4, values, width, label=label)
    axes.set(yscale="log", ylabel="distance from collapse", title=f"epoch {result['epoch']}, clean images, eval mode")
    axes.set_xticks(places, list(METRICS.values()))
    axes.legend()
    return save(figure, path)
