"""`python -m theory_checks`: the theorem table, a row per claim with source, rank of evidence, margin and verdict."""

import re
from pathlib import Path
from typing import Any

from figures.style import COLOURS, COLUMN, in_our_style, outside_legend, save, subplots
from ufm.cli.words import margin_text

RECORDS = {"claims": "python -m theory_checks --json figures/data/claims.json"}
JOB = "claims"

RIGOUR = dict(zip(("symbolic", "interval", "certificate", "numeric"), COLOURS, strict=False))
"""Ranks of evidence, strongest first."""
MOST_LETTERS = 28
"""Of a source without a year."""
SOURCE, RANK, MARGIN, VERDICT, END = 3.7, 5.5, 5.65, 6.5, 7.1
"""Where the columns begin, in inches, and the width of all."""


@in_our_style
def draw(record: dict[str, Any], path: Path) -> Path:
    """A row per claim; claims that fail or did not run are written large."""
    rows = record["result"]["rows"]
    figure, axes = subplots(figsize=(1.2 * COLUMN, 0.19 * len(rows) + 0.8), is_wide=True)
    for place, row in enumerate(rows):
        verdict = row["verdict"]
        axes.scatter(RANK, place, marker="s", s=40, color=RIGOUR[verdict["rigour"]] if verdict else "0.8")
        words = (row["claim"]["name"].replace("_", " "), paper(row["claim"]["source"]))
        for x, text in zip((0, SOURCE), words, strict=True):
            axes.text(x, place, text, va="center", fontsize=7)
        margin = margin_text(verdict["margin"], verdict["margin_is"]) if verdict else "-"
        axes.text(MARGIN, place, margin, va="center", fontsize=7)
        axes.text(VERDICT, place, _outcome(row), va="center", fontsize=7, weight="normal" if row["holds"] else "bold")
    for x, text in zip((0, SOURCE, MARGIN, VERDICT), ("claim", "source", "margin", "verdict"), strict=True):
        axes.text(x, -1.2, text, va="center", fontsize=7, weight="bold")
    for name, colour in RIGOUR.items():
        axes.scatter([], [], marker="s", color=colour, label=name)
    axes.set(xlim=(0, END), ylim=(len(rows) - 0.5, -1.8))
    axes.axis("off")
    outside_legend(figure, loc="outside upper center", ncols=len(RIGOUR))
    return save(figure, path)


def paper(source: str) -> str:
    """Authors, the first of more than two, and year; of what no paper says, that it is derived here."""
    if source.startswith("derived here"):
        return "derived here"
    found = re.match(r"(.*?)(?: et al\.)? ((?:19|20)\d\d)\b", source)
    if found is None:
        return source[:MOST_LETTERS]
    authors = re.split(", | and ", found[1])
    return f"{authors[0]} et al. {found[2]}" if len(authors) > 2 or " et al." in found[0] else found[0]


def _outcome(row: dict[str, Any]) -> str:
    if row["verdict"] is None:
        return "NOT RUN"
    return "holds" if row["holds"] else "FAILS"
