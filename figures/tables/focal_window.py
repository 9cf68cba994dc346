"""States of the focal window and what is proved of them."""

from typing import Any

from figures.tables.markdown import markdown


def table(record: dict[str, Any]) -> str:
    """A few states of the focal window with what is proved of them."""
    setting, result = record["setting"], record["result"]
    K, shown = setting["classes"], (2, 10, 20, 22, 25, 29, 30)
    rows = [["m of K classes on a simplex", "the others", "objective less zero's", "smallest eigenvalue", "proved"]]
    for row in result["states"]:
        if row["m"] in shown:
            proof = row["proof"]
            proved = f"strict local minimum, within {proof['radius']:.0e}" if proof["is_minimum"] else "no"
            others = "-" if row["m"] == K else {"zero": "at zero", "merged": "together"}[row["others"]]
            less = f"{row['value'] - result['value_at_zero']:.2e}"
            rows.append([f"{row['m']}", others, less, f"{proof['smallest_eigenvalue']:.2g}", proved])
    thresholds = result["thresholds"]
    minima = sum(row["proof"]["is_minimum"] for row in result["states"])
    caption = (
        f"`{record['command']}`, at c = {result['at']:.6g}, where zero and the ETF have one value; {minima} of "
        f"{len(result['states'])} states are proved to be minima. Zero is a local minimum from "
        f"c = {thresholds['low']:.6g} on, the ETF exists up to {thresholds['high']:.6g}, and between "
        f"{result['window'][0]:.6g} and {result['window'][1]:.6g} neither is the lowest."
    )
    return f"{markdown(rows)}\n\n{caption}"
