"""Tables of `atlas-compare` and `atlas-scan`."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ufm.atlas.comparison import Comparison, Kind, compare, kind_of, text_of
from ufm.cli.records import read_record
from ufm.errors import RequestError, check
from ufm.specs import LossSpec

SIZES = ("classes", "dim", "per_class")


def read_atlases(folders: list[Path]) -> list[dict[str, Any]]:
    """The records of atlases of one size.

    Raises:
        ValueError: if a folder holds no atlas or sizes differ.
    """
    records = [read_record(folder / "record.json") for folder in folders]
    for folder, record in zip(folders, records, strict=True):
        try:
            _ = [kind_of(row) for row in record["result"]["rows"]], loss_text(record["setting"]["loss"])
            sizes = [(other["setting"][name], record["setting"][name]) for name in SIZES for other in records[:1]]
        except (KeyError, TypeError, AttributeError):
            raise RequestError(f"`--atlases` must be folders of atlases, got {folder}.") from None
        for name, (there, here) in zip(SIZES, sizes, strict=True):
            check(there == here, "--atlases", f"{there} and {here}", f"of the same {name}")
    return records


def comparisons(records: list[dict[str, Any]]) -> list[Comparison]:
    """Every atlas with the first."""
    first, *others = [record["result"]["rows"] for record in records]
    return [compare(first, group) for group in others]


def show_comparison(folders: list[Path], records: list[dict[str, Any]], found: list[Comparison]) -> None:
    """One line per kind with its values in every atlas, then one per comparison with the first."""
    console = _console()
    rows = [record["result"]["rows"] for record in records]
    kinds = sorted({kind_of(row) for group in rows for row in group}, key=lambda kind: (-kind[0], kind[1:]))
    table = Table(title="rows by rank, index, copies and which classes are apart", title_justify="left")
    columns = (f"{folder} {loss_text(r['setting']['loss'])}" for folder, r in zip(folders, records, strict=True))
    for name in ("rank", "index", "copies", "apart", *columns):
        table.add_column(name)
    for kind in kinds:
        cells = (" ".join(f"{row['value']:.6f}" for row in group if kind_of(row) == kind) or "-" for group in rows)
        table.add_row(*map(str, kind), *cells)
    console.print(table)
    for folder, comparison in zip(folders[1:], found, strict=True):
        verdict = "isomorphic" if comparison.is_isomorphic else "NOT isomorphic"
        order = "" if comparison.has_same_order else "; the order of values differs"
        print(f"{folders[0]} and {folder}: {verdict}, {len(comparison.shared)} rows shared{order}.")


def show_scan(entries: list[dict[str, Any]], classes: dict[str, list[Kind]]) -> None:
    """A table of letters, one per isomorphism class, and what tells the classes apart."""
    console = _console()
    losses = list(dict.fromkeys(loss_text(entry["loss"]) for entry in entries))
    table = Table(title="isomorphism class (orbits, labelled copies)", title_justify="left")
    for name in ("bias decay", "c", *losses):
        table.add_column(name)
    for decay_b, strength in dict.fromkeys((entry["decay_b"], entry["strength"]) for entry in entries):
        here = {loss_text(e["loss"]): e for e in entries if (e["decay_b"], e["strength"]) == (decay_b, strength)}
        bias = "none" if decay_b is None else f"{decay_b:g}"
        table.add_row(bias, f"{strength:g}", *(_cell(here.get(loss)) for loss in losses))
    console.print(table)
    for line in differences(classes):
        console.print(line, soft_wrap=True, highlight=False)


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


def loss_text(spec: LossSpec) -> str:
    """`focal 2`."""
    return " ".join(str(value).removesuffix(".0") for value in spec.values())


def _cell(entry: dict[str, Any] | None) -> str:
    if entry is None:
        return "-"
    marks = ["degenerate"] * entry["is_degenerate"] + ["MORSE FAILS"] * (not entry["morse_holds"])
    marks += ["not quiet"] * (not entry["is_quiet"]) + [f"{entry['local_minima']} minima"] * (entry["local_minima"] > 1)
    copies = sum(row["copies"] for row in entry["rows"])
    return f"{entry['class']} ({len(entry['rows'])}, {copies}) {' '.join(marks)}".strip()


def _console() -> Console:
    console = Console()
    if not console.is_terminal:
        console.width = 170
    return console
