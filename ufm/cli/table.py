"""Where reports print: a console that is wide enough in a log, and tables whose numbers stand to the right."""

from collections.abc import Collection

from rich.console import Console
from rich.table import Table

WIDTH = 150
"""Columns of what is no terminal: a file, a pipe."""


def console(width: int = WIDTH) -> Console:
    """Standard output; as wide as the terminal if it is one."""
    found = Console()
    if not found.is_terminal:
        found.width = width
    return found


def table(title: str, *columns: str, left: Collection[str] = (), lines: bool = False) -> Table:
    """An empty table; columns stand to the right but for those named in `left`."""
    made = Table(title=title, title_justify="left", show_lines=lines)
    for name in columns:
        made.add_column(name, justify="left" if name in left else "right")
    return made
