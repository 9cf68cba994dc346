"""The start view: what was found, a card each, made of whatever records there are."""

from collections.abc import Callable
from typing import Any

from figures.report.page import kind
from figures.style import COLOURS, loss_name

KIND = (
    "theory_checks",
    "deepnet compare",
    "ufm verify",
    "ufm scan",
    "ufm focal-window",
    "ufm atlas",
    "ufm softmax-codes",
    "deepnet experiment",
    "ufm report-card",
    "deepnet train",
)
COMMAND = "python -m ufm verify --json figures/data/verify.json"
FINDINGS = {
    "The landscape is benign": (
        "convex_losses_have_a_benign_landscape",
        "focal_landscape_is_benign_at_small_decays",
        "focal_landscape_is_benign_up_to_partial_collapse",
    ),
    "What a normalised network pays at least for its features is known": ("normalised_networks_pay_for_features",),
    "The benign landscape of focal loss ends sharply": (
        "partial_collapse_ends_the_benign_landscape",
        "focal_with_bias_can_beat_collapse",
    ),
    "A hidden linear layer breaks the simplex for cross entropy": ("deep_cross_entropy_prefers_low_rank",),
    "Label smoothing improves one condition number and worsens another": (
        "label_smoothing_improves_the_loss_part_of_the_hessian",
        "label_smoothing_worsens_the_hessian_with_decays",
    ),
    "Squared error lies between an orthogonal frame and the simplex": ("squared_error_between_frame_and_simplex",),
}
"""What the page says first: a title and the claims that say it, the most important first."""
BENIGN, PRICE, SHARP, DEEP, SMOOTH, FRAME = FINDINGS
MEANINGS = {
    BENIGN: "In the ranges below descent cannot get stuck: where the gradient vanishes, the objective is least, or "
    "there is a way down.",
    PRICE: "What weight decay charges a normalised network for its features has a least value that its layers tell.",
    SHARP: "With 20 or 30 classes and a free bias a state with a class at zero becomes a local minimum at one strength "
    "of the decays; with 30, at a greater one, neither the simplex nor zero is lowest.",
    DEEP: "With one more linear layer, no bias and an even number of classes, six or more, opposite pairs cost less "
    "than a simplex of the same margin.",
    SMOOTH: "Near the minimiser smoothed labels even out the curvature of the loss itself; with the decays in it they "
    "make it less even.",
    FRAME: "The bias decides: free, class means form a simplex; without one, they are at right angles.",
}
"""A finding in plain words, said while all of its claims hold."""
DRAWN = {DEEP: "pairs", FRAME: "frame"}
"""Findings whose picture the page draws by itself."""
PREFERRED = ("compare_terminal", "compare", "verify", "scan", "atlas", "softmax_codes", "experiments")
"""Of several records of a kind these are shown first."""
ROUNDING = 1e-16
STATIONARY = 0.02
"""A last layer of at most this residual is called stationary."""
CLOSE = 0.05
"""Values that deviate by less, relatively, obey the theory."""

Card = dict[str, Any]


def view(name: str, record: dict[str, Any]) -> list[Card]:
    """The cards of one record; `place` orders them."""
    wanted = kind(record)
    return [{"record": name, "kind": wanted, **card} for card in MAKERS[wanted](name, record)]


def together(entries: list[Card]) -> list[Card]:
    """Cards in their order, one of a title.

    One that `joins` a finding lends it its picture and its sentence, and its title if it says so, and is no card then.
    """
    findings = {card["title"]: card for card in entries if card["kind"] == "theory_checks"}
    ordered = sorted(entries, key=_rank)
    joined = {card["joins"]: card for card in reversed(ordered) if card.get("joins") in findings}
    shown: list[Card] = []
    for card in ordered:
        is_new = card["title"] not in [other["title"] for other in shown]
        if card.get("joins") not in findings and is_new:
            shown.append(_with(card, joined[card["title"]]) if card["title"] in joined else card)
    return sorted(shown, key=lambda card: card["place"])


def _with(finding: Card, other: Card) -> Card:
    title = other["title"] if other.get("is_headline") else finding["title"]
    sentences = [*finding["sentences"], *other["sentences"]]
    return finding | {"title": title, "sentences": sentences, "picture": other["picture"]}


def _rank(card: Card) -> tuple[float, int]:
    known = card["record"] in PREFERRED
    return card["place"] if card["kind"] == "theory_checks" else 0.0, PREFERRED.index(card["record"]) if known else 99


def _claims(name: str, record: dict[str, Any]) -> list[Card]:
    """One card a finding whose claims were checked, and one on all claims."""
    rows = {row["claim"]["name"]: row for row in record["result"]["rows"]}
    cards = [_all_claims(list(rows.values()))] if rows else []
    for place, (title, claims) in enumerate(FINDINGS.items()):
        here = [rows[claim] for claim in claims if claim in rows and rows[claim]["verdict"]]
        if here:
            sentences = [
                {"text": row["claim"]["sentence"], "rank": row["verdict"]["rigour"], "link": _claim_link(row)}
                | {"holds": row["holds"]}
                for row in here
            ]
            picture = {"kind": DRAWN.get(title, "")}
            meaning = MEANINGS[title] if all(row["holds"] for row in here) else ""
            card = {"place": place, "title": title, "meaning": meaning, "sentences": sentences, "picture": picture}
            cards.append(card)
    return cards


def _claim_link(row: dict[str, Any]) -> str:
    return f"theorems?claim={row['claim']['name']}"


def _all_claims(rows: list[dict[str, Any]]) -> Card:
    ranks = ("symbolic", "interval", "certificate", "numeric")
    holding = [row["verdict"]["rigour"] for row in rows if row["holds"] and row["verdict"]]
    missing = len(rows) - len(holding)
    text = (
        f"{len(holding)} of {len(rows)} claims hold, each checked by a file of its own with a false variant beside it."
    )
    bars = [{"name": rank, "value": holding.count(rank), "colour": COLOURS[i]} for i, rank in enumerate(ranks)]
    bars += [{"name": "fails or not run", "value": missing, "colour": COLOURS[6]}] if missing else []
    return _card(20, "Every theorem has its check", text, "", "theorems", {"kind": "bars", "bars": bars})


def _card(place: float, title: str, text: str, rank: str, link: str, picture: dict[str, Any]) -> Card:
    sentence = {"text": text, "rank": rank, "link": link, "holds": True}
    return {"place": place, "title": title, "sentences": [sentence], "picture": picture}


def _compared(name: str, record: dict[str, Any]) -> list[Card]:
    """Measured against derived values, or against predicted ones where nothing is derived."""
    runs = record["result"]["runs"]
    is_derived = all("derived" in run and run["derived"] for run in runs)
    pairs = [pair for run in runs for pair in _pairs(run, is_derived)]
    if not pairs:  # of a loss without a prediction
        return []
    residual, worst = max(run["stationarity"] for run in runs), max(abs(y / x - 1) for _, x, y in pairs)
    losses = list(dict.fromkeys(loss for loss, _, _ in pairs))
    points = [_curve(loss, i, [(x, y) for key, x, y in pairs if key == loss]) for i, loss in enumerate(losses)]
    expected = "derived value" if is_derived else "prediction"
    chart = {"kind": "chart", "points": points, "diagonal": True, "log": "xy", "x": expected, "y": "measured"}
    setting, seeds = runs[0]["run_setting"], {run["run_setting"]["seed"] for run in runs}
    text = (
        f"{setting['net']} on {setting['data']}, losses: {len(losses)}, seeds: {len(seeds)}: {_reach(residual)} "
        f"{_percent(worst)} from its {expected}"
        f"{', with nothing fitted' if is_derived else ''}; the largest residual of a last layer, 0 where it is "
        f"stationary, is {residual:.2g}."
    )
    is_stationary = residual <= STATIONARY
    place, title = 1 if is_stationary else 9, _verdict(is_stationary, worst)
    card = _card(place, title, text, "numeric", f"training?group={name}", chart)
    return [card | ({"joins": PRICE, "is_headline": True} if is_derived and is_stationary else {})]


def _reach(residual: float) -> str:
    if residual <= STATIONARY:
        return "no measured margin, probability, norm or loss is further than"
    return "the margin, probability, norm or loss that is furthest off stands"


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.995 else f"{100 * share:.0f} %"


def _verdict(is_stationary: bool, worst: float) -> str:
    """What the card of a comparison is called; `worst` is the largest relative deviation."""
    if not is_stationary:
        return "Nets that are not stationary, beside the prediction"
    return "Stationary trained nets that obey the theory" if worst < CLOSE else "Stationary nets off the theory"


def _pairs(run: dict[str, Any], is_derived: bool) -> list[tuple[str, float, float]]:
    """Loss, value expected, value measured, of what the theory gives a size to."""
    loss = loss_name(run["run_setting"]["loss"])
    rows = run["derived"]["rows"] if is_derived else run["rows"]
    names, key = ("margin", "p_y", "|w|", "|h|", "training loss"), "derived" if is_derived else "predicted"
    found = [(loss, row[key], row["measured"]) for row in rows if row["name"] in names]
    return [pair for pair in found if pair[1] and pair[2]]


def _verified(name: str, record: dict[str, Any]) -> list[Card]:
    verdicts = record["result"]["verdicts"]
    ends = [verdict["statuses"] for verdict in verdicts]
    starts, converged = sum(sum(end.values()) for end in ends), sum(end["CONVERGED"] for end in ends)
    worst = max(
        (verdict["claims"]["value"]["worst"] for verdict in verdicts if "value" in verdict["claims"]), default=None
    )
    names = ", ".join(loss_name(verdict["spec"]) for verdict in verdicts)
    text = f"{names}: {converged} of {starts} random starts converged"
    if worst is not None:
        text += f"; the objective of the worst is {worst:.1e} of its value at zero away from the predicted minimum"
    lines = [_curve(loss_name(verdict["spec"]), i, _fall(verdict)) for i, verdict in enumerate(verdicts)]
    chart = {"kind": "chart", "lines": lines, "log": "y", "x": "steps", "y": "|objective - predicted| / f(0), median"}
    picture = chart if any(line["x"] for line in lines) else {"kind": ""}
    title = "Random starts end at the predicted minimum" if record["result"]["holds"] else "Random starts, verified"
    return [_card(8, title, f"{text}.", "numeric", "explorer", picture)]


def _fall(verdict: dict[str, Any]) -> list[tuple[float, float]]:
    """The median of the starts step by step, as far as it is above rounding."""
    path = verdict.get("convergence") or {"steps": [], "value": []}
    medians = [row[len(row) // 2] for row in path["value"]]
    return [(step, y) for step, y in zip(path["steps"], medians, strict=True) if y is not None and y > ROUNDING]


def _scan(name: str, record: dict[str, Any]) -> list[Card]:
    """Where starts end; besides, a map of what is proved of focal loss, or condition numbers by smoothing."""
    found, axes = record["result"]["agreement"], list(record["result"]["axes"])
    said = (
        f"in {found['as_predicted']} of {found['predicted']} cells most starts end in the predicted state"
        if found["predicted"]
        else "theory predicts no end state of its cells"
    )
    text = f"Scan of {loss_name(record['setting']['loss'])} over {' and '.join(axes)}: {said}."
    ends = _card(
        10, "Where random starts end", text, "numeric", f"phase?record={name}", {"kind": "ends", "record": name}
    )
    if axes == ["gamma", "decay"]:
        return [ends, ends | {"joins": BENIGN, "picture": {"kind": "proved", "record": name}}]
    if axes == ["alpha", "decay"]:
        return [ends, _smoothing(name, record)]
    return [ends]


def _smoothing(name: str, record: dict[str, Any]) -> Card:
    """Condition numbers of the Hessian, decays included, by smoothing."""
    chart = _conditioning(record["result"])
    first, last = chart["lines"][0], chart["lines"][-1]
    text = (
        f"K = {record['setting']['classes']}, decay {first['x'][0]:g}: the condition number with the decays in it is "
    )
    text += f"{first['y'][0]:.3g} with {first['name']} and {last['y'][0]:.3g} with {last['name']}."
    return _card(10, "Condition numbers by smoothing", text, "numeric", f"phase?record={name}", chart) | {
        "joins": SMOOTH
    }


def _conditioning(result: dict[str, Any]) -> dict[str, Any]:
    """A curve per smoothing, over the cells whose best end point is the ETF."""
    axes, cells = result["axes"], result["cells"]
    width, lines = len(axes["decay"]), []
    for i, alpha in enumerate(axes["alpha"]):
        part = slice(i * width, (i + 1) * width)
        columns = axes["decay"], cells["condition_number"][part], cells["best_state"][part]
        kept = [(x, y) for x, y, state in zip(*columns, strict=True) if y is not None and state == "etf"]
        lines.append(_curve(f"alpha = {alpha:g}", i, kept))
    return {"kind": "chart", "lines": lines, "log": "xy", "x": "decay", "y": "condition number, decays included"}


def _curve(name: str, colour: int, points: list[tuple[float, float]]) -> dict[str, Any]:
    return {
        "name": name,
        "colour": COLOURS[colour % len(COLOURS)],
        "x": [x for x, _ in points],
        "y": [y for _, y in points],
    }


def _lowest(values: dict[str, float | None], most: str) -> float | None:
    """Of the states between zero and the ETF."""
    return min((value for m, value in values.items() if m != most and value is not None), default=None)


def _window(name: str, record: dict[str, Any]) -> list[Card]:
    """Objectives of the ETF and of states with some classes at zero, less that of zero, over c about the window."""
    curves, result = record["result"]["curves"], record["result"]
    if curves is None:
        return []
    zero, most = result["value_at_zero"], max(curves["values"], key=int)
    rows = [dict(zip(curves["values"], values, strict=True)) for values in zip(*curves["values"].values(), strict=True)]
    heights = {"ETF": [row[most] for row in rows], "some classes at zero": [_lowest(row, most) for row in rows]}
    heights["zero"] = [zero] * len(rows)
    low, high = result["window"] or (curves["c"][0], curves["c"][-1])
    inside = [low - 0.6 * (high - low), high + 0.6 * (high - low)]
    lines = []
    for i, (label, values) in enumerate(heights.items()):
        points = [(c, value - zero) for c, value in zip(curves["c"], values, strict=True) if value is not None]
        lines.append(_curve(label, i, [point for point in points if inside[0] <= point[0] <= inside[1]]))
    chart = {"kind": "chart", "lines": lines, "log": "", "x": "c", "y": "objective less that of zero"}
    window = result["window"]
    text = f"Focal loss, K = {record['setting']['classes']}, gamma = {record['setting']['gamma']:g}: "
    text += (
        f"for c from {window[0]:.6g} to {window[1]:.6g} neither zero nor the ETF is lowest."
        if window
        else "at every c zero or the ETF is lowest."
    )
    return [_card(14, "Between zero and the ETF", text, "numeric", "records", chart) | {"joins": SHARP}]


def _atlas(name: str, record: dict[str, Any]) -> list[Card]:
    rows, setting = record["result"]["rows"], record["setting"]
    proved = sum(bool((row["certificate"] or {}).get("is_proved")) for row in rows)
    text = (
        f"{len(rows)} orbits of critical points of {loss_name(setting['loss'])} with K = {setting['classes']}, "
        f"d = {setting['dim']}, n = {setting['per_class']}; {proved} are proved to exist, with their index."
    )
    rank = "interval" if rows and proved == len(rows) else "numeric"
    points = [_curve("orbits", 0, [(row["value"], row["index"]) for row in rows])]
    chart = {"kind": "chart", "points": points, "log": "", "x": "objective", "y": "Morse index"}
    card = _card(11, "The saddles have an atlas", text, rank, f"atlas?record={name}", chart)
    return [card, *_complete(name, record, chart)]


def _complete(name: str, record: dict[str, Any], chart: dict[str, Any]) -> list[Card]:
    """Whether no orbit is missing, where a search has proved it."""
    found, setting = record["result"].get("completeness"), record["setting"]
    if not found or not found["is_proved"] or found["evidence"] != "interval":
        return []
    text = (
        f"{loss_name(setting['loss'])}, K = {setting['classes']}, bias decay {_bias_decay(setting)}: every critical "
        f"point is in one of {len(record['result']['rows'])} orbits, by a search of {found['boxes']} boxes."
    )
    return [_card(0.5, "No critical point is missing", text, found["evidence"], f"atlas?record={name}", chart)]


def _bias_decay(setting: dict[str, Any]) -> str:
    return "none" if setting["decay_b"] is None else f"{setting['decay_b']:g}"


def _codes(name: str, record: dict[str, Any]) -> list[Card]:
    rows = record["result"]["rows"]
    known = [row for row in rows if row["exact"] is not None]
    worst = max((abs(row["margin"] - row["exact"]) for row in known), default=None)
    text = f"Softmax codes of up to {max(row['K'] for row in rows)} classes in {record['setting']['dim']} dimensions"
    text += f"; where the best margin is known, the one found is within {worst:.0e} of it." if known else "."
    points = [_curve("found", 0, [(row["K"], row["margin"]) for row in rows])]
    chart = {"kind": "chart", "points": points, "log": "x", "x": "classes", "y": "margin"}
    return [_card(12, "More classes than dimensions", text, "numeric", "records", chart)]


def _experiments(name: str, record: dict[str, Any]) -> list[Card]:
    outcomes = [each["outcome"] for entry in record["result"]["experiments"] for each in entry["statements"]]
    counts = {outcome: outcomes.count(outcome) for outcome in ("showed", "did not show", "not decided")}
    text = (
        f"{counts['showed']} of {len(outcomes)} statements of the papers, with bounds written down beforehand, showed "
        f"in {record['result']['trainings']} trainings of small nets; {counts['did not show']} did not."
    )
    colours = (COLOURS[2], COLOURS[1], "#999999")
    pairs = zip(counts.items(), colours, strict=True)
    bars = [{"name": key, "value": value, "colour": colour} for (key, value), colour in pairs]
    title = "Which statements show in trained nets"
    return [_card(13, title, text, "numeric", "records", {"kind": "bars", "bars": bars})]


def _loss(name: str, record: dict[str, Any]) -> list[Card]:
    """Where training the model with one's own loss ends, decay by decay."""
    result = record["result"]
    text = f"{loss_name(result['spec'])}: {result['answers']['where does training the model end?']}."
    rows = result["by_decay"]
    shares = {"etf": "ETF", "zero": "zero"}
    lines = [_curve(shares[key], i, [(row["decay_W"], row[key]) for row in rows]) for i, key in enumerate(shares)]
    chart = {"kind": "chart", "lines": lines, "log": "x", "x": "decay", "y": "share of starts"}
    return [_card(15, "A loss has its report card", text, "numeric", f"cards?record={name}", chart)]


def _trained(name: str, record: dict[str, Any]) -> list[Card]:
    """How far a run has come, and its collapse by epoch."""
    result, setting = record["result"], record["result"]["run_setting"]
    lines = [(line["epoch"], line["train"]) for line in result["metrics"] if "train" in line]
    last = lines[-1][1]
    text = (
        f"{loss_name(setting['loss'])}, {setting['data']}, {setting['net']}: after epoch {lines[-1][0]} the training "
        f"accuracy is {last['accuracy']:.3g} and NC1 (trace) {last['nc1_trace']:.2g}."
    )
    points = [(epoch, train["nc1_trace"]) for epoch, train in lines if (train["nc1_trace"] or 0) > 0]
    chart = {"kind": "chart", "lines": [_curve("NC1", 0, points)], "log": "y", "x": "epoch", "y": "NC1 (trace)"}
    return [_card(16, "Networks over their epochs", text, "numeric", f"training?run={name}/{result['run']}", chart)]


MAKERS: dict[str, Callable[[str, dict[str, Any]], list[Card]]] = {
    "theory_checks": _claims,
    "deepnet compare": _compared,
    "ufm verify": _verified,
    "ufm scan": _scan,
    "ufm focal-window": _window,
    "ufm atlas": _atlas,
    "ufm softmax-codes": _codes,
    "deepnet experiment": _experiments,
    "ufm report-card": _loss,
    "deepnet train": _trained,
}
