"""`python -m deepnet COMMAND`: real images: train, measure neural collapse, compare with theory."""

import sys
from os.path import dirname

sys.path.insert(0, dirname(dirname(__file__)))  # this project's `ufm`, whatever lies in the current folder
from ufm import start

del sys.path[0]
start.begin(__name__, "python -m deepnet")

from deepnet.grid.setting import GridSetting
from deepnet.settings import CompareSetting, EvaluateSetting, ExperimentSetting, MeasureSetting, TrainSetting
from ufm.cli.command import Command, job
from ufm.cli.command_line import main


def _compare(setting: CompareSetting) -> int:
    """Runs, or features from elsewhere."""
    return job(f"deepnet.comparison.job:{'Compare' if setting.features is None else 'CompareFeatures'}")(setting)


COMMANDS = {
    "train": Command(TrainSetting, job("deepnet.training.job:Train"), is_shared=True),
    "measure": Command(MeasureSetting, job("deepnet.training.measure_job:Measure")),
    "evaluate": Command(EvaluateSetting, job("deepnet.evaluation.job:Evaluate"), positional="features"),
    "compare": Command(CompareSetting, _compare),
    "experiment": Command(ExperimentSetting, job("deepnet.experiments.job:Conduct"), positional="name"),
    "grid": Command(GridSetting, job("deepnet.grid.job:TrainGrid")),
}


def program(prog: str = "python -m deepnet") -> int:
    """The exit code of what the command line asks for."""
    return main(prog, "Real images: train, measure neural collapse, compare with theory.", COMMANDS)


if __name__ == "__main__":
    sys.exit(program())
