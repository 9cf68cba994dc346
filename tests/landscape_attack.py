"""`python -m tests.landscape_attack FILE [--open] [--json RECORD]`: local minima where the landscape is proved benign?

Starts meant to be stuck, over classes, samples, dimensions, kinds of bias, gamma and decays up to 0.9999 of the bound;
where every decay is covered, also above c_low, where zero is the minimum. An end point counts as *elsewhere* if it is
not the predicted minimiser, and as *spurious* if it then has no direction of negative curvature (|G|_2 <= s), which the
theorems exclude. With `--open` decays (of `OPEN`) are taken about which the theorems say nothing. One line of JSON in
FILE for each size as it ends; sizes that are in the file are not run again. Exit code 1 if anything is spurious or
below the minimum.
"""

import argparse
import json
import math
import sys
from itertools import product
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ufm.cli.records import check_new_file, write_record
from ufm.errors import RequestError
from ufm.model.losses import Focal
from ufm.model.model import Point
from ufm.model.problem import Problem
from ufm.solve.minimise import minimise
from ufm.theory.landscape import landscape
from ufm.theory.prediction import Prediction, focal_benign_bound, focal_slope, predict, steepest_focal

SIZES = [(2, 1), (2, 3), (3, 1), (3, 4), (4, 2), (5, 1), (5, 2), (6, 1), (8, 1), (8, 2), (10, 1), (10, 3), (12, 1)]
SIZES += [(17, 1), (18, 1), (20, 1), (20, 2), (24, 1), (30, 1)]
"""(K, n)."""
GAMMAS = (0.5, 1.0, 2.0, 3.0, 5.0, 10.0)
SHARES = (0.3, 0.9, 0.99, 0.9999)
"""Of the bound, or of c_low where every c is covered; then also ABOVE."""
ABOVE = (1.001, 1.3)
BIASES = {"free": 0.0, "decayed": 1e-3, "none": None}
KINDS = (
    *("normal", "large biases", "labels wrong", "labels permuted", "one wrong sample a class"),
    *("a class at zero, low bias", "rank one", "half of the classes tiny"),
)
SCALES = (0.1, 1.0, 3.0, 10.0)
OPEN = {"none": 1.0, "free": 1.3, "decayed": 1.0}
"""By bias: c up to this share of c_low, as far as the landscape is open there; `first_open` is where that begins."""
WITHIN = (0.02, 0.3, 0.6, 0.9, 0.99, 0.999)
"""Places in such a range."""
COUNTS = ("problems", "starts", "converged", "elsewhere", "spurious", "below")
SAME_NORM, SAME_VALUE, RADIUS = 0.02, 1e-8, 1e-6
"""|W|^2 (relative) and value of one end point; relative excess of |G|_2 over s that is rounding."""


def starts_of(kind: str, problem: Problem, scale: float, generator: torch.Generator) -> Float[Tensor, " P"]:
    """One start."""

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    K, d, y = problem.K, problem.d, problem.labels()
    W, H, b = normal(K, d), normal(problem.N, d), scale * normal(K)
    noise = normal(problem.N, d)
    match kind:
        case "normal":
            W, H, b = scale * W / 3, scale * H / 3, 0 * b
        case "large biases":
            W, H, b = scale * W, scale * H, 3 * b
        case "labels wrong":
            H = -scale * W[y] + 0.1 * noise
        case "labels permuted":
            H = scale * W[(y + 1) % K] + 0.1 * noise
        case "one wrong sample a class":
            first = (torch.arange(problem.N) % problem.n == 0)[:, None]
            H = torch.where(first, -scale * W[y], scale * W[y]) + 0.05 * noise
        case "a class at zero, low bias":
            W[0], b = 0.0, -5 * scale * torch.eye(K, dtype=torch.float64)[0]
            H = scale * W[y] + 0.01 * noise
        case "rank one":
            sign, v = normal(K).sign()[:, None], normal(d)
            W = scale * sign * v + 0.01 * W
            H = scale * sign[y] * v + 0.01 * noise
        case "half of the classes tiny":
            W[: K // 2] *= 0.01
            H, b = scale * W[y] + 0.01 * noise, 0 * b
    return problem.pack(Point(W, H, b))


def problems(K: int, n: int, bias: str) -> list[tuple[Problem, float]]:
    """Those whose landscape is proved benign, with their share of the bound (or of c_low)."""
    found = []
    for i, (gamma, share) in enumerate(product(GAMMAS, (*SHARES, *ABOVE))):
        d, ratio = (K - 1, K, K + 2)[(i + i // len(SHARES + ABOVE)) % 3], (1.0, 5.0)[i % 2]
        low = focal_slope(0.0, K, gamma) / (K - 1)
        bound = focal_benign_bound(Problem(Focal(gamma), K, d, n, low, low, BIASES[bias]), gamma)
        s = share * min(bound, low) / math.sqrt(n)
        problem = Problem(Focal(gamma), K, d, n, s * ratio, s / ratio, BIASES[bias])
        if landscape(problem).is_benign:
            found.append((problem, share))
    return found


def first_open(K: int, gamma: float, bias: str) -> float:
    """The share of c_low from which on nothing is proved of any K and gamma."""
    if bias == "free":
        return 1.0
    spread = math.sqrt((K - 1) / K)
    return spread if bias == "none" else min(1.0, spread / focal_slope(0.0, K, gamma))


def open_problems(K: int, n: int, bias: str) -> list[tuple[Problem, float]]:
    """Those about which nothing is proved, with their share of c_low."""
    found = []
    for i, (gamma, place) in enumerate(product(GAMMAS, WITHIN)):
        first, last = first_open(K, gamma, bias), OPEN[bias]
        share, d, ratio = first + place * (last - first), (K - 1, K, K + 2)[i % 3], (1.0, 5.0)[i % 2]
        s = share * focal_slope(0.0, K, gamma) / (K - 1) / math.sqrt(n)
        problem = Problem(Focal(gamma), K, d, n, s * ratio, s / ratio, BIASES[bias])
        is_single = bias != "free" or steepest_focal(K, gamma) == 0  # else zero and ETF need not be all minima
        if is_single and landscape(problem).status == "open":
            found.append((problem, share))
    return found


def attack(problem: Problem, repeats: int, generator: torch.Generator) -> dict[str, int]:
    """Counts of end points by what they are."""
    order = [(kind, scale) for _ in range(repeats) for kind, scale in product(KINDS, SCALES)]
    x = torch.stack([starts_of(kind, problem, scale, generator) for kind, scale in order])
    ends = minimise(problem, x, 1e-9, 5000)
    least = predict(problem)
    W = problem.unpack(ends.x).W
    norm = W.square().sum((1, 2))
    is_there = (norm - _norm(least, problem.K)).abs() <= SAME_NORM * max(_norm(least, problem.K), 1e-3)
    good = ends.gradient_norm <= 1e-7
    elsewhere = good & ~(is_there & ((ends.value - least.value).abs() <= SAME_VALUE))
    radius = torch.linalg.matrix_norm(problem.logit_gradient(ends.x), 2)
    is_admissible = radius <= problem.radius * (1 + RADIUS)
    return {
        "starts": len(x),
        "converged": int(good.sum()),
        "elsewhere": int(elsewhere.sum()),
        "spurious": int((elsewhere & is_admissible).sum()),
        "below": int((good & (ends.value < least.value - SAME_VALUE)).sum()),
    }


def _norm(prediction: Prediction, K: int) -> float:
    return K * prediction.norm_w**2


def row_of(K: int, n: int, bias: str, repeats: int, *, is_open: bool = False) -> dict[str, Any]:
    """The counts of one size and kind of bias, summed."""
    generator = torch.Generator().manual_seed(1000 * K + 10 * n + list(BIASES).index(bias))
    row: dict[str, Any] = {"K": K, "n": n, "bias": bias, "problems": 0}
    for problem, share in (open_problems if is_open else problems)(K, n, bias):
        row["problems"] += 1
        row["nearest"] = max(row.get("nearest", 0.0), share if share < 1 else 0.0)
        for name, count in attack(problem, repeats, generator).items():
            row[name] = row.get(name, 0) + count
    return row


def main() -> int:
    """Run what is not in the file yet, print the sums, write the record."""
    parser = argparse.ArgumentParser(prog="python -m tests.landscape_attack", description=__doc__)
    parser.add_argument("file", type=Path, metavar="FILE", help="a line for each size; what is there is not run again")
    parser.add_argument("--repeats", type=int, default=2, help="starts of each kind and scale (default: 2)")
    parser.add_argument("--open", action="store_true", help="attack what the theorems leave open")
    parser.add_argument("--json", type=Path, help="file for the record; must not exist")
    asked = parser.parse_args()
    try:
        check_new_file(asked.json, "--json")
    except RequestError as error:
        parser.error(str(error))
    rows = [json.loads(line) for line in asked.file.read_text().splitlines()] if asked.file.exists() else []
    done = {(row["K"], row["n"], row["bias"]) for row in rows}
    for (K, n), bias in product(SIZES, BIASES):
        if (K, n, bias) not in done:
            rows.append(row_of(K, n, bias, asked.repeats, is_open=asked.open))
            with asked.file.open("a") as file:
                file.write(json.dumps(rows[-1]) + "\n")
            print(rows[-1], flush=True)
    print({name: sum(row.get(name, 0) for row in rows) for name in COUNTS})
    if asked.json:
        print(f"record: {write_record(asked.json, {'repeats': asked.repeats, 'open': asked.open}, {'rows': rows})}")
    return int(any(row.get("spurious", 0) or row.get("below", 0) for row in rows))


if __name__ == "__main__":
    sys.exit(main())
