"""Rows as a table for people and as a result for the record."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from theory_checks.listing import Row
from theory_checks.verdict import DIGITS


def show_all(rows: Sequence[Row]) -> None:
    """The table, and how many rows ended how."""
    console = Console()
    if not console.is_terminal:
        console.width = 170
    table = Table(title="Claims of the literature, by theme", title_justify="left", show_lines=True)
    table.add_column("claim", ratio=5)
    table.add_column("source", ratio=2)
    for column, justify in (("rigour", "left"), ("margin", "right"), ("seconds", "right"), ("verdict", "left")):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    for row in rows:
        what = row.claim.sentence if row.verdict else f"{row.claim.sentence} [bold red]Not run: {row.not_run}[/]"
        rigour, margin = (
            (row.verdict.rigour, margin_text(row.verdict.margin, row.verdict.margin_is)) if row.verdict else ("-", "-")
        )
        table.add_row(
            f"[bold]{row.claim.name}[/]\n{what}", row.claim.source, rigour, margin, f"{row.seconds:.1f}", status(row)
        )
    console.print(table)
    console.print(summary(rows), soft_wrap=True, highlight=False)


def show_one(row: Row) -> None:
    """The claim as its file states it, and the evidence line by line."""
    console = Console(soft_wrap=True, highlight=False)
    console.print(row.claim.text, markup=False)
    console.rule(style="dim")
    if row.verdict is None:
        console.print(f"[bold red]not run[/]: {row.not_run}")
        return
    verdict = row.verdict
    for finding in verdict.findings:
        console.print(f"{'yes' if finding.holds else 'NO '}  {finding.text}", markup=False)
    starts = "" if verdict.starts is None else f"; random starts: {verdict.starts}"
    worst = "" if verdict.worst is None else f"; worst deviation: {verdict.worst:.2g}"
    console.print(f"covered: {verdict.sizes}{starts}{worst}", markup=False)
    console.print(f"margin: {margin_text(verdict.margin, verdict.margin_is)} ({verdict.margin_is})", markup=False)
    console.print(f"{verdict.rigour}, {row.seconds:.1f} s: {status(row)}")


def progress_line(row: Row) -> str:
    """One line as a row comes in."""
    return f"{status(row)}  {row.claim.name} ({row.seconds:.1f} s)" + (f": {row.not_run}" if row.not_run else "")


def status(row: Row) -> str:
    """`holds`, `FAILS` or `not run`, in colour."""
    if row.verdict is None:
        return "[bold red]not run[/]"
    return "[green]holds[/]" if row.holds else "[bold red]FAILS[/]"


def margin_text(margin: float | None, margin_is: str) -> str:
    """The number, with its unit where it is digits, or `exact`."""
    if margin is None:
        return "exact"
    return f"{margin:.1f} digits" if margin_is == DIGITS else f"{margin:.2g}"


def summary(rows: Sequence[Row]) -> str:
    """How many claims, of which rank, and how many hold, fail or were not run."""
    rigour = Counter(row.verdict.rigour for row in rows if row.verdict)
    failed = sum(row.verdict is not None and not row.holds for row in rows)
    not_run = sum(row.verdict is None for row in rows)
    ranks = ", ".join(f"{count} {name}" for name, count in rigour.most_common())
    return f"{len(rows)} claims ({ranks}): {sum(row.holds for row in rows)} hold, {failed} fail, {not_run} not run"


def as_result(rows: Sequence[Row], seconds: float) -> dict[str, Any]:
    """The record's result."""
    fields = [{**dataclasses.asdict(row), "holds": row.holds} for row in rows]
    return {"rows": fields, "holds": all(row.holds for row in rows), "seconds": seconds}
