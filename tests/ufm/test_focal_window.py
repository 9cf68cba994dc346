"""The focal window against reference values, dense Hessians and false twins."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from flint import arb

from tests.reference_values import FOCAL_WINDOWS
from ufm.__main__ import COMMANDS
from ufm.ball_model import BallModel
from ufm.command_line import main
from ufm.focal_certificate import PartialState, _fixed_basis, _parameters, _point, prove_minimum, restricted
from ufm.focal_window import TwoLevels, ray_thresholds, window
from ufm.hessian import dense_hessian

# K = 30, gamma = 3, c = c_M: m, value, t, B of the states with the other classes at zero.
STATES = (
    (20, 3.07220705376048477, None, None),
    (21, 3.07220410824633268, None, None),
    (22, 3.07220359820377094, 0.814211412642676, 0.0429652917180416),
    (23, 3.07220553861250125, None, None),
    (24, 3.07220994445739762, None, None),
)


@pytest.fixture(scope="module")
def thirty():
    thresholds = ray_thresholds(30, 3.0)
    return TwoLevels(30, 3.0, 0.0).states(torch.tensor([thresholds.maxwell, 0.0409664], dtype=torch.float64))


def _state(states, m, kind, place):
    values = (float(part[m - 1, kind, place]) for part in (states.omega, states.eta, states.bias))
    return PartialState(30, 3.0, float(states.strengths[place]), 0.0, m, *values)


@pytest.mark.parametrize("row", FOCAL_WINDOWS, ids=lambda row: f"K={row[0]},gamma={row[1]}")
def test_thresholds(row):
    found = ray_thresholds(*row[:2])
    assert dataclasses.astuple(found)[:3] == pytest.approx(row[2:5], rel=3e-11)
    assert found.margin == pytest.approx(row[5], rel=1e-8 if row[5] > 0.01 else 1e-6)
    assert not found.is_continuous


@pytest.mark.parametrize(("K", "gamma", "c"), [(10, 3.0, 0.12885281775976), (20, 10.0, 0.077138309389428)])
def test_continuous_transitions_have_no_window(K, gamma, c):
    found = ray_thresholds(K, gamma)
    assert found.is_continuous
    assert found.low == pytest.approx(c, rel=1e-13)


def test_partial_states_at_the_maxwell_point(thirty):
    for m, value, t, B in STATES:
        assert float(thirty.value[m - 1, 0, 0]) == pytest.approx(value, abs=2e-15)
        if t is not None:
            assert float(thirty.omega[m - 1, 0, 0]) ** 2 == pytest.approx(t, abs=1e-11)
            assert float(thirty.bias[m - 1, 0, 0]) == pytest.approx(B, abs=1e-12)
    assert int(thirty.partial[1][0]) == 22


# K = 30, c = 0.0409664: m, value, smallest eigenvalue beside the rotations'.
SMALLEST = ((2, 3.071842465117, 2.6e-4), (10, 3.070055984063, 2.7e-4), (25, 3.066697627439, 1.2e-4))


def test_partial_states_are_proved_to_be_minimisers(thirty):
    for m, value, smallest in SMALLEST:
        kind = int(thirty.value[m - 1, 0, 1].isnan())
        proof = prove_minimum(_state(thirty, m, kind, 1))
        assert proof.is_minimum
        assert proof.radius < 1e-13
        assert proof.value_low <= value + 1e-12
        assert value - 1e-12 <= proof.value_high
        assert proof.smallest_eigenvalue == pytest.approx(smallest, abs=5.1e-6)
    etf = prove_minimum(_state(thirty, 30, 0, 1))
    assert etf.is_minimum
    assert etf.smallest_eigenvalue == pytest.approx(0.0025392394965, abs=1e-12)


def test_false_twins_are_refused(thirty):
    state = _state(thirty, 22, 0, 0)
    assert prove_minimum(state).is_minimum
    assert not prove_minimum(dataclasses.replace(state, omega=state.omega + 1e-6)).is_critical
    assert not prove_minimum(state, negative=1).is_minimum
    # The same kind of state below c_low is a saddle.
    start = torch.tensor([[1.056, 0.0, 0.0289, 20.0, 0.0403]], dtype=torch.float64)
    x = TwoLevels(30, 3.0, 0.0).polished(start)[0].tolist()
    saddle = prove_minimum(PartialState(30, 3.0, 0.0403, 0.0, 20, x[0], 0.0, x[2]))
    assert saddle.is_critical
    assert not saddle.is_minimum
    assert saddle.smallest_eigenvalue < 0


@pytest.mark.parametrize("m", [3, 4, 5])
@pytest.mark.parametrize("decay_b", [0.0, 0.01, None])
def test_the_fixed_subspace_has_every_eigenvalue(m, decay_b):
    """At any point of the symmetry the dense Hessian has the eigenvalues of the restricted one, repeated."""
    state = PartialState(8, 3.0, 0.05, decay_b, m, 0.9, 0.4, 0.1 * (decay_b is not None))
    point = _point(_parameters(state), [arb(state.omega), arb(state.eta), arb(state.bias)])
    basis = _fixed_basis(state)
    scale = np.sqrt([sum(vector) for vector in basis])
    balls = restricted(BallModel(state.problem, point), basis).tolist()
    small = np.array([[float(entry.mid()) for entry in row] for row in balls])
    few = np.linalg.eigvalsh(small / np.outer(scale, scale))
    x = torch.tensor([[float(entry.mid()) for entry in point]], dtype=torch.float64)
    every = torch.linalg.eigvalsh(dense_hessian(state.problem, x))[0].numpy()
    assert np.abs(every[:, None] - few[None]).min(1).max() < 1e-13
    assert np.abs(few[:, None] - every[None]).min(1).max() < 1e-13


@pytest.mark.slow
def test_the_window_of_twenty_classes():
    """It begins where m = 19 and the ETF have one value, and reaches at least to the inner bound 0.063215766 known."""
    levels, thresholds = TwoLevels(20, 3.0, 0.0), ray_thresholds(20, 3.0)
    first, last = window(levels, thresholds)
    states = levels.states(torch.tensor([first * (1 - 1e-9), first], dtype=torch.float64))
    assert states.partial[1].tolist() == [19, 19]
    assert (states.partial[0] < states.etf).tolist() == [False, True]
    assert float((states.partial[0] - states.etf).abs().max()) < 1e-9
    assert 0.063215766 <= last < 0.0632165
    assert (
        float(levels.states(torch.tensor([thresholds.maxwell], dtype=torch.float64)).partial[0])
        < 2.5684659580383524 - 1.26e-6
    )


@pytest.mark.slow
def test_no_window_without_bias():
    assert window(TwoLevels(20, 3.0, None), ray_thresholds(20, 3.0)) is None


def test_the_command(tmp_path, capsys):
    words = ["focal-window", "--classes", "18", "--gamma", "2.4", "--points", "8", "--out", str(tmp_path / "window")]
    assert main("python -m ufm", "", COMMANDS, words) == 0
    output = capsys.readouterr().out
    assert "c_low" in output
    assert "proved to be strict local minimisers" in output
    record = json.loads((tmp_path / "window" / "record.json").read_text())
    assert record["result"]["thresholds"]["low"] < record["result"]["thresholds"]["high"]
    assert (tmp_path / "window" / "focal_window.png").stat().st_size > 5000
    assert main("python -m ufm", "", COMMANDS, ["focal-window", "--gamma", "-1"]) == 2
