"""`python -m deepnet train | measure | compare | grid`. Everything heavy is imported by the function that needs it."""

import sys
from os.path import dirname

sys.path.insert(0, dirname(dirname(__file__)))  # this project's `ufm`, whatever lies in the current folder
from ufm import start

del sys.path[0]
start.begin(__name__, "python -m deepnet")

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from deepnet.grid.setting import GridSetting, Run
from deepnet.settings import CompareSetting, ExperimentSetting, MeasureSetting, TrainSetting
from ufm.cli.command import Command
from ufm.cli.command_line import main
from ufm.cli.records import check_new_file, earlier_result, read_record, write_and_show, write_record
from ufm.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deepnet.experiments.experiment import Experiment
    from deepnet.training.training import Training


def run_train(setting: TrainSetting) -> int:
    """Train, or go on with a run; exit code 1 if the loss stopped being a number."""
    from deepnet import distributed

    check_new_file(setting.json, "--json")
    with distributed.process_group(setting.device):
        try:
            return _train(setting)
        except RequestError:
            if distributed.rank() == 0:
                raise
            return 2  # every process finds the same mistake; the first says it


def run_measure(setting: MeasureSetting) -> int:
    """Measure every split of a run."""
    from deepnet.measures.calibration import calibration_of
    from deepnet.training.report import print_measured
    from deepnet.training.train import measure_splits
    from deepnet.training.training import reopen
    from figures import measured_splits, reliability
    from ufm.cli.output_folder import output_folder

    check_new_file(setting.json, "--json")
    training = reopen(setting.run, setting.device, setting.data_folder, setting.checkpoint)
    with output_folder(setting.out, "measure") as folder:
        splits = measure_splits(training)
        found = calibration_of(training.net, training.data, training.setting.precision)
        result = {"run": str(setting.run), "epoch": training.epoch, "splits": splits, "calibration": found}
        show = partial(print_measured, f"{setting.run}, epoch {training.epoch}", splits, found)
        record = write_and_show(setting.json or folder / "record.json", setting.as_dict(), result, show)
        picture = measured_splits.draw(read_record(record), folder / "measured_splits.png")
        diagram = reliability.draw(read_record(record), folder / "reliability.png")
        print(f"wrote {record}, {picture}, {diagram}")
    return 0


def run_compare(setting: CompareSetting) -> int:
    """Put measurement and prediction side by side, one table a condition, and say how close they are."""
    from deepnet.training import checkpoint
    from ufm.cli.output_folder import output_folder

    check_new_file(setting.json, "--json")
    for run in setting.folders:
        checkpoint.read_setting(run)
    with output_folder(setting.out, "compare") as folder:
        return _compare(setting, folder)


def _compare(setting: CompareSetting, folder: Path) -> int:
    from deepnet.comparison import report as study_report
    from deepnet.comparison.study import compared_run, study
    from figures import central_path, feature_penalty, prediction_against_measurement, prediction_over_epochs

    runs = []
    for number, run in enumerate(setting.folders, 1):
        runs.append(compared_run(run, setting.device, setting.data_folder))
        print(f"read {run} ({number} of {len(setting.folders)}), epoch {runs[-1].entry['epoch']}", flush=True)
        if slow := runs[-1].entry["warning"]:
            print(f"warning: {run}: {slow}", file=sys.stderr)
    result = study(runs, setting.depths)
    path, show = setting.json or folder / "record.json", partial(study_report.show, result)
    record = write_and_show(path, setting.as_dict(), result, show)
    drawn = [prediction_against_measurement, prediction_over_epochs]
    drawn += [feature_penalty] if any(network["depth_fit"] for network in result["networks"]) else []
    drawn += [central_path] if any("central_path_loss" in run["measures"] for run in result["runs"]) else []
    pictures = [figure.draw(read_record(record), folder / f"{figure.__name__.split('.')[-1]}.png") for figure in drawn]
    print(f"wrote {', '.join(map(str, (record, *pictures)))}")
    return 0


def run_grid(setting: GridSetting) -> int:
    """Train what the folder lacks, then table, rows, record and picture; exit code 3 if a run failed."""
    from deepnet.grid import trainings as grid
    from ufm.cli.output_folder import claimed, output_folder
    from ufm.engine.map_units import check_reachable

    check_new_file(setting.json, "--json")
    if setting.resume is not None:
        setting = grid.resumed_grid(setting)
    runs = grid.possible_runs(setting)
    check_reachable(setting.engine)
    with claimed(setting.resume, "--resume") if setting.resume else output_folder(setting.out, "grid") as folder:
        return _grid(setting, runs, folder)


def _grid(setting: GridSetting, runs: "Sequence[Run]", folder: Path) -> int:
    """What the folder lacks of the grid, with the lock on the folder held."""
    import time

    from deepnet.grid import report as grid_report
    from deepnet.grid import trainings as grid
    from figures import accuracy_heat_map
    from ufm.cli.output_folder import given_back_if_refused
    from ufm.parallel import local_workers

    grid.write_grid(folder, setting)
    works = [grid.Work(run, folder / run.name) for run in runs]
    todo = [work for work in works if not work.is_done]
    workers = min(len(todo), local_workers(setting.device, setting.workers))
    print(f"{len(works)} runs, {len(todo)} to train, in {folder}", flush=True)
    began = time.perf_counter()
    try:
        is_new = setting.resume is None
        with given_back_if_refused(folder, is_new, "*/setting.json"), grid_report.progress(todo) as on_end:
            failures = grid.train_all(todo, setting, folder, workers, on_end)
    except RequestError:
        raise  # going on would end in the same
    except BaseException:
        if (folder / grid.GRID).exists():
            print(f"\nstopped; go on with: python -m deepnet grid --resume {folder}", file=sys.stderr)
        raise
    rows = [grid.row(work, failures.get(work.run.name)) for work in works]
    result = grid_report.as_result(rows, time.perf_counter() - began)
    path, show = setting.json or folder / "record.json", partial(grid_report.show, rows, result)
    record = write_and_show(path, setting.as_dict(), result, show)
    picture = accuracy_heat_map.draw(read_record(record), folder / "accuracy_heat_map.png")
    print(f"runs: {grid_report.write_rows(folder, rows)}\nrecord: {record}\npicture: {picture}")
    return 3 if failures else 0


def _train(setting: TrainSetting) -> int:
    from deepnet import distributed
    from deepnet.training.run import opened

    with opened(setting) as (training, folder):
        go_on = f"go on with: python -m deepnet train --resume {folder}"
        try:
            failure = _train_with_progress(training, folder)
            if failure is None and distributed.rank() == 0:
                _finish(training, folder, setting.json)
        except KeyboardInterrupt:
            print(f"\nstopped; {go_on}", file=sys.stderr)
            return 130
        except OSError as error:
            print(f"python -m deepnet: {error}; the last good state is kept, {go_on}", file=sys.stderr)
            return 3
        if failure is None or distributed.rank() > 0:
            return 0
        print(f"python -m deepnet: {failure} The state before that epoch is in {folder}.", file=sys.stderr)
        return 1


def _train_with_progress(training: "Training", folder: Path) -> str | None:
    from deepnet import distributed
    from deepnet.training.epoch import steps_of
    from deepnet.training.optimiser import warning_of_time
    from deepnet.training.progress import TrainingProgress
    from deepnet.training.train import train

    if distributed.rank() > 0:
        return train(training, folder, lambda _: None, lambda _: None)
    images, setting = len(training.data.splits["train"].labels), training.setting
    if steps_of(images, setting.batch_size) == 1:
        found = f"`--batch-size` {setting.batch_size} takes all {images} training images at once"
        print(f"warning: one step an epoch, {setting.epochs} in all: {found}", file=sys.stderr)
    if slow := warning_of_time(setting, steps_of(images, setting.batch_size)):
        print(f"warning: {slow}", file=sys.stderr)
    with TrainingProgress(setting.lines, images, training.epoch) as progress:
        return train(training, folder, progress.step, progress.epoch)


def _finish(training: "Training", folder: Path, json: Path | None) -> None:
    """Record, table and picture of a run that reached its last epoch."""
    from deepnet.training import checkpoint
    from deepnet.training.report import print_best, print_measures
    from deepnet.training.run import finish
    from figures import training_curves

    record = finish(training, folder, json)
    result = read_record(record)["result"]
    print_measures(f"{folder}, epoch {training.epoch}", result["splits"])
    print_best(result["best"])
    picture = training_curves.draw(read_record(record), folder / "training.png")
    files = (checkpoint.SETTING, checkpoint.METRICS, checkpoint.CHECKPOINT, checkpoint.PREVIOUS, checkpoint.BEST)
    written = [str(folder / name) for name in files if (folder / name).exists()]
    print(f"wrote {', '.join(written)}, {record}, {picture}")


def run_experiment(setting: ExperimentSetting) -> int:
    """Train, judge, show, record."""
    from deepnet.experiments.experiment import find
    from ufm.cli.output_folder import output_folder

    check_new_file(setting.json, "--json")
    experiments = find(setting.name)
    with output_folder(setting.out, "experiment", continues="record.json") as folder:
        earlier_result(folder, setting.as_dict())  # refused here if it is another experiment's
        return _experiment(setting, experiments, folder)


def _experiment(setting: ExperimentSetting, experiments: "Sequence[Experiment]", folder: Path) -> int:
    from deepnet.experiments import report
    from deepnet.experiments.conduct import conduct, units_of, warning_of_units
    from figures import experiments as picture_of_experiments

    units = units_of(experiments, setting, folder)
    if not (folder / "record.json").exists():
        write_record(folder / "record.json", setting.as_dict(), {"experiments": []})  # what a later call continues
    failures: dict[Path, str] = {}
    try:
        for done, (unit, failure) in enumerate(conduct(units, folder), 1):
            print(f"{done:3d}/{len(units)}  {unit.name}{': ' if failure else ''}{failure}", flush=True)
            failures |= {unit.folder: failure} if failure else {}
    except KeyboardInterrupt:
        print(f"\nstopped; the same command with --out {folder} goes on.", file=sys.stderr)
        return 130
    if slow := warning_of_units(units):
        print(f"warning: {slow}", file=sys.stderr)
    result = report.as_result(experiments, units, failures)
    record = write_and_show(folder / "record.json", setting.as_dict(), result, partial(report.show, result))
    if setting.json is not None:
        record = write_record(setting.json, setting.as_dict(), result)
    print(f"wrote {record}; the runs are in {folder}")
    if len(failures) < len(units):
        print(f"picture: {picture_of_experiments.draw(read_record(record), folder / 'experiments.png')}")
    return 1 if failures else 0


COMMANDS = {
    "train": Command(TrainSetting, run_train),
    "measure": Command(MeasureSetting, run_measure),
    "compare": Command(CompareSetting, run_compare),
    "experiment": Command(ExperimentSetting, run_experiment, positional="name"),
    "grid": Command(GridSetting, run_grid),
}


def program(prog: str = "python -m deepnet") -> int:
    """The exit code of what the command line asks for."""
    return main(prog, "Real images: train, measure neural collapse, compare with theory.", COMMANDS)


if __name__ == "__main__":
    sys.exit(program())
