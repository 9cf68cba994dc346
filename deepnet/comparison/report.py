"""What `deepnet compare` prints: a table and a verdict a condition, then predictions between them and similarities."""

import json
from typing import Any

from rich.console import Console
from rich.table import Table


def show(result: dict[str, Any]) -> None:
    """All of it."""
    for network in result["networks"]:
        setting = json.loads(network["network"])
        print(f"{setting['net']}, width {setting['width']:g}, {setting['data']}, {setting['epochs']} epochs")
        for condition in network["conditions"]:
            _show_condition(condition)
        if network["transfer_errors"]:
            _show_transfers(network)
        if network["similarity"]:
            _show_similarity(network["similarity"])


def spread_text(spread: dict[str, Any]) -> str:
    """Mean, and the standard deviation where there are several."""
    if spread["mean"] is None:
        return "-"
    text = f"{spread['mean']:.4g}"
    return text if spread["deviation"] is None else f"{text} ± {spread['deviation']:.1g}"


def _show_condition(condition: dict[str, Any]) -> None:
    seeds = ", ".join(str(seed) for seed in condition["seeds"])
    table = _table(f"{condition['condition']}; seeds {seeds}", "", "measured", "predicted", "ratio", "kind")
    for row in condition["rows"]:
        table.add_row(row["name"], *(spread_text(row[key]) for key in ("measured", "predicted", "ratio")), row["kind"])
    for name, spread in condition["stationarity"].items():
        table.add_row(f"stationarity residual, {name} statistics", spread_text(spread), "0", "", "measured")
    for name, spread in condition["balance"].items():
        table.add_row(f"balanced decay of |W|, {name} statistics", spread_text(spread), "1", "", "measured")
    Console().print(table)
    print(condition["verdict"])


def _show_transfers(network: dict[str, Any]) -> None:
    entries = network["transfer_errors"]
    names = list(dict.fromkeys(name for entry in entries for name in entry["mean"]))
    title = "Predicted from other conditions, nothing fitted on the target: mean (worst) of |measured / predicted - 1|"
    table = _table(title, "target", "m", *names, "predictions")
    for entry in entries:
        m = f"{entry['depth']:.3g}" + (" (fitted to the others)" if entry["is_fitted"] else "")
        cells = (f"{entry['mean'][n]:.1%} ({entry['worst'][n]:.1%})" if n in entry["mean"] else "-" for n in names)
        table.add_row(entry["target"], m, *cells, str(entry["count"]))
    Console().print(table)
    if network["depth_fit"]:
        print(depth_sentence(network["depth_fit"]))


def depth_sentence(fit: dict[str, Any]) -> str:
    """What the line through all conditions says of m, and how sure it is."""
    line = (
        f"log |W|^2 against log |h| of {fit['conditions']} conditions (log |h| spread {fit['spread']:.2g}): "
        f"slope {fit['slope']:.3g} (95 % {fit['low']:.3g} to {fit['high']:.3g}), scatter {fit['scatter']:.2g}"
    )
    if fit["depth"] is None:
        return f"{line}; no penalty |H|^(2/m) has a slope that is not positive."
    bounds = " to ".join("none" if bound is None else f"{bound:.3g}" for bound in fit["range"])
    return f"{line}; m = {fit['depth']:.3g} ({bounds})."


def _show_similarity(entries: list[dict[str, Any]]) -> None:
    title = "Features on the same images: similarity of the conditions"
    table = _table(title, "", "images", "linear CKA", "mean cos of angles", "least cos", "same class")
    for entry in entries:
        cells = (spread_text(entry[key]) for key in ("cka", "mean_cosine", "least_cosine", "agreement"))
        table.add_row(" / ".join(entry["conditions"]), entry["split"], *cells)
    Console().print(table)


def _table(title: str, *columns: str) -> Table:
    table = Table(*columns, title=title, title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    return table
