"""The theorem table: every claim with its source, evidence and findings."""

from typing import Any

from ufm.cli.words import margin_text

KIND = ("theory_checks",)
COMMAND = "python -m theory_checks --json figures/data/claims.json"


def view(name: str, record: dict[str, Any]) -> list[dict[str, Any]]:
    """One entry a claim; `status` is holds, fails or not run."""
    return [_entry(row) | {"record": name} for row in record["result"]["rows"]]


def _entry(row: dict[str, Any]) -> dict[str, Any]:
    claim, verdict = row["claim"], row["verdict"] or {}
    return {
        "name": claim["name"],
        "sentence": claim["sentence"],
        "source": claim["source"],
        "text": claim["text"],
        "rigour": verdict.get("rigour", "-"),
        "margin": margin_text(verdict["margin"], verdict["margin_is"]) if verdict else "-",
        "margin_is": verdict.get("margin_is", ""),
        "sizes": verdict.get("sizes", ""),
        "findings": [{"text": item["text"], "holds": item["holds"]} for item in verdict.get("findings", [])],
        "seconds": row["seconds"],
        "status": "not run" if not verdict else "holds" if row["holds"] else "fails",
        "reason": row["not_run"],
    }
