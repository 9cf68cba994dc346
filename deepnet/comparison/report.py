"""The output of `deepnet compare`: a row a condition with its verdict, and in detail every table behind it."""

import json
from collections.abc import Sequence
from typing import Any

from deepnet.comparison.own import NetComparison
from deepnet.comparison.study import Study
from deepnet.comparison.verdict import CLOSE, NORMS, grade, number
from ufm.cli.table import Marked, NamedTable, console, marked, table
from ufm.cli.words import depth_sentence, fixed

NOTHING_DERIVED = (
    "What this net pays for its features is not known (it is for the nets of this laboratory that normalise their "
    "features, with the head linear, and a loss whose minimum is known), so its decay is fitted and no bound is given."
)


COLOURS = {"close": "green", "fair": "yellow", "far": "bold red"}


def show(result: Study, *, in_detail: bool) -> None:
    """Print a table per network with a row per condition; in detail, also the tables behind every row."""
    for network in result["networks"]:
        console().print(_summary(network))
        if in_detail:
            _show_details(network)
        else:
            for line in _notes(network["conditions"]):
                print(line)
    if not in_detail:
        print("Every quantity, predictions between conditions and similarities: --details, or the record.")


def _summary(network: dict[str, Any]) -> NamedTable:
    """The numbers that decide a verdict, a row a condition, means over its seeds; it fits 80 columns."""
    setting, conditions = json.loads(network["network"]), network["conditions"]
    of = f"{setting['net']}, width {setting['width']:g}, {setting['data']}, {setting['epochs']} epochs"
    shared = _shared([condition["condition"] for condition in conditions])
    predicted = {row["name"]: row["predicted"]["mean"] for row in conditions[0]["rows"]}
    dimensions = f"dim. of {predicted['dimensions of class means']:g}"
    columns = ("margin %", "|w| %", "|h| %", "residual", dimensions, "NC1 trace", "above bound %")
    made = table(f"{of}{shared}: off the theory, in %", "condition", *columns, left=["condition"])
    for condition in conditions:
        off = _off(condition)
        known = [abs(value) for value in off.values() if value is not None]
        word = grade(max(known)) if known else "no theory"
        residual = condition["stationarity"]["running"]["mean"]
        state = "" if residual is not None and residual <= CLOSE else ", not stationary"
        verdict = f"[{COLOURS.get(word, 'default')}]{word}[/]{state}"
        name = marked(condition["condition"].removesuffix(shared))
        made.add_row(
            Marked(f"{name}: {verdict}"), *map(_short, off.values()), *_of_features(condition), _above(condition)
        )
    return made


def _shared(names: Sequence[str]) -> str:
    """The decay as it stands in all names, if it is the same; else nothing."""
    decays = {name[name.rindex(", decay") :] for name in names}
    return decays.pop() if len(decays) == 1 else ""


def _off(condition: dict[str, Any]) -> dict[str, float | None]:
    """Measured / derived - 1 where values are derived, else measured / predicted - 1."""
    if condition["derived"]:
        found = {row["name"]: row["deviation"]["mean"] for row in condition["derived"]["rows"]}
        return {name: found[name] for name in NORMS}
    ratios = {row["name"]: row["ratio"]["mean"] for row in condition["rows"]}
    return {name: None if ratios[name] is None else ratios[name] - 1 for name in NORMS}


def _of_features(condition: dict[str, Any]) -> list[str]:
    rows = {row["name"]: row["measured"]["mean"] for row in condition["rows"]}
    residual, nc1 = condition["stationarity"]["running"]["mean"], condition["nc1_trace"]["mean"]
    return [number(residual, 2), number(rows["dimensions of class means"], 3), number(nc1, 1)]


def _above(condition: dict[str, Any]) -> str:
    over = condition["derived"] and condition["derived"]["objective_over_bound"]["mean"]
    return "-" if over is None else fixed(100 * (over - 1), 2)


def _notes(conditions: Sequence[dict[str, Any]]) -> list[str]:
    """Sentences on the conditions whose decay of the features is fitted, or whose minimum is not known."""
    fitted = [condition["condition"] for condition in conditions if not condition["derived"]]
    unknown = [(each["condition"], why) for each in conditions if (why := each["no_prediction"])]
    lines = [f"{name}: the model's minimum is not known here: {why}" for name, why in unknown]
    return [*lines, f"{NOTHING_DERIVED} So it is for {'; '.join(fitted)}."] if fitted else lines


def _short(value: float | None) -> str:
    """A deviation in per cent, in five characters."""
    if value is None:
        return "-"
    size = abs(100 * value)
    return fixed(100 * value, 2 if size < 9.995 else 1 if size < 99.95 else 0, "+")


def _show_details(network: dict[str, Any]) -> None:
    for condition in network["conditions"]:
        _show_condition(condition)
    if network["transfer_errors"]:
        _show_transfers(network)
    if network["similarity"]:
        _show_similarity(network["similarity"])


def show_net(found: NetComparison) -> None:
    """Print the comparison of a net of any kind: theory, rows, residuals and verdict."""
    sizes = f"{found.samples} samples, {found.classes} classes, {found.dim} dimensions"
    made = _of_rows(f"{found.theory}; {sizes}")
    for row in found.rows:
        ratio = "-" if row.ratio is None else f"{row.ratio:.6g}"
        made.add_row(row.name, f"{row.measured:.6g}", f"{row.predicted:.6g}", ratio, row.kind)
    for name, value in found.residuals.items():
        made.add_row(f"residual of the {name}", number(value, 3), "0", "", "measured")
    console().print(made)
    print(_decays(found))
    print(f"Evidence for the prediction: {found.evidence}.")
    for note in found.notes:
        print(note)
    print(found.verdict)


def _decays(found: NetComparison) -> str:
    """The decays of the model that the layer is held against, and what was not given as it stands."""
    of_H = "read off the balance decay_W |W|^2 = decay_H |H|^2" if found.is_fitted else "given"
    of_b = f"decay_b {found.decay_b:.4g}" if found.decay_b is not None else "no bias"
    if found.shift and found.decay_b:
        of_b = f"decay_b' {found.decay_b:.4g} (of what bias and shared features add to the logits)"
    return f"The model: decay_W {found.decay_W:.4g}, decay_H {found.decay_H:.4g} ({of_H}), {of_b}."


def _of_rows(title: str) -> NamedTable:
    """An empty table of measured against predicted."""
    names = ["", "kind"]
    return table(title, "", "measured", "predicted", "ratio", "kind", left=names, named=names)


def spread_text(spread: dict[str, Any]) -> str:
    """The mean as text, with the standard deviation if there are several values."""
    if spread["mean"] is None:
        return "-"
    text = f"{spread['mean']:.4g}"
    return text if spread["deviation"] is None else f"{text} ± {spread['deviation']:.1g}"


def _show_derived(condition: dict[str, Any], title: str) -> None:
    """The table in which nothing is fitted."""
    what = condition["derived"]
    about = "behind a layer normalisation" if what["count"] is None else f"J = {what['count']}"
    found = table(f"{title}; nothing fitted, {about}", "", "measured", "derived", "deviation", left=[""], named=[""])
    for row in what["rows"]:
        found.add_row(
            row["name"], *(spread_text(row[key]) for key in ("measured", "derived")), _percent(row["deviation"])
        )
    over = what["objective_over_bound"]
    if over["mean"] is not None:
        found.add_row("objective / its lower bound (numeric)", f"{over['mean']:.6g}", ">= 1", "")
    console().print(found)
    if over["mean"] is not None and what["count"] is not None:
        print(
            "The bound is that of evaluation: its statistics let unit scale and shift give a channel a mean square of "
            f"{what['moment']['mean']:.5g} over the training images (1: the statistics of all of them), and J counts "
            "so many times."
        )


def _percent(spread: dict[str, Any]) -> str:
    deviation = "" if spread["deviation"] is None else f" ± {100 * spread['deviation']:.1g}"
    return f"{fixed(100 * spread['mean'], 3, '+')}{deviation} %"


def _show_condition(condition: dict[str, Any]) -> None:
    seeds = ", ".join(str(seed) for seed in condition["seeds"])
    if condition["derived"]:
        _show_derived(condition, f"{condition['condition']}; seeds {seeds}")
    found = _of_rows(f"{condition['condition']}; seeds {seeds}")
    for row in condition["rows"]:
        found.add_row(row["name"], *(spread_text(row[key]) for key in ("measured", "predicted", "ratio")), row["kind"])
    for name, spread in condition["stationarity"].items():
        found.add_row(f"stationarity residual, {name} statistics", spread_text(spread), "0", "", "measured")
    for name, spread in condition["balance"].items():
        found.add_row(f"balanced decay of |W|, {name} statistics", spread_text(spread), "1", "", "measured")
    if (spread := condition["classifier_over_writers"])["mean"] is not None:
        found.add_row("|W|^2 / |what writes the features|^2", spread_text(spread), "1", "", "measured")
    console().print(found)
    print(condition["verdict"])
    if not condition["derived"]:
        print(NOTHING_DERIVED)


def _show_transfers(network: dict[str, Any]) -> None:
    entries = network["transfer_errors"]
    names = list(dict.fromkeys(name for entry in entries for name in entry["mean"]))
    title = "Predicted from other conditions, nothing fitted on the target: mean (worst) of |measured / predicted - 1|"
    found = table(title, "target", "m", *names, "predictions", left=["target"], section="transfer")
    for entry in entries:
        m = f"{entry['depth']:.3g}" + (" (fitted to the others)" if entry["is_fitted"] else "")
        cells = (f"{entry['mean'][n]:.1%} ({entry['worst'][n]:.1%})" if n in entry["mean"] else "-" for n in names)
        found.add_row(entry["target"], m, *cells, str(entry["count"]))
    console().print(found)
    if network["depth_fit"]:
        print(depth_sentence(network["depth_fit"]))


def _show_similarity(entries: list[dict[str, Any]]) -> None:
    title = "Features on the same images: similarity of the conditions"
    found = table(title, "", "images", "linear CKA", "mean cos of angles", "least cos", "same class", left=[""])
    for entry in entries:
        cells = (spread_text(entry[key]) for key in ("cka", "mean_cosine", "least_cosine", "agreement"))
        found.add_row(" / ".join(entry["conditions"]), entry["split"], *cells)
    console().print(found)
