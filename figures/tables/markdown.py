"""What every table needs: Markdown rows."""


def markdown(rows: list[list[str]]) -> str:
    """A table whose first row is the head."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def escaped(text: str) -> str:
    """A cell that may contain a bar."""
    return text.replace("|", "\\|")
