import pytest

from figures import (
    measured_against_derived,
    measured_splits,
    prediction_against_measurement,
    prediction_over_epochs,
    reliability,
    training_curves,
)

MEASURED = {"loss": 0.5, "accuracy": 0.9, "nc1_quotient": 0.1, "nc2_etf_distance": None, "nc3_self_duality": 0.2}


def test_training_curves_bridge_epochs_that_were_not_measured(tmp_path):
    metrics = [{"epoch": 1, "loss": 2.0, "train": MEASURED, "test": MEASURED}, {"epoch": 2, "loss": None}]
    path = training_curves.draw({"result": {"metrics": metrics}}, tmp_path / "picture.png")
    assert path.stat().st_size > 5000


def test_ratios_are_drawn_where_there_are_any(tmp_path):
    rows = [{"name": "margin", "kind": "identity", "ratio": 1.1}, {"name": "|w|", "kind": "prediction", "ratio": None}]
    run = {"rows": rows, "condition": "ce", "run_setting": {"net": "mlp", "data": "digits"}, "epoch": 3}
    path = prediction_against_measurement.draw({"result": {"runs": [run, run]}}, tmp_path / "picture.png")
    assert path.stat().st_size > 5000


@pytest.mark.parametrize("script", [prediction_against_measurement, prediction_over_epochs])
def test_nothing_stands_beside_a_prediction_that_there_is_not(script):
    known, unknown = {"no_prediction": None}, {"no_prediction": "of this loss none is known"}
    assert script.fits({"result": {"runs": [unknown, known]}})
    assert not script.fits({"result": {"runs": [unknown]}})


def test_derived_numbers_are_drawn_where_there_are_any(tmp_path):
    rows = [{"name": name, "measured": 2.0, "derived": 2.1, "deviation": -0.05} for name in ("margin", "|w|")]
    run = {"condition": "ce", "run_setting": {"net": "resnet18", "data": "digits"}, "derived": {"rows": rows}}
    other = run | {"run_setting": {"net": "resnet18", "data": "cifar10"}}
    records = [{"result": {"runs": [run, run | {"derived": None}]}}, {"result": {"runs": [other]}}]
    assert measured_against_derived.draw(*records, path=tmp_path / "picture.png").stat().st_size > 5000
    assert measured_against_derived.fits(records[0])
    assert not measured_against_derived.fits({"result": {"runs": [run | {"derived": None}]}})


def test_splits_are_drawn_without_what_is_no_number(tmp_path):
    measures = dict.fromkeys(measured_splits.METRICS, 0.1) | {"nc4_disagreement": 0.0, "nc1_trace": None, "accuracy": 1}
    record = {"result": {"epoch": 3, "splits": {"train": measures, "test": measures}}}
    assert measured_splits.draw(record, tmp_path / "picture.png").stat().st_size > 5000


def test_reliability_is_drawn_with_empty_bins(tmp_path):
    bins = [{"low": 0.0, "high": 0.5, "count": 0, "confidence": None, "accuracy": None}]
    bins += [{"low": 0.5, "high": 1.0, "count": 7, "confidence": 0.9, "accuracy": 0.6}]
    errors = {"nll": 0.5, "ece": 0.1, "reliability": bins}
    for found in ({"as_trained": errors}, {"as_trained": errors, "temperature": 2.0, "scaled": errors}):
        path = reliability.draw({"result": {"calibration": found}}, tmp_path / "picture.png")
        assert path.stat().st_size > 5000
