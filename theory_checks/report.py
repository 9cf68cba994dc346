"""The output of `theory_checks`: rows as a table, one row with its evidence."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Console

from theory_checks.listing import Row
from theory_checks.notation import symbols_in
from theory_checks.verdict import Verdict
from ufm.cli.table import Marked, console, marked, table
from ufm.cli.words import margin_text

WIDTH = 170
"""Of the table where there is no terminal."""


def show_all(rows: Sequence[Row]) -> None:
    """Print the table, and the number of rows of each status."""
    out = console(WIDTH)
    text = ("claim", "source", "rigour", "verdict")
    found = table(
        "Claims of the literature, by theme",
        "claim",
        "source",
        "rigour",
        "margin",
        "seconds",
        "verdict",
        left=text,
        named=["rigour"],
        section="checks",
        lines=True,
    )
    for row in rows:
        what = marked(row.claim.sentence)
        what += "" if row.verdict else f" [bold red]Not run: {marked(row.not_run)}[/]"
        rigour, margin = (
            (row.verdict.rigour, margin_text(row.verdict.margin, row.verdict.margin_is)) if row.verdict else ("-", "-")
        )
        found.add_row(
            Marked(f"[bold]{row.claim.name}[/]\n{what}"),
            row.claim.source,
            rigour,
            margin,
            f"{row.seconds:.1f}",
            status(row),
        )
    out.print(found)
    out.print(summary(rows), soft_wrap=True, highlight=False)


def show_one(row: Row, twin: Verdict | str) -> None:
    """Print the claim as its file states it, its symbols, the evidence line by line, and what became of its twin."""
    out = Console(soft_wrap=True, highlight=False)
    out.print(row.claim.text, markup=False)
    out.print("\nSymbols, where the text has no other meaning for them:", markup=False)
    for symbol, meaning in symbols_in(row.claim.text).items():
        out.print(f"    {symbol:8}{meaning}", markup=False)
    out.rule(style="dim")
    if row.verdict is None:
        out.print(f"[bold red]not run[/]: {marked(row.not_run)}")
        return
    verdict = row.verdict
    for finding in verdict.findings:
        out.print(f"{'yes' if finding.holds else 'NO '}  {finding.text}", markup=False)
    starts = "" if verdict.starts is None else f"; random starts: {verdict.starts}"
    worst = "" if verdict.worst is None else f"; worst deviation: {verdict.worst:.2g}"
    out.print(f"covered: {verdict.sizes}{starts}{worst}", markup=False)
    out.print(f"margin: {margin_text(verdict.margin, verdict.margin_is)} ({verdict.margin_is})", markup=False)
    out.print(f"false twin: {twin_text(twin)}", markup=False)
    out.print(f"{verdict.rigour}, {row.seconds:.1f} s: {status(row)}")


def twin_text(twin: Verdict | str) -> str:
    """Whether the same check refused the false variant, and where; a check that does not is worth nothing."""
    if isinstance(twin, str):
        return f"not run just now: {twin}"
    refused = [finding.text for finding in twin.findings if not finding.holds]
    return f"refused just now, at: {refused[0]}" if refused else "NOT REFUSED: this check does not see the difference"


def progress_line(row: Row) -> str:
    """The line that is printed when a row is finished."""
    reason = f": {row.not_run}" if row.not_run else ""
    return Marked(f"{status(row)}  {marked(f'{row.claim.name} ({row.seconds:.1f} s){reason}')}")


def status(row: Row) -> str:
    """`holds`, `FAILS` or `not run`, in colour."""
    if row.verdict is None:
        return Marked("[bold red]not run[/]")
    return Marked("[green]holds[/]" if row.holds else "[bold red]FAILS[/]")


def summary(rows: Sequence[Row]) -> str:
    """A sentence on the number of claims by rank, and of those that hold, fail or were not run."""
    rigour = Counter(row.verdict.rigour for row in rows if row.verdict)
    failed = sum(row.verdict is not None and not row.holds for row in rows)
    not_run = sum(row.verdict is None for row in rows)
    ranks = ", ".join(f"{count} {name}" for name, count in rigour.most_common())
    return f"{len(rows)} claims ({ranks}): {sum(row.holds for row in rows)} hold, {failed} fail, {not_run} not run"
