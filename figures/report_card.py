"""`ufm report-card`: the loss on the ray of collapsed logits beside the built-in ones; end states against decay."""

from pathlib import Path
from typing import Any

import numpy as np

from figures.phase_diagram import ROUNDING, SHADES, STATES, shares_of
from figures.style import COLOURS, COLUMN, in_our_style, loss_name, save, subplots

RECORDS = {
    "report_card_gce": "python -m ufm report-card --loss ufm.example_losses.GeneralisedCrossEntropy --loss.q 0.7 "
    "--json figures/data/report_card_gce.json"
}
JOB = "report-card"


@in_our_style
def draw(record: dict[str, Any], path: Path) -> Path:
    """Left: value against margin, every loss; right: share of starts per end state against decay."""
    result = record["result"]
    figure, (left, right) = subplots(1, 2, figsize=(1.5 * COLUMN, 4))
    ray = dict(result["ray"])
    margin = ray.pop("margin")
    for i, (name, values) in enumerate(ray.items()):
        left.plot(margin, values, color=COLOURS[i], linewidth=1 if i else 2, label=loss_name({"name": name}))
    left.set(xlabel="margin", ylabel="loss with equal other logits", ylim=(0, _top(margin, ray)))
    decays = [row["decay_W"] for row in result["by_decay"]]
    shares = shares_of([[row[name] for row in result["by_decay"]] for name in list(STATES)[:-1]])
    for share, label, colour in zip(shares.T, STATES.values(), SHADES, strict=True):
        if share.max() > ROUNDING:
            right.semilogx(decays, share, marker="o", ms=3, color=colour, label=label)
    if result["zero_stable"] and decays[0] <= result["zero_stable"] <= decays[-1]:
        right.axvline(result["zero_stable"], color="black", linestyle="--", linewidth=1, label="zero becomes a minimum")
    right.set(xlabel="decay of W and H", ylabel="share of starts")
    for axes in (left, right):
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2)
    return save(figure, path)


def _top(margin: list[float], ray: dict[str, list[float]]) -> float:
    """Somewhat above every loss at margin -1 but squared error, which is cut off."""
    place = int(np.argmin(np.abs(np.array(margin) + 1)))
    return 1.2 * max(values[place] for name, values in ray.items() if name != "mse")
