"""Is every critical point of the model a global minimiser or a strict saddle? What is proved, what is not, and by what.

A landscape is *benign* if so: then descent that escapes strict saddles ends at a global minimum. The claims named stand
in `theory_checks/`, with their evidence; thresholds are evaluated in floating point, and closer to one than
`THRESHOLD_ROUNDING` the answer is open. The convex losses' theorem is the papers' (Zhu et al. 2021; Zhou et al. 2022,
for d > K), in the dimensions that our claims add (Shen and Gu 2024 have d = K).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch
from typing import Any, Literal

from ufm.arguments import instance, takes
from ufm.errors import check
from ufm.model.loss import Loss
from ufm.model.losses import CrossEntropy, Focal, LabelSmoothing, SquaredError
from ufm.model.model import Model
from ufm.model.problem import Problem
from ufm.theory.chance import log_odds, slope_reached
from ufm.theory.prediction import (
    focal_benign_bound,
    focal_curvature_sign,
    focal_slope,
    focal_slope_allowed,
    focal_zero_is_alone,
    phase_boundaries,
)
from ufm.tolerances import THRESHOLD_ROUNDING

Status = Literal["proved benign", "proved not", "open"]
CONVEX = "convex_losses_have_a_benign_landscape"
SMALL, PARTIAL = "focal_landscape_is_benign_at_small_decays", "focal_landscape_is_benign_up_to_partial_collapse"
ALONE, EXCHANGE = "focal_zero_is_alone_above_its_threshold", "focal_zero_and_etf_exchange"
AT_ZERO = "focal_zero_is_the_minimum_above_its_threshold"
LIKELY = "focal_landscape_is_benign_where_labels_are_likely"
SADDLE, ONSET = "zero_is_a_saddle_below_a_threshold", "partial_collapse_ends_the_benign_landscape"


@dataclass(frozen=True)
class Landscape:
    """What is known of all critical points of a problem.

    Attributes:
        status: `proved benign`, `proved not` (some local minimum is not global), or `open`.
        reason: in words.
        claims: files of `theory_checks/` that it rests on.
        rank: of their evidence, that of the weakest; empty if open.
    """

    status: Status
    reason: str
    claims: tuple[str, ...] = ()
    rank: Literal["symbolic", "interval", ""] = ""

    @property
    def is_benign(self) -> bool:
        """Whether every critical point is proved to be a global minimiser or a strict saddle."""
        return self.status == "proved benign"

    @property
    def sentence(self) -> str:
        """`the landscape is proved benign (symbolic): ...; claims: ...`; if open, that starts are evidence only."""
        if self.status == "open":
            return f"the landscape is open: {self.reason}; that starts agree is numeric evidence only."
        benign = "" if self.is_benign else " benign"
        return f"the landscape is {self.status}{benign} ({self.rank}): {self.reason}; claims: {', '.join(self.claims)}."


@takes(problem=instance(Problem))
def landscape(problem: Problem) -> Landscape:
    """What is proved of the critical points of `problem`.

    Raises:
        ValueError: if parameters differ by start.
    """
    check(not problem.is_mixed, "problem", "parameters that differ by start", "one problem: ask for each on its own")
    known = KNOWN.get(type(problem.loss))  # a subclass is another function
    return known(problem, problem.loss) if known else Landscape("open", "nothing is proved about this loss")


@singledispatch
def landscape_of(model: Model) -> Landscape | None:
    """What is proved of the critical points of any model; None where nothing is said of its kind."""
    return None


@landscape_of.register
def _of_problem(model: Problem) -> Landscape | None:
    return landscape(model)


def _softmax(problem: Problem, loss: Loss) -> Landscape:
    return _convex(problem, problem.K - 1, "1'W = 0 leaves rank K - 1")


def _squared_error(problem: Problem, loss: SquaredError) -> Landscape:
    if problem.has_free_bias:
        return _convex(problem, problem.K - 1, "a free bias makes 1'W = 0, which leaves rank K - 1")
    return _convex(problem, problem.K, "W has rank K at most")


def _convex(problem: Problem, least: int, why: str) -> Landscape:
    """A critical point of a convex loss with |G|_2 <= s is a global minimiser; any other has negative curvature."""
    if problem.d < least:
        return Landscape("open", f"the loss is convex, but d = {problem.d} < {least}")
    reason = f"the loss is convex and d = {problem.d} >= {least} ({why}; the papers ask for d > K)"
    return Landscape("proved benign", reason, (CONVEX,), "symbolic")


def _focal(problem: Problem, loss: Focal) -> Landscape:
    return _of_gamma(problem, float(loss.gamma)) if loss.gamma > 0 else _softmax(problem, loss)


def _of_gamma(problem: Problem, gamma: float) -> Landscape:
    K, c = problem.K, math.sqrt(problem.n) * math.sqrt(problem.decay_W) * math.sqrt(problem.decay_H)
    if not problem.is_balanced:
        return _where_labels_are_likely(problem, gamma) or Landscape("open", _why_open_by_slope(problem, gamma))
    at_zero = focal_slope(0.0, K, gamma)
    if at_zero <= 1 - THRESHOLD_ROUNDING and (K - 1) * c >= at_zero * (1 + THRESHOLD_ROUNDING):
        reason = f"(K - 1) c = {(K - 1) * c:.6g} >= S(1/K) = {at_zero:.6g} <= 1: zero is the only critical point"
        return Landscape("proved benign", reason, (ALONE,), "interval")
    if problem.d < K - 1:
        return Landscape("open", f"d = {problem.d} < K - 1 = {K - 1}")
    bound = focal_benign_bound(problem, gamma)
    if problem.has_bias:
        bound = min(bound, max(1.0, at_zero) / (K - 1))
    if c <= bound * (1 - THRESHOLD_ROUNDING):
        return _below(problem, c, bound)
    if (K - 1) * c >= at_zero * (1 + THRESHOLD_ROUNDING) and focal_zero_is_alone(problem, gamma):
        reason = f"free bias, (K - 1) c = {(K - 1) * c:.6g} >= S(1/K) = {at_zero:.6g}: zero is the minimum"
        return Landscape("proved benign", reason, (AT_ZERO,), "interval")
    found = _where_labels_are_likely(problem, gamma) or _not_benign(problem, gamma, c)
    return found or Landscape("open", _why_open(problem, gamma, c, bound))


def _where_labels_are_likely(problem: Problem, gamma: float) -> Landscape | None:
    """Classes of any sizes: all critical points but strict saddles lie where the loss is convex."""
    reached, allowed = slope_reached(problem), focal_slope_allowed(problem, gamma)
    if problem.d < problem.K - 1 or not reached <= allowed * (1 - THRESHOLD_ROUNDING):
        return None
    rho = 1 / (1 + (problem.K - 1) * math.exp(log_odds(problem)))
    reason = f"{_bias(problem)}, slopes of at most {reached:.6g} < {allowed:.9g}"
    if math.isinf(allowed):
        reason = f"{_bias(problem)}, p_y >= {rho:.6g} >= p_infl but at strict saddles, where the loss is convex"
    return Landscape("proved benign", reason, (LIKELY,), "symbolic")


def _below(problem: Problem, c: float, bound: float) -> Landscape:
    if math.isinf(bound):
        return Landscape("proved benign", f"no bias, K = {problem.K} <= 1/p_infl: at every c", (SMALL,), "symbolic")
    reason = f"{_bias(problem)}, c = sqrt(n decay_W decay_H) = {c:.6g} < {bound:.9g}"
    if problem.has_free_bias and (problem.K - 1) * c > 1 - THRESHOLD_ROUNDING:
        return Landscape("proved benign", reason, (PARTIAL,), "interval")
    return Landscape("proved benign", reason, (SMALL,), "symbolic")


def _not_benign(problem: Problem, gamma: float, c: float) -> Landscape | None:
    """Between c_low and c_high zero and the ETF are both local minima: one is a strict one that is not global.

    The ETF is beyond p_infl, so step 5 of `SMALL` makes it least on R; on the ray `EXCHANGE` says which is lower.
    """
    low, middle, high = phase_boundaries(problem)
    inside = (
        low * (1 + THRESHOLD_ROUNDING) < c < high * (1 - THRESHOLD_ROUNDING)
        and abs(c / middle - 1) > THRESHOLD_ROUNDING
    )
    if not inside or not _is_stable_in_bias(problem, gamma):
        return None
    if c < middle:
        reason = f"W = H = 0 is a local minimum above the ETF: c_low = {low:.9g} < c = {c:.6g} < c_M = {middle:.9g}"
        return Landscape("proved not", reason, (SADDLE, EXCHANGE), "interval")
    reason = f"the ETF is a local minimum above W = H = 0: c_M = {middle:.9g} < c = {c:.6g} < c_high = {high:.9g}"
    return Landscape("proved not", reason, (SMALL, EXCHANGE), "interval")


def _is_stable_in_bias(problem: Problem, gamma: float) -> bool:
    """At zero the Hessian in b, off its constant, is [(K - 2) S + K psi'']/(K - 1)^2 + decay_b, psi'' = -dS/da."""
    K, p = problem.K, 1 / problem.K
    curvature = p * (1 - p) ** gamma * focal_curvature_sign(0.0, K, gamma)
    return not problem.has_bias or (K - 2) * focal_slope(0.0, K, gamma) + K * curvature > 0


def _why_open(problem: Problem, gamma: float, c: float, bound: float) -> str:
    low = focal_slope(0.0, problem.K, gamma) / (problem.K - 1)
    text = f"{_bias(problem)}, c = {c:.6g} is not below {bound:.9g}, up to where the landscape is proved benign"
    if problem.has_bias and not problem.has_free_bias:
        text += (
            f" with any decay of the bias, nor slopes of up to {slope_reached(problem):.6g} below what its decay allows"
        )
    if problem.has_free_bias and c < low:
        return f"{text}; from c_x on a class at zero is a local minimum where that was looked at ({ONSET})"
    return text


def _why_open_by_slope(problem: Problem, gamma: float) -> str:
    if problem.d < problem.K - 1:
        return f"d = {problem.d} < K - 1 = {problem.K - 1}"
    reached, allowed = slope_reached(problem), focal_slope_allowed(problem, gamma)
    return f"{_bias(problem)}, slopes of up to {reached:.6g} are not below {allowed:.9g} (classes of any sizes)"


def _bias(problem: Problem) -> str:
    if problem.has_free_bias:
        return "free bias"
    return "decayed bias" if problem.has_bias else "no bias"


KNOWN: dict[type[Loss], Callable[[Problem, Any], Landscape]] = {
    CrossEntropy: _softmax,
    LabelSmoothing: _softmax,
    Focal: _focal,
    SquaredError: _squared_error,
}
"""The losses of which something is proved."""
