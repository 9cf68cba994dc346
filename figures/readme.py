"""The tables and pictures of the README and its pages, made from the records in `figures/data/`.

`python -m figures.readme` makes them. Between `<!-- NAME -->` and `<!-- end -->` stands what `figures/tables/NAME.py`
makes of `figures/data/NAME.json`; between `<!-- NAME: RECORD -->` and `<!-- end -->`, what it makes of
`figures/data/RECORD.json`. Tables write links as seen from the project's folder; a page has them as seen from its own.
Tests hold every page against the records.
"""

import os
import re
from functools import partial
from importlib import import_module
from pathlib import Path

from figures.stored import DATA, draw_stored, figure_scripts
from ufm.cli.records import atomic_file, read_record

ROOT = Path(__file__).parent.parent
GALLERY = Path(__file__).parent / "gallery"
PAGES = (
    "README.md",
    "ufm/README.md",
    "ufm/scan/README.md",
    "ufm/atlas/README.md",
    "theory_checks/README.md",
    "deepnet/README.md",
    "deepnet/comparison/README.md",
    "deepnet/experiments/README.md",
    "figures/README.md",
    "tests/benchmarks/README.md",
)
"""The pages in the order of reading."""

PLACE = re.compile(r"<!-- (?P<table>\w+)(?:: (?P<record>\w+))? -->\n.*?\n?<!-- end -->", re.DOTALL)
PICTURE = re.compile(r"figures/gallery/(\w+)\.png|\]\(gallery/(\w+)\.png")
_LINK = re.compile(r"(\]\()([^)#:]+)([#)])")


def with_tables(text: str, page: str) -> str:
    """The text of a page with every table made anew from its record."""
    return PLACE.sub(partial(_place, page), text)


def pictures(text: str) -> list[str]:
    """The figures that a page shows, by name."""
    return list(dict.fromkeys(there or here for there, here in PICTURE.findall(text)))


def update(page: str) -> None:
    """Write every table of a page into its place and draw every picture it shows anew."""
    path, scripts = ROOT / page, figure_scripts()
    text = path.read_text(encoding="utf-8")
    for name in pictures(text):
        draw_stored(scripts[name], DATA, GALLERY / f"{name}.png")
    with atomic_file(path) as file:
        file.write(with_tables(text, page))


def _place(page: str, found: re.Match[str]) -> str:
    record = read_record(DATA / f"{found['record'] or found['table']}.json")
    table = import_module(f"figures.tables.{found['table']}").table(record)
    folder = os.path.dirname(page) or "."
    table = _LINK.sub(lambda link: f"{link[1]}{os.path.relpath(link[2], folder)}{link[3]}", table)
    return f"{found[0].splitlines()[0]}\n{table}\n<!-- end -->"


if __name__ == "__main__":
    for name in PAGES:
        update(name)
