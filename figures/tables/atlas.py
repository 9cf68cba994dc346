"""The orbits of one atlas."""

from typing import Any

from figures.tables.markdown import escaped, markdown


def table(record: dict[str, Any]) -> str:
    """The orbits of one atlas."""
    setting, result = record["setting"], record["result"]
    rows = [["", "objective", "rank", "index", "copies", "classes", "curvature", "proved"]]
    for number, row in enumerate(result["rows"], 1):
        proof = row["certificate"]
        proved = f"index {proof['index']}, within {proof['radius']:.0e}"
        integers = (str(row[name]) for name in ("rank", "index", "copies"))
        curvature = f"{row['curvature']:.3f}" if row["index"] else "minimum"
        rows.append([str(number), f"{row['value']:.8f}", *integers, f"`{row['apart']}`", curvature, proved])
    rows = [[escaped(cell) for cell in row] for row in rows]
    starts, seconds = sum(result["statuses"].values()), result["seconds"]
    lost = starts - result["statuses"]["CONVERGED"]
    relations = result["morse"]["dimensions"]
    holds = all(entry["holds"] for entry in relations)
    caption = (
        f"`{record['command']}`, {record['machine']}: {len(result['rows'])} orbits, "
        f"{sum(row['copies'] for row in result['rows'])} labelled copies, from {starts} starts in {seconds:.0f} s "
        f"({lost} did not converge); K = {setting['classes']}, d = {setting['dim']}, n = {setting['per_class']}, "
        f"decays {setting['decay_W']:g}, {setting['decay_H']:g} and {setting['decay_b']:g}. Morse relations "
        f"{'hold' if holds else 'FAIL'} in dimensions {', '.join(str(entry['dimension']) for entry in relations)}."
    )
    return f"{markdown(rows)}\n\n{caption}"
