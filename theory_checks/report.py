"""The output of `theory_checks`: rows as a table, one row with its evidence."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from theory_checks.listing import Row
from ufm.cli.table import console
from ufm.cli.words import margin_text

WIDTH = 170
"""Of the table where there is no terminal."""


def show_all(rows: Sequence[Row]) -> None:
    """Print the table, and the number of rows of each status."""
    out = console(WIDTH)
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
    out.print(table)
    out.print(summary(rows), soft_wrap=True, highlight=False)


def show_one(row: Row) -> None:
    """Print the claim as its file states it, and the evidence line by line."""
    out = Console(soft_wrap=True, highlight=False)
    out.print(row.claim.text, markup=False)
    out.rule(style="dim")
    if row.verdict is None:
        out.print(f"[bold red]not run[/]: {row.not_run}")
        return
    verdict = row.verdict
    for finding in verdict.findings:
        out.print(f"{'yes' if finding.holds else 'NO '}  {finding.text}", markup=False)
    starts = "" if verdict.starts is None else f"; random starts: {verdict.starts}"
    worst = "" if verdict.worst is None else f"; worst deviation: {verdict.worst:.2g}"
    out.print(f"covered: {verdict.sizes}{starts}{worst}", markup=False)
    out.print(f"margin: {margin_text(verdict.margin, verdict.margin_is)} ({verdict.margin_is})", markup=False)
    out.print(f"{verdict.rigour}, {row.seconds:.1f} s: {status(row)}")


def progress_line(row: Row) -> str:
    """The line that is printed when a row is finished."""
    return f"{status(row)}  {row.claim.name} ({row.seconds:.1f} s)" + (f": {row.not_run}" if row.not_run else "")


def status(row: Row) -> str:
    """`holds`, `FAILS` or `not run`, in colour."""
    if row.verdict is None:
        return "[bold red]not run[/]"
    return "[green]holds[/]" if row.holds else "[bold red]FAILS[/]"


def summary(rows: Sequence[Row]) -> str:
    """A sentence on the number of claims by rank, and of those that hold, fail or were not run."""
    rigour = Counter(row.verdict.rigour for row in rows if row.verdict)
    failed = sum(row.verdict is not None and not row.holds for row in rows)
    not_run = sum(row.verdict is None for row in rows)
    ranks = ", ".join(f"{count} {name}" for name, count in rigour.most_common())
    return f"{len(rows)} claims ({ranks}): {sum(row.holds for row in rows)} hold, {failed} fail, {not_run} not run"
