import math
from types import SimpleNamespace

import pytest
import torch

from ufm.solve.lbfgs.line_search_batched import is_too_long, next_trial, satisfies_wolfe
from ufm.solve.lbfgs.line_search_compiled import RUNNING, STALLED, _narrow, search
from ufm.solve.lbfgs.rules import Rules

RULES = Rules(1e-8, 100)


def _ends(function, slope, *steps):
    t = torch.tensor(steps, dtype=torch.float64)
    return torch.stack([t, function(t), slope(t)], 1).split(1)


def test_a_cubic_is_minimised_exactly():
    """t^3 - 3 t + 1 has its minimum at 1."""
    low, high = _ends(lambda t: t**3 - 3 * t + 1, lambda t: 3 * t**2 - 3, 0.2, 2.5)
    torch.testing.assert_close(next_trial(low, high, low), torch.ones(1, dtype=torch.float64))


def test_without_a_bracket_the_secant_leads_on_within_bounds():
    """(t - 5)^2: from 0 and 1 the secant of the slopes hits 5; other minima are approached within 2t..10t."""
    no_end = torch.tensor([[torch.inf, torch.inf, torch.inf]], dtype=torch.float64)
    for minimum, expected in ((5.0, 5.0), (50.0, 10.0), (1.1, 2.0)):
        zero, one = _ends(lambda t, m=minimum: (t - m) ** 2, lambda t, m=minimum: 2 * (t - m), 0.0, 1.0)
        assert float(next_trial(one, no_end, zero)) == expected
        alone = SimpleNamespace(
            f=minimum**2, slope=-2 * minimum, t=1.0, slope_there=2 - 2 * minimum, high_t=math.inf,
            low_t=0.0, low_f=minimum**2, low_slope=-2 * minimum,
        )  # fmt: skip
        _narrow(alone, (1 - minimum) ** 2, RULES)
        assert alone.t == expected


@pytest.mark.parametrize(("pairs", "status"), [(0, STALLED), (1, RUNNING)])
def test_a_search_without_end_forgets_its_memory_and_ends_the_start_only_without_any(pairs, status):
    """The value rises along the direction, though the slope says otherwise."""
    start = SimpleNamespace(
        f=0.0, slope=-1.0, t=1.0, trials=RULES.trials - 1, evaluations=0, is_new=False, pairs=pairs, status=RUNNING
    )
    vectors = torch.tensor([[[0.0], [-1.0], [1.0]]]).double().numpy()
    search.py_func([start], vectors, torch.ones(1, 1).numpy(), [1.0], -torch.ones(1, 1).double().numpy(), RULES, [])
    assert (start.status, start.pairs, start.is_accepted, start.is_turning) == (status, 0, False, True)


def test_a_bracket_that_ends_at_infinity_is_halved():
    low = torch.tensor([[0.0, 1.0, -1.0]], dtype=torch.float64)
    high = torch.tensor([[4.0, torch.inf, torch.nan]], dtype=torch.float64)
    assert float(next_trial(low, high, low)) == 2.0


def test_which_trials_are_taken():
    """f(0) = 1, slope -1: columns are step, value, slope, taken, too long."""
    table = torch.tensor(
        [
            [1.0, 0.5, 0.0, 1, 0],  # lower and flat
            [1.0, 0.5, 0.95, 0, 1],  # lower but steep upwards
            [0.01, 0.99, -0.98, 0, 0],  # still steep downwards
            [1.0, 1.5, 0.0, 0, 1],  # higher
            [1.0, torch.nan, 0.0, 0, 1],
            [
                1e-12,
                1.0 + 1e-16,
                -0.5,
                0,
                0,
            ],  # decrease lost in rounding
        ],
        dtype=torch.float64,
    )
    t, f, slope, taken, too_long = table.T
    ones = torch.ones_like(t)
    found = satisfies_wolfe(ones, -ones, t, f, slope, RULES)
    assert found[:5].tolist() == taken[:5].bool().tolist()
    assert is_too_long(ones, -ones, t, f, slope, RULES)[~found].tolist() == too_long[~found].bool().tolist()


def test_a_decrease_lost_in_rounding_is_accepted_by_its_slope():
    one = torch.ones(1, dtype=torch.float64)
    f0, slope0, t = 1e8 * one, -1e-9 * one, one
    assert satisfies_wolfe(f0, slope0, t, f0, -0.5e-9 * one, RULES)
    assert not satisfies_wolfe(f0, slope0, t, f0 + 1.0, -0.5e-9 * one, RULES)
