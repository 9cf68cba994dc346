"""No verdict depends on the units in which a problem was written."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ufm.__main__ import COMMANDS
from ufm.cli.command_line import main
from ufm.model.deep import DeepProblem
from ufm.model.losses import CrossEntropy, Focal, SquaredError
from ufm.model.model import Model
from ufm.model.problem import Problem
from ufm.model.spheres import SphereProblem
from ufm.scan.cells import Cell, Unit
from ufm.scan.outcomes import end_states, solve
from ufm.solve.units import own_units
from ufm.theory.prediction import predict, predicted_point

WRITTEN: dict[str, Model] = {
    "rescaled": Problem(SquaredError(1e-4), 4, 5, 2, 5e-3, 5e-3, 0.01),
    "mean": Problem(SquaredError(15.0, "mean"), 4, 5, 2, 1e-2, 3e-4, None),
    "unequal decays": Problem(CrossEntropy(), 4, 5, 2, 1e-6, 1e2, 0.3),
    "unequal classes": Problem(SquaredError(1e3), 4, 5, 1, 2.0, 30.0, 0.1, sizes=(3, 1, 2, 1)),
    "deep": DeepProblem(SquaredError(1e3), 3, 4, 2, 5e-3, 2.0, 0.05, (1e-4, 8e-3)),
    "deep, ReLU": DeepProblem(SquaredError(1e-3), 3, 4, 2, 5e-3, 2.0, None, (1e-4,), is_rectified=True),
}


@pytest.fixture(params=list(WRITTEN))
def written(request) -> Model:
    return WRITTEN[request.param]


def test_a_model_is_a_multiple_of_itself_in_its_own_units(written, normal):
    units, y = own_units(written), normal(3, written.size)
    x = units.scales * y
    assert torch.allclose(written.value(x), units.value * units.model.value(y), rtol=1e-12, atol=0)
    assert torch.allclose(written.logits(x), units.logits * units.model.logits(y), rtol=1e-9, atol=1e-30)
    of_own, of_given = (model.value_and_gradient(at)[1] for model, at in ((units.model, y), (written, x)))
    rounding = 1e-12 * units.value * float(of_own.abs().max())
    assert torch.allclose(of_given * units.scales, units.value * of_own, rtol=1e-9, atol=rounding)


def test_decays_are_equal_and_targets_have_length_one(written):
    own = own_units(written).model
    for decay in (own.decay_H, *getattr(own, "inner", ())):
        assert decay == pytest.approx(own.decay_W, rel=1e-12)
    if isinstance(own.loss, SquaredError):
        assert own.loss == SquaredError()


def test_the_strength_by_hand():
    """decay' = sqrt(decay_W decay_H) / (k r): 1e-2 for decays 1e-6 and 1e2; 5e-3 / 1e5; k = 2/4 and r = 15."""
    cases = [(CrossEntropy(), 1e-6, 1e2, 1e-2), (SquaredError(1e5), 5e-3, 5e-3, 5e-8)]
    cases.append((SquaredError(15.0, "mean"), 4e-4, 1e-4, 2e-4 / 7.5))
    for loss, decay_W, decay_H, expected in cases:
        assert own_units(Problem(loss, 4, 5, 2, decay_W, decay_H)).model.decay_W == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    "model",
    [
        Problem(Focal(3.0), 4, 5, 2, 5e-3, 5e-3, 0.01),
        Problem(SquaredError(), 4, 5, 2, 7e-3, 7e-3, None),
        DeepProblem(CrossEntropy(), 3, 4, 2, 5e-3, 5e-3, 0.0, (5e-3,)),
        SphereProblem(CrossEntropy(), 3, 4, 2, temperature=3.0),
    ],
    ids=str,
)
def test_an_ordinary_model_is_its_own_self_to_the_last_bit(model):
    units = own_units(model)
    assert units.model == model
    assert torch.equal(units.scales, torch.ones(model.size, dtype=torch.float64))
    assert (units.value, units.logits, units.gradient) == (1.0, 1.0, 1.0)


def test_parameters_by_start(normal):
    r, decay_H = torch.tensor([1e-3, 2.0, 1e4]).double(), torch.tensor([1e-2, 5.0, 1e-5]).double()
    mixed = Problem(SquaredError(r), 3, 4, 2, 5e-3, decay_H, 0.1)
    units, y = own_units(mixed), normal(3, mixed.size)
    value = units.model.value(y)
    for i in range(3):
        one = own_units(Problem(SquaredError(float(r[i])), 3, 4, 2, 5e-3, float(decay_H[i]), 0.1))
        assert torch.allclose(one.scales, units.scales[i], rtol=1e-14)
        assert float(one.model.value(y[i])) == pytest.approx(float(value[i]), rel=1e-12)


SIZES = ["--classes", "4", "--dim", "5", "--per-class", "2", "--starts", "10"]
SIZES += ["--saddle-classes", "3", "--saddle-dim", "4", "--saddle-starts", "16"]


def _verify(folder: Path, *words: str) -> tuple[int, dict]:
    code = main("python -m ufm", "", COMMANDS, ["verify", *SIZES, *words, "--out", str(folder)])
    record = folder / "record.json"
    return code, json.loads(record.read_text())["result"]["verdicts"][0] if record.exists() else {}


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("--loss mse --loss.rescale 1e-8", 0),
        ("--loss mse --loss.rescale 1e-4", 0),
        ("--loss mse --loss.rescale 30 --loss.convention mean --decay-b null", 0),
        ("--loss mse --loss.rescale 1e5", 2),
        ("--loss mse --loss.rescale 1e8", 2),
        ("--loss ce --decay-W 1e-6 --decay-H 1e2", 0),
        ("--loss mse --decay-W 1e2 --decay-H 1e-6 --decay-b 0", 0),
        ("--loss focal --decay-W 1e4 --decay-H 1e4 --decay-b 0", 0),
        ("--loss ce --decay-W 1e8 --decay-H 1e8", 2),
        ("--loss ls --decay-W 1e-12 --decay-H 1e-4", 2),
        ("--model imbalance --model.sizes [3,2,1,1] --loss mse --loss.rescale 1e-4 --decay-W 1e-8", 0),
    ],
)
def test_a_true_claim_holds_or_is_refused(tmp_path, capsys, words, code):
    found, verdict = _verify(tmp_path / "out", *words.split())
    said = capsys.readouterr()
    assert found == code, said.out
    if code == 2:
        assert "--tolerance" in said.err or "--decay-W" in said.err
        assert not (tmp_path / "out").exists()
    else:
        assert all(claim["holds"] for claim in verdict["claims"].values())


def test_values_come_in_the_units_given(tmp_path):
    """Half-norm squared error: K - 1 directions of weight 1 / K, one that a bias takes but for decay_b / (1 + decay_b).

    By hand, of 1/(2K) (1 - s)^2 + c s at s = 1 - K c, times r^2; the direction along 1 stays at zero as K c > kept.
    """
    K, r, decay, decay_b = 4, 30.0, 5e-3, 0.01
    c, kept = np.sqrt(2) * decay / r, decay_b / (1 + decay_b)
    s = 1 - K * c
    of_common = 1 - K * c / kept
    common = kept / (2 * K) * (1 - of_common) ** 2 + c * of_common if of_common > 0 else kept / (2 * K)
    expected = r**2 * ((K - 1) * ((1 - s) ** 2 / (2 * K) + c * s) + common)
    _, verdict = _verify(tmp_path / "out", "--loss", "mse", "--loss.rescale", "30")
    assert verdict["target"]["value"] == pytest.approx(expected, rel=1e-12)
    highest = verdict["saddles"][-1]["value"]  # zero but for the bias: r^2 ((K - 1) / (2 K) + kept / (2 K)), K = 3
    assert highest == pytest.approx(r**2 * (2 + kept) / 6, rel=1e-9)


def test_other_units_of_W_and_H_are_the_same_problem(tmp_path):
    """(decay_W, decay_H) -> (t^2 decay_W, decay_H / t^2) is W -> W / t, H -> t H."""
    _, one = _verify(tmp_path / "one", "--loss", "ce")
    decays = [str(5e-3 * 2.0**20), str(5e-3 / 2.0**20)]
    _, other = _verify(tmp_path / "other", "--loss", "ce", "--decay-W", decays[0], "--decay-H", decays[1])
    assert other["statuses"] == one["statuses"]
    held = [{name: claim["holds"] for name, claim in verdict["claims"].items()} for verdict in (one, other)]
    assert held[0] == held[1]
    for here, there in zip(one["saddles"], other["saddles"], strict=True):
        assert there["value"] == pytest.approx(here["value"], rel=1e-9)
        for name in ("morse_index", "nullity", "rank"):
            assert there[name] == here[name]


@pytest.mark.parametrize("rescale", [1e-8, 1.0, 1e8])
def test_end_states_do_not_see_the_unit_of_the_logits(rescale):
    """Decays such that c K / r = 0.4: the simplex has margin 0.6 r."""
    decay = 0.1 * rescale / 2**0.5
    problem = Problem(SquaredError(rescale), 4, 5, 2, decay, decay, 0.0)
    etf = predicted_point(problem, predict(problem))
    state, active = end_states(problem, torch.stack([etf, torch.zeros_like(etf), 1e-3 * etf]))
    assert state.tolist() == [0, 1, 1]
    assert active.tolist() == [4, 0, 0]


def scaled_cross_entropy(logits: torch.Tensor, labels: torch.Tensor, t: float = 1.0) -> torch.Tensor:
    """t times cross entropy."""
    return t * torch.nn.functional.cross_entropy(logits, labels, reduction="none")


def _row(t: float) -> dict:
    decay = 5e-3 * t
    cell = Cell({"name": f"{__name__}.scaled_cross_entropy", "t": t}, 3, 4, 2, decay, decay, 0.01 * t)
    return solve(Unit((cell,), 8, 0, 1e-9, 10_000, "cpu"))[0]


@pytest.mark.parametrize("t", [1e-8, 1e8])
def test_a_loss_and_decays_times_t_end_where_they_did(t):
    one, other = _row(1.0), _row(t)
    assert (other["converged"], other["etf"]) == (one["converged"], one["etf"]) == (8, 1.0)
    assert other["best_value"] / t == pytest.approx(one["best_value"], rel=1e-9)
    # The probability of each other class is c at the minimum of cross entropy (Zhu et al. 2021).
    assert other["margin"] == pytest.approx(np.log(1 / (np.sqrt(2) * 5e-3) - 2), rel=1e-6)
