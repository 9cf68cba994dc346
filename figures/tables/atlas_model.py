"""The critical points of one of the other models, and what is not checked there."""

from typing import Any

from figures.tables.markdown import escaped, markdown


def table(record: dict[str, Any]) -> str:
    """One row per orbit or set."""
    result = record["result"]
    rows = [["", "objective", "rank", "index", "copies", "classes, or singular values", "curvature"]]
    for number, row in enumerate(result["rows"], 1):
        copies = "-" if row["is_degenerate"] else "set" if row.get("is_set") else str(row["copies"])
        indices = row.get("indices", [row["index"]])  # sets only: their points may differ
        index = "-".join(str(index) for index in sorted({min(indices), max(indices)}))
        curvature = f"{row['curvature']:.3f}" if row["index"] else "minimum"
        cells = f"{row['value']:.8f}", str(row["rank"]), index, copies, f"`{row['apart']}`", curvature
        rows.append([escaped(cell) for cell in (str(number), *cells)])
    starts, relations = sum(result["statuses"].values()), result["morse"]["dimensions"]
    lost = starts - result["statuses"]["CONVERGED"]
    claims = "; ".join(f"{claim}: {'yes' if holds else 'NO'}" for claim, holds in result["claims"].items())
    places = ", ".join(str(entry["dimension"]) for entry in relations)
    checked = f"; Morse relations checked in dimensions {places}" if relations else ""
    caption = (
        f"`{record['command']}`: {len(result['rows'])} rows from {starts} starts ({lost} did not converge). "
        f"Held against theory (numeric): {claims}{checked}. Not checked: {', '.join(result['not_checked'])}."
    )
    return f"{markdown(rows)}\n\n{caption}"
