"""A network's last layer, measured / predicted, one column a run."""

from typing import Any

from figures.tables.markdown import escaped, loss_name, markdown


def table(record: dict[str, Any]) -> str:
    """Measured / predicted of every quantity, one column a run."""
    runs = record["result"]["runs"]
    names = list(dict.fromkeys(row["name"] for run in runs for row in run["rows"]))
    rows = [["measured / predicted", "kind", *(loss_name(run["run_setting"]["loss"]) for run in runs)]]
    for name in names:
        found = [next((row for row in run["rows"] if row["name"] == name), None) for run in runs]
        kind = next(row["kind"] for row in found if row)
        rows.append([escaped(name), kind, *("-" if row is None else _pair(row) for row in found)])
    first = [run["collapse"][0] for run in runs]
    last = [run["collapse"][-1] for run in runs]
    rows.append(["training accuracy", "measured", *(f"{line['accuracy']:.1%}" for line in last)])
    for name, label in (("nc1_quotient", "NC1"), ("nc1_trace", "NC1, trace form"), ("nc2_etf_distance", "NC2")):
        changes = (f"{a[name]:.3g} → {b[name]:.2g}" for a, b in zip(first, last, strict=True))
        rows.append([f"{label}, epoch {first[0]['epoch']} → {last[0]['epoch']}", "measured", *changes])
    rows.append(["stationarity residual", "measured", *(f"{run['stationarity']:.2g}" for run in runs)])
    rows.append(["minutes", "", *(f"{run['minutes']:.1f}" for run in runs)])
    rows.append(["images/s in training (median)", "", *(f"{run['images_per_s']:.0f}" for run in runs)])
    return markdown(rows)


def _pair(row: dict[str, Any]) -> str:
    return f"{row['measured']:.4g} / {row['predicted']:.4g}"
