"""Trained nets against what is derived for them, nothing fitted: on one line, and how far off it in per cent."""

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from figures.style import COLOURS, COLUMN, in_our_style, outside_legend, save, subplots

_RUNS = ", ".join(f"runs/{loss}-{{seed}}" for loss in ("ce", "ls", "focal", "mse"))
RECORDS = {
    name: f"python -m deepnet compare --runs '[{', '.join(_RUNS.format(seed=seed) for seed in range(seeds))}]' "
    f"--json figures/data/{name}.json"
    for name, seeds in (("compare_terminal", 2), ("compare_terminal_cifar", 3))
}
JOB = "compare"

QUANTITIES = {"margin": "o", "p_y": "v", "|w|": "s", "|h|": "D", "training loss": "^"}
"""What is drawn, and its marker."""
LINEAR = 0.1
"""Deviations in per cent up to this are drawn to scale, larger ones on a logarithmic one."""
FILLS = ("full", "none", "left", "right")
"""Of the markers of each net and data set."""


def fits(record: dict[str, Any]) -> bool:
    """Whether anything is derived for one of the runs."""
    return any(run["derived"] for run in record["result"]["runs"])


@in_our_style
def draw(*records: dict[str, Any], path: Path) -> Path:
    """A point a run and quantity: derived and measured on logarithmic axes, and below the deviation."""
    runs = [run for record in records for run in record["result"]["runs"] if run["derived"]]
    nets = {run["run_setting"]["net"] for run in runs}
    shared = ("data",) if len(nets) == 1 else ("net", "data")
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for run in runs:
        groups.setdefault((run["condition"], ", ".join(run["run_setting"][name] for name in shared)), []).append(run)
    conditions, sources = (list(dict.fromkeys(names)) for names in zip(*groups, strict=True))
    figure, (line, deviations) = subplots(2, 1, figsize=(COLUMN, 1.3 * COLUMN), height_ratios=(3, 2))
    deviations.set_yscale("symlog", linthresh=LINEAR)
    deviations.margins(y=0.1)
    for index, ((condition, source), group) in enumerate(sorted(groups.items())):
        colour = COLOURS[conditions.index(condition) % len(COLOURS)]
        look: dict[str, Any] = {"color": colour, "fillstyle": FILLS[sources.index(source) % len(FILLS)]}
        line.plot([], [], "o", **look, label=f"{condition} ({source})")
        _draw_group(line, deviations, group, look, 0.7 * ((index + 0.5) / len(groups) - 0.5))
    line.axline((1, 1), slope=1, color="0.5", linewidth=1, zorder=0)
    of = f" ({nets.pop()})" if len(nets) == 1 else ""
    line.set(xscale="log", yscale="log", xlabel="derived", ylabel="measured", title=f"Trained nets{of}, nothing fitted")
    outside_legend(figure, ncols=2, loc="outside lower center")
    line.legend(handles=[line.plot([], [], marker, color="0.4", label=name)[0] for name, marker in QUANTITIES.items()])
    deviations.axhline(0, color="0.5", linewidth=1)
    deviations.set_xticks(range(len(QUANTITIES)), QUANTITIES)
    deviations.yaxis.set_major_formatter("{x:g}")
    deviations.set(ylabel=f"measured / derived - 1, %\n(linear to {LINEAR:g} %, logarithmic beyond)")
    return save(figure, path)


def _draw_group(line: Axes, deviations: Axes, group: list[dict[str, Any]], look: dict[str, Any], shift: float) -> None:
    """The runs of one loss, net and data set."""
    for position, (name, marker) in enumerate(QUANTITIES.items()):
        rows = [row for run in group for row in run["derived"]["rows"] if row["name"] == name]
        line.plot([row["derived"] for row in rows], [row["measured"] for row in rows], marker, **look)
        values = [100 * row["deviation"] for row in rows]
        deviations.plot([position + shift] * len(rows), values, marker, **look, markersize=4)
