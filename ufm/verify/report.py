"""The verdicts of `ufm verify` as tables, and a sentence for each claim that failed."""

import dataclasses
import math
import shlex
from typing import Any

from rich.table import Table

from ufm.cli.table import Marked, console, table
from ufm.cli.words import CLAIMS, decays_text, fixed, loss_text, statuses_text
from ufm.tolerances import SAME_VALUE
from ufm.verify.end_point_claims import Claim
from ufm.verify.setting import VerifySetting
from ufm.verify.verify import Verdict

SADDLES_SHOWN = 8


def show(setting: VerifySetting, verdicts: list[Verdict]) -> None:
    """Print the claims, the other critical points, and a sentence for each claim that failed."""
    out = console()
    out.print(_claims_table(setting, verdicts))
    if any(verdict.saddle_statuses for verdict in verdicts):
        out.print(_saddle_table(setting, verdicts))
        for verdict in verdicts:
            out.print(_saddle_summary(verdict), soft_wrap=True, highlight=False)
    if setting.profile:
        out.print(_profile_table(verdicts))
    if any(verdict.elsewhere for verdict in verdicts):
        out.print(_elsewhere_table(verdicts))
    if any(verdict.found for verdict in verdicts):
        out.print(_found_table(verdicts))
    for verdict in verdicts:
        for line in failures(setting, verdict):
            out.print(line, style="bold red", soft_wrap=True, highlight=False)
        for note in notes(verdict):
            out.print(f"{loss_text(verdict.spec)}: {note}", soft_wrap=True, highlight=False)


def notes(verdict: Verdict) -> list[str]:
    """Notes on the numbers."""
    lines = list(verdict.target.notes if verdict.target else [verdict.no_prediction or ""])
    lines += [f"a state that exists has {value:.10f}: {name}." for name, value in verdict.known_states.items()]
    if "below" in verdict.claims and verdict.claims["below"].breakers:
        lines.append(
            f"{verdict.claims['below'].breakers} starts end below the prediction: it is not the global minimum."
        )
    if verdict.landscape:
        lines.append(verdict.landscape.sentence)
    return lines


def failures(setting: VerifySetting, verdict: Verdict) -> list[str]:
    """One sentence per start that is the first to break a claim: what it breaks and how to reproduce it."""
    broken = {name: claim for name, claim in verdict.claims.items() if not claim.holds}
    loss = loss_text(verdict.spec)
    unmeasured = [_label(name) for name, claim in broken.items() if claim.broken_by is None]
    sentences = [f"{loss}: nothing converged that would show: {', '.join(unmeasured)}."] if unmeasured else []
    if strict := broken.pop("strict saddles", None):
        sentences += [_saddle_failure(setting, verdict, strict)] if strict.broken_by is not None else []
    for start in sorted({claim.broken_by for claim in broken.values() if claim.broken_by is not None}):
        claims = {_label(name): claim for name, claim in broken.items() if claim.broken_by == start}
        counted = ", ".join(f"{label} ({claim.breakers} starts do)" for label, claim in claims.items())
        command = _command(setting, verdict, first_start=start, starts=1, saddle_starts=0)
        sentences.append(f"{loss}: start {start} is the first to break: {counted}. Reproduce it: {command}")
    return sentences


def _saddle_failure(setting: VerifySetting, verdict: Verdict, claim: Claim) -> str:
    number = claim.broken_by or 0
    found = "ends at a critical point that is neither the predicted minimiser nor a strict saddle above it"
    command = _command(setting, verdict, starts=1, saddle_starts=number + 1)
    return f"{loss_text(verdict.spec)}: saddle start {number} {found} ({claim.breakers} do). Reproduce it: {command}"


def _command(setting: VerifySetting, verdict: Verdict, **changes: Any) -> str:
    return command_of(dataclasses.replace(setting, loss=verdict.spec, out=None, json=None, explain=False, **changes))


def model_text(setting: VerifySetting) -> str:
    """`spheres, temperature 5: `, nothing for the plain model."""
    choice = setting.model_choice
    options = ", ".join(f"{name} {value}" for name, value in choice.options.items())
    return "" if choice.name == "plain" else f"{choice.name}, {options}: "


def command_of(setting: VerifySetting) -> str:
    """The shell command that asks for this setting; defaults are left out."""
    words = ["python", "-m", "ufm", "verify"]
    for field in dataclasses.fields(setting):
        value = getattr(setting, field.name)
        if field.name == "loss" or (field.name == "model" and value["name"] != "plain"):
            words += [f"--{field.name}", str(value["name"])]
            options = {key: str(option).lower() for key, option in value.items() if key != "name"}
            words += [word for key, option in options.items() for word in (f"--{field.name}.{key}", option)]
        elif field.name != "model" and value != field.default:
            words += [f"--{field.name.replace('_', '-')}", "null" if value is None else str(value)]
    return shlex.join(words)


def _profile_table(verdicts: list[Verdict]) -> Table:
    losses = [loss_text(verdict.spec) for verdict in verdicts]
    title = "Seconds by phase, summed over threads"
    found = table(title, "phase", *losses, left=["phase"], named=["phase"], own=losses, section="profile")
    for name in sorted(verdicts[0].profile, key=lambda name: -verdicts[0].profile[name]):
        found.add_row(name, *(f"{verdict.profile.get(name, 0.0):.2f}" for verdict in verdicts))
    return found


def _claims_table(setting: VerifySetting, verdicts: list[Verdict]) -> Table:
    K, d, n = setting.model_choice.classes(setting.classes), setting.dim, setting.per_class
    decays = decays_text(setting.model_choice.HAS_DECAYS, setting.decay_W, setting.decay_H, setting.decay_b)
    sizes = f"{setting.starts} starts each, K = {K}, d = {d}, n = {n}{decays}"
    title = f"{model_text(setting)}{sizes}: worst of all converged starts"
    losses = [loss_text(verdict.spec) for verdict in verdicts]
    text = ["claim", "evidence"]
    found = table(title, "claim", "allowed", "evidence", *losses, left=text, named=text, own=losses, section="claims")
    rows = {
        "predicted objective": [f"{v.target.value:.10f}" if v.target else "none" for v in verdicts],
        "predicted margin": [f"{v.target.margin:.8f}" if v.target else "none" for v in verdicts],
        "proved global": ["-" if not v.target else _yes(v.target.is_proved_global) for v in verdicts],
    }
    for label, cells in rows.items():
        found.add_row(label, "", "", *cells)
    found.add_section()
    for name in dict.fromkeys([*CLAIMS, *(name for verdict in verdicts for name in verdict.claims)]):
        claims = [verdict.claims.get(name) for verdict in verdicts]
        allowed = next((claim.allowed for claim in claims if claim is not None), None)
        if allowed is not None:
            found.add_row(_label(name), _bound(name, allowed), _rank(claims), *(_cell(claim) for claim in claims))
    found.add_section()
    found.add_row("starts", "", "", *(statuses_text(verdict.statuses) for verdict in verdicts))
    found.add_row("smallest eigenvalue by", "", "", *(_evidence_text(verdict.curvature) for verdict in verdicts))
    found.add_row("seconds", "", "", *(f"{verdict.seconds:.1f}" for verdict in verdicts))
    found.add_row("verdict", "", "", *map(_outcome, verdicts))
    return found


def _rank(claims: list[Claim | None]) -> str:
    """The weakest evidence for a claim among the losses."""
    ranks = {claim.evidence for claim in claims if claim is not None}
    return "numeric" if "numeric" in ranks else ranks.pop()


def _yes(is_true: bool) -> str:
    return "yes" if is_true else "no"


def _evidence_text(curvature: dict[str, Any]) -> str:
    """The number of starts by evidence, as text."""
    counts = {"certificate": curvature["certificate"], "numeric": curvature["numeric"]}
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "-"


def _label(name: str) -> str:
    """The label of a claim; its name if it has no label."""
    return CLAIMS[name].terminal if name in CLAIMS else name


def _outcome(verdict: Verdict) -> str:
    if verdict.target is None:
        return "nothing claimed"
    return Marked("[green]holds[/]" if verdict.holds else "[bold red]FAILS[/]")


def _elsewhere_table(verdicts: list[Verdict]) -> Table:
    """The table of where the other starts end."""
    columns = ("loss", "objective", "above the minimum", "smallest eigenvalue", "found", "first start")
    found = table("Where the other starts that converged end (lowest values first)", *columns, left=["loss"])
    for verdict in verdicts:
        for row in verdict.elsewhere[:SADDLES_SHOWN]:
            above = row["value"] - verdict.target.value if verdict.target else math.nan
            numbers = f"{row['value']:.8f}", f"{above:.2g}"
            counts = str(row["found"]), str(row["first_start"])
            found.add_row(loss_text(verdict.spec), *numbers, f"{row['smallest_eigenvalue']:.2g}", *counts)
    return found


def _found_table(verdicts: list[Verdict]) -> Table:
    """The table of where starts end for which there is no prediction."""
    title = "Where the starts end (lowest values first; numbers of the lowest start)"
    names = {"rank": "rank", "rank before": "rank before the ReLU", "nc1_trace": "NC1 trace"}
    names |= {"nc2_etf_distance": "NC2 ETF distance", "nc3_self_duality": "NC3", "nc4_disagreement": "NC4"}
    columns = ("loss", "objective", *names.values(), "found", "converged", "first start")
    found = table(title, *columns, left=["loss"])
    for verdict in verdicts:
        for row in verdict.found[:SADDLES_SHOWN]:
            numbers = (f"{row[name]:.3g}" if name in row else "-" for name in names)
            counts = str(row["found"]), str(row["converged"]), str(row["first_start"])
            found.add_row(loss_text(verdict.spec), f"{row['value']:.8f}", *numbers, *counts)
    return found


def _saddle_table(setting: VerifySetting, verdicts: list[Verdict]) -> Table:
    K, claimed = map(setting.model_choice.classes, (setting.saddle_classes, setting.classes))
    size = f"K = {K} (the claims above: K = {claimed}), d = {setting.saddle_dim}, n = {setting.saddle_per_class}"
    title = f"Other critical points of {size}, {setting.saddle_starts} Levenberg-Marquardt starts each (lowest first)"
    columns = (
        "loss",
        "objective",
        "rank",
        "index",
        "nullity",
        "smallest eigenvalue",
        "curvature along",
        "direction",
        "found",
    )
    found = table(title, *columns, left=["loss", "direction"])
    for verdict in verdicts:
        for row in verdict.saddles[:SADDLES_SHOWN]:
            integers = (str(row[key]) for key in ("rank", "morse_index", "nullity"))
            numbers = fixed(row["smallest_eigenvalue"], 6), fixed(row["curvature"], 6)
            cells = (loss_text(verdict.spec), f"{row['value']:.8f}", *integers, *numbers)
            found.add_row(*cells, row["direction_is"], str(row["found"]))
        found.add_section()
    return found


def _saddle_summary(verdict: Verdict) -> str:
    hidden = [str(row["found"]) for row in verdict.saddles[SADDLES_SHOWN:]]
    by = f"found by {', '.join(hidden)} start{'s' * (hidden != ['1'])}"
    not_shown = f" ({len(hidden)} of them only in the record, {by})" if hidden else ""
    values = [row["value"] for row in verdict.saddles]
    distinct = sum(after - before > SAME_VALUE for before, after in zip([-math.inf, *values], values, strict=False))
    minimiser = "zero" if verdict.saddle_target and verdict.saddle_target.is_zero else "the minimiser"
    return (
        f"{loss_text(verdict.spec)}: {len(values)} kinds of critical points{not_shown} with {distinct} values, "
        f"{verdict.minimisers_among_saddles} starts at {minimiser}; {statuses_text(verdict.saddle_statuses)}; "
        f"{_classified_text(verdict.saddle_evidence)}"
    )


def _classified_text(evidence: dict[str, Any]) -> str:
    """The number of critical points by how they were classified."""
    text = f"{evidence['spectrum']} classified by spectrum"
    return f"{text}, {evidence['distance']} by distance from their orbits" if evidence["distance"] else text


def _bound(name: str, allowed: float) -> str:
    if name in ("strict saddles", "reached"):
        return "< 0" if name == "strict saddles" else "> 0"
    return f">= {allowed:g}" if allowed < 0 else f"<= {allowed:g}"


def _cell(claim: Claim | None) -> str:
    if claim is None:
        return "-"
    if math.isnan(claim.worst):
        return Marked("[bold red]nothing converged[/]")
    text = fixed(claim.worst, 0) if claim.worst.is_integer() else f"{claim.worst:.2g}"
    return text if claim.holds else Marked(f"[bold red]{text} (start {claim.broken_by})[/]")
