"""The attack on the landscape theorems: end points by number of classes."""

from typing import Any

from figures.tables.markdown import markdown

COUNTS = {
    "problems": "problems",
    "starts": "starts",
    "converged": "converged",
    "elsewhere": "elsewhere",
    "spurious": "spurious",
    "below": "below the minimum",
}


def table(record: dict[str, Any]) -> str:
    """A line for each number of classes, summed over samples a class and kinds of bias, and one for all."""
    rows = record["result"]["rows"]
    lines = [["K", "n", *COUNTS.values()]]
    for K in sorted({row["K"] for row in rows}):
        own = [row for row in rows if row["K"] == K]
        lines.append([str(K), ", ".join(map(str, sorted({row["n"] for row in own}))), *_sums(own)])
    lines.append(["all", "", *_sums(rows)])
    return f"{markdown(lines)}\n\n`{record['command']}`, {record['machine']}."


def _sums(rows: list[dict[str, Any]]) -> list[str]:
    return [f"{sum(row.get(name, 0) for row in rows):,}" for name in COUNTS]
