"""The output of `atlas-compare` and `atlas-scan`."""

from pathlib import Path
from typing import Any

from ufm.atlas.comparison import Comparison, Kind, compare, kind_of, text_of
from ufm.cli.table import console, table
from ufm.cli.words import bias_text, loss_text

WIDTH = 170
"""The width of tables in output that is not a terminal."""


def show_comparison(folders: list[Path], records: list[dict[str, Any]], found: list[Comparison]) -> None:
    """One line per kind with its values in every atlas, then one per comparison with the first."""
    rows = [record["result"]["rows"] for record in records]
    kinds = sorted({kind_of(row) for group in rows for row in group}, key=lambda kind: (-kind[0], kind[1:]))
    atlases = [f"{folder} {loss_text(r['setting']['loss'])}" for folder, r in zip(folders, records, strict=True)]
    columns = ["rank", "index", "copies", "classes", *atlases]
    shown = table(
        "objectives of the rows by rank, index, copies and classes",
        *columns,
        left=columns,
        own=atlases,
        section="atlas",
    )
    for kind in kinds:
        cells = (" ".join(f"{row['value']:.6f}" for row in group if kind_of(row) == kind) or "-" for group in rows)
        shown.add_row(*map(str, kind), *cells)
    console(WIDTH).print(shown)
    for folder, comparison in zip(folders[1:], found, strict=True):
        verdict = "isomorphic" if comparison.is_isomorphic else "NOT isomorphic"
        order = "" if comparison.has_same_order else "; the order of values differs"
        print(f"{folders[0]} and {folder}: {verdict}, {len(comparison.shared)} rows shared{order}.")


def show_scan(entries: list[dict[str, Any]], classes: dict[str, list[Kind]]) -> None:
    """A table of letters, one per isomorphism class, and what tells the classes apart."""
    out, losses = console(WIDTH), list(dict.fromkeys(loss_text(entry["loss"]) for entry in entries))
    columns = ["bias decay", "c", *losses]
    shown = table("isomorphism class (orbits, labelled copies)", *columns, left=columns, own=losses, section="atlas")
    for decay_b, strength in dict.fromkeys((entry["decay_b"], entry["strength"]) for entry in entries):
        here = {loss_text(e["loss"]): e for e in entries if (e["decay_b"], e["strength"]) == (decay_b, strength)}
        shown.add_row(bias_text(decay_b), f"{strength:g}", *(_cell(here.get(loss)) for loss in losses))
    out.print(shown)
    for line in differences(classes):
        out.print(line, soft_wrap=True, highlight=False)


def differences(classes: dict[str, list[Kind]]) -> list[str]:
    """The first isomorphism class row by row, and what each other one has in place of some of its rows."""
    first, *others = classes
    names = ("rank", "index", "copies", "apart")
    rows = {letter: [dict(zip(names, kind, strict=True)) for kind in kinds] for letter, kinds in classes.items()}
    lines = [f"{first}: " + "; ".join(text_of(kind) for kind in classes[first])]
    for letter in others:
        difference = compare(rows[first], rows[letter])
        gained, lost = (
            "; ".join(text_of(kind) for kind in side) or "nothing"
            for side in (difference.only_second, difference.only_first)
        )
        lines.append(f"{letter}: {gained} in place of {lost} of {first}")
    return lines


def _cell(entry: dict[str, Any] | None) -> str:
    if entry is None:
        return "-"
    marks = ["degenerate"] * entry["is_degenerate"] + ["MORSE FAILS"] * (not entry["morse_holds"])
    marks += ["not quiet"] * (not entry["is_quiet"]) + [f"{entry['local_minima']} minima"] * (entry["local_minima"] > 1)
    copies = sum(row["copies"] for row in entry["rows"])
    return f"{entry['class']} ({len(entry['rows'])}, {copies}) {' '.join(marks)}".strip()
