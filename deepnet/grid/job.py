"""The command `grid`: it trains what the folder lacks, then writes table, rows, record and picture."""

import sys
import time
from pathlib import Path
from typing import TypedDict

import pyarrow
from pyarrow import parquet

from deepnet.grid import report
from deepnet.grid import trainings as grid
from deepnet.grid.maps import Maps, maps
from deepnet.grid.setting import GridSetting
from ufm.cli.job import Job
from ufm.cli.output_folder import given_back_if_refused
from ufm.cli.records import atomic_file
from ufm.engine.map_units import check_reachable
from ufm.parallel import local_workers

ROWS = "runs.parquet"


class GridResult(TypedDict):
    """The contents of the record.

    Attributes:
        rows: a run each (`deepnet.grid.trainings.row`).
        maps: accuracies over width and epochs.
        failures: `run` and `failure` of each run that failed.
        seconds: what this call took.
    """

    rows: list[grid.Row]
    maps: Maps
    failures: list[dict[str, str]]
    seconds: float


class TrainGrid(Job[GridSetting, GridResult]):
    """The job of `grid`: runs, each in its own folder."""

    name = "grid"

    def __init__(self, setting: GridSetting) -> None:
        super().__init__(setting if setting.resume is None else grid.resumed_grid(setting))
        self._runs = grid.possible_runs(self.setting)
        check_reachable(self.setting.engine)

    def compute(self) -> GridResult:
        """Train the runs that are left, then read all."""
        folder, setting, began = self.folder, self.setting, time.perf_counter()
        grid.write_grid(folder, setting)
        works = [grid.Work(run, folder / run.name) for run in self._runs]
        todo = [work for work in works if not work.is_done]
        workers = min(len(todo), local_workers(setting.device, setting.workers))
        print(f"{len(works)} runs, {len(todo)} to train, in {folder}", flush=True)
        is_new = setting.resume is None
        with given_back_if_refused(folder, is_new, "*/setting.json"), report.progress(todo) as on_end:
            failures = grid.train_all(todo, setting, folder, workers, on_end)
        rows = [grid.row(work, failures.get(work.run.name)) for work in works]
        write_rows(folder, rows)
        return {
            "rows": rows,
            "maps": maps(rows),
            "failures": [{"run": row["run"], "failure": row["failure"]} for row in rows if row["failure"]],
            "seconds": time.perf_counter() - began,
        }

    def show(self, result: GridResult) -> None:
        """Print accuracies as a table, and failed runs."""
        report.show(result["maps"], result["failures"])

    def exit_code(self, result: GridResult) -> int:
        """3 if a run failed."""
        return 3 if result["failures"] else 0

    def stopped(self) -> None:
        """Print how to resume."""
        if (self.folder / grid.GRID).exists():
            print(
                f"\nstopped; go on with: python -m deepnet grid --resume {self.folder}{grid.code_again(self.setting)}",
                file=sys.stderr,
            )

    def files(self) -> dict[str, Path | str]:
        """The file of rows."""
        return {"runs": self.folder / ROWS}


def write_rows(folder: Path, rows: list[grid.Row]) -> None:
    """Write all rows to one Parquet file, replacing an earlier one; the runs' own folders have the same numbers."""
    columns = dict.fromkeys(name for row in rows for name in row)
    table = pyarrow.Table.from_pylist([{name: row.get(name) for name in columns} for row in rows])
    with atomic_file(folder / ROWS, "wb") as file:
        parquet.write_table(table, file)
