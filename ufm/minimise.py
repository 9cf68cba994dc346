"""Batched L-BFGS with a strong Wolfe line search: thousands of independent starts at once.

The leading axis is the start. Each start has its own step, bracket, curvature memory and status; all they share is the
call that evaluates the objective. A bounded number of starts is worked on at a time, and a start that ends makes room
for the next one. The two-loop recursion is replaced by the compact form of the inverse Hessian (Byrd, Nocedal and
Schnabel 1994), which reads the memory twice per step.
"""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ufm.end_points import EndPoints, Status, check_request
from ufm.line_search import is_too_long, next_trial, rounding, satisfies_wolfe
from ufm.parallel import cores, map_chunks

Objective = Callable[[Float[Tensor, "B P"]], tuple[Float[Tensor, " B"], Float[Tensor, "B P"]]]
"""Value and gradient of every row, each row on its own."""

MEMORY = 5
"""Pairs of curvature memory per start."""
TRIALS = 30
"""Evaluations of one line search before it gives up."""
IDLE_STEPS = 1000
"""Steps after which a start has stalled if neither value nor gradient have become clearly lower than ever before."""
WORKING_BYTES = {True: 2**25, False: 2**32}
"""Starts at work together take about this much memory: per CPU core (fits its cache), on an accelerator."""
TICKS_BETWEEN_CHECKS = 4
"""How often finished starts are collected; the host waits for the device at no other time."""


def minimise(
    objective: Objective,
    starts: Float[Tensor, "S P"],
    tolerance: float = 1e-8,
    max_steps: int = 10_000,
    progress: Callable[[int], None] | None = None,
) -> EndPoints:
    """Minimise the objective from every start until |gradient| <= tolerance.

    Args:
        objective: value and gradient per row.
        starts: one start per row, float64; not modified.
        tolerance: on the Euclidean norm of the gradient, > 0.
        max_steps: accepted steps per start, >= 1.
        progress: called with the number of starts that ended since the last call.

    Raises:
        ValueError: if the starts are not float64 or an argument is out of bounds.
    """
    check_request(starts, tolerance, max_steps)
    device = starts.device
    per_core = max(1, math.ceil(len(starts) / cores(device)))
    return EndPoints.joined(
        map_chunks(
            lambda part: _run(objective, part, tolerance, max_steps, progress), torch.split(starts, per_core), device
        )
    )


def _run(
    objective: Objective, starts: Tensor, tolerance: float, max_steps: int, progress: Callable[[int], None] | None
) -> EndPoints:
    """Work on as many starts at a time as memory allows; whoever ends makes room for the next in the queue."""
    end = _empty_result(starts)
    bytes_at_work = WORKING_BYTES[starts.device.type == "cpu"]
    width = max(1, bytes_at_work // (8 * starts.shape[1] * (2 * MEMORY + 10)))
    state = _State.fresh(starts[:width], torch.arange(min(width, len(starts)), device=starts.device))
    queued = len(state.x)
    while len(state.x):
        for _ in range(TICKS_BETWEEN_CHECKS):
            _tick(objective, state, tolerance, max_steps)
        ended = state.status != Status.RUNNING
        done = int(ended.sum())
        if done:
            _collect(end, state, ended)
            incoming = torch.arange(queued, min(queued + done, len(starts)), device=starts.device)
            queued += len(incoming)
            state = state.replaced(ended, starts, incoming)
            if progress:
                progress(done)
    return end


@dataclass
class _State:
    """Everything known about the starts at work; the first axis of every tensor is the start."""

    index: Tensor
    x: Tensor
    f: Tensor
    g: Tensor
    d: Tensor  # search direction
    slope: Tensor  # g . d
    t: Tensor  # trial step
    low: Tensor  # (B, 3) step, value, slope: the best step that is too short
    high: Tensor  # (B, 3) the same for a step that is too long; step inf when there is none
    trials: Tensor  # evaluations of this line search
    is_new: Tensor  # x itself is yet to be evaluated
    S: Tensor  # (B, MEMORY + 1, P) steps; the last slot takes what is not kept
    Y: Tensor  # (B, MEMORY + 1, P) gradient differences
    SY: Tensor  # (B, MEMORY, MEMORY) s_i . y_j
    YY: Tensor  # (B, MEMORY, MEMORY) y_i . y_j
    scale: Tensor  # s . y / y . y of the newest pair
    pairs: Tensor  # pairs ever kept since the last reset
    level: Tensor  # value when there last was progress
    shortest: Tensor  # |g| then, or shorter
    idle: Tensor  # steps since there was progress
    status: Tensor
    steps: Tensor
    evaluations: Tensor

    @classmethod
    def fresh(cls, x: Tensor, index: Tensor) -> "_State":
        B, P = x.shape
        zeros, memory = x.new_zeros(B), x.new_zeros(B, MEMORY, MEMORY)
        integers = torch.zeros(B, dtype=torch.int64, device=x.device)
        return cls(
            index=index,
            x=x.clone(),
            f=zeros.clone(),
            g=torch.zeros_like(x),
            d=torch.zeros_like(x),
            slope=zeros.clone(),
            t=zeros.clone(),
            low=x.new_zeros(B, 3),
            high=x.new_full((B, 3), torch.inf),
            trials=integers.clone(),
            is_new=torch.ones(B, dtype=torch.bool, device=x.device),
            S=x.new_zeros(B, MEMORY + 1, P),
            Y=x.new_zeros(B, MEMORY + 1, P),
            SY=memory.clone(),
            YY=memory.clone(),
            scale=zeros.clone(),
            pairs=integers.clone(),
            level=x.new_full((B,), torch.inf),
            shortest=x.new_full((B,), torch.inf),
            idle=integers.clone(),
            status=integers.clone(),
            steps=integers.clone(),
            evaluations=integers.clone(),
        )

    def replaced(self, ended: Tensor, starts: Tensor, incoming: Tensor) -> "_State":
        """The ended starts' places taken by incoming ones, or cut away when no more come."""
        places = ended.nonzero()[:, 0]
        taken, empty = places[: len(incoming)], places[len(incoming) :]
        if len(taken):
            fresh = _State.fresh(starts[incoming], incoming)
            for field in dataclasses.fields(self):
                getattr(self, field.name)[taken] = getattr(fresh, field.name)
        if not len(empty):
            return self
        keep = torch.ones_like(ended).index_fill_(0, empty, False)
        return _State(**{field.name: getattr(self, field.name)[keep] for field in dataclasses.fields(self)})


def _tick(objective: Objective, state: _State, tolerance: float, max_steps: int) -> None:
    """Evaluate every trial point once; starts whose line search is over take the step and get a new direction."""
    running = state.status == Status.RUNNING
    trial = torch.addcmul(state.x, state.t[:, None], state.d)
    f, g = objective(trial)
    slope = torch.linalg.vecdot(g, state.d)
    state.evaluations += running
    state.trials += 1
    accepted = running & (state.is_new | satisfies_wolfe(state.f, state.slope, state.t, f, slope))
    failed = running & ~accepted & (state.trials >= TRIALS)
    stalled = failed & (state.pairs == 0)
    along = _take_step(state, trial, f, g, slope, accepted)
    _narrow(state, f, slope)
    norm = state.g.norm(dim=1)
    _note_progress(state, accepted, norm)
    # The last that applies counts.
    for condition, status in (
        (stalled | (running & (state.idle >= IDLE_STEPS)), Status.STALLED),
        (accepted & (state.steps >= max_steps), Status.MAX_STEPS),
        (accepted & (norm <= tolerance), Status.CONVERGED),
        (accepted & ~torch.isfinite(state.f + norm), Status.NONFINITE),
    ):
        state.status.masked_fill_(condition, int(status))
    state.pairs.masked_fill_(failed, 0)
    _turn(state, accepted | failed, norm, *along)


def _note_progress(state: _State, accepted: Tensor, norm: Tensor) -> None:
    """Count the steps since the value or the gradient was last clearly better than ever before."""
    is_lower = ~(state.f >= state.level - rounding(state.f))
    advanced = accepted & (is_lower | (norm < 0.9 * state.shortest))
    state.level = torch.where(advanced, state.f, state.level)
    state.shortest = torch.where(advanced, torch.minimum(norm, state.shortest), state.shortest)
    state.idle = torch.where(advanced, 0, state.idle + accepted)


def _narrow(state: _State, f: Tensor, slope: Tensor) -> None:
    """Make the trial an end of the bracket and choose the next one (both are dropped where the trial was taken)."""
    too_long = is_too_long(state.f, state.slope, state.t, f, slope)
    here = torch.stack([state.t, f, slope], 1)
    previous = state.low
    state.low = torch.where(too_long[:, None], state.low, here)
    state.high = torch.where(too_long[:, None], here, state.high)
    state.t = next_trial(state.low, state.high, previous)


def _take_step(
    state: _State, trial: Tensor, f: Tensor, g: Tensor, slope: Tensor, accepted: Tensor
) -> tuple[Tensor, Tensor]:
    """Move the accepted starts, remember their pair (s, y), and return S g and Y g at the new gradient.

    s . y = t (slope there - slope here) is positive by the Wolfe conditions, so that every step can be remembered.
    """
    kept = accepted & ~state.is_new & torch.isfinite(slope)
    slot = torch.where(kept, state.pairs % MEMORY, MEMORY)
    rows = torch.arange(len(slot), device=slot.device)
    y = g - state.g
    state.S[rows, slot], state.Y[rows, slot] = state.t[:, None] * state.d, y
    state.x = torch.where(accepted[:, None], trial, state.x)
    state.g = torch.where(accepted[:, None], g, state.g)
    # The memory is far larger than anything else: both vectors, stacked as rows, meet it in one sweep.
    both = torch.stack([y, state.g], 1).mT
    S_both, Y_both = state.S[:, :MEMORY] @ both, state.Y[:, :MEMORY] @ both
    Sy, Yy = S_both[:, :, :1], Y_both[:, :, :1]
    is_slot = (torch.arange(MEMORY, device=slot.device) == slot[:, None])[:, None, :]
    state.SY = torch.where(is_slot, Sy, state.SY)
    state.YY = torch.where(is_slot, Yy, torch.where(is_slot.mT, Yy.mT, state.YY))
    yy = Yy[:, :, 0].gather(1, slot.clamp(max=MEMORY - 1)[:, None])[:, 0]
    state.scale = torch.where(kept, state.t * (slope - state.slope) / yy, state.scale)
    state.f = torch.where(accepted, f, state.f)
    state.pairs += kept
    state.steps += accepted & ~state.is_new
    state.is_new &= ~accepted
    return S_both[:, :, 1:], Y_both[:, :, 1:]


def _turn(state: _State, turning: Tensor, norm: Tensor, Sg: Tensor, Yg: Tensor) -> None:
    """A new quasi-Newton direction (steepest descent without memory) and a fresh line search where asked."""
    c, on_S, on_Y = _quasi_newton(state, norm, Sg, Yg)
    slope = c * norm.square() + (on_S * Sg + on_Y * Yg).sum((1, 2))
    uphill = ~(slope < 0)
    steepest = -1 / norm.clamp(min=1)
    c = torch.where(uphill, steepest, c)
    on_S, on_Y = (torch.where(uphill[:, None, None], 0.0, part) for part in (on_S, on_Y))
    state.pairs.masked_fill_(turning & uphill, 0)
    d = (c[:, None] * state.g)[:, None]
    d.baddbmm_(on_S.mT, state.S[:, :MEMORY]).baddbmm_(on_Y.mT, state.Y[:, :MEMORY])
    state.d = torch.where(turning[:, None], d[:, 0], state.d)
    state.slope = torch.where(turning, torch.where(uphill, steepest * norm.square(), slope), state.slope)
    state.t = torch.where(turning, 1.0, state.t)
    start = torch.stack([torch.zeros_like(state.f), state.f, state.slope], 1)
    state.low = torch.where(turning[:, None], start, state.low)
    state.high = torch.where(turning[:, None], torch.inf, state.high)
    state.trials.masked_fill_(turning, 0)


def _quasi_newton(state: _State, norm: Tensor, Sg: Tensor, Yg: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The coefficients of the direction -H g = c g + S' on_S + Y' on_Y.

    H = h I + [S hY] [[A (D + h Y'Y) A', -A], [-A', 0]] [S hY]' with A = R^-T, R = triu(S'Y), D = diag(R).
    """
    slots = torch.arange(MEMORY, device=norm.device)
    order = (state.pairs[:, None] + slots) % MEMORY  # oldest first
    valid = slots >= MEMORY - state.pairs[:, None]
    both = valid[:, :, None] & valid[:, None, :]

    def chronological(A: Tensor) -> Tensor:
        A = A.gather(1, order[:, :, None].expand_as(A)).gather(2, order[:, None, :].expand_as(A))
        return torch.where(both, A, 0.0)

    h = torch.where(state.pairs > 0, state.scale, 1 / norm.clamp(min=1))
    Sg, Yg = (product.gather(1, order[:, :, None]) * valid[:, :, None] for product in (Sg, Yg))
    SY, YY = chronological(state.SY), chronological(state.YY)
    D = SY.diagonal(dim1=1, dim2=2)[:, :, None]
    R = SY.triu() + torch.diag_embed((~valid).to(SY.dtype))
    w = torch.linalg.solve_triangular(R, Sg, upper=True)
    on_S = torch.linalg.solve_triangular(R.mT, D * w + h[:, None, None] * (YY @ w - Yg), upper=False)
    back = torch.empty_like(order).scatter_(1, order, slots.expand_as(order))[:, :, None]
    return -h, -on_S.gather(1, back), h[:, None, None] * w.gather(1, back)


def _empty_result(starts: Tensor) -> EndPoints:
    S = len(starts)
    value, norm = starts.new_full((S,), torch.nan), starts.new_full((S,), torch.nan)
    status, steps, evaluations = (torch.zeros(S, dtype=torch.int64, device=starts.device) for _ in range(3))
    return EndPoints(torch.empty_like(starts), value, norm, status, steps, evaluations)


def _collect(end: EndPoints, state: _State, ended: Tensor) -> None:
    """Write the ended starts into the result."""
    rows = state.index[ended]
    end.x[rows], end.value[rows] = state.x[ended], state.f[ended]
    end.gradient_norm[rows] = state.g[ended].norm(dim=1)
    end.status[rows], end.steps[rows] = state.status[ended], state.steps[ended]
    end.evaluations[rows] = state.evaluations[ended]
