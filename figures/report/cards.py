"""The report cards of losses: answers, comparison at one decay, the loss on the ray, end states against decay."""

from typing import Any

from figures.phase_diagram import SHADES, STATES, shares_of
from figures.style import loss_name

KIND = ("ufm report-card",)
COMMAND = "python -m ufm report-card --loss ce --json figures/data/report_card_ce.json"
COMPARED = ("best_state", "best_value", "margin", "p_y", "condition_number", "nc1_trace", "steps_mean")


def view(name: str, record: dict[str, Any]) -> list[dict[str, Any]]:
    """One card."""
    result, setting = record["result"], record["setting"]
    return [
        {
            "record": name,
            "title": loss_name(result["spec"]),
            "sizes": f"K = {setting['classes']}, d = {setting['dim']}, n = {setting['per_class']}",
            "decay": setting["decay"],
            "answers": result["answers"],
            "comparison": [
                {"loss": loss_name({"name": row["loss"]}), **{key: row[key] for key in COMPARED}}
                for row in result["comparison"]
            ],
            "ray": {loss_name({"name": key}): values for key, values in result["ray"].items()},
            "decays": [row["decay_W"] for row in result["by_decay"]],
            "shares": _shares(result["by_decay"]),
            "states": STATES,
            "shades": SHADES,
            "zero_stable": result["zero_stable"],
        }
    ]


def _shares(rows: list[dict[str, Any]]) -> dict[str, list[float]]:
    """Share of the starts per state and decay; the last state is that of the starts that did not converge."""
    shares = shares_of([[row[state] for row in rows] for state in list(STATES)[:-1]])
    return dict(zip(STATES, shares.clip(min=0.0).T.tolist(), strict=True))
