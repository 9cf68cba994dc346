"""Trackers of a training, which store its numbers at every step: a CSV table, TensorBoard, Weights & Biases."""

import csv
import io
import math
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from ufm.cli.records import atomic_file, named_in_errors
from ufm.cli.yaml_core import integer
from ufm.errors import RequestError, reason_of
from ufm.files import LARGEST_LINES, content

LOGS = ("csv", "tensorboard", "wandb")
CSV = "log.csv"
Values = Mapping[str, float | int | None]


@runtime_checkable
class Tracker(Protocol):
    """A destination for the numbers of a training."""

    def log(self, values: Values, step: int) -> None:
        """Store the numbers of a step, which is an epoch; values of None are left out."""

    def close(self) -> None:
        """Finish: no further numbers come."""


def check_installed(kind: str | None) -> None:
    """Refuse a tracker whose package is not installed.

    Raises:
        ValueError: saying what to install.
    """
    if kind in ("tensorboard", "wandb") and find_spec(kind) is None:
        raise RequestError(
            f"`--log` must be csv where {kind} is not installed, got {kind}: "
            f"pip install 'neural-collapse-laboratory[{kind}]'."
        )


def tracker(kind: str, folder: Path, setting: Mapping[str, Any], last: int = 0) -> Tracker:
    """Make the tracker of this name, which writes into `folder`; of a resumed run, steps after `last` are removed.

    Raises:
        ValueError: if its package is not installed.
    """
    check_installed(kind)
    folder.mkdir(parents=True, exist_ok=True)
    match kind:
        case "tensorboard":
            return TensorBoard(folder, last)
        case "wandb":
            return Wandb(folder, setting)
    return Csv(folder, last)


class Csv:
    """A tracker that writes `log.csv`, with one row per epoch and one column per number."""

    def __init__(self, folder: Path, last: int) -> None:
        self.path = folder / CSV
        self.rows = [row for number, row in _rows(self.path) if number <= last]
        self.names = list(self.rows[0]) if self.rows else ["epoch"]
        self._write_all()

    def log(self, values: Values, step: int) -> None:
        """Append a row; if it has a new column, rewrite all rows."""
        row = {"epoch": step, **values}
        self.rows.append(row)
        new = [name for name in row if name not in self.names]
        if new:
            self.names += new
            self._write_all()
            return
        with named_in_errors(self.path), self.path.open("a", encoding="utf-8", newline="") as file:
            csv.DictWriter(file, self.names).writerow(row)

    def close(self) -> None:
        """Do nothing: every row is written already."""

    def _write_all(self) -> None:
        with atomic_file(self.path) as file:
            writer = csv.DictWriter(file, self.names)
            writer.writeheader()
            writer.writerows(self.rows)


def _rows(path: Path) -> list[tuple[int, dict[Any, Any]]]:
    """The epochs that a stopped run wrote, and their rows.

    Raises:
        ValueError: if they cannot be read.
    """
    if not path.exists():
        return []
    try:
        text = content(path, LARGEST_LINES).decode()
        rows = [(integer(row.get("epoch") or ""), row) for row in csv.DictReader(io.StringIO(text, newline=""))]
        if any(None in row for _, row in rows):
            raise ValueError("a row has more columns than its head")
    except (OSError, ValueError, csv.Error) as error:
        raise RequestError(f"{path} must be a table that `--log csv` wrote ({reason_of(error)}).") from None
    return [(number, row) for number, row in rows if number is not None]


class TensorBoard:
    """A tracker that writes TensorBoard's event files."""

    def __init__(self, folder: Path, last: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        # What a run wrote after the epoch that it goes on from is shadowed by TensorBoard.
        self.writer: Any = SummaryWriter(str(folder), purge_step=last + 1 if last else None)

    def log(self, values: Values, step: int) -> None:
        """Write the finite numbers as scalars, and flush them, so that they are seen live."""
        for name, value in values.items():
            if value is not None and math.isfinite(value):
                self.writer.add_scalar(name, value, step)
        self.writer.flush()

    def close(self) -> None:
        """Close the event file."""
        self.writer.close()


class Wandb:
    """A tracker that logs to a run of Weights & Biases, with files in the folder; `WANDB_MODE=offline` sends nothing.

    A resumed run is a new run of the same group.
    """

    def __init__(self, folder: Path, setting: Mapping[str, Any]) -> None:
        import wandb

        where = str(folder.absolute())  # wandb's own process stays in the directory of the first run
        self.run = wandb.init(
            project="neural-collapse", dir=where, group=folder.name, name=folder.name, config=dict(setting)
        )

    def log(self, values: Values, step: int) -> None:
        """Log the numbers of a step."""
        self.run.log({name: value for name, value in values.items() if value is not None}, step=step)

    def close(self) -> None:
        """End the run."""
        self.run.finish()


def flat(line: Mapping[str, Any]) -> dict[str, float | int]:
    """The numbers in an epoch's line by name, those of a split as `split/name`; other values are left out."""
    found: dict[str, float | int] = {}
    for name, value in line.items():
        if isinstance(value, Mapping):
            found |= {f"{name}/{key}": each for key, each in flat(value).items()}
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found[name] = value
    return found
