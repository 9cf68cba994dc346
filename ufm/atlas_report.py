"""An atlas in words: the table, the Morse relations, and whether the claims hold."""

import dataclasses
from typing import Any

from rich.console import Console
from rich.table import Table

from ufm import morse
from ufm.atlas import Atlas
from ufm.certificate import certify
from ufm.margin_enclosure import enclose_margin
from ufm.orbit import Row, critical_set

SIGNIFICANT = 1e-9
"""A saddle is shown to be strict where the curvature is below minus this."""


def morse_result(atlas: Atlas) -> dict[str, Any]:
    """The Morse relations in every dimension; what they would notice if a row, or two rows together, were absent."""
    rows = [critical_set(row) for row in atlas.rows]
    return {
        "is_applicable": not any(row.is_degenerate for row in atlas.rows),
        "dimensions": [
            dataclasses.asdict(verdict) | {"holds": verdict.holds}
            for verdict in morse.check_all(rows, atlas.dimensions)
        ],
        "noticed_without": morse.noticed(rows, atlas.dimensions),
        "unnoticed_pairs": morse.unnoticed_pairs(rows, atlas.dimensions),
    }


def claims(atlas: Atlas, relations: dict[str, Any]) -> dict[str, bool]:
    """What has to hold: every row above the lowest a strict saddle, none degenerate, the Morse relations."""
    return {
        "every row above the lowest is a strict saddle": all(is_strict_saddle(row) for row in atlas.rows[1:]),
        "no row is degenerate": not any(row.is_degenerate for row in atlas.rows),
        "Morse relations hold": all(entry["holds"] for entry in relations["dimensions"]),
    }


def is_strict_saddle(row: Row) -> bool:
    """Whether the direction given has negative curvature."""
    return row.index > 0 and row.curvature < -SIGNIFICANT


def minimum(atlas: Atlas) -> dict[str, Any]:
    """Evidence about the lowest row: its duality gap (convex losses), and the enclosure of the ETF's margin."""
    problem, lowest = atlas.problem, atlas.rows[0]
    gap = float(certify(problem, atlas.embedded(lowest)).gap) if problem.loss.is_convex else None
    margin = enclose_margin(problem) if problem.d >= problem.K - 1 else None  # else the ETF does not fit
    return {"duality_gap": gap, "etf_margin": margin and dataclasses.asdict(margin)}


def show(atlas: Atlas, result: dict[str, Any]) -> None:
    """Print the table and what Morse theory says."""
    console = Console()
    if not console.is_terminal:
        console.width = 150
    console.print(_table(atlas))
    for line in summary(atlas, result):
        console.print(line, soft_wrap=True, highlight=False)


def summary(atlas: Atlas, result: dict[str, Any]) -> list[str]:
    """What a reader must know beside the table."""
    statuses = ", ".join(f"{count} {name.lower().replace('_', ' ')}" for name, count in atlas.statuses.items() if count)
    farthest = max((row.farthest for row in atlas.rows), default=0.0)
    relations = result["morse"]
    lines = [
        f"{len(atlas.rows)} orbits, {sum(row.copies for row in atlas.rows)} labelled copies, "
        f"{sum(len(row.copies_found) for row in atlas.rows)} of their class copies met; {len(atlas.rounds)} rounds "
        f"in {atlas.seconds:.1f} s, {atlas.quiet_rounds} since the last new orbit; starts: {statuses}.",
        f"Logits differ by at most {farthest:.1e} within a row"
        + (f", between rows by at least {result['separation']:.1e}." if len(atlas.rows) > 1 else "."),
    ]
    if result["duality_gap"] is not None:
        lines.append(
            f"No point is lower than row 1 by more than {result['duality_gap']:.1e} (certificate, duality gap)."
        )
    if (margin := result["etf_margin"]) is not None:
        below = "below" if margin["is_below_zero"] else "not proved to be below"
        lines.append(f"ETF margin a in {margin['text']} ({margin['precision']} bits), {below} zero's value.")
    if not relations["is_applicable"]:
        return [*lines, "Morse relations: not applicable, a row is degenerate."]
    for entry in relations["dimensions"]:
        begin = " + ".join(f"{c} t^{i}" for i, c in enumerate(entry["equivariant"]) if c)[:60]
        parts = [
            f"equivariant {_word(entry['equivariant_holds'])} (R = {begin or '0'}{' ...' if begin else ''})",
            f"plain {_word(entry['plain_holds'])}",
            f"Euler sum {entry['euler']}" + ("" if entry["euler"] == 1 else ", must be 1"),
        ]
        lines.append(f"Morse relations in dimension {entry['dimension']}: {', '.join(parts)}.")
    return [*lines, _missing(relations)]


def _missing(relations: dict[str, Any]) -> str:
    """What a missing orbit would do."""
    noticed = relations["noticed_without"]
    blind = [number + 1 for number, entry in enumerate(noticed) if not any(entry.values())]
    by = {name: sum(bool(entry[name]) for entry in noticed) for name in ("equivariant", "plain", "euler")}
    counts = ", ".join(f"{name} {count}" for name, count in by.items())
    if blind:
        return f"Rows whose absence no relation would notice: {', '.join(map(str, blind))} (noticed by: {counts})."
    pairs = ", ".join(f"{i + 1} and {j + 1}" for i, j in relations["unnoticed_pairs"])
    together = f"; not that of two together: {pairs}" if pairs else ", and of any two together"
    return f"The absence of any single row would be noticed{together}; of {len(noticed)} by: {counts}."


def _word(holds: bool) -> str:
    return "holds" if holds else "FAILS"


def _table(atlas: Atlas) -> Table:
    problem = atlas.problem
    decay_b = "none" if problem.decay_b is None else f"{problem.decay_b:g}"
    title = (
        f"{problem.loss}, K = {problem.K}, d = {problem.d}, n = {problem.n}, "
        f"decays W {problem.decay_W:g}, H {problem.decay_H:g}, b {decay_b}"
    )
    table = Table(title=title, title_justify="left")
    names = ("", "value", "rank", "negative", "zero", "copies", "met", "apart", "found", "curvature", "along", "proved")
    for name in names:
        table.add_column(name, justify="left" if name in ("apart", "along", "proved") else "right")
    for number, row in enumerate(atlas.rows, 1):
        zero = f"{row.nullity}" + (f" (not {row.expected_nullity})" if row.is_degenerate else "")
        along = row.direction_is if row.index else "minimum"
        cells = (f"{row.value:.10f}", str(row.rank), str(row.index), zero, _copies(row), str(len(row.copies_found)))
        table.add_row(
            str(number), *cells, row.apart, str(row.found), f"{row.curvature:.4f}", along, proved(row.certificate)
        )
    return table


def _copies(row: Row) -> str:
    if row.manifold:
        return "set"
    return str(row.class_copies) if row.sample_copies == 1 else f"{row.class_copies} x {row.sample_copies}"


def proved(certificate: dict[str, Any] | None) -> str:
    """What the ball says."""
    if certificate is None:
        return "-"
    if not certificate["is_proved"]:
        return "not proved"
    index = certificate["index"] if certificate["is_index_exact"] else f">= {certificate['index']}"
    return f"index {index}, ball {certificate['radius']:.0e}"
