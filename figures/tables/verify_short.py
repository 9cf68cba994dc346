"""The first lines of what `ufm verify` finds."""

from typing import Any

from figures.style import loss_name
from figures.tables.markdown import markdown
from figures.tables.verify import LABELS

SHOWN = ("all converged", "value", "nc1_quotient", "nc2_etf_distance", "nc3_self_duality", "smallest eigenvalue")


def table(record: dict[str, Any]) -> str:
    """Worst value over all starts of a few claims, one column a loss."""
    verdicts = record["result"]["verdicts"]
    rows = [["worst of all starts", *(loss_name(verdict["spec"]) for verdict in verdicts)]]
    rows += [[LABELS[name], *(f"{verdict['claims'][name]['worst']:.2g}" for verdict in verdicts)] for name in SHOWN]
    rows.append(["kinds of other critical points found", *(str(len(verdict["saddles"])) for verdict in verdicts)])
    return markdown(rows)
