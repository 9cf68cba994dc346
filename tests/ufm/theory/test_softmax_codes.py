import math

import pytest
import torch
from scipy.optimize import minimize

from ufm.__main__ import COMMANDS
from ufm.cli.command_line import main
from ufm.theory.softmax_codes import (
    SLOANE_ANGLES,
    exact_margin,
    find_softmax_code,
    least_margin,
    packing_margin,
    smoothed,
)


@pytest.mark.parametrize(("K", "d"), [(5, 2), (4, 3), (5, 3), (6, 3), (8, 4)])
def test_exact_values_are_found(K, d):
    code = find_softmax_code(K, d, 12)
    assert code.margin == pytest.approx(exact_margin(K, d), abs=1e-7)
    assert code.margin <= exact_margin(K, d) + 1e-12


@pytest.mark.parametrize("K", [7, 9, 12, 14])
def test_best_known_packings_are_found(K):
    assert find_softmax_code(K, 3, 24).margin == pytest.approx(packing_margin(K, 3), abs=2e-9)


def test_known_packings_are_the_closed_forms_where_there_are_any():
    assert packing_margin(12, 3) == pytest.approx(1 - 1 / math.sqrt(5), abs=1e-8)
    assert packing_margin(9, 3) == pytest.approx(2 / 3, abs=1e-8)
    assert list(SLOANE_ANGLES) == list(range(4, 51))
    assert all(SLOANE_ANGLES[K] >= SLOANE_ANGLES[K + 1] for K in range(4, 50))


def test_the_margin_is_a_lower_bound_that_the_hull_confirms():
    """rho(W) by another road: the distance of every class to the hull of the others."""
    code = find_softmax_code(7, 3, 12)
    W = code.W.numpy()
    distances = []
    for k in range(7):
        others = W[[j for j in range(7) if j != k]]
        simplex = {"type": "eq", "fun": lambda a: a.sum() - 1}
        found = minimize(
            lambda a, k=k, others=others: ((W[k] - a @ others) ** 2).sum(),
            [1 / 6] * 6,
            bounds=[(0, 1)] * 6,
            constraints=simplex,
            tol=1e-14,
        )
        distances.append(math.sqrt(found.fun))
    assert min(distances) == pytest.approx(code.margin, abs=1e-6)


def test_smoothed_margin_bounds_and_gradient(normal):
    x = normal(4, 2 * 5 * 3)
    value, gradient = smoothed(x, 5, 8.0)

    def directly(x):
        units = torch.nn.functional.normalize(x.view(-1, 10, 3), dim=-1)
        W, H = units[:, :5], units[:, 5:]
        cosines = H @ W.mT
        margins = cosines.diagonal(dim1=1, dim2=2)[..., None] - cosines
        return (-8 * margins[:, ~torch.eye(5, dtype=torch.bool)]).logsumexp(1) / 8

    torch.testing.assert_close(value, directly(x))
    torch.testing.assert_close(gradient, torch.func.grad(lambda y: directly(y).sum())(x))
    units = torch.nn.functional.normalize(x.view(-1, 10, 3), dim=-1)
    worst = -least_margin(units[:, :5], units[:, 5:])
    assert (value >= worst).all()
    assert (value <= worst + math.log(20) / 8).all()


def test_command_records_draws_and_continues(tmp_path, capsys):
    words = ["softmax-codes", "--dim", "2", "--classes", "[5, 3]", "--starts", "4", "--out", str(tmp_path / "codes")]
    assert main("python -m ufm", "", COMMANDS, words) == 0
    first = capsys.readouterr().out
    assert "0.6909830056" in first
    assert (tmp_path / "codes" / "softmax_codes.png").exists()
    assert main("python -m ufm", "", COMMANDS, words) == 0
    assert "K = 5: margin" not in capsys.readouterr().out  # nothing is computed twice


@pytest.mark.parametrize(
    ("words", "complaint"),
    [(["--dim", "1"], "--dim"), (["--classes", "[2]"], "--classes"), (["--classes", "[]"], "--classes")],
)
def test_wrong_requests_are_refused(tmp_path, capsys, words, complaint):
    assert main("python -m ufm", "", COMMANDS, ["softmax-codes", *words, "--out", str(tmp_path / "codes")]) == 2
    assert complaint in capsys.readouterr().err
    assert not (tmp_path / "codes").exists()
