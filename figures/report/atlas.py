"""The atlas: orbits of critical points with index, certificate and the geometry of their classes."""

from typing import Any

import numpy as np

from figures.landscape import title

KIND = ("ufm atlas",)
COMMAND = "python -m ufm atlas --json figures/data/atlas.json"
NUMBERS = ("value", "rank", "index", "nullity", "copies", "curvature", "smallest_eigenvalue", "gradient_norm", "found")


def view(name: str, record: dict[str, Any]) -> list[dict[str, Any]]:
    """One atlas: its rows, and the Morse relations."""
    result, setting = record["result"], record["setting"]
    relations = result.get("morse", {}).get("dimensions", [])
    return [
        {
            "record": name,
            "title": title(record),
            "rows": [_row(row, setting) for row in result["rows"]],
            "morse": [{"dimension": entry["dimension"], "holds": entry["holds"]} for entry in relations],
        }
    ]


def _row(row: dict[str, Any], setting: dict[str, Any]) -> dict[str, Any]:
    return {
        **{key: row[key] for key in NUMBERS},
        "apart": row["apart"],
        "certificate": row["certificate"],
        "geometry": geometry(row, setting["classes"], setting["per_class"]),
    }


def geometry(row: dict[str, Any], K: int, n: int) -> dict[str, list[list[float]]]:
    """Class means and rows of W of a stored point: W (K, r), H (K n, r), then the bias; r its columns.

    Other models than the plain one have both in their record.
    """
    if "geometry" in row:
        found: dict[str, list[list[float]]] = row["geometry"]
        if not all(np.isfinite(np.array(part, dtype=float)).all() for part in found.values()):
            raise ValueError("a stored point is not finite")
        return found
    columns, x = row["columns"], np.array(row["x"], dtype=float)
    W, H = x[: K * columns].reshape(K, columns), x[K * columns : K * columns * (n + 1)].reshape(K, n, columns)
    if not np.isfinite(x).all():
        raise ValueError("a stored point is not finite")
    return {"means": H.mean(1).tolist(), "W": W.tolist()}
