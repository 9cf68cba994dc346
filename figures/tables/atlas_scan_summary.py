"""Many atlases in one sentence."""

from typing import Any


def table(record: dict[str, Any]) -> str:
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
