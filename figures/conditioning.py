"""`ufm scan` over alpha and decay: condition number of the Hessian at the minimiser, cross entropy and smoothing."""

from pathlib import Path
from typing import Any

from figures.style import COLOURS, COLUMN, in_our_style, save, subplots

RECORDS = {
    "scan_conditioning": "python -m ufm scan --loss ls --grid.alpha 0,0.05,0.1,0.2,0.4 --grid.decay 1e-5:0.09:25:log "
    "--classes 10 --dim 10 --per-class 1 --starts 4 --json figures/data/scan_conditioning.json"
}


@in_our_style
def draw(record: dict[str, Any], path: Path) -> Path:
    """A curve per alpha; cells whose best end point is not the ETF are left out."""
    result, setting = record["result"], record["setting"]
    alphas, decays = result["axes"]["alpha"], result["axes"]["decay"]
    numbers, states = result["cells"]["condition_number"], result["cells"]["best_state"]
    figure, axes = subplots(figsize=(COLUMN, 3.6))
    for i, alpha in enumerate(alphas):
        part = slice(i * len(decays), (i + 1) * len(decays))
        cells = zip(decays, numbers[part], states[part], strict=True)
        points = [(decay, number) for decay, number, state in cells if number is not None and state == "etf"]
        if not points:
            continue
        label = f"label smoothing {alpha:g}" if alpha else "cross entropy"
        axes.loglog(*zip(*points, strict=True), color=COLOURS[i % len(COLOURS)], marker=".", label=label)
    axes.set(xlabel="decay of W and of H", ylabel="condition number across the rotations")
    axes.set_title(
        f"Hessian of the objective, decays included, at the ETF: "
        f"K = {setting['classes']}, d = {setting['dim']}, n = {setting['per_class']}",
    )
    if axes.has_data():
        axes.legend()
    return save(figure, path)
