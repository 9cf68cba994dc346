"""How alike the features of different losses are, on the same images."""

from typing import Any

from figures.tables.compare import spread
from figures.tables.markdown import markdown


def table(record: dict[str, Any]) -> str:
    """One row a pair of conditions; mean and standard deviation over seeds."""
    rows = [["", "images", "linear CKA", "cosines of principal angles, mean", "smallest", "same class"]]
    for network in record["result"]["networks"]:
        for entry in network["similarity"]:
            keys = ("cka", "mean_cosine", "least_cosine", "agreement")
            rows.append([" and ".join(entry["conditions"]), entry["split"], *(spread(entry[key]) for key in keys)])
    return markdown(rows) if len(rows) > 1 else "(One condition, and no other to set it beside.)"
