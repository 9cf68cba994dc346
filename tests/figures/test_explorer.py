"""The theory that the page computes, held against `ufm` at 720 settings."""

import itertools
import math
from dataclasses import asdict

import pytest

from tests.figures.javascript import call
from ufm import CrossEntropy, Focal, LabelSmoothing, Problem, SquaredError, predict
from ufm.theory.landscape import landscape
from ufm.theory.prediction import phase_boundaries

TOLERANCE = 1e-10
"""Of a number relative to its size, or to 1e-6 where it is smaller."""
LOSSES = {
    "ce": CrossEntropy(),
    "ls": LabelSmoothing(0.1),
    "focal, 0.5": Focal(0.5),
    "focal, 3": Focal(3.0),
    "focal, 9": Focal(9.0),
    "mse": SquaredError(15.0, "mean"),
}
FACTORS = (1e-4, 0.4, 0.99, 1.03, 1.13, 1.5)
"""Of c, in units of 1/K: on both sides of every threshold."""


def problems():
    """Every loss with few and many classes, each bias and strength; the unequal decays have the product that c asks."""
    classes, decays_b = (2, 5, 12, 30, 100), (None, 0.0, 0.02, 2.0)
    for loss, K, decay_b, factor in itertools.product(LOSSES.values(), classes, decays_b, FACTORS):
        n, c = 3, factor * getattr(loss, "rescale", 1.0) / K
        yield Problem(loss, K, K, n, 2 * c / math.sqrt(n), c / 2 / math.sqrt(n), decay_b)


def as_json(problem):
    loss = next(name for name, each in LOSSES.items() if each is problem.loss)
    names = ("K", "d", "n", "decay_W", "decay_H", "decay_b")
    return {"loss": loss.partition(",")[0], **asdict(problem.loss), **{key: getattr(problem, key) for key in names}}


@pytest.fixture(scope="module")
def computed():
    """Of every problem: the problem, and what the page says of it."""
    function = (
        "problems => problems.map(p => ({ ...predictionOf(p), landscape: landscapeOf(p), thresholds: thresholds(p) }))"
    )
    every = list(problems())
    return list(zip(every, call(("theory",), function, [as_json(each) for each in every]), strict=True))


def deviation(here, there):
    return abs(here - there) / max(abs(there), 1e-6)


def test_the_page_predicts_what_ufm_predicts(computed):
    worst = {}
    for problem, found in computed:
        for name, expected in asdict(predict(problem)).items():
            if isinstance(expected, float):
                worst[name] = max(worst.get(name, 0.0), deviation(found[name], expected))
            else:
                assert found[name] == expected, (problem, name)
    print(
        f"{len(computed)} settings, worst relative deviation:", {name: f"{value:.1e}" for name, value in worst.items()}
    )
    assert len(computed) >= 500
    assert max(worst.values()) < TOLERANCE


def test_the_page_says_of_the_landscape_what_ufm_says(computed):
    said = {}
    for problem, found in computed:
        expected, here = landscape(problem), found["landscape"]
        assert (here["status"], here["rank"], tuple(here["claims"])) == (
            expected.status,
            expected.rank,
            expected.claims,
        ), problem
        said[expected.status] = said.get(expected.status, set()) | set(expected.claims)
    assert set(said) == {"proved benign", "proved not", "open"}
    assert "focal_landscape_is_benign_where_labels_are_likely" in said["proved benign"]


def test_the_page_has_the_thresholds_of_ufm(computed):
    for problem, found in computed:
        here = [found["thresholds"][name] for name in ("low", "best", "high")]
        assert here == pytest.approx(phase_boundaries(problem), rel=TOLERANCE), problem


def test_too_few_dimensions_are_noticed():
    problem = as_json(Problem(LOSSES["focal, 3"], 12, 10, 1, 0.01, 0.01))
    (least, status) = call(("theory",), "p => [predictionOf(p).least, landscapeOf(p).status]", problem)
    assert (least, status) == (11, "open")
    with pytest.raises(ValueError, match=f">= {least}"):
        predict(Problem(LOSSES["focal, 3"], 12, 10, 1, 0.01, 0.01))
