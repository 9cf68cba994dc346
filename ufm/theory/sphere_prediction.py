"""The predicted minimum on unit spheres: the simplex."""

import torch

from ufm.arguments import instance, takes
from ufm.errors import RequestError, check
from ufm.model.losses import CrossEntropy
from ufm.model.spheres import SphereProblem
from ufm.model.target import Target
from ufm.simplex import simplex_etf
from ufm.theory.prediction import cross_entropy_of_margin


@takes(problem=instance(SphereProblem))
def sphere_target(problem: SphereProblem) -> Target:
    """The predicted minimum on unit spheres, the simplex.

    Raises:
        ValueError: unless the loss is cross entropy, classes are of one size, and d >= K - 1.
    """
    K, d, tau = problem.K, problem.d, problem.temperature
    if type(problem.loss) is not CrossEntropy:
        raise RequestError(f"`--loss` must be ce on spheres (theory has no prediction for others), got {problem.loss}.")
    check(problem.is_balanced, "sizes", problem.sizes, "equal class sizes on spheres")
    check(d >= K - 1, "dim", d, f">= {K - 1} for the predicted minimiser to fit (classes = {K})")
    W = simplex_etf(K, d)
    margin = tau * K / (K - 1)
    bound = 2 * (d - 2) / (1 + (K % 2) / K)
    is_covered = d > K and tau < bound
    outside = (
        f"the theorem on other critical points asks for d > K and temperature < {bound:.3g}; here they are tested."
    )
    lengths = "K + N of the zero eigenvalues stand for the lengths of the vectors, which do not count."
    return Target(
        value=cross_entropy_of_margin(margin, K),
        point=torch.cat([W, W[problem.labels()]]).flatten(),
        margin=margin,
        is_proved_global=True,
        facts={"temperature_bound": bound, "is_covered_by_theorem": is_covered},
        notes=(lengths, *(() if is_covered else (outside,))),
    )
