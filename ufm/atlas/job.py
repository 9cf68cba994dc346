"""The command `atlas`: an atlas is recorded after every round, and the next call in its folder extends it."""

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any, TypedDict, cast

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

from ufm.atlas import report
from ufm.atlas.atlas import Atlas
from ufm.atlas.completeness import check_model, check_state, proof, restated
from ufm.atlas.descent import Descent, descents
from ufm.atlas.evidence import evidence
from ufm.atlas.rounds import rounds_until_complete
from ufm.atlas.setting import AtlasSetting
from ufm.cli.job import Job
from ufm.cli.records import read_record
from ufm.cli.resume import RECORD, check_same
from ufm.complete.verdict import Completeness
from ufm.errors import RequestError, check, reason_of
from ufm.model.losses import make_loss, parameters_of
from ufm.model.model import Model
from ufm.solve.units import own_units
from ufm.specs import LossSpec, ModelSpec
from ufm.tolerances import LEAST_CURVATURE

MODEL = ("loss", "model", "classes", "dim", "per_class", "decay_W", "decay_H", "decay_b")
SEARCH = ("seed", "symmetric", "max_steps")
"""The fields of the setting that must agree for an atlas to be extended."""
EARLIER = {"model": {"name": "plain"}}
"""Values assumed for records written before an option existed."""


def asked(setting: AtlasSetting) -> tuple[AtlasSetting, Atlas]:
    """The setting with every parameter of its loss, and an empty atlas of its model, in the model's own units.

    Raises:
        ValueError: if there is no such model, its curvatures are too small to resolve, or the request is too large.
    """
    check(setting.device == "cpu", "--device", setting.device, "cpu for an atlas")
    choice, model = setting.model_choice, own_units(_model_of(setting)).model
    least = float(model.least_curvature)
    allowed = f"such that curvatures, in the model's own units, are >= {LEAST_CURVATURE:.0e}"
    check(least >= LEAST_CURVATURE, "--decay-W, --decay-H", f"{least:.1e}", allowed)
    if setting.prove_complete:
        check_model(model)
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


class AtlasResult(TypedDict, total=False):
    """The contents of the record; evidence (`ufm/atlas/evidence.py`) is added after the last round.

    Attributes:
        rows: orbits by rising value, the fields of `Orbit`; where sizes do not tell the shapes of points, `geometry`.
        separation: the least distance of two rows' logits.
        rounds: starts, statuses and orbits of each; `quiet_rounds`: how many of the last added nothing.
        statuses: how the starts of all rounds ended; `seconds`: what they took.
        dimensions: in which starts were drawn.
        morse, prediction, claims, not_checked, duality_gap, etf_margin: the evidence.
        completeness: whether no row is missing (`ufm.complete.verdict.Completeness`), if a call has asked.
        units: those of the atlas, where they are not those of the request (`units_of`).
        descents: the ways down from its saddles, if this call asks for them.
    """

    rows: list[dict[str, Any]]
    separation: float
    rounds: list[dict[str, Any]]
    statuses: dict[str, int]
    seconds: float
    dimensions: list[int]
    quiet_rounds: int
    morse: dict[str, Any]
    prediction: dict[str, Any] | None
    claims: dict[str, bool]
    not_checked: dict[str, str]
    duality_gap: float | None
    etf_margin: dict[str, Any] | None
    completeness: Completeness
    units: dict[str, float | None]
    descents: list[Descent]


class GrowAtlas(Job[AtlasSetting, AtlasResult]):
    """The job of `atlas`."""

    name = "atlas"
    continues = True

    def __init__(self, setting: AtlasSetting) -> None:
        full, self.atlas = asked(setting)
        super().__init__(full)

    def compute(self) -> AtlasResult:
        """Grow the atlas until its rounds end (`rounds_until_complete`), then collect the evidence."""
        self.atlas, earlier = opened(self.setting, self.atlas, self.folder)
        kept = {"completeness": earlier} if earlier else {}
        columns = "{task.description}", BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
        setting = self.setting
        with Progress(*columns, transient=True) as progress:
            advance = partial(progress.advance, progress.add_task("starts", total=None))
            limits = setting.starts, setting.quiet_rounds, setting.max_rounds, setting.max_steps
            for new in rounds_until_complete(self.atlas, *limits, advance):
                self.record(self._result(kept))
                progress.console.print(report.round_text(self.atlas, new), highlight=False)
            found = evidence(self.atlas, setting.certify) if self.atlas.rows else {}
            if setting.descents:
                found |= {"descents": descents(self.atlas)}
            if setting.prove_complete:
                found |= {"completeness": self._proved(found, earlier, progress)}
            elif earlier:
                found |= {"completeness": restated(self.atlas, earlier)}
        return self._result(found)

    def _proved(self, found: dict[str, Any], earlier: dict[str, Any] | None, progress: Progress) -> Completeness:
        """The result of the completeness proof, whose state is recorded meanwhile."""
        advance = partial(progress.advance, progress.add_task("boxes", total=None))
        for state in proof(self.atlas, earlier, advance):
            self.record(self._result(found | {"completeness": state}))
        return state

    def show(self, result: AtlasResult) -> None:
        """Print the table and the evidence."""
        report.show(self.setting, self.atlas, result)

    def exit_code(self, result: AtlasResult) -> int:
        """1 if a claim fails, nothing was found, or a proof that nothing is missing was asked for and failed."""
        is_complete = not self.setting.prove_complete or result["completeness"]["is_proved"]
        return 0 if self.atlas.rows and all(result["claims"].values()) and is_complete else 1

    def stopped(self) -> None:
        """Print how to continue the atlas."""
        if self.path.exists():
            print(f"atlas so far, which `--out {self.folder}` extends: {self.path}")

    def _result(self, extra: dict[str, Any]) -> AtlasResult:
        units = units_of(self.setting)
        found = self.atlas.as_result() | extra | ({"units": units} if units else {})
        return cast(AtlasResult, found)


def opened(setting: AtlasSetting, empty: Atlas, folder: Path) -> tuple[Atlas, dict[str, Any] | None]:
    """The atlas that is in a folder already, or the empty one; and how far a proof that it is complete has come.

    Raises:
        ValueError: if the folder holds something else or an atlas of another model.
    """
    earlier = folder / RECORD
    if not earlier.exists():
        return empty, None
    record = read_record(earlier)
    check_same(EARLIER | record["setting"], setting.as_dict(), MODEL + SEARCH, f"extend the atlas in {folder}")
    units = record["result"].get("units")
    allowed = f"an atlas in the units {units_of(setting)} to be extended (see ufm/solve/units.py)"
    check(units == units_of(setting), str(folder), f"one in {units}", allowed)
    try:
        proved = record["result"].get("completeness")
        if proved is not None:
            check_state(empty.model, proved)
        return empty.read_back(record["result"]), proved
    except (KeyError, TypeError, ValueError, IndexError, RuntimeError) as error:
        reason = f"{type(error).__name__}: {reason_of(error)}"
        raise RequestError(f"{earlier} must be the record of an atlas, undamaged ({reason}).") from None
