"""The README's tables and pictures, made from the records in `figures/data/`: `python -m figures.readme`.

Between `<!-- NAME -->` and `<!-- end -->` stands what `figures/tables/NAME.py` makes of `figures/data/NAME.json`;
between `<!-- NAME: RECORD -->` and `<!-- end -->`, what it makes of `figures/data/RECORD.json`. A test compares them.
"""

import re
from importlib import import_module
from pathlib import Path

from figures.stored import DATA, draw_stored, figure_scripts
from ufm.cli.records import atomic_file, read_record

ROOT = Path(__file__).parent.parent
GALLERY = Path(__file__).parent / "gallery"
PLACE = re.compile(r"<!-- (?P<table>\w+)(?:: (?P<record>\w+))? -->\n.*?\n<!-- end -->", re.DOTALL)
PICTURE = re.compile(r"figures/gallery/(\w+)\.png")


def with_tables(text: str) -> str:
    """The same text with every table made anew from its record."""
    return PLACE.sub(_place, text)


def update(readme: Path) -> None:
    """Write every table into its place and draw every picture it shows anew."""
    text = readme.read_text(encoding="utf-8")
    scripts = figure_scripts()
    for name in dict.fromkeys(PICTURE.findall(text)):
        draw_stored(scripts[name], DATA, GALLERY / f"{name}.png")
    with atomic_file(readme) as file:
        file.write(with_tables(text))


def _place(found: re.Match[str]) -> str:
    record = read_record(DATA / f"{found['record'] or found['table']}.json")
    table = import_module(f"figures.tables.{found['table']}").table(record)
    return f"{found[0].splitlines()[0]}\n{table}\n<!-- end -->"


if __name__ == "__main__":
    update(ROOT / "README.md")
