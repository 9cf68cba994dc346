"""`ufm verify`: how far every start ended from the prediction, and the critical points that are not minimisers."""

from pathlib import Path
from typing import Any

from figures.style import COLOURS, COLUMN, in_our_style, loss_name, outside_legend, save, subplots
from ufm.cli.words import CLAIMS

RECORDS = {"verify": "python -m ufm verify --json figures/data/verify.json"}
JOB = "verify"

MEASURES = {name: words.figure for name, words in CLAIMS.items() if words.figure}
FLOOR = 1e-17
"""Deviations below rounding are drawn here."""


@in_our_style
def draw(record: dict[str, Any], path: Path) -> Path:
    """A column per loss: sorted deviations of all starts; value against Morse index of other critical points."""
    verdicts = record["result"]["verdicts"]
    is_predicted = all(verdict.get("no_prediction") is None for verdict in verdicts)
    figure, axes = subplots(
        2, len(verdicts), figsize=(max(COLUMN, 2.25 * len(verdicts)), 5), squeeze=False, sharey="row"
    )
    for above, below, verdict in zip(*axes, verdicts, strict=True):
        (_deviations if is_predicted else _objectives)(above, verdict)
        _saddles(below, verdict)
    if is_predicted:
        axes[0, 0].set_ylim(bottom=FLOOR / 3)
    words = f"deviation from the prediction\n(shaded: {FLOOR:g} or less)"
    axes[0, 0].set_ylabel(words if is_predicted else "objective")
    outside_legend(figure, *axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=len(MEASURES))
    axes[1, 0].set_ylabel("negative eigenvalues")
    return save(figure, path)


def _deviations(axes: Any, verdict: dict[str, Any]) -> None:
    for colour, (name, label) in zip(COLOURS, MEASURES.items(), strict=False):
        values = verdict["quantiles"].get(name) or []
        shown = [max(value, FLOOR) for value in values if value is not None]
        dashed = {"linestyle": "--", "zorder": 3} if name == "value" else {}  # others lie at the foot, too
        axes.semilogy(shown, color=colour, label=label, **dashed)
    axes.axhspan(0, 1.5 * FLOOR, color="0.5", alpha=0.15, linewidth=0)
    axes.set_title(f"{loss_name(verdict['spec'])}\n{'holds' if verdict['holds'] else 'FAILS'}")
    axes.set_xlabel("starts, sorted (%)")


def _objectives(axes: Any, verdict: dict[str, Any]) -> None:
    """Where there is no prediction."""
    axes.plot(verdict["quantiles"]["objective"], color=COLOURS[0], label="objective")
    axes.set_title(f"{loss_name(verdict['spec'])}\nno prediction")
    axes.set_xlabel("starts, sorted (%)")


def _saddles(axes: Any, verdict: dict[str, Any]) -> None:
    rows = verdict["saddles"]
    axes.scatter(
        [row["value"] for row in rows], [row["morse_index"] for row in rows], s=14, color=COLOURS[1], label="saddles"
    )
    axes.set_xlabel("objective")
    axes.set_title(f"{len(rows)} kinds of other\ncritical points")
    if not rows:
        axes.text(0.5, 0.5, "none searched or found", ha="center", transform=axes.transAxes)
