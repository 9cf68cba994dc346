"""Isomorphism classes of many atlases."""

from typing import Any

from figures.style import loss_name
from figures.tables import atlas_scan_summary
from figures.tables.markdown import markdown

SHOWN_BIASES = (0.01, None)


def table(record: dict[str, Any]) -> str:
    """Isomorphism classes by bias decay and strength, one column a loss."""
    entries = record["result"]["entries"]
    losses = list(dict.fromkeys(loss_name(entry["loss"]) for entry in entries))
    rows = [["bias decay", "c", *losses]]
    for decay_b, strength in dict.fromkeys((entry["decay_b"], entry["strength"]) for entry in entries):
        if decay_b not in SHOWN_BIASES:
            continue
        here = {loss_name(e["loss"]): e for e in entries if (e["decay_b"], e["strength"]) == (decay_b, strength)}
        cells = (f"{here[loss]['class']} ({len(here[loss]['rows'])})" for loss in losses)
        rows.append(["none" if decay_b is None else f"{decay_b:g}", f"{strength:g}", *cells])
    return f"{markdown(rows)}\n\n{atlas_scan_summary.table(record)}"
