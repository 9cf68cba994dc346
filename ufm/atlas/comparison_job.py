"""The command `atlas-compare`: it compares the first of several stored atlases with each of the others."""

import dataclasses
from pathlib import Path
from typing import Any, TypedDict

from ufm.atlas.comparison import Comparison, compare
from ufm.atlas.comparison_report import show_comparison
from ufm.atlas.setting import AtlasCompareSetting
from ufm.cli.field_types import is_of
from ufm.cli.job import Job
from ufm.cli.records import read_record
from ufm.cli.resume import RECORD
from ufm.cli.words import loss_text
from ufm.errors import RequestError, check

SIZES = ("classes", "dim", "per_class")
COMPARED = {"rank": int, "index": int, "copies": int, "apart": str, "value": float}
"""What is compared of a row, and its type."""


def read_atlases(folders: list[Path]) -> list[dict[str, Any]]:
    """Read the records of atlases, which must be of one size.

    Raises:
        ValueError: if a folder holds no atlas or sizes differ.
    """
    records = [read_record(folder / RECORD) for folder in folders]
    for folder, record in zip(folders, records, strict=True):
        try:
            loss_text(record["setting"]["loss"])  # as the comparison will name it
            is_atlas = all(
                is_of(row[name], kind) for row in record["result"]["rows"] for name, kind in COMPARED.items()
            )
            check(is_atlas, "--atlases", folder, "folders of atlases")
            sizes = [(other["setting"][name], record["setting"][name]) for name in SIZES for other in records[:1]]
        except (KeyError, TypeError, AttributeError):
            raise RequestError(f"`--atlases` must be folders of atlases, got {folder}.") from None
        for name, (there, here) in zip(SIZES, sizes, strict=True):
            check(there == here, "--atlases", f"{there} and {here}", f"of the same {name}")
    return records


def comparisons(records: list[dict[str, Any]]) -> list[Comparison]:
    """The comparison of every atlas with the first."""
    first, *others = [record["result"]["rows"] for record in records]
    return [compare(first, group) for group in others]


class Comparisons(TypedDict):
    """The contents of the record.

    Attributes:
        comparisons: of the first atlas with each other one: the fields of `Comparison`, and `is_isomorphic`.
    """

    comparisons: list[dict[str, Any]]


class CompareAtlases(Job[AtlasCompareSetting, Comparisons]):
    """The job of `atlas-compare`: rows side by side, and verdicts."""

    name = "atlas-compare"

    def __init__(self, setting: AtlasCompareSetting) -> None:
        super().__init__(setting)
        self._records = read_atlases(setting.atlases)
        self._found: list[Comparison] = []

    def compute(self) -> Comparisons:
        """The comparison of every atlas with the first."""
        self._found = comparisons(self._records)
        entries = [dataclasses.asdict(entry) | {"is_isomorphic": entry.is_isomorphic} for entry in self._found]
        return {"comparisons": entries}

    def show(self, result: Comparisons) -> None:
        """Print a line per kind and a sentence per comparison."""
        show_comparison(self.setting.atlases, self._records, self._found)

    def exit_code(self, result: Comparisons) -> int:
        """1 if an atlas is not isomorphic to the first."""
        return 0 if all(entry["is_isomorphic"] for entry in result["comparisons"]) else 1
