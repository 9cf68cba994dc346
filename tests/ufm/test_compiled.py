import errno
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numba
import numpy as np
import pytest
import torch

from ufm.compiled import exp, log, log1p
from ufm.compiled_cache import NOTICE, ForgivingCache
from ufm.model import losses_compiled, problem_compiled
from ufm.model.losses import CrossEntropy, Focal, LabelSmoothing, SquaredError, _deficit
from ufm.model.problem import Problem
from ufm.model.problem_compiled import Room, value_and_gradient
from ufm.model.spheres import SphereProblem
from ufm.solve.end_points import Status
from ufm.solve.minimise import minimise
from ufm.solve.objective import compiled_objective
from ufm.solve.units import own_units

ROOT = Path(__file__).parents[2]


@numba.njit
def _exp_of_all(x):
    out = np.empty_like(x)
    for i in range(len(x)):
        out[i] = exp(x[i])
    return out


def test_exp_is_exact_to_two_units_in_the_last_place():
    x = -np.concatenate([np.logspace(-18, 0, 20_001), np.linspace(0, 707, 200_001)])
    expected = np.exp(x.astype(np.longdouble))
    units = np.abs(_exp_of_all(x) - expected) / np.spacing(expected.astype(float))
    assert units.max() < 2


@numba.njit
def _logs_of_all(x):
    of_more, of_all = np.empty_like(x), np.empty_like(x)
    for i in range(len(x)):
        of_more[i], of_all[i] = log1p(x[i]), log(1 / x[i])
    return of_more, of_all


def test_logarithms_are_exact_to_their_last_places():
    """log(1 + x) relative to itself; log(v) relative to it or 1, since logits are added to it."""
    x = np.concatenate([np.logspace(-300, 0, 20_001), np.linspace(1e-6, 1, 200_001)])
    found, of_inverse = _logs_of_all(x)
    expected = np.log1p(x.astype(np.longdouble))
    assert (np.abs(found - expected) / np.spacing(expected.astype(float))).max() < 3
    expected = np.log((1 / x).astype(np.longdouble))
    assert (np.abs(of_inverse - expected) / np.spacing(np.maximum(1, expected.astype(float)))).max() < 2
    assert np.isnan(_logs_of_all(np.array([np.nan]))).all()


def test_exp_far_out():
    found = _exp_of_all(np.array([0.0, -np.inf, -1e300, np.nan]))
    assert found[0] == 1
    assert (found[1:3] < 1e-300).all()
    assert np.isnan(found[3])


@pytest.mark.parametrize("scale", [1.0, 30.0, 1e4])
def test_the_deficit_is_that_of_tensor_operations(normal, scale, monkeypatch):
    logits, labels = scale * normal(2, 3, 7, 5), torch.tensor([0, 4, 1, 1, 2, 3, 0])
    compiled = _deficit(logits, labels)
    monkeypatch.setattr(losses_compiled, "serves", lambda logits: False)
    for found, expected in zip(compiled, _deficit(logits, labels), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-14, atol=1e-300)


def test_the_deficit_of_what_is_not_a_number_is_none(normal):
    logits = normal(4, 3)
    logits[1, 2] = torch.nan
    x, _ = _deficit(logits, torch.tensor([0, 1, 2, 0]))
    assert x.isnan().tolist() == [False, True, False, False]


def test_which_starts_the_loops_take():
    """Plain float64 rows that fit the core's cache, and nothing else."""
    x = torch.zeros(2, 35, dtype=torch.float64)
    assert problem_compiled.serves(x, 5, 4, 3)
    for other in (x.float(), x[0], x.clone().requires_grad_(), x.to("meta")):
        assert not problem_compiled.serves(other, 5, 4, 3)
    assert not problem_compiled.serves(x, 5, 4, problem_compiled.LARGEST)


@pytest.mark.parametrize(("K", "d", "n"), [(2, 1, 1), (3, 2, 5), (5, 7, 3), (4, 4, 4), (7, 9, 11), (6, 13, 2)])
@pytest.mark.parametrize("decay_b", [None, 0.0, 0.02])
def test_loops_compute_what_tensor_operations_do(K, d, n, decay_b, normal, monkeypatch):
    """Sizes on both sides of every tile."""
    problem = Problem(Focal(2.0), K, d, n, 5e-3, 2e-3, decay_b)
    x, v = normal(3, problem.size), normal(3, 4, problem.size)

    def everything():
        return *problem.value_and_gradient(x), problem.hessian(x)(v)

    compiled = everything()
    monkeypatch.setattr(problem_compiled, "LARGEST", -1)
    for found, expected in zip(compiled, everything(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)


LOSSES = [CrossEntropy(), LabelSmoothing(0.1), Focal(2.0), Focal(0.0), SquaredError(2.0), SquaredError(15.0, "mean")]


@pytest.mark.parametrize("loss", LOSSES, ids=str)
@pytest.mark.parametrize("decay_b", [None, 0.0, 0.02])
@pytest.mark.parametrize("sizes", [(1, 1), (3, 1, 4, 1, 5)])
@pytest.mark.parametrize("scale", [1.0, 30.0, 1e3])
def test_the_compiled_objective_is_the_problem(loss, decay_b, sizes, scale, normal):
    """From near zero to logits of 1e6, in the original units and in the own ones, unequal classes included."""
    problem = Problem(loss, len(sizes), 3, 1, 5e-3, 0.3, decay_b, sizes=sizes)
    for model in (problem, own_units(problem), own_units(replace(problem, decay_W=7.0, decay_H=3.0))):
        x = scale * normal(3, problem.size)
        objective, room = compiled_objective(model, x), Room.unset(problem.K, problem.d, problem.N)
        W, H, b = (part.flatten(1) for part in problem.unpack(x))
        transposed = torch.cat([W, H.view(3, problem.N, 3).mT.flatten(1), b][: 2 + problem.has_bias], 1).numpy()
        gradient = np.empty_like(transposed)
        value = [value_and_gradient(objective, start, transposed[start], room, gradient[start]) for start in range(3)]
        expected, slope = model.value_and_gradient(x)
        torch.testing.assert_close(expected.new_tensor(value), expected, rtol=1e-13, atol=0)
        dW, dH, db = (part.flatten(1) for part in problem.unpack(slope))
        slope = torch.cat([dW, dH.view(3, problem.N, 3).mT.flatten(1), db][: 2 + problem.has_bias], 1)
        torch.testing.assert_close(torch.from_numpy(gradient), slope, rtol=1e-12, atol=1e-13 * float(slope.abs().max()))


@pytest.mark.parametrize("loss", LOSSES, ids=str)
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, 1e308])
def test_the_compiled_objective_says_what_is_not_a_number(loss, bad):
    problem = Problem(loss, 3, 2, 1, 5e-3, 5e-3, 0.0)
    x = torch.ones(1, problem.size, dtype=torch.float64)
    x[0, 7] = bad
    found = minimise(problem, x, max_steps=5)
    assert found.status.tolist() == [Status.NONFINITE]
    assert not found.value.isfinite().all() or not found.gradient_norm.isfinite().all()


def test_what_is_not_compiled_as_a_whole(normal):
    class Mine(CrossEntropy):
        """May compute anything."""

    problem = Problem(CrossEntropy(), 3, 2, 1, 5e-3, 5e-3, 0.0)
    x = normal(1, problem.size)
    assert compiled_objective(problem, x) is not None
    others = (replace(problem, loss=Mine()), SphereProblem(CrossEntropy(), 3, 2, 1, temperature=1.0))
    for other in others:
        assert compiled_objective(other, x) is None
        assert compiled_objective(own_units(other), x) is None
    assert compiled_objective(problem, x.float()) is None


def test_points_that_are_not_contiguous_are_served(normal):
    problem = Problem(CrossEntropy(), 3, 4, 2, 5e-3, 2e-3, 0.01)
    x = normal(problem.size, 6).T
    value, gradient = problem.value_and_gradient(x)
    again = problem.value_and_gradient(x.contiguous())
    torch.testing.assert_close(value, again[0], rtol=0, atol=0)
    torch.testing.assert_close(gradient, again[1], rtol=0, atol=0)


def module_with_a_kernel(folder, factor):
    (folder / "kernels.py").write_text(
        f"from ufm.compiled import kernel\n\n@kernel\ndef times(x):\n    return {factor} * x\n"
    )


def test_a_kernel_is_as_old_as_what_it_calls_in_other_files(tmp_path):
    """A part in another file changes, and a kernel's own file does not."""
    part = "from ufm.compiled import part\n\n@part\ndef factor():\n    return {}\n"
    (tmp_path / "parts.py").write_text(part.format("2.0"))
    (tmp_path / "kernels.py").write_text(
        "from parts import factor\nfrom ufm.compiled import kernel\n\n"
        "@kernel\ndef inner(x):\n    return factor() * x\n\n@kernel\ndef times(x):\n    return inner(x)\n"
    )
    assert product(tmp_path, tmp_path / "cache") == 6
    assert calling(tmp_path, tmp_path / "cache", "import sys; sys.stderr.isatty = lambda: True").stderr == ""
    (tmp_path / "parts.py").write_text(part.format("5.0"))
    assert product(tmp_path, tmp_path / "cache") == 15


def calling(folder, cache, before="") -> subprocess.CompletedProcess[str]:
    """Print 3 times the kernel's factor, in a process of its own."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": f"{ROOT}:{folder}"}
    command = [sys.executable, "-B", "-c", f"{before}\nimport kernels; print(kernels.times(3.0))"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def product(folder, cache) -> float:
    done = calling(folder, cache)
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


def kept(cache, kind):
    return sorted(cache.rglob(f"kernels.times*.{kind}"))


@pytest.fixture(scope="module")
def filled(tmp_path_factory) -> Path:
    """A folder with a kernel and a cache that holds it."""
    folder = tmp_path_factory.mktemp("kernels")
    module_with_a_kernel(folder, 2.0)
    assert product(folder, folder / "cache") == 6
    return folder


@pytest.mark.parametrize("kind", ["nbi", "nbc"])
@pytest.mark.parametrize("damage", ["cut", "empty", "junk"])
def test_a_damaged_cache_is_made_anew(kind, damage, filled, tmp_path):
    cache = shutil.copytree(filled / "cache", tmp_path / "cache")
    (path,) = kept(cache, kind)
    before = path.read_bytes()
    path.write_bytes({"cut": before[:20], "empty": b"", "junk": bytes(range(256))}[damage])
    assert product(filled, cache) == 6
    assert len(kept(cache, kind)[0].read_bytes()) == pytest.approx(len(before), rel=0.2)


@pytest.mark.parametrize("end", ["os._exit(9)", "open('/dev/full', 'w').write(' ')"])
def test_old_code_is_never_taken_for_new(end, tmp_path):
    """A kill or a full disk after numba has written the index of new code, where old code lies under the same name."""
    module_with_a_kernel(tmp_path, 2.0)
    cache = tmp_path / "cache"
    assert product(tmp_path, cache) == 6
    module_with_a_kernel(tmp_path, 50.0)
    ending = "import os; from numba.core.caching import IndexDataCacheFile as File; "
    calling(tmp_path, cache, f"{ending}File._save_data = lambda *_: {end}")
    assert product(tmp_path, cache) == 150


def test_only_who_waits_at_a_terminal_is_told_once_that_loops_are_compiled(tmp_path):
    module_with_a_kernel(tmp_path, 2.0)
    at_terminal = "import sys; sys.stderr.isatty = lambda: True"
    first, again = (calling(tmp_path, tmp_path / "cache", at_terminal) for _ in range(2))
    assert first.stderr == f"{NOTICE}\n"
    assert again.stderr == ""
    assert calling(tmp_path, tmp_path / "other").stderr == ""


def test_code_that_cannot_be_kept_is_compiled_and_used(monkeypatch, tmp_path):
    class Full:
        cache_path = str(tmp_path)

        def load_overload(self, *_):
            raise EOFError("Ran out of input")

        def save_overload(self, *_):
            raise OSError(errno.ENOSPC, "No space left on device")

    cache = ForgivingCache(Full(), len)
    assert cache.load_overload("signature", "target") is None
    cache.save_overload("signature", "result")
    assert cache.cache_path == str(tmp_path)
