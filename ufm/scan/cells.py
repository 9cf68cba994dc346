"""The cells of a scan, one problem each, and the units of work, each one batch of cells.

Cells that share sizes and kind of loss are one batch, with decays and parameters as tensors along the leading axis. In
other company a cell's row may differ by rounding, so the units follow from what was asked alone, never from what is
already done: an interrupted scan ends with the rows of an uninterrupted one, bit for bit.
"""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ufm.cli.grid import points
from ufm.errors import check
from ufm.model.own_loss import check_loss, full_spec, is_own, loss_of, source_of
from ufm.model.parameters import stack, stackable
from ufm.model.problem import Problem
from ufm.scan.setting import ScanSetting
from ufm.specs import LossSpec

VERSION = 3
"""A part of every cell's id, which is raised when the meaning of a row changes, so that old rows are not reused."""
CELLS, POINT_BYTES = 32, 2**26
"""The most cells of a unit, and the bytes of its end points."""
SIZES = ("classes", "dim", "per_class")
DECAYS = ("decay_W", "decay_H", "decay_b")

Row = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """One problem of the grid, in the words of the command line."""

    loss: LossSpec
    classes: int
    dim: int
    per_class: int
    decay_W: float
    decay_H: float
    decay_b: float | None

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle only the request: a worker makes the problem itself."""
        return Cell, tuple(getattr(self, field.name) for field in dataclasses.fields(self))

    @cached_property
    def problem(self) -> Problem:
        """The model of the cell.

        Raises:
            ValueError: if the loss or the model refuses a value.
        """
        sizes = self.classes, self.dim, self.per_class
        return Problem(loss_of(self.loss), *sizes, self.decay_W, self.decay_H, self.decay_b)

    @property
    def batch(self) -> tuple[Any, ...]:
        """A key: cells with equal keys can be in one batch."""
        stacked = stackable(self.problem.loss)
        others = [(key, value) for key, value in self.loss.items() if key not in stacked]
        return self.classes, self.dim, self.per_class, self.decay_b is None, *others

    @property
    def row(self) -> Row:
        """The columns of the row that identify the problem."""
        parameters = {key: value for key, value in self.loss.items() if key != "name"}
        plain = {name: getattr(self, name) for name in (*SIZES, *DECAYS)}
        return {"loss": self.loss["name"], **parameters, **plain}


CELL_FIELDS = tuple(field.name for field in dataclasses.fields(Cell))


@dataclass(frozen=True)
class Unit:
    """Cells that are one batch, and how they are minimised."""

    cells: tuple[Cell, ...]
    starts: int
    seed: int
    tolerance: float
    max_steps: int
    device: str

    @property
    def ids(self) -> list[str]:
        """A hash of all that a cell's row depends on, up to rounding."""
        return [cell_id(cell, self) for cell in self.cells]

    @property
    def id(self) -> str:
        """The hash of its cells' ids."""
        return _hash(self.ids)


def cell_id(cell: Cell, run: Unit | ScanSetting) -> str:
    """A hash of the cell, of how it is minimised, and of the source of a loss of your own."""
    how = [VERSION, run.starts, run.seed, run.tolerance, run.max_steps, source_of(cell.loss)]
    return _hash([{name: getattr(cell, name) for name in CELL_FIELDS}, *how])


def axes_of(setting: ScanSetting) -> dict[str, list[float]]:
    """The axes of the grid.

    Raises:
        ValueError: if a field does not exist, is asked for twice, or a size is not an integer.
    """
    spec = full_spec(setting.loss)
    numbers = [key for key, value in spec.items() if isinstance(value, int | float)]
    known = (*numbers, "decay", *DECAYS, *SIZES)
    for field, values in setting.axes.items():
        check(field in known, f"--grid.{field}", setting.grid[field], f"left out: the fields are {', '.join(known)}")
        is_twice = field == "decay" and bool({"decay_W", "decay_H"} & setting.axes.keys())
        check(not is_twice, "--grid.decay", setting.grid[field], "left out beside decay_W or decay_H: it sets both")
        whole = field not in SIZES or all(value == int(value) for value in values)
        check(whole, f"--grid.{field}", setting.grid[field], "made of integers")
    return setting.axes


def cells_of(setting: ScanSetting) -> list[Cell]:
    """Every cell of the grid, the last axis running fastest.

    Raises:
        ValueError: if the grid, the loss or a model refuses a value.
    """
    base, spec = {name: getattr(setting, name) for name in (*SIZES, *DECAYS)}, full_spec(setting.loss)
    cells = []
    seen: set[str] = set()
    for point in points(axes_of(setting)):
        loss = spec | {key: value for key, value in point.items() if key in spec}
        decay = {"decay_W": point["decay"], "decay_H": point["decay"]} if "decay" in point else {}
        other = {key: int(value) if key in SIZES else value for key, value in point.items() if key in base}
        cells.append(Cell(loss, **base | decay | other))
        problem = cells[-1].problem  # refused here if it cannot be
        if is_own(spec) and (key := _hash([loss, problem.K])) not in seen:
            check_loss(problem.loss, problem.K)
            seen.add(key)
    return cells


def plan(setting: ScanSetting, grids: Sequence[dict[str, str]]) -> list[Unit]:
    """The units of several grids in order: each grid adds the cells that no earlier one has."""
    planned: set[str] = set()
    units: list[Unit] = []
    for grid in grids:
        cells = cells_of(dataclasses.replace(setting, grid=grid))
        ids = [cell_id(cell, setting) for cell in cells]
        units += units_of([cell for cell, name in zip(cells, ids, strict=True) if name not in planned], setting)
        planned |= set(ids)
    return units


def units_of(cells: Sequence[Cell], setting: ScanSetting) -> list[Unit]:
    """The cells in batches."""
    run = setting.starts, setting.seed, setting.tolerance, setting.max_steps, setting.device
    units = []
    kinds: dict[tuple[Any, ...], list[Cell]] = {}
    for cell in cells:
        kinds.setdefault(cell.batch, []).append(cell)
    for kind in kinds.values():
        width = max(1, min(CELLS, POINT_BYTES // (8 * kind[0].problem.size * setting.starts)))
        units += [Unit(tuple(kind[first : first + width]), *run) for first in range(0, len(kind), width)]
    return units


def batch_of(unit: Unit) -> Problem:
    """The unit's problems as one, every cell `starts` times."""
    problems = [cell.problem for cell in unit.cells]
    parameters = stack([problem.loss for problem in problems], unit.starts)
    loss = problems[0].loss
    if parameters:
        loss = dataclasses.replace(loss, **{name: values.to(unit.device) for name, values in parameters.items()})  # type: ignore[type-var]

    def column(name: str) -> Tensor:
        values = torch.tensor([getattr(cell, name) for cell in unit.cells], dtype=torch.float64, device=unit.device)
        return values.repeat_interleave(unit.starts)

    cell = unit.cells[0]
    decay_b = None if cell.decay_b is None else column("decay_b")
    return Problem(loss, cell.classes, cell.dim, cell.per_class, column("decay_W"), column("decay_H"), decay_b)


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
