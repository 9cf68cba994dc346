"""Test accuracy of a grid of training runs, by width and length."""

from typing import Any

from figures.tables.markdown import markdown


def table(record: dict[str, Any]) -> str:
    """One row per width and length: the mean over seeds by loss, in percent, and the spread over the cell's runs."""
    result, maps = record["result"], record["result"]["maps"]
    rows = [["width", "epochs", *maps["mean"], "standard deviation over losses and seeds"]]
    for i, width in enumerate(maps["width"]):
        for j, epochs in enumerate(maps["epochs"]):
            spread = None if maps["variance"][i][j] is None else maps["variance"][i][j] ** 0.5
            values = [*(mean[i][j] for mean in maps["mean"].values()), spread]
            rows.append([f"{width:g}", str(epochs), *("-" if v is None else f"{100 * v:.1f}" for v in values)])
    caption = (
        f"`{record['command']}`, {record['machine']}: {len(result['rows'])} runs ({len(result['failures'])} failed) in "
        f"{result['seconds'] / 60:.1f} minutes; test accuracy in % at the epoch that validation chose."
    )
    return f"{markdown(rows)}\n\n{caption}"
