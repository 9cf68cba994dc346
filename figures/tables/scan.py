"""A phase diagram's boundaries, predicted and found."""

from typing import Any

from figures.tables.markdown import markdown

ROUNDING = 1e-9


def table(record: dict[str, Any]) -> str:
    """One row per value of the first axis: the predicted boundaries in c, and the cells before and after them."""
    axes, cells = record["result"]["axes"], record["result"]["cells"]
    first, values = next(iter(axes.items()))
    width = len(cells["c"]) // len(values)
    head = ["zero is a local minimum from c", "zero is best from c", "the ETF ends at c"]
    rows = [
        [first, *head, "last c mostly ETF", "first c mostly zero", "a partly collapsed point lies below both at c (by)"]
    ]
    for i, value in enumerate(values):
        row = {name: column[i * width : (i + 1) * width] for name, column in cells.items()}
        predicted = (f"{row[name][0]:.5f}" for name in ("c_zero_stable", "c_zero_best", "c_etf_ends"))
        etf, zero = (
            [c for c, share in zip(row["c"], row[name], strict=True) if share > 0.5] for name in ("etf", "zero")
        )
        found = zip(row["c"], row["best_state"], row["best_minus_predicted"], strict=True)
        below = (f"{c:.5f} ({-above:.1e})" for c, state, above in found if state == "partial" and above < -ROUNDING)
        ends = (f"{max(etf):.5f}" if etf else "-", f"{min(zero):.5f}" if zero else "-")
        rows.append([f"{value:g}", *predicted, *ends, ", ".join(below)])
    counts = record["result"]["agreement"]
    other = counts["within_one_cell"] + counts["further"]
    caption = (
        f"`{record['command']}`, {record['machine']}, {record['result']['seconds']:.0f} s on one of them; "
        f"c = sqrt(n decay_W decay_H). Of {counts['predicted']} cells, most starts end in the predicted state in "
        f"{counts['as_predicted']}, in the other one in {other}, in neither in {counts['neither']}."
    )
    return f"{markdown(rows)}\n\n{caption}"
