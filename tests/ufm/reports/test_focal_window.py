"""The focal window against reference values, dense Hessians and false twins."""

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.reference_values import FOCAL_WINDOWS
from ufm.__main__ import COMMANDS
from ufm.cli.command_line import main
from ufm.proof import focal_certificate
from ufm.proof.ball_model import NOT_STATIONARY, BallModel, is_stationary
from ufm.proof.focal_certificate import (
    PartialState,
    _around,
    _fixed_basis,
    _fixed_directions,
    _parameters,
    prove_minimum,
    restricted,
    state_found,
)
from ufm.reports.focal_window import zero_is_minimum
from ufm.solve.hessian import dense_hessian
from ufm.theory.focal_window import TwoLevels, order_of_transitions, ray_thresholds, window

# K = 30, gamma = 3, c = 0.0409664, no bias, m = 10: omega and eta where f at angle 0 is stationary (mpmath, 30 digits).
WITHOUT_COMMON_PART = (0.97098518095654264, 0.75717917132239918, 0.0)

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
    return state_found(TwoLevels(30, 3.0, 0.0), states, m, kind, place)


@pytest.fixture(scope="module", params=[None, 0.01], ids=["no bias", "decayed bias"])
def without_free_bias(request):
    """All states at K = 30, gamma = 3, c = 0.0409664."""
    levels = TwoLevels(30, 3.0, request.param)
    states = levels.states(torch.tensor([0.0409664], dtype=torch.float64))
    found = (state_found(levels, states, m, kind) for m in range(1, 31) for kind in range(2))
    return [state for state in found if state is not None]


def _written_out(state):
    """The objective and its gradient norm from the definitions of the model, by autograd."""
    x = torch.tensor([float(entry.mid()) for entry in state.point], dtype=torch.float64, requires_grad=True)
    K, d = state.K, state.m + 1
    W, H = x[: 2 * K * d].view(2, K, d)
    b = x[2 * K * d :] if state.decay_b is not None else torch.zeros(K, dtype=torch.float64)
    log_p = (H @ W.T + b).log_softmax(1).diagonal()
    loss = (-((1 - log_p.exp()) ** state.gamma) * log_p).mean()
    value = loss + state.c / 2 * (W.square().sum() + H.square().sum()) + (state.decay_b or 0.0) / 2 * b.square().sum()
    return value.item(), torch.autograd.grad(value, x)[0].norm().item()


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
    start = torch.tensor([[1.056, 0.0, 0.0289, 0.0, 20.0, 0.0403]], dtype=torch.float64)
    x = TwoLevels(30, 3.0, 0.0).polished(start)[0].tolist()
    saddle = prove_minimum(PartialState(30, 3.0, 0.0403, 0.0, 20, x[0], 0.0, x[2]))
    assert saddle.is_critical
    assert not saddle.is_minimum
    assert saddle.smallest_eigenvalue < 0


def test_every_state_is_critical_in_the_full_model(without_free_bias):
    assert len(without_free_bias) >= 30
    for state in without_free_bias:
        assert _written_out(state)[1] < 1e-12, state


# c = 0.0409664: m, value without and with a bias of decay 0.01, by L-BFGS on (W, H, b) from points beside the states.
DESCENDED = {10: (3.070242054409337, 3.070093821674030), 22: (3.067544360238779, None)}


@pytest.mark.parametrize("m", DESCENDED)
def test_states_without_a_free_bias_are_proved_minimisers_of_the_full_model(without_free_bias, m):
    (state,) = (state for state in without_free_bias if state.m == m)
    value = DESCENDED[m][state.decay_b is not None]
    proof = prove_minimum(state)
    assert proof.is_minimum
    assert proof.reason == ""
    assert proof.radius < 1e-13
    assert proof.value_low <= _written_out(state)[0] + 1e-15
    if value is not None:
        assert proof.value_high == pytest.approx(value, abs=1e-11)
    dense = dense_hessian(state.problem, torch.tensor([[float(entry.mid()) for entry in state.point]]).double())[0]
    rotations = m * (m + 1) // 2  # of m + 1 columns, of which m are used
    smallest = torch.linalg.eigvalsh(dense)[rotations]
    assert proof.smallest_eigenvalue == pytest.approx(float(smallest), abs=1e-10)


def test_a_critical_point_of_the_subspace_of_a_free_bias_is_refused_without_one(monkeypatch):
    """The false twin: angle 0, critical along omega and eta alone."""
    state = PartialState(30, 3.0, 0.0409664, None, 10, *WITHOUT_COMMON_PART, 0.0)
    assert _written_out(state)[1] == pytest.approx(5.4e-4, rel=0.02)
    refused = prove_minimum(state)
    assert not refused.is_critical
    assert not refused.is_minimum
    assert "Krawczyk" in refused.reason
    ball = _around(state.point, _parameters(state)[:2], 1e-14)
    assert not is_stationary(ball, BallModel(state.problem, ball).gradient)
    monkeypatch.setattr(focal_certificate, "_fixed_directions", lambda state: _parameters(state)[:2])
    narrow = prove_minimum(state)
    assert narrow.radius < 1e-13  # Krawczyk's operator has its zero, of the gradient along two directions
    assert narrow.reason == NOT_STATIONARY
    assert not narrow.is_critical
    assert not narrow.is_minimum


@pytest.mark.parametrize("decay_b", [0.0, 0.01, None])
@pytest.mark.parametrize(("K", "m", "eta"), [(7, 3, 0.4), (7, 3, 0.0), (5, 1, 0.4), (5, 4, 0.3), (5, 5, 0.0)])
def test_the_gradient_at_a_symmetric_point_lies_in_the_fixed_subspace(K, m, eta, decay_b):
    omega = 0.9 * (m > 1)
    state = PartialState(K, 3.0, 0.05, decay_b, m, omega, eta, 0.1 * (m < K and decay_b is not None), 0.3 * (eta != 0))
    directions = _fixed_directions(state)
    basis = np.array([[float(entry.mid()) for entry in direction] for direction in directions])
    rng = np.random.default_rng(0)
    x = np.array([float(entry.mid()) for entry in state.point]) + rng.normal(size=len(basis)) @ basis
    gradient = state.problem.value_and_gradient(torch.from_numpy(x)[None])[1][0].numpy()
    along = basis.T @ np.linalg.lstsq(basis.T, gradient, rcond=None)[0]
    assert np.linalg.matrix_rank(basis) == len(basis)
    np.testing.assert_allclose(gradient, along, atol=1e-15)


def test_a_saddle_says_so(without_free_bias):
    """m = 25 with the others at zero: without a bias a saddle, with one of decay 0.01 a minimiser."""
    (state,) = (state for state in without_free_bias if state.m == 25 and state.eta == 0)
    proof = prove_minimum(state)
    assert proof.is_critical
    assert proof.is_minimum == (state.decay_b is not None)
    assert ("negative eigenvalue" in proof.reason) == (state.decay_b is None)


def test_the_recorded_table_of_a_free_bias_holds(thirty):
    """Every state of the README's record is found again; some of its proofs are made again."""
    recorded = json.loads((Path(__file__).parents[3] / "figures" / "data" / "focal_window.json").read_text())["result"]
    assert len(recorded["states"]) == 30
    for row in recorded["states"]:
        kind = int(row["others"] == "merged")
        state = _state(thirty, row["m"], kind, 0)
        assert float(thirty.value[row["m"] - 1, kind, 0]) == pytest.approx(row["value"], abs=2e-15)
        found = state.omega**2, state.eta**2, state.bias, state.angle
        assert found == pytest.approx((row["t"], row["beta"], row["bias"], 0.0), abs=1e-11)
        if row["m"] in (2, 22, 30):
            proof = prove_minimum(state)
            assert proof.is_minimum
            assert proof.radius < 1e-13
            assert proof.smallest_eigenvalue == pytest.approx(row["proof"]["smallest_eigenvalue"], rel=1e-6)


def test_zero_is_a_minimiser_from_c_low_on():
    low = 0.040703976535720511  # S(1/30)/29 at gamma = 3
    for decay_b in (None, 0.0, 0.01):
        assert zero_is_minimum(30, 3.0, low * (1 + 1e-9), decay_b)
        assert not zero_is_minimum(30, 3.0, low * (1 - 1e-9), decay_b)


@pytest.mark.parametrize("m", [3, 4, 5])
@pytest.mark.parametrize("decay_b", [0.0, 0.01, None])
def test_the_fixed_subspace_has_every_eigenvalue(m, decay_b):
    """At any point of the symmetry the dense Hessian has the eigenvalues of the restricted one, repeated."""
    state = PartialState(8, 3.0, 0.05, decay_b, m, 0.9, 0.4, 0.1 * (decay_b is not None), 0.2)
    point = state.point
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


def said(capsys, *words):
    """What the command prints."""
    assert main("python -m ufm", "", COMMANDS, ["focal-window", *words]) == 0
    return capsys.readouterr().out


def test_the_command(tmp_path, capsys):
    output = said(capsys, "--classes", "18", "--gamma", "2.4", "--points", "8", "--out", str(tmp_path / "window"))
    assert "c_low" in output
    assert "proved to be strict local minimisers" in output
    record = json.loads((tmp_path / "window" / "record.json").read_text())
    assert record["result"]["thresholds"]["low"] < record["result"]["thresholds"]["high"]
    assert (tmp_path / "window" / "focal_window.png").stat().st_size > 5000
    assert main("python -m ufm", "", COMMANDS, ["focal-window", "--gamma", "-1"]) == 2


def test_where_balls_have_no_bounds_nothing_is_proved(tmp_path, capsys):
    output = said(capsys, "--classes", "3", "--points", "2", "--at", "1e-12", "--out", str(tmp_path / "window"))
    assert "0 states are proved to be strict local minimisers" in output
    assert "3 of 3 states are not proved to be minimisers" in output
    assert "<= nan" not in output


def test_the_order_of_transitions_has_every_change_of_the_best_size(monkeypatch):
    """Rising or falling, of sizes given by hand."""

    def given(_, strengths):
        return SimpleNamespace(strengths=strengths, partial=(None, torch.tensor([3, 3, 5, 4, 4])))

    monkeypatch.setattr(TwoLevels, "states", given)
    found = order_of_transitions(TwoLevels(6, 3.0, 0.0), 1.0, 2.0, 5)
    assert found == [{"m": 3, "from": 1.0}, {"m": 5, "from": 1.5}, {"m": 4, "from": 1.75}]


def test_where_all_starts_end_at_zero_there_is_no_state():
    """c = 0.5, far above the largest slope over K - 1: neither one class on a simplex nor any other."""
    assert TwoLevels(6, 3.0, 0.0).states(torch.tensor([0.5], dtype=torch.float64)).value.isnan().all()


def test_the_state_of_one_class_is_polished_too():
    """K = 6, c = 0.05, free bias: no simplex, omega = 0."""
    near = torch.tensor([[0.0, 1.565, -0.99, 0.0, 1.0, 0.05]], dtype=torch.float64)
    levels = TwoLevels(6, 3.0, 0.0)
    assert float(levels.value_and_gradient(near)[1].norm()) > 1e-6
    assert float(levels.value_and_gradient(levels.polished(near))[1].norm()) < 1e-13
