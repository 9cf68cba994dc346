"""The output of `report-card`: answers in words, and tables."""

from typing import Any

from rich.table import Table

from ufm.cli.table import console, table
from ufm.reports.report_card import Card
from ufm.scan.cells import Row
from ufm.scan.outcomes import STATES
from ufm.theory.loss_properties import Property

COMPARED = {
    "best_state": "end state",
    "best_value": "objective",
    "margin": "margin",
    "p_y": "p_y",
    "condition_number": "condition number",
    "nc1_trace": "NC1 trace",
    "nc2_etf_distance": "NC2",
    "nc3_self_duality": "NC3",
    "steps_mean": "steps",
}


def answers(card: Card) -> dict[str, str]:
    """The answer to each question, in words."""
    found = {f"{item.name}?": _property(item) for item in card.properties}
    states = ", ".join(f"{share:.1%} {name}" for name, share in card.shares.items() if share)
    lost = sum(count for name, count in card.statuses.items() if name != "CONVERGED")
    total = sum(card.statuses.values())
    found["where does training the model end?"] = f"{states or 'nowhere'}; {lost} of {total} starts did not converge"
    found["other local minima found?"] = _other_minima(card)
    found["zero is a local minimum from decay"] = (
        "not known: zero is no critical point, or the loss is not smooth"
        if card.zero_stable is None
        else f"{card.zero_stable:.6g} on (|G|_2 at zero logits)"
    )
    found["is the landscape benign?"] = card.landscape
    found["most starts end at zero"] = _where(card.by_decay, "zero")
    found["most starts end in the ETF"] = _where(card.by_decay, "etf")
    return found


def show(card: Card) -> None:
    """Print the answers, then the comparison."""
    columns = ["question", "answer"]
    found = table(
        f"Report card: {_name(card.spec)} (numeric evidence)",
        *columns,
        left=columns,
        named=["question"],
        section="card",
    )
    for question, answer in answers(card).items():
        found.add_row(question, answer)
    out = console()
    out.print(found)
    out.print(_comparison(card))


def _property(item: Property) -> str:
    if item.holds:
        return "no counterexample found"
    where = ", ".join(f"{name} {_shown(value)}" for name, value in item.point.items())
    by = f"off by {abs(item.worst):.2g}" if item.worst else "equal where it must be above"
    return f"no: {by} at {where}"


def _other_minima(card: Card) -> str:
    if not card.kinds:
        return "nothing converged"
    kinds = card.other_minima
    if not kinds:
        return "none"
    shown = ", ".join(
        f"{k['state']} ({k['active']} active) at {k['value']:.6g}, {k['starts']} starts" for k in kinds[:3]
    )
    return f"{len(kinds)} above {card.kinds[0]['value']:.6g}: {shown}{', ...' if len(kinds) > 3 else ''}"


def _where(rows: list[Row], state: str) -> str:
    """The decays, of those looked at, at which most starts end there."""
    decays = [row["decay_W"] for row in rows if row[state] > 0.5]
    return f"from decay {min(decays):.2g} to {max(decays):.2g}" if decays else "at none of the decays looked at"


def _comparison(card: Card) -> Table:
    first, losses = card.comparison[0], [str(row["loss"]).rpartition(".")[2] for row in card.comparison]
    found = table(
        f"Best of {first['starts']} starts at decay {first['decay_W']:g}",
        "",
        *losses,
        left=[""],
        named=[""],
        own=losses,
        section="card",
    )
    for name, label in COMPARED.items():
        found.add_row(label, *(_shown(row[name]) for row in card.comparison))
    for state in STATES:
        found.add_row(f"share {state}", *(f"{row[state]:.0%}" for row in card.comparison))
    return found


def _name(spec: dict[str, Any]) -> str:
    parameters = ", ".join(f"{key} {value}" for key, value in spec.items() if key != "name")
    return f"{spec['name']} ({parameters})" if parameters else str(spec["name"])


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return f"({', '.join(_shown(entry) for entry in value)})"
    if value is None:
        return "-"
    return f"{value + 0.0:.4g}" if isinstance(value, float) else str(value)
