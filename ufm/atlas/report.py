"""The output of `atlas`: the table, theory, Morse relations, and what is not checked."""

import math
from collections.abc import Mapping
from typing import Any

from rich.table import Table

from ufm.atlas.atlas import Atlas
from ufm.atlas.orbit import Orbit
from ufm.atlas.setting import AtlasSetting
from ufm.cli.table import console, table
from ufm.cli.words import decays_text, fixed, numbered, statuses_text


def show(setting: AtlasSetting, atlas: Atlas, result: Mapping[str, Any]) -> None:
    """Print the table, the evidence and remarks."""
    if not atlas.rows:
        print(f"no start reached a critical point: {atlas.statuses}")
        return
    out = console()
    out.print(_table(setting, atlas))
    for line in summary(atlas, result):
        out.print(line, soft_wrap=True, highlight=False)
    if "units" in result:
        units = ", ".join(f"{name} {value}" for name, value in result["units"].items())
        print(f"values, points and eigenvalues are in the model's own units (ufm/solve/units.py): {units}")


def round_text(atlas: Atlas, new: int) -> str:
    """A line on the last round."""
    entry = atlas.rounds[-1]
    converged, starts = entry["statuses"]["CONVERGED"], sum(entry["statuses"].values())
    places = list(entry["starts"])
    where = f" in dimension {places[0]}, where a Morse relation fails" if len(places) == 1 else ""
    number = len(atlas.rounds)
    return f"round {number}{where}: {converged} of {starts} converged, {new} new, {entry['orbits']} orbits"


def summary(atlas: Atlas, result: Mapping[str, Any]) -> list[str]:
    """The sentences below the table: counts, resolution, minima, evidence, and what is not checked."""
    return [
        _counts(atlas),
        f"Logits differ by at most {max((row.farthest for row in atlas.rows), default=0.0):.1e} within a row"
        + ("." if math.isinf(result["separation"]) else f", between rows by at least {result['separation']:.1e}."),
        *_remarks(atlas),
        *_of_the_lowest(atlas, result),
        *_relations(result["morse"]),
        *(f"{claim}: {'holds' if holds else 'FAILS'} (numeric)." for claim, holds in result["claims"].items()),
        *([_upper(result["completeness"]["text"])] if "completeness" in result else []),
        *(f"Not checked, {name}: {why}." for name, why in result["not_checked"].items()),
    ]


def proved(certificate: dict[str, Any] | None) -> str:
    """What the ball says."""
    if certificate is None:
        return "-"
    if not certificate["is_proved"]:
        return "not proved"
    index = certificate["index"] if certificate["is_index_exact"] else f">= {certificate['index']}"
    return f"index {index}, within {certificate['radius']:.0e}"


def index_text(row: Orbit) -> str:
    """The Morse index; of a degenerate set the range that was met."""
    low, high = min(row.indices), max(row.indices)
    return str(low) if low == high else f"{low} to {high}"


def _counts(atlas: Atlas) -> str:
    orbits = [row for row in atlas.rows if not row.is_set]
    copies, met = sum(row.copies for row in orbits), sum(len(row.copies_found) for row in orbits)
    found = f"{len(orbits)} orbits, {copies} labelled copies, {met} of their class copies met"
    if len(orbits) < len(atlas.rows):
        found = f"{len(atlas.rows)} rows, of which {len(orbits)} orbits with {copies} labelled copies ({met} met)"
    return (
        f"{found}; {len(atlas.rounds)} rounds in {atlas.seconds:.1f} s, {atlas.quiet_rounds} since the last new orbit; "
        f"starts: {statuses_text(atlas.statuses)}."
    )


def _remarks(atlas: Atlas) -> list[str]:
    """Second local minima, degenerate rows, and rows that were nearly missed."""
    lines = []
    minima = [n for n, row in enumerate(atlas.rows, 1) if row.index == 0 and not row.is_degenerate]
    if len(minima) > 1:
        lines.append(f"Local minima up to the symmetries: {numbered('row', minima)}.")
    degenerate = [n for n, row in enumerate(atlas.rows, 1) if row.is_degenerate]
    if degenerate:
        lines.append(
            f"Degenerate, with zero eigenvalues that no symmetry explains: {numbered('row', degenerate)}, one per "
            "objective, copies not counted; rank and classes are those of one point."
        )
    once = sum(row.found == 1 for row in atlas.rows)
    if once:
        lines.append(f"{once} of the rows are found by one start each: others are likely to be missing.")
    return lines


def _of_the_lowest(atlas: Atlas, result: Mapping[str, Any]) -> list[str]:
    """Duality gap, enclosure of the margin, prediction."""
    lines = []
    if (gap := result["duality_gap"]) is not None:
        lines.append(f"No point is lower than row 1 by more than {max(0.0, gap):.1e} (certificate, duality gap).")
    if (margin := result["etf_margin"]) is not None:
        below = "below" if margin["is_below_zero"] else "not proved to be below"
        lines.append(f"ETF margin a in {margin['text']} ({margin['precision']} bits), {below} zero's value.")
    if (prediction := result["prediction"]) is not None:
        kind = "the global minimum" if prediction["is_proved_global"] else "a point not proved to be the lowest"
        above = atlas.rows[0].value - prediction["value"]
        lines.append(f"Predicted: {prediction['value']:.10f}, {kind}; row 1 is {above:+.1e} from it.")
    return lines


def _relations(morse: dict[str, Any]) -> list[str]:
    """The three statements of every dimension, and what a missing orbit would do."""
    if not morse["is_applicable"]:
        return []
    lines = []
    for entry in morse["dimensions"]:
        begin = " + ".join(f"{c} t^{i}" for i, c in enumerate(entry["equivariant"]) if c)[:60]
        parts = [
            f"equivariant {_word(entry['equivariant_holds'])} (R = {begin or '0'}{' ...' if begin else ''})",
            f"plain {_word(entry['plain_holds'])}",
            f"Euler sum {entry['euler']}" + ("" if entry["euler"] == 1 else ", must be 1"),
        ]
        lines.append(f"Morse relations in dimension {entry['dimension']}: {', '.join(parts)}.")
    return [*lines, _missing(morse)]


def _missing(morse: dict[str, Any]) -> str:
    noticed = morse["noticed_without"]
    blind = [number + 1 for number, entry in enumerate(noticed) if not any(entry.values())]
    by = {name: sum(bool(entry[name]) for entry in noticed) for name in ("equivariant", "plain", "euler")}
    counts = ", ".join(f"{name} {count}" for name, count in by.items())
    if blind:
        return f"No relation would notice the absence of {numbered('row', blind)} (noticed by: {counts})."
    pairs = ", ".join(f"rows {i + 1} and {j + 1}" for i, j in morse["unnoticed_pairs"])
    together = f"; not that of two together: {pairs}" if pairs else ", and of any two together"
    return f"The absence of any single row would be noticed{together}; of {len(noticed)} by: {counts}."


def _upper(text: str) -> str:
    """The text with a capital first letter."""
    return text[:1].upper() + text[1:]


def _word(holds: bool) -> str:
    return "holds" if holds else "FAILS"


def _table(setting: AtlasSetting, atlas: Atlas) -> Table:
    first = ("", "objective", "rank", "index", "nullity", "copies", "met", "classes")
    names = (*first, "found", "curvature", "along", "proved")
    found = table(_title(setting, atlas), *names, left=["classes", "along", "proved"], section="atlas")
    for number, row in enumerate(atlas.rows, 1):
        nullity = f"{row.nullity}" + (f", {row.expected_nullity} explained" if row.is_degenerate else "")
        along = row.direction_is if row.index else "-" if row.is_degenerate else "minimum"
        numbers = fixed(row.value, 10), str(row.rank), index_text(row), nullity
        cells = *numbers, _copies(row), str(len(row.copies_found))
        ways = row.apart, str(row.found), fixed(row.curvature, 4), along, proved(row.certificate)
        found.add_row(str(number), *cells, *ways)
    return found


def _title(setting: AtlasSetting, atlas: Atlas) -> str:
    choice, model = setting.model_choice, atlas.model
    options = ", ".join(f"{name} {value}" for name, value in choice.options.items())
    first = f"{choice.name} ({options}), {setting.loss['name']}" if options else str(model.loss)
    decays = decays_text(choice.HAS_DECAYS, setting.decay_W, setting.decay_H, setting.decay_b)
    return f"{first}, K = {model.K}, d = {model.d}, n = {model.n}{decays}"


def _copies(row: Orbit) -> str:
    if row.is_set or row.manifold:
        return "-" if row.is_set and row.is_degenerate else "set"
    return str(row.class_copies) if row.sample_copies == 1 else f"{row.class_copies} x {row.sample_copies}"
