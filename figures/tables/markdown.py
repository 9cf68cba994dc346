"""What every table needs: Markdown rows, and the name of a loss with its parameters."""

from typing import Any

from figures.style import LOSSES


def markdown(rows: list[list[str]]) -> str:
    """A table whose first row is the head."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def escaped(text: str) -> str:
    """A cell that may contain a bar."""
    return text.replace("|", "\\|")


def loss_name(spec: dict[str, Any]) -> str:
    """The loss in words, its parameters in brackets."""
    parameters = ", ".join(str(value).removesuffix(".0") for key, value in spec.items() if key != "name")
    return f"{LOSSES[spec['name']]} ({parameters})" if parameters else LOSSES[spec["name"]]
