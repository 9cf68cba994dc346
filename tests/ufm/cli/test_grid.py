import pytest

from ufm.cli.grid import axis, points


def test_an_axis_has_its_ends_and_even_steps():
    assert axis("gamma", "0:8:5") == [0, 2, 4, 6, 8]
    assert axis("decay", "1e-4:1e-1:4:log") == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1], rel=1e-14)
    assert axis("dim", "3,4,8") == [3, 4, 8]
    assert axis("gamma", "2") == [2]
    assert axis("gamma", "3:1:3") == [3, 2, 1]


def test_a_refined_axis_holds_the_coarse_one_to_the_last_bit():
    for text, finer in (("0:8:17", "0:8:33"), ("1e-5:1e-1:17:log", "1e-5:1e-1:33:log")):
        assert set(axis("x", text)) <= set(axis("x", finer))


def test_the_last_axis_runs_fastest():
    found = points({"a": [1.0, 2.0], "b": [3.0, 4.0]})
    assert found == [{"a": 1, "b": 3}, {"a": 1, "b": 4}, {"a": 2, "b": 3}, {"a": 2, "b": 4}]


REFUSED = (
    "",
    "0:1",
    "0:1:1",
    "0:1:x",
    "0:1:3:cube",
    "0:1:3:log",
    "-1:1:3:log",
    "1,2,",
    "nan",
    "0:inf:3",
    "1,1",
    "1_0,2",
)


@pytest.mark.parametrize("text", [*REFUSED, "２,3", "0:1:1_0"])
def test_what_is_not_an_axis_is_refused(text):
    with pytest.raises(ValueError, match=r"--grid.gamma.*must be"):
        axis("gamma", text)


def test_too_many_cells_are_refused():
    with pytest.raises(ValueError, match="at most 1000000"):
        points({"a": [float(i) for i in range(2000)], "b": [float(i) for i in range(2000)]})
