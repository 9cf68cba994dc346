"""The output of `deepnet evaluate`, printed and exported."""

import csv
from pathlib import Path
from typing import Any

from deepnet.evaluation.evaluation import Evaluation
from ufm.cli.records import atomic_file
from ufm.cli.table import console, table
from ufm.collapse.cautions import NO_TWO, UNDEFINED

COLUMNS = 6
"""The most evaluations side by side in the printed table; record and export have all."""


def show(found: list[Evaluation]) -> None:
    """Print a table with one row per metric and one column per evaluation."""
    shown = found if len(found) <= COLUMNS else [found[0], *found[1 - COLUMNS :]]
    files = [Path(each.source).name for each in shown]
    made = table(_title(found), "metric", *files, left=["metric"], named=["metric"], own=files)
    undefined = [name for each in found for names in each.undefined.values() for name in names]
    for name in dict.fromkeys([*(name for each in shown for name in each.metrics), *undefined]):
        made.add_row(name, *(f"{each.metrics[name]:.6g}" if name in each.metrics else "-" for each in shown))
    console().print(made)
    if undefined:
        print(f"-: {UNDEFINED}: {', '.join(dict.fromkeys(undefined))}")
    if any(each.samples == each.present for each in found):
        print(f"{NO_TWO}.")


def export(found: list[Evaluation], folder: Path, kind: str) -> Path:
    """Write `metrics.csv` or `metrics.parquet`, with one row per evaluation and layer."""
    rows = [row for each in found for row in each.rows()]
    names = list(dict.fromkeys(name for row in rows for name in row))
    path = folder / f"metrics.{kind}"
    if kind == "csv":
        with atomic_file(path) as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(rows)
        return path
    import pyarrow
    from pyarrow import parquet

    columns: dict[str, list[Any]] = {name: [row.get(name) for row in rows] for name in names}
    with atomic_file(path, "wb") as file:
        parquet.write_table(pyarrow.table(columns), file)
    return path


def _title(found: list[Evaluation]) -> str:
    sizes = dict.fromkeys(
        f"{each.samples} samples of {each.present} classes"
        + (f" ({each.classes - each.present} more have none)" if each.present < each.classes else "")
        + f" in {each.dim} dimensions"
        for each in found
    )
    return sizes.popitem()[0] if len(sizes) == 1 else f"{len(found)} sets of features"
