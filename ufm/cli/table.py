"""The console and tables of reports: wide enough in a log, with numbers aligned to the right."""

from collections.abc import Collection

from rich.console import Console
from rich.table import Table

WIDTH = 150
"""The width, in characters, of output that is not a terminal."""


def console(width: int = WIDTH) -> Console:
    """A console on standard output, as wide as the terminal if it is one."""
    found = Console()
    if not found.is_terminal:
        found.width = width
    return found


def table(title: str, *columns: str, left: Collection[str] = (), lines: bool = False) -> Table:
    """An empty table; columns are aligned to the right except those in `left`."""
    made = Table(title=title, title_justify="left", show_lines=lines)
    for name in columns:
        made.add_column(name, justify="left" if name in left else "right")
    return made
