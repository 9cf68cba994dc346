"""The README's tables and pictures, made from the records in `figures/data/`: `python -m figures.readme`.

A table stands between `<!-- NAME -->` and `<!-- end -->`; a test compares it with its record.
"""

from collections import Counter
from pathlib import Path
from typing import Any

from figures import (
    claims,
    focal_window,
    landscape,
    phase_diagram,
    prediction_against_measurement,
    training_curves,
    verification,
)
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


def atlas_table(record: dict[str, Any]) -> str:
    """The orbits of one atlas."""
    setting, result = record["setting"], record["result"]
    rows = [["", "objective", "rank", "index", "copies", "classes", "curvature", "proved"]]
    for number, row in enumerate(result["rows"], 1):
        proof = row["certificate"]
        proved = f"index {proof['index']}, within {proof['radius']:.0e}"
        integers = (str(row[name]) for name in ("rank", "index", "copies"))
        curvature = f"{row['curvature']:.3f}" if row["index"] else "minimum"
        rows.append([str(number), f"{row['value']:.8f}", *integers, f"`{row['apart']}`", curvature, proved])
    rows = [[_escaped(cell) for cell in row] for row in rows]
    starts, seconds = sum(result["statuses"].values()), result["seconds"]
    lost = starts - result["statuses"]["CONVERGED"]
    relations = result["morse"]["dimensions"]
    holds = all(entry["holds"] for entry in relations)
    caption = (
        f"`{record['command']}`, {record['machine']}: {len(result['rows'])} orbits, "
        f"{sum(row['copies'] for row in result['rows'])} labelled copies, from {starts} starts in {seconds:.0f} s "
        f"({lost} did not converge); K = {setting['classes']}, d = {setting['dim']}, n = {setting['per_class']}, "
        f"decays {setting['decay_W']:g}, {setting['decay_H']:g} and {setting['decay_b']:g}. Morse relations "
        f"{'hold' if holds else 'FAIL'} in dimensions {', '.join(str(entry['dimension']) for entry in relations)}."
    )
    return f"{_markdown(rows)}\n\n{caption}"


def atlas_scan_table(record: dict[str, Any]) -> str:
    """Isomorphism classes by bias decay and strength, one column a loss."""
    entries = record["result"]["entries"]
    losses = list(dict.fromkeys(_loss(entry["loss"]) for entry in entries))
    rows = [["bias decay", "c", *losses]]
    for decay_b, strength in dict.fromkeys((entry["decay_b"], entry["strength"]) for entry in entries):
        if decay_b not in SHOWN_BIASES:
            continue
        here = {_loss(e["loss"]): e for e in entries if (e["decay_b"], e["strength"]) == (decay_b, strength)}
        cells = (f"{here[loss]['class']} ({len(here[loss]['rows'])})" for loss in losses)
        rows.append(["none" if decay_b is None else f"{decay_b:g}", f"{strength:g}", *cells])
    return f"{_markdown(rows)}\n\n{atlas_scan_summary(record)}"


def atlas_scan_summary(record: dict[str, Any]) -> str:
    """How many isomorphism classes there are, and what holds for all atlases."""
    entries = record["result"]["entries"]
    found = len(record["result"]["classes"])
    minima = max(entry["local_minima"] for entry in entries)
    lost = sum(sum(entry["statuses"].values()) - entry["statuses"]["CONVERGED"] for entry in entries)
    starts = sum(sum(entry["statuses"].values()) for entry in entries)
    balanced = sum(entry["morse_holds"] for entry in entries)
    return (
        f"`{record['command']}`: {found} classes, named by letters (number of orbits), in {len(entries)} atlases; "
        f"the Morse relations hold in {balanced} of them; at most {minima} of an atlas's orbits is a local minimum; "
        f"{lost} of {starts} starts did not converge."
    )


def window_table(record: dict[str, Any]) -> str:
    """A few states of the focal window with what is proved of them."""
    setting, result = record["setting"], record["result"]
    K, shown = setting["classes"], (2, 10, 20, 22, 25, 29, 30)
    rows = [["m of K classes on a simplex", "the others", "objective less zero's", "smallest eigenvalue", "proved"]]
    for row in result["states"]:
        if row["m"] in shown:
            proof = row["proof"]
            proved = f"strict local minimum, within {proof['radius']:.0e}" if proof["is_minimum"] else "no"
            others = "-" if row["m"] == K else {"zero": "at zero", "merged": "together"}[row["others"]]
            less = f"{row['value'] - result['value_at_zero']:.2e}"
            rows.append([f"{row['m']}", others, less, f"{proof['smallest_eigenvalue']:.2g}", proved])
    thresholds = result["thresholds"]
    minima = sum(row["proof"]["is_minimum"] for row in result["states"])
    caption = (
        f"`{record['command']}`, at c = {result['at']:.6g}, where zero and the ETF have one value; {minima} of "
        f"{len(result['states'])} states are proved to be minima. Zero is a local minimum from "
        f"c = {thresholds['low']:.6g} on, the ETF exists up to {thresholds['high']:.6g}, and between "
        f"{result['window'][0]:.6g} and {result['window'][1]:.6g} neither is the lowest."
    )
    return f"{_markdown(rows)}\n\n{caption}"


SHOWN_BIASES = (0.01, None)


def claims_table(record: dict[str, Any]) -> str:
    """Claim, source, rank of the evidence, margin, seconds."""
    rows = [["claim", "source", "evidence", "margin", "s", ""]]
    for row in record["result"]["rows"]:
        claim, verdict = row["claim"], row["verdict"]
        path = f"theory_checks/{claim['name']}.py"
        found = [verdict["rigour"], claims.margin_text(verdict)] if verdict else ["not run", "-"]
        outcome = "holds" if row["holds"] else "**fails**"
        rows.append(
            [f"[{_escaped(claim['sentence'])}]({path})", claim["source"], *found, f"{row['seconds']:.1f}", outcome]
        )
    counts = Counter(row["verdict"]["rigour"] for row in record["result"]["rows"] if row["verdict"])
    ranks = ", ".join(f"{counts[rank]} {rank}" for rank in claims.RIGOUR)
    seconds = record["result"]["seconds"]
    return f"{_markdown(rows)}\n\n`{record['command']}`, {record['machine']}: {ranks}; {seconds:.0f} s in all."


PICTURES = {
    "verification": ("verify", verification.draw),
    "phase_diagram": ("scan", phase_diagram.draw),
    "prediction_against_measurement": ("compare", prediction_against_measurement.draw),
    "training_curves": ("train", training_curves.draw),
    "landscape": ("atlas", landscape.draw),
    "focal_window": ("focal_window", focal_window.draw),
    "claims": ("claims", claims.draw),
}
TABLES = {
    "verify": verify_table,
    "compare": compare_table,
    "atlas": atlas_table,
    "atlas_scan_3": atlas_scan_summary,
    "atlas_scan": atlas_scan_table,
    "atlas_scan_5": atlas_scan_summary,
    "focal_window": window_table,
    "claims": claims_table,
    "scan": scan_table,
    "benchmarks": benchmarks_table,
}


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
