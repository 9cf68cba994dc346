"""Several runs side by side: each with its prediction at every epoch, grouped by loss and decay, seeds as repetitions.

A *network* is what runs have in common apart from loss, weight decay and seed; a *condition* is a loss with a decay.
Predictions from one condition to another (`deepnet.comparison.transfer`) and similarities stay within a network;
similarities within a seed too, which chooses the images.
"""

import itertools
import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypedDict

import torch

from deepnet.comparison.compare import Comparison, Sizes, compare
from deepnet.comparison.derived import derived
from deepnet.comparison.penalty import fit_depth
from deepnet.comparison.transfer import Case, by_condition, errors, transfers
from deepnet.comparison.verdict import verdict
from deepnet.measures.features import LastLayer, last_layer
from deepnet.measures.geometry import geometry
from deepnet.measures.measure import measure
from deepnet.measures.normalisation import (
    batch_layer,
    largest_second_moment,
    normalises_batches,
    with_precise_statistics,
)
from deepnet.measures.reading import Reading
from deepnet.measures.similarity import similarities
from deepnet.nets.scales import Scales, scales, writers
from deepnet.training import checkpoint, shapes
from deepnet.training.epoch import batches, steps_of
from deepnet.training.optimiser import warning_of_time
from deepnet.training.run import summary
from deepnet.training.training import Training, reopen
from ufm.errors import RequestError, check
from ufm.model.loss import Loss

SPLITS = ("train", "test")
"""The splits on whose images features of networks are compared."""
PASSES = 8
"""The number of random passes over the training images that averages over batches take."""
NOT_OF_THE_NETWORK = ("loss", "decay", "seed", "data_folder", "device", "download", "measure_every")

IN_TRAJECTORY = {field.name for field in fields(Reading)} - {"loss"}
"""What the record has once, in the trajectory."""


class Study(TypedDict):
    """The contents of the record.

    Attributes:
        runs: an entry each: the run's summary (`deepnet/training/run.py`), `condition`, `seed`, `measures`, `geometry`
            and `geometry_over_epochs` (empty for runs of earlier versions), the fields of `Comparison`, what is
            `derived`, `classifier_over_writers`, a `trajectory` over the epochs, stationarity and balance by kind of
            statistics.
        networks: for each network its `conditions` (mean and spread over seeds of every row, with a verdict), the line
            `depth_fit` through them, `transfers` from one condition to another with their errors, and the `similarity`
            of features.
    """

    runs: list[dict[str, Any]]
    networks: list[dict[str, Any]]


@dataclass(frozen=True)
class ComparedRun:
    """A compared run: its case, its features on training and test images, and its part of the record."""

    network: str
    case: Case
    layers: dict[str, LastLayer]
    entry: dict[str, Any]


def compared_run(folder: Path, device: str, data_folder: Path | None, code: str = "") -> ComparedRun:
    """Compare a run with the model: its last state and, from its metrics, every measured epoch.

    Raises:
        ValueError: if the folder holds no run that can be read, or its classes are of unequal size.
    """
    training = reopen(folder, device, data_folder, code=code)
    split, setting = training.data.splits["train"], training.setting
    is_model = setting.head["name"] == "linear" and setting.multilabel == 1
    check(is_model, "--runs", folder, "runs with the head linear and one label an image, which the model has")
    counts = torch.bincount(split.labels, minlength=training.data.classes)
    check(bool((counts == counts[0]).all()), "--per-class", counts.tolist(), "such that classes are of equal size")
    layer = last_layer(training.net, training.data, split, setting.precision)
    measures = {key: value for part in training.measures for key, value in part(layer, training.loss).items()}
    reading = Reading.from_measures(measures)
    sizes = Sizes(training.data.classes, int(counts[0]), layer.H.shape[1], setting.decay)
    plain = checkpoint.plain_setting(setting)
    case = Case(_condition(plain), setting.seed, training.loss, sizes, reading)
    entry = summary(training, folder) | {"condition": case.condition, "seed": case.seed, "measures": measures}
    entry |= {"geometry": geometry(layer), "geometry_over_epochs": shapes.read(folder)}
    entry["warning"] = warning_of_time(setting, steps_of(len(split.labels), setting.batch_size))
    entry |= compare(reading, training.loss, sizes).as_dict()
    entry["derived"] = _derived_of_run(training, reading, sizes)
    entry["classifier_over_writers"] = _classifier_over_writers(training)
    entry |= {"trajectory": trajectory(entry["collapse"], training.loss, sizes)}
    entry["collapse"] = [{key: line[key] for key in line if key not in IN_TRAJECTORY} for line in entry["collapse"]]
    by_statistics = _by_statistics(training, reading)
    entry["stationarity_by_statistics"] = {
        name: found.stationarity(setting.decay) for name, found in by_statistics.items()
    }
    entry["balance_by_statistics"] = {name: found.balance(setting.decay) for name, found in by_statistics.items()}
    test = last_layer(training.net, training.data, training.data.splits["test"], setting.precision)
    return ComparedRun(_network(plain), case, {"train": layer, "test": test}, entry)


def _derived_of_run(training: Training, reading: Reading, sizes: Sizes) -> dict[str, Any] | None:
    """What `deepnet/comparison/derived.py` says, None where the scales of the features are not known."""
    net, data = training.net, training.data
    if (found := scales(net)) is None:
        return None
    moment, precision = 1.0, training.setting.precision  # a layer normalisation has no statistics of training
    if isinstance(found, Scales):
        moment = largest_second_moment(net, found.normalisations, data, data.splits["train"], precision)
    against = derived(net, found, moment, reading, training.loss, sizes)
    return None if against is None else against.as_dict()


def _classifier_over_writers(training: Training) -> float | None:
    """|W|^2 over the sum of squares of what writes the features: 1 at a stationary point of a net that decays in all.

    None where features are normalised (`deepnet/nets/scales.py`).
    """
    writing = writers(training.net)
    if writing is None:
        return None
    squares = [float(each.detach().double().square().sum()) for each in (training.net.classifier.W, *writing)]
    return squares[0] / sum(squares[1:])


def trajectory(lines: Sequence[dict[str, Any]], loss: Loss, sizes: Sizes) -> list[dict[str, Any]]:
    """Prediction and measurement at every measured epoch; `rows` is None where nothing can be compared.

    That is where features or classifier are zero, not finite, or not in the metrics (runs of earlier versions).
    """
    return [{"epoch": line["epoch"], **_at_epoch(line, loss, sizes)} for line in lines]


def study(runs: Sequence[ComparedRun], depths: Sequence[float]) -> Study:
    """The record's result: runs, conditions, predictions from one condition to another, similarities.

    Raises:
        ValueError: if two runs are of one network, condition and seed.
    """
    keys = [(run.network, run.case.condition, run.case.seed) for run in runs]
    check(len({*keys}) == len(keys), "--runs", [str(run.entry["run"]) for run in runs], "runs that differ")
    names = dict.fromkeys(run.network for run in runs)
    networks = [_compared_network(name, [run for run in runs if run.network == name], depths) for name in names]
    return {"runs": [run.entry for run in runs], "networks": networks}


def _compared_network(name: str, runs: Sequence[ComparedRun], depths: Sequence[float]) -> dict[str, Any]:
    cases = [run.case for run in runs]
    found = transfers([run.case for run in runs if run.entry["no_prediction"] is None], depths)
    failures, fit = errors(found), fit_depth(by_condition(cases), cases[0].sizes.K)
    return {
        "network": name,
        "conditions": [condition | verdict(condition, failures) for condition in _conditions(runs)],
        "depth_fit": None if fit is None else asdict(fit) | {"depth": fit.depth, "range": fit.depth_interval},
        "transfers": [entry.as_dict() for entry in found],
        "transfer_errors": failures,
        "similarity": _similarity(runs),
    }


def _condition(setting: dict[str, Any]) -> str:
    name, *parameters = (str(value).removesuffix(".0") for value in setting["loss"].values())
    text = f"{name} ({', '.join(parameters)})" if parameters else name
    return f"{text}, decay {setting['decay']:g}"


def _network(setting: dict[str, Any]) -> str:
    rest = {name: value for name, value in setting.items() if name not in NOT_OF_THE_NETWORK}
    return json.dumps(rest, sort_keys=True)


def _at_epoch(line: dict[str, Any], loss: Loss, sizes: Sizes) -> dict[str, Any]:
    try:
        found: Comparison = compare(Reading.from_measures(line), loss, sizes)
    except (KeyError, RequestError, ZeroDivisionError):
        return {"rows": None, "stationarity": None, "decay_H": None}
    rows = {row.name: {"measured": row.measured, "predicted": row.predicted} for row in found.rows}
    return {"rows": rows, "stationarity": found.stationarity, "decay_H": found.decay_H}


def _by_statistics(training: Training, reading: Reading) -> dict[str, Reading]:
    """The reading under each kind of statistics; one kind for a net without batch normalisation."""
    setting, split = training.setting, training.data.splits["train"]
    if not normalises_batches(training.net):
        return {"running": reading}
    generator = torch.Generator().manual_seed(setting.seed)
    count, device = len(split.labels), split.labels.device
    labels, size = split.labels.cpu(), setting.batch_size  # shares of the classes as in the set, as evaluation has them
    order = [batch for _ in range(PASSES) for batch in batches(count, size, generator, device, labels)]
    net = with_precise_statistics(training.net, training.data, split, setting.precision, order)
    precise = last_layer(net, training.data, split, setting.precision)
    batch = batch_layer(training.net, training.data, split, setting.precision, order)
    return {
        "running": reading,
        "precise": Reading.from_measures(measure(precise, training.loss)),
        "batch": Reading.from_measures(measure(batch, training.loss)),
    }


def _conditions(runs: Sequence[ComparedRun]) -> list[dict[str, Any]]:
    """Mean and standard deviation over the seeds of every row and of the residuals."""
    table = []
    for name in dict.fromkeys(run.case.condition for run in runs):
        members = [run for run in runs if run.case.condition == name]
        group = [run.entry for run in members]
        norms = [[run.case.reading.norm_h, run.case.sizes.K * run.case.reading.norm_w**2] for run in members]
        rows = [
            {"name": row[0]["name"], "kind": row[0]["kind"]}
            | {key: _spread([entry[key] for entry in row]) for key in ("measured", "predicted", "ratio")}
            for row in zip(*(entry["rows"] for entry in group), strict=True)
        ]
        by_statistics = {
            what: {key: _spread([entry[f"{what}_by_statistics"][key] for entry in group]) for key in kinds}
            for what in ("stationarity", "balance")
            for kinds in [group[0]["stationarity_by_statistics"]]
        }
        nc1 = _spread([entry["measures"]["nc1_trace"] for entry in group])
        table.append(
            {"condition": name, "loss": group[0]["run_setting"]["loss"], "seeds": [entry["seed"] for entry in group]}
            | {"rows": rows, **by_statistics, "nc1_trace": nc1, "norms": norms, "derived": _derived(group)}
            | {"no_prediction": group[0]["no_prediction"]}
            | {"classifier_over_writers": _spread([entry["classifier_over_writers"] for entry in group])}
        )
    return table


def _derived(group: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Mean and standard deviation over the seeds of what is measured and derived; None where nothing is derived."""
    found = [entry["derived"] for entry in group]
    if any(each is None for each in found):
        return None
    rows = [
        {"name": row[0]["name"]}
        | {key: _spread([each[key] for each in row]) for key in ("measured", "derived", "deviation")}
        for row in zip(*(each["rows"] for each in found), strict=True)
    ]
    spreads = {name: _spread([each[name] for each in found]) for name in ("objective_over_bound", "moment")}
    return {"count": found[0]["count"], "rows": rows, **spreads}


def _spread(values: Sequence[float | None]) -> dict[str, Any]:
    """Mean, standard deviation (None for one value) and number; None where a value is missing."""
    if any(value is None for value in values):
        return {"mean": None, "deviation": None, "count": len(values)}
    known = [float(value) for value in values if value is not None]
    deviation = statistics.stdev(known) if len(known) > 1 else None
    return {"mean": statistics.fmean(known), "deviation": deviation, "count": len(known)}


def _similarity(runs: Sequence[ComparedRun]) -> list[dict[str, Any]]:
    """Every pair of conditions on each split: mean and spread over the seeds that both have."""
    pairs: dict[tuple[str, str, str], list[Any]] = {}
    for _, members in itertools.groupby(sorted(runs, key=lambda run: run.case.seed), key=lambda run: run.case.seed):
        group = list(members)
        for split in SPLITS:
            for entry in similarities([run.layers[split] for run in group]):
                key = (split, group[entry.first].case.condition, group[entry.second].case.condition)
                pairs.setdefault(key, []).append(entry)
    return [
        {
            "split": key[0],
            "conditions": list(key[1:]),
            "cka": _spread([entry.cka for entry in found]),
            "mean_cosine": _spread([statistics.fmean(entry.cosines) for entry in found]),
            "least_cosine": _spread([min(entry.cosines) for entry in found]),
            "agreement": _spread([entry.agreement for entry in found]),
        }
        for key, found in pairs.items()
    ]
