"""Predictions with nothing fitted on their target: mean error by target and m."""

from typing import Any

from figures.tables.markdown import escaped, markdown
from ufm.cli.words import depth_sentence


def table(record: dict[str, Any]) -> str:
    """One row a target and m; then what the line through all runs says of m."""
    networks = record["result"]["networks"]
    entries = [entry for network in networks for entry in network["transfer_errors"]]
    if not entries:
        return "(One condition, and no other to predict it from.)"
    names = list(dict.fromkeys(name for entry in entries for name in entry["mean"]))
    rows = [["predicted from the others", "m", *map(escaped, names), "predictions"]]
    for entry in entries:
        m = f"{entry['depth']:.2g}" + (", fitted to the others" if entry["is_fitted"] else "")
        cells = (_error(entry, name) for name in names)
        rows.append([entry["target"], m, *cells, str(entry["count"])])
    lines = [depth_sentence(network["depth_fit"]) for network in networks if network["depth_fit"]]
    return "\n\n".join([markdown(rows), *lines])


def _error(entry: dict[str, Any], name: str) -> str:
    if name not in entry["mean"]:
        return "-"
    values = [entry[key][name] for key in ("mean", "worst")]
    return " ".join("∞" if value is None else text for value, text in zip(values, _percent(values), strict=True))


def _percent(values: list[float | None]) -> tuple[str, str]:
    mean, worst = (
        f"{100 * (value or 0):.1f}" if (value or 0) < 0.1 else f"{100 * (value or 0):.0f}" for value in values
    )
    return f"{mean} %", f"({worst})"
