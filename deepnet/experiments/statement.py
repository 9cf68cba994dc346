"""A paper's statement as a number that a run yields, and the rule by which its mean over seeds is judged.

The rule is the same for all and fixed before looking: the number claimed lies in [low, high], without the bounds
themselves where it is claimed to be below or above them; with the 90 % confidence interval of the mean over seeds
(Student's t, 2.92 standard errors for 3 seeds; it tests either bound at the 5 % level, Schuirmann 1987), the statement

- showed, if the whole interval lies within the bounds;
- did not show, if none of it does;
- is not decided otherwise, or if a run failed or gave no finite number.

The interval is for how the seeds of training differ: a test set's own sampling error is not in it. Every statement is
tested on its own; nothing is corrected for their number. This is numeric evidence about the nets, data and settings
named, and about no others.
"""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from deepnet.experiments.run import Run

Runs = Mapping[str, Run]
"""The runs of one seed by their names in the experiment."""
Outcome = Literal["showed", "did not show", "not decided"]


@dataclass(frozen=True)
class Statement:
    """A statement of a paper: a number that runs yield, and its bounds.

    Attributes:
        sentence: the claim in words, with its bounds.
        measured: the number, from the runs of one seed.
        low, high: bounds of the number; with a prediction, of measured / predicted.
        strict: whether the number must differ from the bounds ("below" and "above", not "at most" and "at least").
        predicted: what theory says the number is, where it does.
        tried: what else was tried, said where the statement does not show.
    """

    sentence: str
    measured: Callable[[Runs], float]
    low: float = -math.inf
    high: float = math.inf
    strict: bool = False
    predicted: Callable[[Runs], float] | None = None
    tried: str = ""


@dataclass(frozen=True)
class Judgement:
    """The judgement on a statement: its numbers, one per seed (nan for a failed run), and the outcome.

    Attributes:
        mean, half_width: of the judged number, measured or measured / predicted, and of its confidence interval.
    """

    sentence: str
    measured: tuple[float, ...]
    predicted: tuple[float, ...] | None
    low: float
    high: float
    strict: bool
    mean: float
    half_width: float
    outcome: Outcome
    tried: str


def judge(statement: Statement, seeds: Sequence[Runs]) -> Judgement:
    """Judge a statement by the numbers of one seed or more."""
    measured = tuple(_number(statement.measured, runs) for runs in seeds)
    predicted = None
    judged = measured
    if statement.predicted is not None:
        predicted = tuple(_number(statement.predicted, runs) for runs in seeds)
        judged = tuple(m / p if p else math.nan for m, p in zip(measured, predicted, strict=True))
    half = half_width(judged)
    mean = statistics.fmean(judged)
    return Judgement(
        statement.sentence,
        measured,
        predicted,
        statement.low,
        statement.high,
        statement.strict,
        mean,
        half,
        _outcome(statement, mean - half, mean + half),
        statement.tried,
    )


def _outcome(statement: Statement, lower: float, upper: float) -> Outcome:
    """The outcome by the position of the interval; one that is not finite decides nothing."""
    low, high = statement.low, statement.high
    if not (math.isfinite(lower) and math.isfinite(upper)):
        return "not decided"
    if (low < lower and upper < high) if statement.strict else (low <= lower and upper <= high):
        return "showed"
    if (upper <= low or high <= lower) if statement.strict else (upper < low or high < lower):
        return "did not show"
    return "not decided"


def half_width(values: Sequence[float]) -> float:
    """Half the 90 % confidence interval of the mean, for independent normal values (Student 1908)."""
    from scipy.stats import t

    if len(values) < 2 or not all(map(math.isfinite, values)):
        return math.nan
    return float(t.ppf(0.95, len(values) - 1)) * statistics.stdev(values) / math.sqrt(len(values))


def _number(of: Callable[[Runs], float], runs: Runs) -> float:
    if any(run.failure for run in runs.values()):
        return math.nan
    try:
        return float(of(runs))
    except ArithmeticError:  # a ratio to zero: what the statement speaks of did not come about in this run
        return math.nan
