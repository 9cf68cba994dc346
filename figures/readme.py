"""The README's tables and pictures, made from the records in `figures/data/`: `python -m figures.readme`.

A table stands between `<!-- NAME -->` and `<!-- end -->`; a test compares it with its record.
"""

from pathlib import Path
from typing import Any

from figures import phase_diagram, prediction_against_measurement, training_curves, verification
from figures.style import LOSSES
from ufm.records import read_record

ROOT = Path(__file__).parent.parent
DATA = Path(__file__).parent / "data"
GALLERY = Path(__file__).parent / "gallery"
ROUNDING = 1e-9
CLAIMS = {
    "all converged": "starts that did not converge",
    "value": "objective, relative to f(0)",
    "logits": "logits, relative to the margin",
    "norms": "norms of w and h, relative",
    "nc1_quotient": "NC1",
    "nc2_etf_distance": "NC2, distance to the ETF",
    "nc3_self_duality": "NC3, self-duality",
    "nc4_disagreement": "NC4, disagreement",
    "duality gap": "duality gap, relative to f(0)",
    "smallest eigenvalue": "smallest Hessian eigenvalue",
    "strict saddles": "largest curvature along the direction given at another critical point",
}


def verify_table(record: dict[str, Any]) -> str:
    """Worst value of every claim, one column a loss."""
    setting, verdicts = record["setting"], record["result"]["verdicts"]
    size = f"K = {setting['classes']}, d = {setting['dim']}, n = {setting['per_class']}"
    rows = [["worst of all starts", *(_loss(verdict["spec"]) for verdict in verdicts)]]
    for name, label in CLAIMS.items():
        claims = [verdict["claims"].get(name) for verdict in verdicts]
        rows.append([label, *("not convex" if claim is None else f"{claim['worst']:.2g}" for claim in claims)])
    lost = (sum(verdict["saddle_statuses"].values()) - verdict["saddle_statuses"]["CONVERGED"] for verdict in verdicts)
    rows.append(["starts of the other search that did not converge", *map(str, lost)])
    rows.append(["kinds of other critical points found", *(str(len(verdict["saddles"])) for verdict in verdicts)])
    rows.append(["seconds", *(f"{verdict['seconds']:.0f}" for verdict in verdicts)])
    saddle_size = f"K = {setting['saddle_classes']}, d = {setting['saddle_dim']}, n = {setting['saddle_per_class']}"
    caption = (
        f"`{record['command']}`, {record['machine']}: {setting['starts']} starts a loss, {size}, decays "
        f"{setting['decay_W']:g}, {setting['decay_H']:g} and {setting['decay_b']:g}; other critical points from "
        f"{setting['saddle_starts']} starts at {saddle_size}."
    )
    return f"{_markdown(rows)}\n\n{caption}"


def compare_table(record: dict[str, Any]) -> str:
    """Measured / predicted of every quantity, one column a run."""
    runs = record["result"]["runs"]
    names = list(dict.fromkeys(row["name"] for run in runs for row in run["rows"]))
    rows = [["measured / predicted", "kind", *(_loss(run["run_setting"]["loss"]) for run in runs)]]
    for name in names:
        found = [next((row for row in run["rows"] if row["name"] == name), None) for run in runs]
        kind = next(row["kind"] for row in found if row)
        rows.append([_escaped(name), kind, *("-" if row is None else _pair(row) for row in found)])
    first = [run["collapse"][0] for run in runs]
    last = [run["collapse"][-1] for run in runs]
    rows.append(["training accuracy", "measured", *(f"{line['accuracy']:.1%}" for line in last)])
    for name, label in (("nc1_quotient", "NC1"), ("nc1_trace", "NC1, trace form"), ("nc2_etf_distance", "NC2")):
        changes = (f"{a[name]:.3g} → {b[name]:.2g}" for a, b in zip(first, last, strict=True))
        rows.append([f"{label}, epoch {first[0]['epoch']} → {last[0]['epoch']}", "measured", *changes])
    rows.append(["stationarity residual", "measured", *(f"{run['stationarity']:.2g}" for run in runs)])
    rows.append(["minutes", "", *(f"{run['minutes']:.1f}" for run in runs)])
    rows.append(["images/s in training (median)", "", *(f"{run['images_per_s']:.0f}" for run in runs)])
    return _markdown(rows)


def scan_table(record: dict[str, Any]) -> str:
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
    return f"{_markdown(rows)}\n\n{caption}"


def benchmarks_table(record: dict[str, Any]) -> str:
    """One row a ratio: what it compares, both sides, what is wanted."""
    rows = [["target", "what", "median (spread)", "against", "per", "ratio", "wanted", "met"]]
    for row in record["result"]["rows"]:
        sides = (_time(row["ours"]), _time(row["other"]))
        met = {None: "", True: "yes", False: "**no**"}[row["is_met"]]
        wanted = row["wanted"].replace(">=", "≥").replace("<=", "≤")
        rows.append([row["target"], _escaped(row["what"]), *sides, row["unit"], f"{row['ratio']:.3g}", wanted, met])
    caption = f"`{record['command']}`, {record['machine']}, {record['result']['seconds']:.0f} s in all."
    return f"{_markdown(rows)}\n\n{caption}"


PICTURES = {
    "verification": ("verify", verification.draw),
    "phase_diagram": ("scan", phase_diagram.draw),
    "prediction_against_measurement": ("compare", prediction_against_measurement.draw),
    "training_curves": ("train", training_curves.draw),
}
TABLES = {"verify": verify_table, "scan": scan_table, "benchmarks": benchmarks_table, "compare": compare_table}


def block(name: str) -> str:
    """What has to stand in the README."""
    return f"<!-- {name} -->\n{TABLES[name](read_record(DATA / f'{name}.json'))}\n<!-- end -->"


def update(readme: Path) -> None:
    """Write every table into its place and draw every picture anew."""
    for name, (record, draw) in PICTURES.items():
        draw(read_record(DATA / f"{record}.json"), GALLERY / f"{name}.png")
    text = readme.read_text()
    for name in TABLES:
        before, _, rest = text.partition(f"<!-- {name} -->")
        text = before + block(name) + rest.partition("<!-- end -->")[2]
    readme.write_text(text)


def _loss(spec: dict[str, Any]) -> str:
    parameters = ", ".join(str(value).removesuffix(".0") for key, value in spec.items() if key != "name")
    return f"{LOSSES[spec['name']]} ({parameters})" if parameters else LOSSES[spec["name"]]


def _pair(row: dict[str, Any]) -> str:
    return f"{row['measured']:.4g} / {row['predicted']:.4g}"


def _time(seconds: dict[str, float]) -> str:
    factor, unit = next(
        (f, u) for f, u in ((1, "s"), (1e3, "ms"), (1e6, "µs")) if seconds["median"] * f >= 1 or f > 1e3
    )
    low, high = (f"{seconds[name] * factor:.3g}" for name in ("least", "most"))
    spread = f" ({low} to {high})" if low != high else ""
    return f"{seconds['median'] * factor:.3g} {unit}{spread}"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def _markdown(rows: list[list[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


if __name__ == "__main__":
    update(ROOT / "README.md")
