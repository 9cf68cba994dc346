"""Agreement of the end states of a scan's cells with the predicted ones."""

from itertools import product

from ufm.scan.cells import Row
from ufm.scan.outcomes import STATES
from ufm.scan.setting import ScanSetting


def most_common(row: Row) -> str:
    """The state in which most starts end."""
    return max(STATES, key=lambda state: float(row[state]))


def agreements(setting: ScanSetting, rows: list[Row | None]) -> dict[str, int]:
    """The number of cells whose most common state is predicted, and of others where it is predicted for a neighbour."""
    places = list(product(*(range(len(values)) for values in setting.axes.values())))
    at = {place: row for place, row in zip(places, rows, strict=True) if row and row["predicted_state"]}
    counts = {"predicted": len(at), "as_predicted": 0, "within_one_cell": 0, "further": 0, "neither": 0}
    for place, row in at.items():
        found = most_common(row)
        near = (
            at.get(tuple(map(sum, zip(place, step, strict=True)))) for step in product((-1, 0, 1), repeat=len(place))
        )
        if found == row["predicted_state"]:
            counts["as_predicted"] += 1
        elif any(other is not None and other["predicted_state"] == found for other in near):
            counts["within_one_cell"] += 1
        elif found not in ("etf", "zero"):
            counts["neither"] += 1
        else:
            counts["further"] += 1
    return counts
