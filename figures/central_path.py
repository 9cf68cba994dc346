"""`deepnet train` with squared error: the loss of the last layer split along the central path, against epochs."""

from pathlib import Path
from typing import Any

from figures.style import COLOURS, COLUMN, save, use_style

RECORDS = {
    "train_central_path": "python -m deepnet train --data digits --per-class 100 --net mlp --width 0.5 --batch-size 50 "
    "--schedule cosine --measure-every 5 --loss mse --epochs 75 --lr 0.01 --decay 0.005 "
    "--json figures/data/train_central_path.json"
}
TERMS = {
    "central_path_nc1": "L_NC1: variability within classes",
    "central_path_nc23": "L_NC2/3: geometry of the class means",
    "central_path_away": "L_perp: distance from the central path",
}


def draw(record: dict[str, Any], path: Path) -> Path:
    """One curve a term, on the training images."""
    use_style()
    from matplotlib import pyplot

    lines = [line for line in record["result"]["metrics"] if "train" in line]
    figure, axes = pyplot.subplots(figsize=(COLUMN, 3.4))
    for colour, (name, label) in zip(COLOURS, TERMS.items(), strict=False):
        values = [(line["epoch"], line["train"][name]) for line in lines if line["train"][name] is not None]
        if values:
            axes.semilogy(*zip(*values, strict=True), ".-", color=colour, label=label)
    setting = record["setting"]
    axes.set_title(f"{setting['data']}, {setting['net']}, decay {setting['decay']:g}", fontsize=9)
    axes.set(xlabel="epoch", ylabel="part of the squared error with decays")
    if axes.has_data():
        axes.legend()
    return save(figure, path)
