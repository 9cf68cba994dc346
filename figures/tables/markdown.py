"""What every table needs: Markdown rows, and the name of a loss with its parameters."""

from figures.style import loss_name

__all__ = ["escaped", "loss_name", "markdown"]


def markdown(rows: list[list[str]]) -> str:
    """A table whose first row is the head."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def escaped(text: str) -> str:
    """A cell that may contain a bar."""
    return text.replace("|", "\\|")
