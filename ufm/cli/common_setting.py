"""Options that commands share: where they write, their seed and device, what they resume; settings that are stored."""

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ufm.cli.field_types import check_types
from ufm.errors import check, option

OF_THE_SCREEN = ("explain", "details")
"""Options that say what is printed, not what is computed; no record has them."""


@dataclass(frozen=True, kw_only=True)
class OutputSetting:
    """The options of every command on where it writes."""

    out: Path | None = None
    """Folder for what the command writes; must not exist or be empty. Default: results/<command>-<time>."""
    json: Path | None = None
    """File for the machine-readable record; must not exist. Default: record.json in the output folder."""

    def __post_init__(self) -> None:
        check_types(type(self), vars(self))
        if self.json is None:
            return
        resumed = getattr(self, "resume", None)
        for folder in filter(None, (self.out, resumed)):
            allowed = f"a file that is not in the folder {folder}, nor that folder"
            check(not _is_within(self.json, folder), "--json", self.json, allowed)
        folder = self.out or resumed or Path("results")
        check(not _is_within(folder, self.json), "--json", self.json, f"no folder of the results, {folder}")

    def as_dict(self) -> dict[str, Any]:
        """The setting as plain values for a record."""
        return dataclasses.asdict(self)


def _is_within(path: Path, folder: Path) -> bool:
    """Whether a path is the folder or lies in it, after following links."""
    place = os.path.realpath(folder)
    return os.path.commonpath([os.path.realpath(path), place]) == place


@dataclass(frozen=True, kw_only=True)
class TableSetting(OutputSetting):
    """The options of commands that print tables."""

    explain: bool = False
    """Explain every row and column below the tables, in a sentence each."""

    def as_dict(self) -> dict[str, Any]:
        """The setting as plain values for a record, which is the same whatever is printed."""
        return {name: value for name, value in super().as_dict().items() if name not in OF_THE_SCREEN}


@dataclass(frozen=True, kw_only=True)
class CommonSetting(TableSetting):
    """The options of commands that draw random numbers and compute with torch."""

    seed: int = 0
    """Seed of everything random, >= 0."""
    device: str = "cpu"
    """Torch device to compute on: cpu, cuda, cuda:1, mps."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(0 <= self.seed < 2**63, "--seed", self.seed, "an integer in [0, 2^63)")


@dataclass(frozen=True, kw_only=True)
class ResumableSetting(CommonSetting):
    """The options of a command that can resume earlier work; the stored setting then replaces the defaults.

    Attributes:
        given: the fields that the command line or its YAML file named, defaults left out; no option itself.
    """

    given: frozenset[str] = field(default=frozenset(), compare=False, repr=False)

    def as_dict(self) -> dict[str, Any]:
        """The setting as plain values for a record."""
        return {name: value for name, value in super().as_dict().items() if name != "given"}


Setting = TypeVar("Setting", bound=OutputSetting)


def stored_setting(kind: type[Setting], values: Mapping[str, Any]) -> Setting:
    """The setting with these values, which may come from elsewhere, and defaults for missing ones.

    Raises:
        ValueError: if a field does not exist, or a value is not of its type or refused by the setting.
    """
    names = {field.name for field in dataclasses.fields(kind)}
    for name, value in values.items():
        check(name in names, option(name), value, "left out: there is no such option")
    check_types(kind, values)
    return kind(**values)
