"""The line search of L-BFGS for all starts at once: masks choose what happens to whom.

A search along a direction knows value and slope at step 0. A trial is taken if it satisfies the Wolfe conditions;
otherwise it becomes the lower or upper end of a bracket, inside which the next trial minimises a cubic (Nocedal and
Wright 2006, algorithms 3.5 and 3.6). An end of a bracket is a row (step, value, slope).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ufm.solve.end_points import Status
from ufm.solve.lbfgs.rules import Rules

Each = Float[Tensor, " B"]
Count = Int[Tensor, " B"]
Which = Bool[Tensor, " B"]
End = Float[Tensor, "B 3"]


@dataclass
class Starts:
    """The scalar state of the starts at work; their vectors are in `AtWork`."""

    row: Count
    """Its number among all starts."""
    step: Each
    """Of the metric."""
    f: Each
    norm: Each
    """|g|."""
    slope: Each
    """g . d."""
    t: Each
    """Trial step."""
    low: End
    """The best step that is too short."""
    high: End
    """The best step that is too long; infinite when there is none."""
    trials: Count
    """Evaluations of this line search."""
    is_new: Which
    """Whether x itself is yet to be evaluated."""
    pairs: Count
    """Pairs remembered since the last reset."""
    level: Each
    """The value at the last progress."""
    shortest: Each
    """The least |g| since then."""
    idle: Count
    """Steps since the last progress."""
    status: Count
    steps: Count
    evaluations: Count
    is_accepted: Which
    """Whether the trial is the next point."""
    is_turning: Which
    """Whether the line search is over."""
    slope_there: Each
    """g . d at the trial."""


def search(
    s: Starts, d: Float[Tensor, "B P"], f: Each, g: Float[Tensor, "B P"], rules: Rules, path: Float[Tensor, "C T 2"]
) -> None:
    """Accept the trial or not, end starts, and set the next trial step."""
    is_running = s.status == Status.RUNNING
    s.evaluations += is_running
    s.trials += 1
    s.slope_there = torch.linalg.vecdot(g, d)
    s.is_accepted = is_running & (s.is_new | satisfies_wolfe(s.f, s.slope, s.t, f, s.slope_there, rules))
    has_failed = is_running & ~s.is_accepted & (s.trials >= rules.trials)
    s.is_turning = s.is_accepted | has_failed
    s.status.masked_fill_(has_failed & (s.pairs == 0), int(Status.STALLED))
    s.pairs.masked_fill_(has_failed, 0)
    _accept(s, f, g.norm(dim=1), rules)
    _note(s, path)
    _narrow(s, f, rules)


def satisfies_wolfe(f0: Each, slope0: Each, t: Each, f: Each, slope: Each, rules: Rules) -> Which:
    """Strong Wolfe, or approximate Wolfe (Hager and Zhang 2005) where the decrease is lost in rounding."""
    decreased = f <= f0 + rules.armijo * t * slope0
    is_flat = slope.abs() <= -rules.wolfe * slope0
    is_level = f <= f0 + rules.rounding * f0.abs()
    return is_flat & (decreased | (is_level & (slope <= (2 * rules.armijo - 1) * slope0)))


def _accept(s: Starts, f: Each, norm: Each, rules: Rules) -> None:
    """Make the trial the current point, and end the start where a rule says so."""
    s.f, s.norm = torch.where(s.is_accepted, f, s.f), torch.where(s.is_accepted, norm, s.norm)
    s.steps += s.is_accepted & ~s.is_new
    is_lower = ~(s.f >= s.level - rules.rounding * s.f.abs())
    has_progress = s.is_accepted & (is_lower | (s.norm < rules.clearly * s.shortest))
    s.level = torch.where(has_progress, s.f, s.level)
    s.shortest = torch.where(has_progress, torch.minimum(s.norm, s.shortest), s.shortest)
    s.idle = torch.where(has_progress, 0, s.idle + s.is_accepted)
    for condition, status in (  # the last that applies counts
        (s.idle >= rules.idle_steps, Status.STALLED),
        (s.steps >= rules.max_steps, Status.MAX_STEPS),
        (s.norm <= rules.tolerance, Status.CONVERGED),
        (~torch.isfinite(s.f + s.norm), Status.NONFINITE),
    ):
        s.status.masked_fill_(s.is_accepted & condition, int(status))


def _note(s: Starts, path: Float[Tensor, "C T 2"]) -> None:
    """Keep value and gradient of the first starts after 0, 1, 2, 4, ... steps; the last row takes what is not kept."""
    count = len(path) - 1
    if count:
        is_kept = s.is_accepted & (s.row < count) & (s.steps & (s.steps - 1) == 0)
        powers = 2 ** torch.arange(path.shape[1] - 1, device=path.device)
        bits = (s.steps[:, None] >= powers).sum(1)
        path[torch.where(is_kept, s.row, count), bits] = torch.stack([s.f, s.norm], 1)


def _narrow(s: Starts, f: Each, rules: Rules) -> None:
    """The trial becomes an end of the bracket, and the next one lies inside it, or beyond where there is none."""
    too_long = is_too_long(s.f, s.slope, s.t, f, s.slope_there, rules)[:, None]
    here, previous = torch.stack([s.t, f, s.slope_there], 1), s.low
    s.low, s.high = torch.where(too_long, s.low, here), torch.where(too_long, here, s.high)
    s.t = torch.where(s.is_turning, s.t, next_trial(s.low, s.high, previous))


def is_too_long(f0: Each, slope0: Each, t: Each, f: Each, slope: Each, rules: Rules) -> Which:
    """Whether a trial that was not taken lies beyond a point that would be."""
    allowed = torch.maximum(f0 + rules.armijo * t * slope0, f0 + rules.rounding * f0.abs())
    return (f > allowed) | (slope > 0) | ~torch.isfinite(f + slope)


def next_trial(low: End, high: End, previous: End) -> Each:
    """Inside the bracket where there is one (`high` has a finite step), beyond `low` otherwise."""
    t = low[:, 0]
    beyond = _secant(previous, low).clamp(2 * t, 10 * t)
    return torch.where(torch.isinf(high[:, 0]), beyond, _cubic(low, high))


def _secant(one: End, two: End) -> Each:
    """Where the slope through two points vanishes; far out where it falls."""
    t, slope = two[:, 0], two[:, 2]
    rise = (slope - one[:, 2]) / (t - one[:, 0])
    return torch.where(rise > 0, t - slope / rise, torch.inf)


def _cubic(low: End, high: End) -> Each:
    """Minimiser of the cubic through two values and slopes, kept off the ends; the middle where there is none."""
    (t0, f0, m0), (t1, f1, m1) = low.unbind(1), high.unbind(1)
    width = t1 - t0
    middle = m0 + m1 - 3 * (f1 - f0) / width
    root = (middle.square() - m0 * m1).clamp(min=0).sqrt()
    t = t1 - width * (m1 + root - middle) / (m1 - m0 + 2 * root)
    t = torch.where(torch.isfinite(t), t, t0 + width / 2)
    return t.clamp(t0 + 0.1 * width, t1 - 0.1 * width)
