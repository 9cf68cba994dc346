"""L-BFGS on any torch device: the same few tensor operations for all starts at work, without waiting for the host.

Every start has its own step, bracket, curvature memory and status; masks choose what happens to whom. The two-loop
recursion is replaced by the compact form of the inverse Hessian (Byrd, Nocedal and Schnabel 1994), which reads the
memory twice per step.
"""

import dataclasses
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ufm.solve.end_points import EndPoints, Status
from ufm.solve.lbfgs.line_search import TRIALS, is_too_long, next_trial, rounding, satisfies_wolfe

MEMORY = 3
"""Pairs of curvature memory per start."""
IDLE_STEPS = 1000
"""Steps after which a start has stalled if neither value nor gradient have become clearly lower than ever before."""


class BatchedLbfgs:
    """Some of the starts at work, the others in the queue.

    Args:
        starts: one start per row.
        width: how many are worked on at a time.
        tolerance, max_steps: as in `minimise`.
    """

    TICKS_BETWEEN_EXCHANGES = 4
    """The host waits for the device at no other time."""

    def __init__(self, starts: Float[Tensor, "S P"], width: int, tolerance: float, max_steps: int) -> None:
        self.end = EndPoints.unknown(starts)
        self._queue, self._tolerance, self._max_steps = starts, tolerance, max_steps
        self._state = _State.fresh(starts[:width], torch.arange(min(width, len(starts)), device=starts.device))
        self._next = self.active

    @property
    def active(self) -> int:
        """How many are at work."""
        return len(self._state.x)

    @property
    def trial(self) -> Float[Tensor, "B P"]:
        """The points to be evaluated next."""
        return self._state.trial

    @property
    def rows(self) -> Int[Tensor, " B"]:
        """Which of the starts those are."""
        return self._state.index

    def search(self, f: Float[Tensor, " B"], g: Float[Tensor, "B P"]) -> None:
        """Line search: is the trial taken, what is tried next?"""
        state = self._state
        running = state.status == Status.RUNNING
        slope = torch.linalg.vecdot(g, state.d)
        state.evaluations += running
        state.trials += 1
        accepted = running & (state.is_new | satisfies_wolfe(state.f, state.slope, state.t, f, slope))
        failed = running & ~accepted & (state.trials >= TRIALS)
        self._found = _Found(f, g, slope, state.t, accepted, failed)
        _narrow(state, f, slope)

    def turn(self) -> None:
        """Take the accepted steps, remember them, and find a new direction where a line search is over."""
        state, found = self._state, self._found
        stalled = found.failed & (state.pairs == 0)
        along = _take_step(state, found)
        norm = state.g.norm(dim=1)
        _note_progress(state, found.accepted, norm)
        # The last that applies counts.
        for condition, status in (
            (stalled | (found.accepted & (state.idle >= IDLE_STEPS)), Status.STALLED),
            (found.accepted & (state.steps >= self._max_steps), Status.MAX_STEPS),
            (found.accepted & (norm <= self._tolerance), Status.CONVERGED),
            (found.accepted & ~torch.isfinite(state.f + norm), Status.NONFINITE),
        ):
            state.status.masked_fill_(condition, int(status))
        state.pairs.masked_fill_(found.failed, 0)
        _turn(state, found.accepted | found.failed, norm, *along)
        state.trial = torch.addcmul(state.x, state.t[:, None], state.d)

    def exchange(self) -> int:
        """Write out who ended, let the queue take their places; returns how many ended."""
        ended = self._state.status != Status.RUNNING
        count = int(ended.sum())
        if count:
            _collect(self.end, self._state, ended)
            last = min(self._next + count, len(self._queue))
            incoming = torch.arange(self._next, last, device=ended.device)
            self._state, self._next = self._state.replaced(ended, self._queue, incoming), last
        return count


class _Found(NamedTuple):
    """What the evaluation of the trials said."""

    f: Tensor
    g: Tensor
    slope: Tensor
    t: Tensor
    accepted: Tensor  # the trial is the next point
    failed: Tensor  # the line search has run out of trials


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
    trial: Tensor  # the point to be evaluated next

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
            trial=x.clone(),
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


def _take_step(state: _State, found: _Found) -> tuple[Tensor, Tensor]:
    """Move the accepted starts, remember their pair (s, y), and return S g and Y g at the new gradient.

    s . y = t (slope there - slope here) is positive by the Wolfe conditions, so that every step can be remembered.
    """
    f, g, slope, t, accepted, _ = found
    kept = accepted & ~state.is_new & torch.isfinite(slope)
    slot = torch.where(kept, state.pairs % MEMORY, MEMORY)
    rows = torch.arange(len(slot), device=slot.device)
    y = g - state.g
    state.S[rows, slot], state.Y[rows, slot] = t[:, None] * state.d, y
    state.x = torch.where(accepted[:, None], state.trial, state.x)
    state.g = torch.where(accepted[:, None], g, state.g)
    # The memory is far larger than anything else: both vectors, stacked as rows, meet it in one sweep.
    both = torch.stack([y, state.g], 1).mT
    S_both, Y_both = state.S[:, :MEMORY] @ both, state.Y[:, :MEMORY] @ both
    Sy, Yy = S_both[:, :, :1], Y_both[:, :, :1]
    is_slot = (torch.arange(MEMORY, device=slot.device) == slot[:, None])[:, None, :]
    state.SY = torch.where(is_slot, Sy, state.SY)
    state.YY = torch.where(is_slot, Yy, torch.where(is_slot.mT, Yy.mT, state.YY))
    yy = Yy[:, :, 0].gather(1, slot.clamp(max=MEMORY - 1)[:, None])[:, 0]
    state.scale = torch.where(kept, t * (slope - state.slope) / yy, state.scale)
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


def _collect(end: EndPoints, state: _State, ended: Tensor) -> None:
    """Write the ended starts into the result."""
    rows = state.index[ended]
    end.x[rows], end.value[rows] = state.x[ended], state.f[ended]
    end.gradient_norm[rows] = state.g[ended].norm(dim=1)
    end.status[rows], end.steps[rows] = state.status[ended], state.steps[ended]
    end.evaluations[rows] = state.evaluations[ended]
