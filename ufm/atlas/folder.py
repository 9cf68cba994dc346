"""The folder of an atlas: written atomically after every round, read back and extended by the next call."""

import dataclasses
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

from ufm.atlas.atlas import Atlas
from ufm.atlas.evidence import evidence
from ufm.atlas.rounds import rounds_until_complete
from ufm.atlas.setting import AtlasSetting
from ufm.cli.records import check_new_file, read_record, write_record
from ufm.errors import RequestError, check, reason_of
from ufm.model.losses import make_loss, parameters_of
from ufm.model.model import Model
from ufm.solve.units import own_units
from ufm.specs import LossSpec, ModelSpec

MODEL = ("loss", "model", "classes", "dim", "per_class", "decay_W", "decay_H", "decay_b")
SEARCH = ("seed", "symmetric", "max_steps")
"""What must agree for an atlas to be extended."""
LEAST = 1e-7
"""Smallest curvature: a search to 1e-11 leaves points and their ranks inexact by some multiple of 1e-11 over it."""
EARLIER = {"model": {"name": "plain"}}
"""What records say that are older than the option."""


def asked(setting: AtlasSetting) -> tuple[AtlasSetting, Atlas]:
    """The setting with every parameter of its loss, and an empty atlas of its model, in the model's own units.

    Raises:
        ValueError: if there is no such model, its curvatures are too small to resolve, or the request is too large.
    """
    check(setting.device == "cpu", "--device", setting.device, "cpu for an atlas")
    check_new_file(setting.json, "--json")
    choice, model = setting.model_choice, own_units(_model_of(setting)).model
    least, allowed = float(model.least_curvature), f"such that curvatures, in the model's own units, are >= {LEAST:.0e}"
    check(least >= LEAST, "--decay-W, --decay-H", f"{least:.1e}", allowed)
    spec: ModelSpec = {"name": choice.name, **choice.options}
    loss_spec: LossSpec = {"name": setting.loss["name"], **parameters_of(make_loss(setting.loss))}
    full = dataclasses.replace(setting, loss=loss_spec, model=spec, classes=model.K)
    return full, Atlas(model, seed=setting.seed, is_symmetric=setting.symmetric)


def units_of(setting: AtlasSetting) -> dict[str, float | None] | None:
    """What the atlas's own units are, for its record; None where the model is in them as it was written."""
    model = _model_of(setting)
    units = own_units(model)
    if units.model == model:
        return None
    decays = {name: getattr(units.model, name) for name in ("decay_W", "decay_H", "decay_b")}
    return {"value": float(units.value), "logits": float(units.logits), **decays}


def _model_of(setting: AtlasSetting) -> Model:
    choice, sizes = setting.model_choice, (setting.classes, setting.dim, setting.per_class)
    choice.variables(*sizes)  # refuses label sets that are too many, before they are listed
    return choice.make(make_loss(setting.loss), *sizes, (setting.decay_W, setting.decay_H, setting.decay_b))


@dataclass
class AtlasFolder:
    """An atlas and where it is kept."""

    setting: AtlasSetting
    path: Path
    atlas: Atlas

    @classmethod
    def opened(cls, setting: AtlasSetting, empty: Atlas, path: Path) -> "AtlasFolder":
        """The folder with the atlas that is in it already, or the empty one.

        Raises:
            ValueError: if the folder holds something else or an atlas of another model.
        """
        earlier = path / "record.json"
        if not earlier.exists():
            return cls(setting, path, empty)
        record = read_record(earlier)
        for name in MODEL + SEARCH:
            there, here = record["setting"].get(name, EARLIER.get(name)), getattr(setting, name)
            if there != here:
                option = f"--{name.replace('_', '-')}"
                raise RequestError(f"`{option}` must be {there} to extend the atlas in {path}, got {here}.")
        units = record["result"].get("units")
        allowed = f"an atlas in the units {units_of(setting)} to be extended (see ufm/solve/units.py)"
        check(units == units_of(setting), str(path), f"one in {units}", allowed)
        try:
            return cls(setting, path, empty.read_back(record["result"]))
        except (KeyError, TypeError, ValueError, IndexError, RuntimeError) as error:
            reason = f"{type(error).__name__}: {reason_of(error)}"
            raise RequestError(f"{earlier} must be the record of an atlas, undamaged ({reason}).") from None

    @property
    def record(self) -> Path:
        """The file that holds the atlas."""
        return self.path / "record.json"

    def grow(self) -> None:
        """Rounds of fresh starts until the atlas is complete as far as can be told, written after each."""
        columns = "{task.description}", BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
        setting = self.setting
        with Progress(*columns, transient=True) as progress:
            task = progress.add_task("starts", total=None)
            advance = partial(progress.advance, task)
            limits = setting.starts, setting.quiet_rounds, setting.max_rounds, setting.max_steps
            for new in rounds_until_complete(self.atlas, *limits, advance):
                self._write({})
                progress.console.print(self._line(new), highlight=False)

    def finish(self) -> dict[str, Any]:
        """Certificates, Morse relations and the record with both; returns what was recorded."""
        result = self._write(evidence(self.atlas, self.setting.certify))
        if self.setting.json is not None:
            write_record(self.setting.json, self.setting.as_dict(), result)
        return result

    def _line(self, new: int) -> str:
        entry = self.atlas.rounds[-1]
        converged, starts = entry["statuses"]["CONVERGED"], sum(entry["statuses"].values())
        places = list(entry["starts"])
        where = f" in dimension {places[0]}, where a Morse relation fails" if len(places) == 1 else ""
        number = len(self.atlas.rounds)
        return f"round {number}{where}: {converged} of {starts} converged, {new} new, {entry['orbits']} orbits"

    def _write(self, extra: dict[str, Any]) -> dict[str, Any]:
        units = units_of(self.setting)
        result = self.atlas.as_result() | extra | ({"units": units} if units else {})
        write_record(self.record, self.setting.as_dict(), result)
        return result
