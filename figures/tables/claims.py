"""Every claim of `theory_checks`, one table a theme."""

from collections import Counter
from itertools import groupby
from typing import Any

from figures import claims
from figures.tables.markdown import escaped, markdown

HEAD = ["claim", "source", "evidence", "margin", "s", ""]


def table(record: dict[str, Any]) -> str:
    """Claim, source, rank of the evidence, margin, seconds, under a heading for each theme."""
    rows = record["result"]["rows"]
    parts = [
        f"## {theme.capitalize()}\n\n{markdown([HEAD, *map(_row, group)])}"
        for theme, group in groupby(rows, key=lambda row: row["claim"]["theme"])
    ]
    counts = Counter(row["verdict"]["rigour"] for row in rows if row["verdict"])
    ranks = ", ".join(f"{counts[rank]} {rank}" for rank in claims.RIGOUR)
    seconds = record["result"]["seconds"]
    caption = f"`{record['command']}`, {record['machine']}: {len(rows)} claims ({ranks}); {seconds:.0f} s in all."
    return "\n\n".join([caption, *parts])


def _row(row: dict[str, Any]) -> list[str]:
    claim, verdict = row["claim"], row["verdict"]
    found = [verdict["rigour"], claims.margin_text(verdict)] if verdict else ["not run", "-"]
    sentence = f"[{escaped(claim['sentence'])}](theory_checks/{claim['name']}.py)"
    return [sentence, claim["source"], *found, f"{row['seconds']:.1f}", "holds" if row["holds"] else "**fails**"]
