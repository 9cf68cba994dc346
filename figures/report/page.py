"""The page: every record of a folder goes to the view of its command; template, styles and scripts become one file."""

import base64
import gzip
import json
import math
from functools import cache, partial
from importlib import import_module, resources
from pathlib import Path
from typing import Any

from figures.stored import ORIGIN, UnusableRecordError, read_any, use_record
from figures.style import COLOURS

VIEWS = ("start", "theorems", "phase", "atlas", "training", "geometry", "cards")
"""Files of this folder, in the order of the page; each has `KIND`, `COMMAND` and `view(name, record)`."""
DIGITS, GEOMETRY_DIGITS = 6, 7
"""Of numbers, more than the page prints; coordinates are computed with."""
SCRIPTS = ("core", "math", "theory", "explorer", "player", "space", *VIEWS, "records")


def build(*folders: Path) -> tuple[str, list[str]]:
    """The page as HTML, and what is left out of it and why."""
    content = collect(*folders)
    parts = {
        "styles": _asset("page.css"),
        "plotly": _plotly(),
        "data": embedded(content),
        "scripts": "\n".join(_asset(f"{name}.js") for name in SCRIPTS),
    }
    page = _asset("template.html")
    for name, part in parts.items():
        page = page.replace(f"<!-- {name} -->", part, 1)
    return page, content["left_out"]


def collect(*folders: Path) -> dict[str, Any]:
    """What each view shows, where it comes from, and which records are missing or cannot be shown."""
    content: dict[str, Any] = {"views": {}, "records": [], "left_out": [], "colours": COLOURS}
    records, content["left_out"] = read_any(*folders)
    for name in VIEWS:
        module = import_module(f"figures.report.{name}")
        entries = []
        for stored, record in _of_kinds(records, module.KIND):
            try:
                entries += use_record(f"{stored}.json", str(record["command"]), partial(module.view, stored, record))
            except UnusableRecordError as error:
                content["left_out"].append(str(error))
        if not entries:
            content["left_out"].append(f"{name}: there is no record to show; made by: {module.COMMAND}")
        shown = module.together(entries) if hasattr(module, "together") else entries
        content["views"][name] = _rounded(shown, GEOMETRY_DIGITS if name == "geometry" else DIGITS)
    content["records"] = [{"name": name, **{key: record[key] for key in ORIGIN}} for name, record in records.items()]
    return content


def _of_kinds(records: dict[str, dict[str, Any]], kinds: tuple[str, ...]) -> list[tuple[str, dict[str, Any]]]:
    """In the order of the kinds."""
    return [(name, record) for wanted in kinds for name, record in records.items() if kind(record) == wanted]


def kind(record: dict[str, Any]) -> str:
    """`ufm scan`, `theory_checks`: what wrote the record; of a file of features no view shows the comparison."""
    words = str(record["command"]).split()[2:4]
    result = record.get("result")
    is_of_features = isinstance(result, dict) and "comparison" in result
    if words == ["deepnet", "compare"] and is_of_features:
        words.append("--features")
    return " ".join(words[:1] if words[:1] == ["theory_checks"] else words)


def embedded(content: dict[str, Any]) -> str:
    """JSON that can stand in a page: no character of it opens a tag or ends the script."""
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _rounded(value: Any, digits: int) -> Any:
    """Numbers of so many digits; what is not finite is null."""
    if isinstance(value, dict):
        return {key: _rounded(entry, digits) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(entry, digits) for entry in value]
    if isinstance(value, float):
        return float(f"{value:.{digits}g}") if math.isfinite(value) else None
    return value


def _asset(name: str) -> str:
    return resources.files("figures.report").joinpath("assets", name).read_text(encoding="utf-8")


@cache
def _plotly() -> str:
    """Plotly, gzipped, in base64: 2 MB instead of 5; `core.js` unpacks it for the first view that draws with it."""
    script = resources.files("plotly").joinpath("package_data", "plotly.min.js").read_bytes()
    return base64.b64encode(gzip.compress(script, mtime=0)).decode("ascii")
