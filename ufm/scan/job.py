"""The command `scan`: it computes the rows that the folder lacks, and shows the whole grid."""

import sys
import time
from pathlib import Path
from typing import Any, TypedDict

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn

from ufm.cli.job import Job
from ufm.cli.output_folder import given_back_if_refused
from ufm.engine.map_units import check_reachable
from ufm.scan import report, shards
from ufm.scan.agreement import agreements
from ufm.scan.cells import Row
from ufm.scan.outcomes import STATES
from ufm.scan.scan import Scan
from ufm.scan.setting import ScanSetting

COLUMNS = (
    *("converged", *STATES, "best_state", "best_active", "best_minus_predicted", "smallest_eigenvalue"),
    *("condition_number", "duality_gap", "steps_mean", "nc1_trace", "nc2_etf_distance", "nc3_self_duality"),
    *("predicted_state", "predicted_value", "is_proved_global", "c", "c_zero_stable", "c_zero_best", "c_etf_ends"),
    "landscape",
)
"""The columns that the record has of every cell, null where older rows lack one; the folder has all columns."""


def columns_of(rows: list[Row | None]) -> dict[str, list[Any]]:
    """The `COLUMNS` of rows in the order of the grid, null where a cell failed."""
    return {name: [row and row.get(name) for row in rows] for name in COLUMNS}


class ScanResult(TypedDict):
    """The contents of the record.

    Attributes:
        axes: the grid's values by name; the last axis moves fastest.
        cells: the `COLUMNS` of a scan's rows (`ufm/scan/outcomes.py`), null where a cell failed.
        agreement: in how many cells most starts end as predicted (`agreements`).
        without_simplex: a sentence on the cells in which no simplex fits.
        failures: the units that failed: `unit`, its `cells` and the `error`.
        rows_of: the commits that made the rows.
        seconds: what this call took.
    """

    axes: dict[str, list[float]]
    cells: dict[str, list[Any]]
    agreement: dict[str, int]
    without_simplex: str | None
    failures: list[dict[str, Any]]
    rows_of: list[str]
    seconds: float


class RunScan(Job[ScanSetting, ScanResult]):
    """The job of `scan`: a grid whose missing rows are computed."""

    name = "scan"

    def __init__(self, setting: ScanSetting) -> None:
        super().__init__(setting if setting.resume is None else shards.resumed_setting(setting))
        self._scan = Scan(self.setting)  # refused here, before a grid is added
        self._rows: list[Row | None] = []
        check_reachable(self.setting.engine)

    def compute(self) -> ScanResult:
        """Compute the missing rows, then read the rows of the grid."""
        shards.write_setting(self.folder, self.setting)
        if len(grids := shards.asked_grids(self.folder)) > 1:
            self._scan = Scan(self.setting, grids)
        scan, began = self._scan, time.perf_counter()
        print(f"{scan}, in {self.folder}", flush=True)
        if scan.without_simplex:
            print(f"warning: {scan.without_simplex}", file=sys.stderr)
        columns = "{task.description}", BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
        is_new = self.setting.resume is None
        with (
            given_back_if_refused(self.folder, is_new, f"{shards.SHARDS}/*"),
            Progress(*columns, transient=True) as progress,
        ):
            failures = scan.fill(self.folder, progress)
        self._rows = scan.rows(self.folder)
        return {
            "axes": self.setting.axes,
            "cells": columns_of(self._rows),
            "agreement": agreements(self.setting, self._rows),
            "without_simplex": scan.without_simplex or None,
            "failures": failures,
            "rows_of": shards.commits(self.folder),
            "seconds": time.perf_counter() - began,
        }

    def show(self, result: ScanResult) -> None:
        """Print the table over the first axis."""
        report.show(self._scan, self._rows, result["agreement"], result["failures"])

    def exit_code(self, result: ScanResult) -> int:
        """3 if a unit failed."""
        return 3 if result["failures"] else 0

    def stopped(self) -> None:
        """Print how to resume."""
        if (self.folder / shards.SETTING).exists():
            words = f"--resume {self.folder}{shards.loss_again(self.setting)}"
            print(f"\nstopped; go on with: python -m ufm scan {words}", file=sys.stderr)

    def files(self) -> dict[str, Path | str]:
        """The folder of the rows."""
        return {"rows": self.folder / shards.SHARDS}
