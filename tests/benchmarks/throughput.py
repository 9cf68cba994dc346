"""Target 1: starts per second against what a user writes today, scipy's L-BFGS-B on one start after another.

All sides stop at |gradient| <= 1e-8 (Euclidean norm) from standard normal starts drawn before. The loop with autograd
runs as it is written, with torch's default number of threads, and with one thread, which is faster at this size; the
processes of the hand-written gradient have one thread each.
"""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
import scipy.optimize
import torch

from tests.benchmarks.measure import Row, alternately, standard_problem, threads
from ufm.model.starts import normal_starts
from ufm.solve.minimise import minimise

K, D, N = 10, 20, 100
DECAY, DECAY_B = 5e-3, 1e-2
LABELS = np.arange(N) // (N // K)


def run(is_tiny: bool) -> list[Row]:
    """Against autograd in one process, twice, and against a hand-written gradient in one process per core."""
    problem, cores = standard_problem(), torch.get_num_threads()
    ours, slow, quick = (20, 2, 4) if is_tiny else (3000, 20, 60)
    many, starts = normal_starts(problem.size, 0, 0, ours), normal_starts(problem.size, 1, 0, quick).numpy()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(cores, mp_context=context) as pool:
        sides = {
            "ours": (lambda: _ours(many), ours),
            "default": (lambda: _autograd_loop(starts[:slow]), slow),
            "autograd": (lambda: _with_one_thread(_autograd_loop, starts[:slow]), slow),
            "numpy": (
                lambda: list(pool.map(partial(_with_one_thread, _numpy_loop), np.array_split(starts, cores))),
                quick,
            ),
        }
        found = alternately(sides, 1 if is_tiny else 5)
    rows = []
    for name, what, wanted in (
        ("default", "scipy L-BFGS-B, torch autograd, one process as it is", ">= 40"),
        ("autograd", "scipy L-BFGS-B, torch autograd, one process told to use one thread", ">= 40"),
        ("numpy", f"scipy L-BFGS-B, hand-written numpy gradient, {cores} processes", ">= 8"),
    ):
        ratio = found[name].median / found["ours"].median
        rows.append(Row("1", f"starts per second against {what}", "start", found["ours"], found[name], ratio, wanted))
    return rows


def _ours(starts: torch.Tensor) -> None:
    end = minimise(standard_problem(), starts, 1e-8)
    if not end.is_converged.all():
        raise RuntimeError(f"{int((~end.is_converged).sum())} of {len(starts)} starts did not converge")


def _autograd_loop(starts: np.ndarray) -> None:
    for start in starts:
        scipy_lbfgs(_by_autograd, start)


def _numpy_loop(starts: np.ndarray) -> None:
    for start in starts:
        scipy_lbfgs(_by_hand, start)


def _with_one_thread(loop, starts: np.ndarray) -> None:
    with threads(1):
        loop(starts)


def scipy_lbfgs(function, start: np.ndarray) -> int:
    """L-BFGS-B with its defaults until the Euclidean norm of the gradient is at most 1e-8; how many evaluations."""
    norm = np.inf

    def objective(x):
        nonlocal norm
        value, gradient = function(x)
        norm = np.linalg.norm(gradient)
        return value, gradient

    def stop(intermediate_result):
        if norm <= 1e-8:
            raise StopIteration

    options = {"ftol": 0.0, "gtol": 0.0, "maxiter": 1000}
    end = scipy.optimize.minimize(objective, start, jac=True, method="L-BFGS-B", callback=stop, options=options)
    if norm > 1e-7:
        raise RuntimeError(f"scipy ended at |gradient| = {norm:.1e}")
    return end.nfev


def _by_autograd(x: np.ndarray) -> tuple[float, np.ndarray]:
    v = torch.from_numpy(x).requires_grad_()
    W, H, b = v[: K * D].view(K, D), v[K * D : -K].view(N, D), v[-K:]
    loss = torch.nn.functional.cross_entropy(H @ W.T + b, torch.from_numpy(LABELS))
    value = loss + DECAY / 2 * (W.square().sum() + H.square().sum()) + DECAY_B / 2 * b.square().sum()
    value.backward()
    return value.item(), v.grad.numpy()


def _by_hand(x: np.ndarray) -> tuple[float, np.ndarray]:
    W, H, b = x[: K * D].reshape(K, D), x[K * D : -K].reshape(N, D), x[-K:]
    Z = H @ W.T + b
    top = Z.max(1, keepdims=True)
    P = np.exp(Z - top)
    total = P.sum(1, keepdims=True)
    rows = np.arange(N)
    loss = (np.log(total[:, 0]) + top[:, 0] - Z[rows, LABELS]).mean()
    P /= total
    P[rows, LABELS] -= 1
    P /= N
    gradient = np.concatenate([(P.T @ H + DECAY * W).ravel(), (P @ W + DECAY * H).ravel(), P.sum(0) + DECAY_B * b])
    return loss + DECAY / 2 * (x[:-K] @ x[:-K]) + DECAY_B / 2 * (b @ b), gradient
