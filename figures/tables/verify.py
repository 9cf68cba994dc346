"""Worst value of every claim of `ufm verify`, one column a loss."""

from typing import Any

from figures.style import loss_name
from figures.tables.markdown import markdown
from ufm.cli.words import CLAIMS

LABELS = {name: words.table for name, words in CLAIMS.items() if words.table}


def table(record: dict[str, Any]) -> str:
    """Worst value of every claim, one column a loss."""
    setting, verdicts = record["setting"], record["result"]["verdicts"]
    size = f"K = {setting['classes']}, d = {setting['dim']}, n = {setting['per_class']}"
    rows = [["worst of all starts", *(loss_name(verdict["spec"]) for verdict in verdicts)]]
    for name, label in LABELS.items():
        claims = [verdict["claims"].get(name) for verdict in verdicts]
        rows.append([label, *("not convex" if claim is None else f"{claim['worst']:.2g}" for claim in claims)])
    lost = (sum(verdict["saddle_statuses"].values()) - verdict["saddle_statuses"]["CONVERGED"] for verdict in verdicts)
    rows.append(["starts of the other search that did not converge", *map(str, lost)])
    rows.append(["kinds of other critical points found", *(str(len(verdict["saddles"])) for verdict in verdicts)])
    rows.append(["seconds", *(f"{verdict['seconds']:.0f}" for verdict in verdicts)])
    saddle_size = f"K = {setting['saddle_classes']}, d = {setting['saddle_dim']}, n = {setting['saddle_per_class']}"
    caption = (
        f"`{record['command']}`, {record['machine']}: {setting['starts']} starts a loss, {size}, decays "
        f"{setting['decay_W']:g}, {setting['decay_H']:g} and {setting['decay_b']:g}; other critical points from "
        f"{setting['saddle_starts']} starts at {saddle_size}."
    )
    return f"{markdown(rows)}\n\n{caption}"
