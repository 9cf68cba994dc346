"""Networks' last layers, measured / predicted, one column a loss and decay; mean over seeds and standard deviation."""

from typing import Any

from figures.tables.markdown import escaped, markdown


def table(record: dict[str, Any]) -> str:
    """Every quantity of every condition, then what says how far the networks are from collapsed and stationary."""
    result = record["result"]
    conditions = [condition for network in result["networks"] for condition in network["conditions"]]
    groups = [[run for run in result["runs"] if run["condition"] == one["condition"]] for one in conditions]
    names = list(dict.fromkeys((row["name"], row["kind"]) for one in conditions for row in one["rows"]))
    rows = [["measured / predicted", "kind", *(f"{one['condition']} ({len(one['seeds'])})" for one in conditions)]]
    for name, kind in names:
        found = [next((row for row in one["rows"] if row["name"] == name), None) for one in conditions]
        rows.append([escaped(name), kind, *("-" if row is None else _pair(row) for row in found)])
    for what, label in (("stationarity", "stationarity residual"), ("balance", "balanced decay of \\|W\\|")):
        for name in conditions[0][what]:
            cells = (spread(one[what][name]) if name in one[what] else "-" for one in conditions)
            rows.append([f"{label}, {name} statistics", "measured", *cells])
    for name, label in (("nc1_quotient", "NC1"), ("nc1_trace", "NC1 trace"), ("nc2_etf_distance", "NC2")):
        rows.append([f"{label}, first → last epoch", "measured", *(_change(group, name) for group in groups)])
    rows.append(["training accuracy, worst run", "measured", *(_worst_accuracy(group) for group in groups)])
    verdicts = "\n".join(f"- *{one['condition']}*: {one['verdict']}" for one in conditions)
    return f"{markdown(rows)}\n\n{verdicts}\n\n`{record['command']}`; in brackets how many runs (seeds)."


def spread(values: dict[str, Any]) -> str:
    """Mean and standard deviation, to three digits."""
    if values["mean"] is None:
        return "-"
    return f"{values['mean']:.3g}" + ("" if values["deviation"] is None else f" ± {values['deviation']:.1g}")


def _pair(row: dict[str, Any]) -> str:
    return f"{spread(row['measured'])} / {spread(row['predicted'])}"


def _change(group: list[dict[str, Any]], name: str) -> str:
    """The range over the runs, at both ends."""
    first = [run["collapse"][0][name] for run in group]
    last = [run["collapse"][-1][name] for run in group]
    ends = (f"{min(values):.2g}" + (f" to {max(values):.2g}" if len(values) > 1 else "") for values in (first, last))
    return " → ".join(ends)


def _worst_accuracy(group: list[dict[str, Any]]) -> str:
    return f"{min(run['collapse'][-1]['accuracy'] for run in group):.1%}"
