"""Softmax codes as rows of a record and as a table."""

import time
from typing import Any

from rich.console import Console
from rich.table import Table

from ufm.reports.softmax_codes_setting import SoftmaxCodesSetting
from ufm.theory.softmax_codes import exact_margin, find_softmax_code, packing_margin


def row(setting: SoftmaxCodesSetting, K: int) -> dict[str, Any]:
    """The best code of K classes, what is known about it, and the code itself."""
    began = time.perf_counter()
    code = find_softmax_code(K, setting.dim, setting.starts, setting.seed)
    return {
        "K": K,
        "margin": code.margin,
        "exact": exact_margin(K, setting.dim),
        "packing": packing_margin(K, setting.dim),
        "self_duality": code.self_duality,
        "starts": code.starts,
        "seconds": time.perf_counter() - began,
        "W": code.W,
        "H": code.H,
    }


def show(setting: SoftmaxCodesSetting, rows: list[dict[str, Any]]) -> None:
    """A line per K."""
    title = f"Softmax codes in {setting.dim} dimensions: least margin found (a lower bound of the largest)"
    table = Table(title=title, title_justify="left")
    for column in ("K", "margin", "exact value", "best known packing", "margin less it", "|h - w|", "starts", "s"):
        table.add_column(column, justify="right")
    for entry in rows:
        known = entry["exact"] if entry["packing"] is None else entry["packing"]
        table.add_row(
            str(entry["K"]),
            f"{entry['margin']:.10f}",
            "-" if entry["exact"] is None else f"{entry['exact']:.10f}",
            "-" if entry["packing"] is None else f"{entry['packing']:.8f}",
            "-" if known is None else f"{entry['margin'] - known:.1g}",
            f"{entry['self_duality']:.1g}",
            str(entry["starts"]),
            f"{entry['seconds']:.1f}",
        )
    Console(width=120).print(table)
