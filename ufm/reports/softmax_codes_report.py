"""The output of `softmax-codes`."""

from collections.abc import Mapping, Sequence
from typing import Any

from ufm.cli.table import console, table
from ufm.reports.softmax_codes_setting import SoftmaxCodesSetting


def show(setting: SoftmaxCodesSetting, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print a line per K."""
    title = f"Softmax codes in {setting.dim} dimensions: least margin found (a lower bound of the largest)"
    columns = ("K", "margin", "exact value", "best known packing", "margin less it", "|h - w|", "starts", "s")
    found = table(title, *columns, section="codes")
    for entry in rows:
        known = entry["exact"] if entry["packing"] is None else entry["packing"]
        found.add_row(
            str(entry["K"]),
            f"{entry['margin']:.10f}",
            "-" if entry["exact"] is None else f"{entry['exact']:.10f}",
            "-" if entry["packing"] is None else f"{entry['packing']:.8f}",
            "-" if known is None else f"{entry['margin'] - known:.1g}",
            f"{entry['self_duality']:.1g}",
            str(entry["starts"]),
            f"{entry['seconds']:.1f}",
        )
    console().print(found)
