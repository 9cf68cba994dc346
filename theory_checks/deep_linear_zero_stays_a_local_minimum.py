"""Three linear factors (K = 3, d = 4, n = 2, all decays 0.09): random starts end at zero and at every partially active
state, whose Hessians have no negative eigenvalue.

Theme: more layers

Source: Tirer and Bruna 2022, extra linear layer: its minimiser collapses, but not every start reaches it

Evidence: numeric, 200 starts, no bias. Every end point has r = 0, .., 3 active singular values u^3, u the largest root
of u^4 - sqrt(n) u + N lam = 0, and the value of that state; each kind has a positive semidefinite Hessian, looked at
once. That zero is a strict local minimum is proved in `zero_of_deeper_layers_is_a_local_minimum`; of the partially
active states it is not. The threshold is `deep_linear_threshold_of_the_zero_solution`.

False twin: only r = 3 occurs (no spurious minima).
"""

import torch

from theory_checks.random_starts import starts_at_scales
from theory_checks.verdict import DIGITS, Verdict, deviation, step
from ufm.model.deep import DeepProblem
from ufm.model.losses import SquaredError
from ufm.solve.hessian import dense_hessian
from ufm.solve.minimise import minimise
from ufm.theory.deep_prediction import deep_target

PROBLEM = DeepProblem(SquaredError(), K=3, d=4, n=2, decay_W=0.09, decay_H=0.09, decay_b=None, inner=(0.09,))
K, STARTS = PROBLEM.K, 200


def check() -> Verdict:
    """r = 0..3."""
    return _verdict(range(K + 1))


def refuted() -> Verdict:
    """r = 3."""
    return _verdict(range(K, K + 1))


def _verdict(ranks: range) -> Verdict:
    by_value = deep_target(PROBLEM).facts["states"]  # lowest first: r = 3, .., 0
    states = torch.tensor([by_value[K - r] for r in ranks], dtype=torch.float64)
    ends = minimise(PROBLEM, starts_at_scales(PROBLEM.size, STARTS), tolerance=1e-9)
    distance = (ends.value[ends.is_converged, None] - states).abs()
    nearest = distance.argmin(1)
    smallest = [
        _smallest_eigenvalue(ends.x[ends.is_converged][(nearest == i).nonzero()[:1, 0]]) for i in torch.unique(nearest)
    ]
    counts = [int((nearest == i).sum()) for i in range(len(states))]
    shown = ", ".join(f"r = {r}: f = {f:.9f} in {c}" for r, f, c in zip(ranks, states.tolist(), counts, strict=True))
    return Verdict.of(
        "numeric",
        [
            step(f"{int(ends.is_converged.sum())} of {STARTS} starts converged", ends.is_converged.all()),
            # |gradient|^2 / (2 least curvature) = 1e-18 / 1e-2 and rounding.
            deviation("value against the nearest state", float(distance.min(1).values.max()), 1e-13),
            step(f"every state occurs ({shown} starts)", all(counts)),
            step(
                f"smallest Hessian eigenvalue of each: {min(smallest):.1g} (zero but for rounding)",
                min(smallest) > -1e-8,
            ),
        ],
        margin_is=DIGITS,
        sizes="K = 3, d = 4, n = 2, decays 0.09, no bias",
        starts=STARTS,
    )


def _smallest_eigenvalue(x: torch.Tensor) -> float:
    return float(torch.linalg.eigvalsh(dense_hessian(PROBLEM, x))[0, 0])
