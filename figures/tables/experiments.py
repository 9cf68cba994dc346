"""What papers say of trained networks, one row a statement: measured, predicted, what counts, outcome."""

from collections import Counter
from statistics import fmean, stdev
from typing import Any

from figures.tables.markdown import escaped, markdown

OUTCOMES = {"showed": "showed", "did not show": "**did not show**", "not decided": "*not decided*"}


def table(record: dict[str, Any]) -> str:
    """Mean and standard deviation over the seeds; the interval is that of the judged number."""
    result, rows = record["result"], [["statement", "measured", "predicted", "judged (90 % interval)", "outcome"]]
    for experiment in result["experiments"]:
        path = f"deepnet/experiments/{experiment['name']}.py"
        rows.append([f"**[{experiment['source']}]({path})**", "", "", "", ""])
        rows += [_row(statement) for statement in experiment["statements"]]
    counts = Counter(row["outcome"] for experiment in result["experiments"] for row in experiment["statements"])
    counted = ", ".join(f"{counts[outcome]} {outcome}" for outcome in OUTCOMES)
    setting = record["setting"]
    caption = (
        f"`{record['command']}`, {record['machine']}: {result['trainings']} trainings of a narrow ResNet-18 on "
        f"{setting['data']} ({setting['per_class']} images a class, {setting['epochs']} epochs, {setting['seeds']} "
        f"seeds), {len(result['failures'])} failed, {result['core_minutes']:.0f} minutes of one core. "
        f"{result['distinct_trainings']} trainings are distinct: experiments with the same setting train the same net, "
        f"so that their statements depend on each other. {counts.total()} statements, each tested on its own at 5 % a "
        f"bound, not corrected for their number: {counted}. The intervals are for the seeds of training; the sampling "
        f"error of the test set is not in them."
    )
    return f"{markdown(rows)}\n\n{caption}"


def _row(row: dict[str, Any]) -> list[str]:
    tried = f". *Tried:* {row['tried']}" if row["outcome"] == "did not show" and row["tried"] else ""
    predicted = "" if row["predicted"] is None else f"{fmean(row['predicted']):.3g}"
    if None in row["measured"]:
        return [escaped(row["sentence"]), "-", predicted, _bounds(row), OUTCOMES[row["outcome"]]]
    measured = f"{fmean(row['measured']):.3g} ± {stdev(row['measured']):.2g}"
    ratio = "ratio " if row["predicted"] is not None else ""
    judged = f"{ratio}{row['mean']:.3g} ± {row['half_width']:.2g}, {_bounds(row)}"
    return [escaped(row["sentence"] + tried), measured, predicted, judged, OUTCOMES[row["outcome"]]]


def _bounds(row: dict[str, Any]) -> str:
    low, high = row["low"], row["high"]
    above, below = (">", "<") if row["strict"] else ("≥", "≤")
    if high is None:
        return f"wanted {above} {low:g}"
    return f"wanted {below} {high:g}" if low is None else f"wanted {low:g} to {high:g}"
