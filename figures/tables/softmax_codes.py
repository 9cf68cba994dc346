"""Best margins of softmax codes, beside what is known."""

from typing import Any

from figures.tables.markdown import markdown


def table(record: dict[str, Any]) -> str:
    """A column per number of classes."""
    rows = record["result"]["rows"]
    known = [row["packing"] if row["exact"] is None else row["exact"] for row in rows]
    lines = [
        ["classes", *(str(row["K"]) for row in rows)],
        ["margin found", *(f"{row['margin']:.6f}" for row in rows)],
        ["best known", *("-" if value is None else f"{value:.6f}" for value in known)],
        ["largest h - w", *(f"{row['self_duality']:.0e}" for row in rows)],
    ]
    setting = record["setting"]
    return f"{markdown(lines)}\n\n`{record['command']}`, d = {setting['dim']}, {setting['starts']} starts for each K."
