"""`ufm verify`: how the objective and the gradient of all starts fall, step by step, for every loss."""

from pathlib import Path
from typing import Any

from figures.style import COLOURS, COLUMN, in_our_style, loss_name, outside_legend, save, subplots
from figures.verification import FLOOR

RECORDS = {
    "verify_convergence": "python -m ufm verify --starts 200 --saddle-starts 0 "
    "--json figures/data/verify_convergence.json"
}
MEASURES = {"value": "|objective - predicted| / f(0)", "gradient": "norm of the gradient"}


@in_our_style
def draw(record: dict[str, Any], path: Path) -> Path:
    """A panel per measure: the median of all starts as a line, least to greatest as a band."""
    verdicts = record["result"]["verdicts"]
    figure, panels = subplots(1, 2, figsize=(1.3 * COLUMN, 3.4))
    for axes, (name, label) in zip(panels, MEASURES.items(), strict=True):
        for colour, verdict in zip(COLOURS, verdicts, strict=False):
            path_of = verdict["convergence"]
            low, _, median, _, high = zip(*(_drawn(row) for row in path_of[name]), strict=True)
            axes.plot(path_of["steps"], median, ".-", color=colour, label=loss_name(verdict["spec"]))
            axes.fill_between(path_of["steps"], low, high, color=colour, alpha=0.2, linewidth=0)
        axes.set_xscale("symlog", base=2, linthresh=1)
        axes.set(xlabel="steps of L-BFGS", ylabel=label, yscale="log")
    counts = {verdict["convergence"]["starts"] for verdict in verdicts}
    figure.suptitle(
        f"{', '.join(map(str, sorted(counts)))} starts a loss: median, band from least to greatest "
        f"({FLOOR:g} or less: drawn there)",
    )
    outside_legend(figure, *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return save(figure, path)


def _drawn(row: list[float | None]) -> list[float]:
    """What was not a number leaves a gap."""
    return [float("nan") if value is None else max(value, FLOOR) for value in row]
