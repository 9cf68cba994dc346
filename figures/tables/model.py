"""One model under `ufm verify`: a row per loss, for whichever model the record is of."""

from typing import Any

from figures.style import loss_name
from figures.tables.markdown import markdown

CLAIMS = {
    "value": "objective",
    "logits": "logits",
    "nc1_trace": "NC1 trace",
    "nc2_etf_distance": "NC2",
    "nc3_self_duality": "NC3",
    "tag-wise": "tag-wise averages",
    "duality gap": "duality gap",
    "smallest eigenvalue": "smallest eigenvalue",
    "strict saddles": "curvature at other critical points",
}


def table(record: dict[str, Any]) -> str:
    """Worst values of the claims that the model has, and where starts end."""
    verdicts = record["result"]["verdicts"]
    claims = {name: label for name, label in CLAIMS.items() if any(name in v["claims"] for v in verdicts)}
    rows = [["", "starts at the minimum", "at other minima", *claims.values()]]
    for verdict in verdicts:
        elsewhere = sum(row["found"] for row in verdict["elsewhere"])
        there = str(verdict["statuses"]["CONVERGED"] - elsewhere)
        cells = (f"{verdict['claims'][name]['worst']:.2g}" if name in verdict["claims"] else "-" for name in claims)
        rows.append([loss_name(verdict["spec"]), there, str(elsewhere), *cells])
    holds = "all claims hold" if record["result"]["holds"] else "a claim FAILS"
    return f"{markdown(rows)}\n\n`{record['command']}`: {record['setting']['starts']} starts a loss, {holds}."
