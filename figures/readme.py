"""The README's tables and pictures, made from the records in `figures/data/`: `python -m figures.readme`.

A table stands between `<!-- NAME -->` and `<!-- end -->`; a test compares it with its record.
"""

from collections import Counter
from pathlib import Path
from typing import Any

from figures import claims, prediction_against_measurement, training_curves, verification
from figures.style import LOSSES
from ufm.records import read_record

ROOT = Path(__file__).parent.parent
DATA = Path(__file__).parent / "data"
GALLERY = Path(__file__).parent / "gallery"
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
    "prediction_against_measurement": ("compare", prediction_against_measurement.draw),
    "training_curves": ("train", training_curves.draw),
    "claims": ("claims", claims.draw),
}
TABLES = {"verify": verify_table, "compare": compare_table, "claims": claims_table}


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


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def _markdown(rows: list[list[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


if __name__ == "__main__":
    update(ROOT / "README.md")
