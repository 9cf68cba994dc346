"""The file of a run's geometry: kept in step with the checkpoint, thinned for a record, refused when damaged."""

import math

import pytest

from deepnet.training import shapes
from ufm.errors import RequestError

SHAPE = {"class_means": [[1.0], [-1.0]], "W": [[2.0], [-2.0]], "spread": [0.1, 0.2], "seen": 1.0}


def test_lines_come_back_and_are_cut_at_the_checkpoint(tmp_path):
    assert shapes.read(tmp_path) == []
    for epoch in (1, 5, 10):
        shapes.append(tmp_path, epoch, SHAPE)
    shapes.append(tmp_path, 11, SHAPE | {"seen": math.nan})
    assert shapes.read(tmp_path) == [{"epoch": epoch, **SHAPE} for epoch in (1, 5, 10)]
    shapes.cut(tmp_path, 7)
    assert [line["epoch"] for line in shapes.read(tmp_path)] == [1, 5]
    with (tmp_path / shapes.FILE).open("a") as file:
        file.write('{"epoch": 8, "class_means": [[1.0')  # a full disk, or a kill between two parts of a long line
    shapes.cut(tmp_path, 7)
    assert [line["epoch"] for line in shapes.read(tmp_path)] == [1, 5]
    shapes.append(tmp_path, 8, SHAPE)
    assert [line["epoch"] for line in shapes.read(tmp_path)] == [1, 5, 8]


def test_a_long_run_is_thinned_and_keeps_both_ends(tmp_path):
    for epoch in range(1, 301):
        shapes.append(tmp_path, epoch, SHAPE)
    kept = [line["epoch"] for line in shapes.read(tmp_path)]
    assert (kept[0], kept[-1], len(kept)) == (1, 300, shapes.MOST_SHOWN)


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "{}",
        '{"epoch": 1}',
        '{"epoch": "1", "class_means": [], "W": [], "spread": [], "seen": 1}',
        '{"epoch": 1, "class_means": [["a"]], "W": [], "spread": [], "seen": 1}',
    ],
)
def test_a_damaged_line_is_refused_by_the_file(tmp_path, line):
    shapes.append(tmp_path, 1, SHAPE)
    with (tmp_path / shapes.FILE).open("a") as file:
        file.write(line + "\n")
    for use in (lambda: shapes.read(tmp_path), lambda: shapes.cut(tmp_path, 0)):
        with pytest.raises(RequestError, match=f"{shapes.FILE} must hold one JSON object a line"):
            use()


def test_a_link_that_leads_nowhere_is_not_written_through(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / shapes.FILE).symlink_to("../outside")
    shapes.cut(tmp_path / "run", 3)
    shapes.append(tmp_path / "run", 4, SHAPE)
    assert not (tmp_path / "outside").exists()
