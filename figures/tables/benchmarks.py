"""Ratios of `tests.benchmarks`."""

from typing import Any

from figures.tables.markdown import escaped, markdown


def table(record: dict[str, Any]) -> str:
    """One row a ratio: what it compares, both sides, what is wanted."""
    rows = [["target", "what", "median (spread)", "against", "per", "ratio", "wanted", "met"]]
    for row in record["result"]["rows"]:
        sides = (_time(row["ours"]), _time(row["other"]))
        met = {None: "", True: "yes", False: "**no**"}[row["is_met"]]
        wanted = row["wanted"].replace(">=", "≥").replace("<=", "≤")
        rows.append([row["target"], escaped(row["what"]), *sides, row["unit"], f"{row['ratio']:.3g}", wanted, met])
    caption = f"`{record['command']}`, {record['machine']}, {record['result']['seconds']:.0f} s in all."
    return f"{markdown(rows)}\n\n{caption}"


def _time(seconds: dict[str, float]) -> str:
    factor, unit = next(
        (f, u) for f, u in ((1, "s"), (1e3, "ms"), (1e6, "µs")) if seconds["median"] * f >= 1 or f > 1e3
    )
    low, high = (f"{seconds[name] * factor:.3g}" for name in ("least", "most"))
    spread = f" ({low} to {high})" if low != high else ""
    return f"{seconds['median'] * factor:.3g} {unit}{spread}"
