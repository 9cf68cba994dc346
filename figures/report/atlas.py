"""The atlas: orbits of critical points with index, certificate, the geometry of their classes, and the way down."""

from itertools import permutations
from typing import Any

import numpy as np

from figures.landscape import title

KIND = ("ufm atlas",)
COMMAND = "python -m ufm atlas --descents true --json figures/data/atlas.json"
NUMBERS = ("value", "rank", "index", "nullity", "copies", "curvature", "smallest_eigenvalue", "gradient_norm", "found")
LETTERS = "abcdefgh"
SAME = 1e-6
"""Rows of W that differ by less, relatively to the largest, are equal."""


def view(name: str, record: dict[str, Any]) -> list[dict[str, Any]]:
    """One atlas: its rows, whether they are proved to be all, and the Morse relations."""
    result, setting = record["result"], record["setting"]
    relations = result.get("morse", {}).get("dimensions", [])
    ways = {way["row"]: whole_way(way, result["rows"], setting["classes"]) for way in result.get("descents", [])}
    return [
        {
            "record": name,
            "title": title(record).replace("\n", " model, "),
            "rows": [_row(row, setting) | {"descent": ways.get(i)} for i, row in enumerate(result["rows"])],
            "is_complete": bool((result.get("completeness") or {}).get("is_proved")),
            "morse": [{"dimension": entry["dimension"], "holds": entry["holds"]} for entry in relations],
        }
    ]


def whole_way(way: dict[str, Any], rows: list[Any], K: int) -> dict[str, Any]:
    """A way down as stored, if the page can play it: each piece between two stops has as many frames as the others.

    Raises:
        ValueError: if a number is missing, or a row or class is none of the atlas's.
    """
    means, value = np.array(way["means"], dtype=float), np.array(way["value"], dtype=float)
    stops = [way["row"], *(stop for stop in way["passes"] if stop is not None)]
    is_whole = (
        means.shape[:2] == (len(value), K)
        and 1 <= means.shape[2] <= 3
        and len(value) > 1
        and way["passes"]
        and (len(value) - 1) % len(way["passes"]) == 0
        and np.isfinite(means).all()
        and np.isfinite(value).all()
        and all(type(stop) is int and 0 <= stop < len(rows) for stop in stops)
    )
    if not is_whole:
        raise ValueError(f"the way down from row {way['row']} is not whole")
    return way


def _row(row: dict[str, Any], setting: dict[str, Any]) -> dict[str, Any]:
    found = geometry(row, setting["classes"], setting["per_class"])
    return {
        **{key: row[key] for key in NUMBERS},
        "apart": row["apart"],
        "letters": letters(row["apart"], found["W"], setting.get("model", {}).get("sizes")),
        "certificate": row["certificate"],
        "geometry": found,
    }


def letters(apart: str, W: list[list[float]], sizes: list[int] | None = None) -> str:
    """The letter of every class of a stored point: equal rows of W have letters that `apart` puts together.

    Classes of unequal sizes have letters of classes of their own size. Where `apart` says something else than which
    classes are together (squared error), letters follow the order of the classes.
    """
    K = len(W)
    if not {*apart} <= {*LETTERS, *"|() *"}:
        return LETTERS[:K]
    scale = SAME * max(np.abs(W).max(), 1e-300)
    zero = [k for k in range(K) if np.abs(W[k]).max() <= max(scale, 1e-12)]
    firsts = [next(j for j in range(K) if np.abs(np.subtract(W[j], W[k])).max() <= scale) for k in range(K)]
    sized = sizes or [1] * K
    for places in permutations(range(K)):
        if all(sized[place] == size for place, size in zip(places, sized, strict=True)):
            blocks: dict[int, str] = {}
            for k in sorted({*range(K)} - {*zero}, key=places.__getitem__):
                blocks[firsts[k]] = blocks.get(firsts[k], "") + LETTERS[places[k]]
            words = "|".join(sorted(blocks.values(), key=lambda word: (-len(word), word)))
            at_zero = "".join(sorted(LETTERS[places[k]] for k in zero))
            if " ".join(part for part in (words, f"({at_zero})" if zero else "") if part) == apart.removesuffix(" *"):
                return "".join(LETTERS[place] for place in places)
    return LETTERS[:K]


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
