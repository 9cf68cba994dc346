"""Filling of a folder with the rows of a grid: only missing rows are computed, and finished ones survive a kill."""

import math
import os
from collections.abc import Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

from rich.progress import Progress

from ufm.device import torch_device
from ufm.engine.map_units import map_units
from ufm.errors import check
from ufm.parallel import local_workers, one_torch_thread
from ufm.scan.cells import Cell, Row, Unit, cell_id, cells_of, plan, units_of
from ufm.scan.memory import unit_bytes
from ufm.scan.outcomes import solve
from ufm.scan.setting import ScanSetting
from ufm.scan.shards import read_rows, write_shard


class Scan:
    """A grid, and the units of work of all grids of its folder up to this one.

    Raises:
        ValueError: if the grid, the loss, a model or the device cannot be, or a unit does not fit into memory.
    """

    def __init__(self, setting: ScanSetting, grids: Sequence[dict[str, str]] = ()) -> None:
        self.setting = setting
        self.is_local = setting.engine.name == "local"
        if self.is_local:
            torch_device(setting.device)
        self.cells: Sequence[Cell] = cells_of(setting)
        self.ids = [cell_id(cell, setting) for cell in self.cells]
        is_first = not grids or list(grids) == [setting.grid]
        self.units = units_of(self.cells, setting) if is_first else plan(setting, grids)
        self.workers = min(local_workers(setting.device, setting.workers), len(self.units)) if self.is_local else 0
        self.bytes = max(1, self.workers) * max(map(unit_bytes, self.units))
        allowed = self._memory()
        fits = self.bytes <= allowed
        check(fits, "--starts", setting.starts, f"fewer: {self.bytes / 1e9:.1f} of {allowed / 1e9:.1f} GB allowed")

    def _memory(self) -> float:
        """The bytes allowed for a unit: half of this machine's memory, or that asked for on a cluster."""
        if self.is_local:
            return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2
        promised = self.setting.engine.memory
        return math.inf if promised is None else promised * 1e9

    @property
    def without_simplex(self) -> str:
        """A sentence on the cells with d < K - 1, in which no simplex fits; empty if there is none."""
        count = sum(cell.dim < cell.classes - 1 for cell in self.cells)
        if not count:
            return ""
        return (
            f"in {count} of {len(self.cells)} cells d < K - 1: no simplex fits, so that no start can end in the ETF; "
            "theory predicts nothing but zero, and where it becomes stable; ends with all classes active are other"
        )

    def missing(self, folder: Path) -> list[Unit]:
        """The units with cells of this grid that are not computed yet."""
        done, wanted = read_rows(folder), set(self.ids)
        return [unit for unit in self.units if any(name in wanted and name not in done for name in unit.ids)]

    def fill(self, folder: Path, progress: Progress) -> list[dict[str, Any]]:
        """Compute the missing units; return those that failed, with their errors."""
        units = self.missing(folder)
        task = progress.add_task("cells", total=sum(len(unit.cells) for unit in units))
        failures = []
        alone = one_torch_thread() if self.workers == 0 else nullcontext()  # as in a worker, to the last bit
        with alone, closing(map_units(solve, units, self.workers, self.setting.engine, folder)) as outcomes:
            for outcome in outcomes:
                if outcome.result is None:
                    failures.append({"unit": outcome.unit.id, "cells": outcome.unit.ids, "error": outcome.error})
                else:
                    write_shard(folder, outcome.unit.id, outcome.result)
                progress.advance(task, len(outcome.unit.cells))
        return failures

    def rows(self, folder: Path) -> list[Row | None]:
        """The rows of the grid's cells in its order; None for a missing one."""
        found = read_rows(folder, self.ids)
        return [found.get(name) for name in self.ids]

    def __str__(self) -> str:
        sizes = sorted({cell.problem.size for cell in self.cells})
        variables = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
        starts = len(self.cells) * self.setting.starts
        work = f"{len(self.cells)} cells, {starts} starts of {variables} variables"
        size = f"up to {math.ceil(self.bytes / 1e6)} MB"
        if not self.is_local:
            return f"{work}, {len(self.units)} units on {self.setting.engine.name}, {size} each"
        return f"{work}, {self.workers or 'no'} worker process{'es' * (self.workers != 1)}, {size}"
