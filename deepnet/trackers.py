"""Where numbers of a training go as they come: a table, TensorBoard, Weights & Biases. Imported when asked for."""

import csv
import math
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from ufm.cli.records import atomic_file
from ufm.errors import RequestError

LOGS = ("csv", "tensorboard", "wandb")
Values = Mapping[str, float | int | None]


@runtime_checkable
class Tracker(Protocol):
    """What takes numbers."""

    def log(self, values: Values, step: int) -> None:
        """The numbers of a step, an epoch say; what is none is left out."""

    def close(self) -> None:
        """Nothing more comes."""


def check_installed(kind: str | None) -> None:
    """Refuse a tracker whose package is not there, before there is anything to log.

    Raises:
        ValueError: saying what to install.
    """
    if kind in ("tensorboard", "wandb") and find_spec(kind) is None:
        raise RequestError(
            f"`--log` must be csv where {kind} is not installed, got {kind}: "
            f"pip install 'neural-collapse-laboratory[{kind}]'."
        )


def tracker(kind: str, folder: Path, setting: Mapping[str, Any], last: int = 0) -> Tracker:
    """The tracker of this name, which writes into the folder; of a run that goes on, what came after `last` is cut.

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
    """`log.csv`: a row a step, a column a number."""

    def __init__(self, folder: Path, last: int) -> None:
        self.path = folder / "log.csv"
        self.rows: list[dict[str, Any]] = []
        if self.path.exists():
            with self.path.open(encoding="utf-8", newline="") as file:
                self.rows = [row for row in csv.DictReader(file) if (row.get("step") or "").isdigit()]
        self.rows = [row for row in self.rows if int(row["step"]) <= last]
        self.names = list(self.rows[0]) if self.rows else ["step"]
        self._write_all()

    def log(self, values: Values, step: int) -> None:
        """Append a row; where a column is new, write all rows anew."""
        row = {"step": step, **values}
        self.rows.append(row)
        new = [name for name in row if name not in self.names]
        if new:
            self.names += new
            self._write_all()
            return
        with self.path.open("a", encoding="utf-8", newline="") as file:
            csv.DictWriter(file, self.names).writerow(row)

    def close(self) -> None:
        """Every row is written already."""

    def _write_all(self) -> None:
        with atomic_file(self.path) as file:
            writer = csv.DictWriter(file, self.names)
            writer.writeheader()
            writer.writerows(self.rows)


class TensorBoard:
    """Event files in the folder."""

    def __init__(self, folder: Path, last: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        # What a run wrote after the epoch that it goes on from is shadowed by TensorBoard.
        self.writer: Any = SummaryWriter(str(folder), purge_step=last + 1 if last else None)

    def log(self, values: Values, step: int) -> None:
        """Scalars, flushed: somebody looks on."""
        for name, value in values.items():
            if value is not None and math.isfinite(value):
                self.writer.add_scalar(name, value, step)
        self.writer.flush()

    def close(self) -> None:
        """Close the file."""
        self.writer.close()


class Wandb:
    """A run of Weights & Biases, with its files in the folder; `WANDB_MODE=offline` sends nothing.

    A run that goes on is a further one of the same group.
    """

    def __init__(self, folder: Path, setting: Mapping[str, Any]) -> None:
        import wandb

        self.run = wandb.init(
            project="neural-collapse", dir=str(folder), group=folder.name, name=folder.name, config=dict(setting)
        )

    def log(self, values: Values, step: int) -> None:
        """One step of the run."""
        self.run.log({name: value for name, value in values.items() if value is not None}, step=step)

    def close(self) -> None:
        """End the run."""
        self.run.finish()


def flat(line: Mapping[str, Any]) -> dict[str, float | int]:
    """The numbers of an epoch's line, those of a split as `split/name`; what is no number is left out."""
    found: dict[str, float | int] = {}
    for name, value in line.items():
        if isinstance(value, Mapping):
            found |= {f"{name}/{key}": each for key, each in flat(value).items()}
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found[name] = value
    return found
