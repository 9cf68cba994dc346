"""Every claim of `theory_checks`."""

from collections import Counter
from typing import Any

from figures import claims
from figures.tables.markdown import escaped, markdown


def table(record: dict[str, Any]) -> str:
    """Claim, source, rank of the evidence, margin, seconds."""
    rows = [["claim", "source", "evidence", "margin", "s", ""]]
    for row in record["result"]["rows"]:
        claim, verdict = row["claim"], row["verdict"]
        path = f"theory_checks/{claim['name']}.py"
        found = [verdict["rigour"], claims.margin_text(verdict)] if verdict else ["not run", "-"]
        outcome = "holds" if row["holds"] else "**fails**"
        rows.append(
            [f"[{escaped(claim['sentence'])}]({path})", claim["source"], *found, f"{row['seconds']:.1f}", outcome]
        )
    counts = Counter(row["verdict"]["rigour"] for row in record["result"]["rows"] if row["verdict"])
    ranks = ", ".join(f"{counts[rank]} {rank}" for rank in claims.RIGOUR)
    seconds = record["result"]["seconds"]
    return f"{markdown(rows)}\n\n`{record['command']}`, {record['machine']}: {ranks}; {seconds:.0f} s in all."
