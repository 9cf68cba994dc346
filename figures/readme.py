"""The README's tables and pictures, made from the records in `figures/data/`: `python -m figures.readme`.

Between `<!-- NAME -->` and `<!-- end -->` stands what `figures/tables/NAME.py` makes of `figures/data/NAME.json`;
between `<!-- NAME: RECORD -->` and `<!-- end -->`, what it makes of `figures/data/RECORD.json`. A test compares them.
"""

import re
from importlib import import_module
from pathlib import Path

from figures import (
    central_path,
    claims,
    feature_penalty,
    focal_window,
    landscape,
    phase_diagram,
    prediction_against_measurement,
    prediction_over_epochs,
    softmax_codes,
    training_curves,
    verification,
)
from ufm.records import read_record

ROOT = Path(__file__).parent.parent
DATA = Path(__file__).parent / "data"
GALLERY = Path(__file__).parent / "gallery"
PLACE = re.compile(r"<!-- (?P<table>\w+)(?:: (?P<record>\w+))? -->\n.*?\n<!-- end -->", re.DOTALL)

PICTURES = {
    "verification": ("verify", verification.draw),
    "phase_diagram": ("scan", phase_diagram.draw),
    "prediction_against_measurement": ("compare", prediction_against_measurement.draw),
    "prediction_over_epochs": ("compare", prediction_over_epochs.draw),
    "feature_penalty": ("compare_mlp", feature_penalty.draw),
    "central_path": ("compare_mlp", central_path.draw),
    "training_curves": ("train", training_curves.draw),
    "landscape": ("atlas", landscape.draw),
    "focal_window": ("focal_window", focal_window.draw),
    "claims": ("claims", claims.draw),
    "softmax_codes": ("softmax_codes", softmax_codes.draw),
}


def with_tables(text: str) -> str:
    """The same text with every table made anew from its record."""
    return PLACE.sub(_place, text)


def update(readme: Path) -> None:
    """Write every table into its place and draw every picture anew."""
    for name, (record, draw) in PICTURES.items():
        draw(read_record(DATA / f"{record}.json"), GALLERY / f"{name}.png")
    readme.write_text(with_tables(readme.read_text()))


def _place(found: re.Match[str]) -> str:
    record = read_record(DATA / f"{found['record'] or found['table']}.json")
    table = import_module(f"figures.tables.{found['table']}").table(record)
    return f"{found[0].splitlines()[0]}\n{table}\n<!-- end -->"


if __name__ == "__main__":
    update(ROOT / "README.md")
