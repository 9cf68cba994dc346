"""L-BFGS on any torch device: the same few tensor operations for all starts at work, without waiting for the host.

The two-loop recursion is replaced by the compact form of the inverse Hessian (Byrd, Nocedal and Schnabel 1994), which
reads the memory twice per step.
"""

import dataclasses
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ufm.solve.end_points import EndPoints, Path, Status
from ufm.solve.lbfgs.line_search_batched import Starts, search
from ufm.solve.lbfgs.rules import MEMORY, Metric, Rules


@dataclass
class AtWork(Starts):
    """The starts at work, one a row of every tensor."""

    x: Float[Tensor, "B P"]
    g: Float[Tensor, "B P"]
    d: Float[Tensor, "B P"]
    """Search direction."""
    S: Float[Tensor, "B slots P"]
    """Steps in M + 1 slots; the last takes what is not kept."""
    Y: Float[Tensor, "B slots P"]
    """Gradient differences, in the same slots."""
    SY: Float[Tensor, "B M M"]
    """s_i . y_j."""
    YY: Float[Tensor, "B M M"]
    """y_i . y_j."""
    trial: Float[Tensor, "B P"]
    """The points to be evaluated next."""

    @classmethod
    def loaded(cls, x: Float[Tensor, "B P"], row: Int[Tensor, " B"], step: Float[Tensor, " S"]) -> "AtWork":
        """Starts that are yet to be evaluated."""
        B, P = x.shape
        fields = {field.name: x.new_zeros(B) for field in dataclasses.fields(Starts)}
        counts = ("trials", "pairs", "idle", "status", "steps", "evaluations")
        fields |= {name: torch.zeros(B, dtype=torch.int64, device=x.device) for name in counts}
        flags = ("is_new", "is_accepted", "is_turning")
        fields |= {name: torch.full((B,), name == "is_new", device=x.device) for name in flags}
        fields |= {name: x.new_full((B,), torch.inf) for name in ("level", "shortest")}
        fields |= {"row": row, "step": step[row], "low": x.new_zeros(B, 3), "high": x.new_full((B, 3), torch.inf)}
        fields |= {name: torch.zeros_like(x) for name in ("g", "d")}
        fields |= {name: x.new_zeros(B, MEMORY + 1, P) for name in ("S", "Y")}
        fields |= {name: x.new_zeros(B, MEMORY, MEMORY) for name in ("SY", "YY")}
        return cls(**fields, x=x.clone(), trial=x.clone())


class BatchedLbfgs:
    """L-BFGS as tensor operations with masks.

    Args:
        starts: one start per row.
        width: how many are worked on at a time.
        rules: what is followed.
        metric: that of the first direction.
        path: of the first starts, to be filled in.
    """

    TICKS_BETWEEN_EXCHANGES = 4
    """Ticks between exchanges, the only moments at which the host waits for the device."""

    def __init__(self, starts: Float[Tensor, "S P"], width: int, rules: Rules, metric: Metric, path: Path) -> None:
        self.end = EndPoints.unknown(starts)
        self._queue, self._rules, self._last, self._path = starts, rules, metric.last, path
        self._noted = torch.cat([path.numbers, path.numbers.new_empty(1, *path.numbers.shape[1:])])
        self._step = metric.step.to(starts.device).expand(len(starts))
        first = torch.arange(min(width, len(starts)), device=starts.device)
        self._work = AtWork.loaded(starts[:width], first, self._step)
        self._next = self.active
        self._there = self._work.g

    @property
    def active(self) -> int:
        """The number of starts at work."""
        return len(self._work.x)

    @property
    def trial(self) -> Float[Tensor, "B P"]:
        """The points (B, P) to be evaluated next."""
        return self._work.trial

    @property
    def rows(self) -> Int[Tensor, " B"]:
        """The numbers of the starts to which `trial` belongs."""
        return self._work.row

    def search(self, f: Float[Tensor, " B"], g: Float[Tensor, "B P"]) -> None:
        """Process the values and gradients at `trial`: accept it or not, end starts, and set the next trial step."""
        self._there = g
        search(self._work, self._work.d, f, g, self._rules, self._noted)

    def turn(self) -> None:
        """Move to the accepted points, remember the steps, and set a new direction where a line search is over."""
        _turn(self._work, self._there, self._last)

    def exchange(self) -> int:
        """Store the results of ended starts, replace them by waiting ones, and return how many ended."""
        ended = self._work.status != Status.RUNNING
        if count := int(ended.sum()):
            last = min(self._next + count, len(self._queue))
            self._work = _exchange(self._work, (self._queue, self._step), self.end, ended, range(self._next, last))
            self._next = last
            self._path.numbers.copy_(self._noted[:-1])
        return count


def _exchange(work: AtWork, queue: tuple[Tensor, Tensor], end: EndPoints, ended: Tensor, following: range) -> AtWork:
    """Store the results of ended starts, and replace them by waiting ones or remove their rows."""
    row = work.row[ended]
    end.x[row], end.value[row], end.gradient_norm[row] = work.x[ended], work.f[ended], work.norm[ended]
    end.status[row], end.steps[row], end.evaluations[row] = (
        part[ended] for part in (work.status, work.steps, work.evaluations)
    )
    places = ended.nonzero()[:, 0]
    taken, empty = places[: len(following)], places[len(following) :]
    names = [field.name for field in dataclasses.fields(work)]
    if len(taken):
        incoming = torch.arange(following.start, following.stop, device=ended.device)
        fresh = AtWork.loaded(queue[0][incoming], incoming, queue[1])
        for name in names:
            getattr(work, name)[taken] = getattr(fresh, name)
    if not len(empty):
        return work
    keep = torch.ones_like(ended).index_fill_(0, empty, False)
    return AtWork(**{name: getattr(work, name)[keep] for name in names})


def _turn(work: AtWork, there: Float[Tensor, "B P"], last: int) -> None:
    """Take and remember the step; a new direction, steepest descent where there is no memory, and a fresh search."""
    is_last = torch.arange(there.shape[1], device=there.device) >= there.shape[1] - last
    D = torch.where(is_last, work.step[:, None], 1.0)
    Sg, Yg = _remember(work, there, D)
    turning = work.is_turning
    scale, from_S, from_Y, slope = _coefficients(work, (D * work.g * work.g).sum(1), Sg, Yg)
    work.d = torch.where(turning[:, None], _combine(-scale, work.g, from_S, work.S, from_Y, work.Y, D), work.d)
    work.slope = torch.where(turning, slope, work.slope)
    work.t = torch.where(turning, 1.0, work.t)
    here = torch.stack([torch.zeros_like(work.f), work.f, work.slope], 1)
    work.low = torch.where(turning[:, None], here, work.low)
    work.high = torch.where(turning[:, None], torch.inf, work.high)
    work.trials.masked_fill_(turning, 0)
    work.trial = torch.addcmul(work.x, work.t[:, None], work.d)


def _remember(work: AtWork, there: Float[Tensor, "B P"], D: Float[Tensor, "B P"]) -> tuple[Tensor, Tensor]:
    """Move the accepted starts, keep their pair (s, y), and return S g and Y D g at the new gradient.

    s . y = t (slope there - slope here) is positive by the Wolfe conditions, so that every step can be remembered.
    """
    kept = work.is_accepted & ~work.is_new & torch.isfinite(work.slope_there)
    slot = torch.where(kept, work.pairs % MEMORY, MEMORY)
    rows = torch.arange(len(slot), device=slot.device)
    y = there - work.g
    work.S[rows, slot], work.Y[rows, slot] = work.t[:, None] * work.d, y
    work.pairs += kept
    work.is_new &= ~work.is_accepted
    work.x = torch.where(work.is_accepted[:, None], work.trial, work.x)
    work.g = torch.where(work.is_accepted[:, None], there, work.g)
    # The memory is far larger than anything else: both vectors, stacked as rows, meet it in one sweep.
    both = torch.stack([y, work.g], 1)
    on_S, on_Y = work.S[:, :MEMORY] @ both.mT, work.Y[:, :MEMORY] @ (D[:, None] * both).mT
    Sy, Yy = on_S[:, :, :1], on_Y[:, :, :1]
    is_slot = (torch.arange(MEMORY, device=slot.device) == slot[:, None])[:, None, :]
    work.SY = torch.where(is_slot, Sy, work.SY)
    work.YY = torch.where(is_slot, Yy, torch.where(is_slot.mT, Yy.mT, work.YY))
    return on_S[:, :, 1:], on_Y[:, :, 1:]


def _coefficients(work: AtWork, squared: Tensor, Sg: Tensor, Yg: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Direction -scale D g + S' from_S + D Y' from_Y and its slope; steepest descent where there is no memory.

    D is the inverse metric, in which are `squared`, |g|^2, and the products of the changes Y. With D = I,
    H = h I + [S hY] [[A (E + h Y'Y) A', -A], [-A', 0]] [S hY]' with A = R^-T, R = triu(S'Y), E = diag(R), h = scale.
    """
    slots = torch.arange(MEMORY, device=Sg.device)
    order = (work.pairs[:, None] + slots) % MEMORY  # oldest first
    valid = slots >= MEMORY - work.pairs[:, None]
    both = valid[:, :, None] & valid[:, None, :]

    def chronological(A: Tensor) -> Tensor:
        A = A.gather(1, order[:, :, None].expand_as(A)).gather(2, order[:, None, :].expand_as(A))
        return torch.where(both, A, 0.0)

    old_Sg, old_Yg = (product.gather(1, order[:, :, None]) * valid[:, :, None] for product in (Sg, Yg))
    SY, YY = chronological(work.SY), chronological(work.YY)
    E = SY.diagonal(dim1=1, dim2=2)[:, :, None]
    steepest = 1 / work.norm.clamp(min=1)
    scale = torch.where(work.pairs > 0, SY[:, -1, -1] / YY[:, -1, -1], steepest)
    R = SY.triu() + torch.diag_embed((~valid).to(SY.dtype))
    w = torch.linalg.solve_triangular(R, old_Sg, upper=True)
    v = torch.linalg.solve_triangular(R.mT, E * w + scale[:, None, None] * (YY @ w - old_Yg), upper=False)
    back = torch.empty_like(order).scatter_(1, order, slots.expand_as(order))[:, :, None]
    from_S, from_Y = -v.gather(1, back), scale[:, None, None] * w.gather(1, back)
    slope = -scale * squared + (from_S * Sg + from_Y * Yg).sum((1, 2))
    uphill = ~(slope < 0)
    work.pairs.masked_fill_(work.is_turning & uphill, 0)
    from_S, from_Y = (torch.where(uphill[:, None, None], 0.0, part) for part in (from_S, from_Y))
    scale = torch.where(uphill, steepest, scale)
    return scale, from_S, from_Y, torch.where(uphill, -steepest * squared, slope)


def _combine(
    scale: Tensor, g: Tensor, from_S: Tensor, S: Tensor, from_Y: Tensor, Y: Tensor, D: Tensor
) -> Float[Tensor, "B P"]:
    """The sum scale D g + S' from_S + D Y' from_Y."""
    d = (scale[:, None] * g)[:, None]
    d = d.baddbmm_(from_Y.mT, Y[:, :MEMORY]).mul_(D[:, None])
    return d.baddbmm_(from_S.mT, S[:, :MEMORY])[:, 0]
