"""A report card for a loss: its properties, the end states of the feature model, and a comparison with others.

All answers are numeric evidence, except the decay at which zero becomes a local minimum: there the smallest eigenvalue
of the Hessian at zero is a formula, evaluated in floating point.
"""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ufm.cli.bounds import check_memory
from ufm.cli.grid import axis
from ufm.device import torch_device
from ufm.errors import check
from ufm.model.own_loss import check_loss, full_spec, is_own
from ufm.model.starts import normal_starts
from ufm.reports.report_card_setting import ReportCardSetting
from ufm.scan.cells import Cell, Row, Unit
from ufm.scan.memory import unit_bytes
from ufm.scan.outcomes import STATES, end_states, solve
from ufm.solve.end_points import Status
from ufm.solve.grouping import groups_of
from ufm.solve.hessian import smallest_eigenpair
from ufm.solve.minimise import minimise
from ufm.solve.units import own_units
from ufm.specs import LOSS_NAMES, LossSpec
from ufm.theory.landscape import landscape
from ufm.theory.loss_properties import Property, on_ray, properties
from ufm.theory.margin_loss import margin_loss
from ufm.tolerances import LOCAL_MINIMUM, NO_BIAS_GRADIENT, SAME_VALUE

KINDS = 20
"""The number of kinds of end points, lowest first, whose Hessian is examined."""
DECAYS, FEWER_STARTS = "1e-4:10:26:log", 32
"""Where zero is looked for, and with how many starts; the comparison takes as many."""


@dataclass(frozen=True)
class Card:
    """The contents of the card.

    Attributes:
        spec: the loss with its parameters.
        properties: of the loss as a function of the logits.
        statuses: how the starts ended; `shares`: in which state, as shares of all starts.
        kinds: end points of one value and state, the lowest first.
        zero_stable: decay_W = decay_H from which on zero is a local minimum; None where it is no critical point,
            or the loss is not smooth.
        by_decay: a scan's row per decay.
        comparison: a scan's row per loss, this one first, at the same decay.
        ray: margins, and the loss there for every loss of the comparison.
        landscape: what is proved of all critical points, or seen of a loss psi(x) of the margin, in words.
    """

    spec: LossSpec
    properties: list[Property]
    statuses: dict[str, int]
    shares: dict[str, float]
    kinds: list[dict[str, Any]]
    zero_stable: float | None
    by_decay: list[Row]
    comparison: list[Row]
    ray: dict[str, list[float]]
    landscape: str

    @property
    def other_minima(self) -> list[dict[str, Any]]:
        """The kinds of local minima above the lowest value."""
        return [kind for kind in self.kinds[1:] if kind["smallest_eigenvalue"] > LOCAL_MINIMUM]


def report_card(setting: ReportCardSetting) -> Card:
    """Make the report card of the loss in the setting.

    Raises:
        ValueError: if the loss cannot be imported or is not a loss per sample, or the model or device cannot be.
    """
    cell = asked(setting)
    spec, loss = cell.loss, cell.problem.loss
    statuses, shares, kinds = _training(cell, setting)
    found = properties(loss, setting.classes)
    is_smooth = next(entry.holds for entry in found if entry.name == "smooth")
    stable = _zero_stable(cell) if is_smooth else None
    by_decay = [dataclasses.replace(cell, decay_W=decay, decay_H=decay) for decay in axis("decay", DECAYS)]
    others = [full_spec({"name": name}) for name in LOSS_NAMES if name != spec["name"]]
    compared = [cell, *(_cell(setting, other) for other in others)]
    margins = torch.linspace(-5, 15, 201, dtype=torch.float64)
    ray = {str(one.loss["name"]): on_ray(one.problem.loss, setting.classes, margins).tolist() for one in compared}
    return Card(
        spec,
        found,
        statuses,
        shares,
        kinds,
        stable,
        solve(_unit(by_decay, FEWER_STARTS, setting)),
        [row for one in compared for row in solve(_unit([one], FEWER_STARTS, setting))],
        {"margin": margins.tolist(), **ray},
        _landscape(cell),
    )


def _landscape(cell: Cell) -> str:
    """By the claims where they know the loss, else by the constant of a loss of the margin, which a grid shows."""
    if not is_own(cell.loss):
        return landscape(cell.problem).sentence
    found = margin_loss(cell.problem.loss, cell.classes)
    if found is None:
        return "open: the loss is no increasing function psi(x) of log(sum over j != y of e^z_j) - z_y (numeric)"
    bounds = {"free": found.free, "decayed": found.decayed, "no": found.none}
    said = {name: "every c" if math.isinf(c) else f"c < {c:.6g}" if c else "nothing said" for name, c in bounds.items()}
    words = ", ".join(f"{name} bias {text}" for name, text in said.items())
    beyond = f" up to x = {found.convex_up_to:.4g} and has slope >= {found.constant:.6g} beyond"
    convex = "is convex" + ("" if math.isinf(found.constant) else beyond)
    return f"psi(x) {convex}, on a grid (numeric), so benign for: {words} (d >= K - 1)"


def asked(setting: ReportCardSetting) -> Cell:
    """The problem that the setting describes.

    Raises:
        ValueError: as `report_card`, or if the starts do not fit into half of the memory.
    """
    torch_device(setting.device)
    spec = full_spec(setting.loss)
    cell = _cell(setting, spec)
    check_memory("--starts", setting.starts, unit_bytes(_unit([cell], setting.starts, setting)))
    if is_own(spec):
        check_loss(cell.problem.loss, setting.classes)
    return cell


def _cell(setting: ReportCardSetting, spec: LossSpec) -> Cell:
    sizes = setting.classes, setting.dim, setting.per_class
    return Cell(spec, *sizes, setting.decay, setting.decay, setting.decay_b)


def _unit(cells: list[Cell], starts: int, setting: ReportCardSetting) -> Unit:
    return Unit(tuple(cells), starts, setting.seed, setting.tolerance, setting.max_steps, setting.device)


def _training(cell: Cell, setting: ReportCardSetting) -> tuple[dict[str, int], dict[str, float], list[dict[str, Any]]]:
    """Statuses, shares of states and kinds of end points of all starts."""
    units = own_units(cell.problem)
    problem = units.model
    starts = normal_starts(problem.size, setting.seed, 0, setting.starts, setting.device)
    end = minimise(units, starts, setting.tolerance, setting.max_steps)
    statuses = {kind.name: int((end.status == kind).sum()) for kind in Status if kind != Status.RUNNING}
    number = end.is_converged.nonzero()[:, 0]
    if not len(number):
        return statuses, dict.fromkeys(STATES, 0.0), []
    state, active = end_states(cell.problem, units.scales.to(end.x.device) * end.x[number])
    shares = {name: float((state == i).sum()) / setting.starts for i, name in enumerate(STATES)}
    at_zero = problem.value(torch.zeros_like(starts[:1]))
    scale = float(torch.cat([at_zero, problem.value(starts)]).abs().amax())
    value = units.gradient * end.value[number]
    kinds = _kinds(value, state, active, SAME_VALUE * scale)
    rows = number[torch.tensor([kind["row"] for kind in kinds], device=number.device)]
    smallest = smallest_eigenpair(problem, end.x[rows]).value.tolist()
    for kind, start, eigenvalue in zip(kinds, rows.tolist(), smallest, strict=True):
        kind |= {"row": start, "smallest_eigenvalue": eigenvalue / float(units.gradient)}
        kind["value"] *= float(units.value)
    return statuses, shares, kinds


def _kinds(value: Tensor, state: Tensor, active: Tensor, same: float) -> list[dict[str, Any]]:
    """The lowest kinds of end points: those of one state and as many active classes, of one value, are one kind."""
    keys = list(zip(state.tolist(), active.tolist(), strict=True))
    kinds = []
    for group in groups_of(value, same, keys)[:KINDS]:
        i = group[0]
        kind = {"state": STATES[int(state[i])], "active": int(active[i])}
        kinds.append(kind | {"value": float(value[i]), "starts": len(group), "row": i})
    return kinds


def _zero_stable(cell: Cell) -> float | None:
    """The decay from which on W = H = 0 is a local minimum.

    There the Hessian in (W, H) is [[decay, G'], [G, decay]] in blocks, G the gradient of the mean loss in the logits:
    its smallest eigenvalue is decay - |G|_2. Zero is a critical point if the bias has no gradient there.
    """
    problem = cell.problem
    G = problem.logit_gradient(torch.zeros(problem.size, dtype=torch.float64))
    of_bias = G.sum(0) if problem.has_bias else torch.zeros(problem.K)
    check(bool(torch.isfinite(G).all()), "--loss", "a gradient that is not finite", "differentiable at zero logits")
    is_critical = float(of_bias.abs().amax()) <= NO_BIAS_GRADIENT * float(G.abs().amax().clamp(min=1e-300))
    return float(torch.linalg.matrix_norm(G, 2)) if is_critical else None
