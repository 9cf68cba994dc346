"""Training of the runs that experiments need, each in its own folder, one process per core; it can be resumed."""

import dataclasses
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from deepnet.experiments.experiment import Experiment, find, setting_of
from deepnet.experiments.run import Run
from deepnet.settings import ExperimentSetting, TrainSetting
from deepnet.training import checkpoint, own_code
from deepnet.training.optimiser import RELAXED
from deepnet.training.run import opened
from deepnet.training.train import train
from deepnet.training.training import begin, is_over
from ufm.engine.map_units import map_units
from ufm.engine.setting import EngineSetting
from ufm.errors import RequestError
from ufm.parallel import local_workers


@dataclass(frozen=True)
class Unit:
    """One training of an experiment."""

    experiment: str
    run: str
    seed: int
    folder: Path
    setting: TrainSetting

    @property
    def name(self) -> str:
        """The name of the training in progress lines."""
        return f"{self.experiment}: {self.run}, seed {self.seed}"


def units_of(experiments: Sequence[Experiment], setting: ExperimentSetting, folder: Path) -> list[Unit]:
    """All trainings; checks first that each kind of run can start and that existing folders hold runs of this setting.

    Raises:
        ValueError: if a folder holds another run, or the data or a head for these data is not available.
    """
    units = []
    for experiment in experiments:
        for run, changes in experiment.runs.items():
            for seed in range(setting.seed, setting.seed + setting.seeds):
                own = folder / experiment.name / f"{run}-seed{seed}"
                units.append(Unit(experiment.name, run, seed, own, setting_of(setting.common, changes, seed)))
    for unit in units:
        if (unit.folder / checkpoint.SETTING).exists():
            stored = checkpoint.read_setting(unit.folder)
            if stored != checkpoint.plain_setting(unit.setting):
                raise RequestError(f"{unit.folder} must hold a run of the setting asked for, or nothing.")
        elif unit.seed == setting.seed:
            begin(unit.setting)
    return units


def conduct(units: Sequence[Unit], folder: Path) -> Iterator[tuple[Unit, str]]:
    """Train, and yield each training when it ends, with the reason if it failed (else an empty text)."""
    workers = min(len(units), local_workers(units[0].setting.device, None))
    with closing(map_units(train_unit, units, workers, EngineSetting(), folder)) as outcomes:
        for outcome in outcomes:
            yield outcome.unit, outcome.error or outcome.result or ""


def train_unit(unit: Unit) -> str:
    """Begin or resume a run; return why it failed, or an empty text."""
    if not checkpoint.has_state(unit.folder):
        shutil.rmtree(unit.folder, ignore_errors=True)  # killed before its first checkpoint
        setting = dataclasses.replace(unit.setting, out=unit.folder)
    else:
        state = checkpoint.load(unit.folder)
        if is_over(unit.setting, state["epoch"], state["residual"]):
            return ""
        setting = dataclasses.replace(unit.setting, resume=unit.folder, given=frozenset(own_code.OPTIONS))
    with opened(setting) as (training, folder):
        training.measures += find(unit.experiment)[0].measures
        return train(training, folder, lambda _: None, lambda _: None) or ""


def warning_of_units(units: Sequence[Unit]) -> str | None:
    """A warning if trainings have ended before t = 10, or None."""
    ends = [metrics[-1] for unit in units if (metrics := checkpoint.read_metrics(unit.folder))]
    times = [line["t"] for line in ends if "t" in line and "objective" not in line]
    slow = [time for time in times if time < RELAXED]
    if not slow:
        return None
    return (
        f"the last layers of {len(slow)} of {len(units)} trainings may not be stationary: what only the weight decay "
        "moves relaxes like exp(-t), and t, the sum of lr decay / (1 - momentum) over the steps, reaches less than "
        f"{RELAXED:g} there, the least {min(slow):.2g}"
    )


def by_seed(units: Sequence[Unit], failures: Mapping[Path, str], experiment: str) -> list[dict[str, Run]]:
    """The runs of one experiment by name, one dictionary per seed."""
    own = [unit for unit in units if unit.experiment == experiment]
    seeds = sorted({unit.seed for unit in own})
    return [
        {unit.run: Run(unit.folder, failures.get(unit.folder, "")) for unit in own if unit.seed == seed}
        for seed in seeds
    ]
