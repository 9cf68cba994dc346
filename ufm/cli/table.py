"""The console and tables of reports: wide enough in a log; in a narrow terminal in blocks, so that no number is cut.

Below a table stands the legend of its names where one is asked for (`ufm/legend.py`).
"""

import re
import textwrap
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table
from rich.text import Text

from ufm.errors import printable
from ufm.legend import legend

WIDTH = 150
"""The width, in characters, of output that is not a terminal."""
FRAME = 3
"""The characters that a column takes beside its text: a space on both sides and a line."""
LEAST_OF_TEXT = 16
"""The width below which text is not wrapped."""


class Marked(str):
    """Text in which `[bold red]...[/]` is a look. In any other, which may be a stranger's, brackets are brackets."""


def marked(it: Any) -> Any:
    """A text as rich shows it unchanged, without control characters; what is marked or no text, as it is."""
    if not isinstance(it, str) or isinstance(it, Marked):
        return it
    return Marked(escape("\n".join(map(printable, it.split("\n")))))


def _plain(text: Any) -> str:
    """What is read of a marked text."""
    return Text.from_markup(str(text)).plain


class NamedTable(Table):
    """A table that knows its names: headers that are not of the reader's `own` words, and cells of `named` columns."""

    def __init__(self, named: Collection[str], own: Collection[str], section: str, **options: Any) -> None:
        super().__init__(**options)
        self._named, self._own, self.section = named, own, section

    def add_row(self, *cells: Any, **options: Any) -> None:
        """Add a row of texts."""
        super().add_row(*map(marked, cells), **options)

    @property
    def names(self) -> list[str]:
        """The names in the order in which they are read, without formatting."""
        own = {marked(name) for name in self._own}
        cells = [cell for column in self.columns if _plain(column.header) in self._named for cell in column.cells]
        headers = [column.header for column in self.columns if column.header not in own]
        found = dict.fromkeys(map(_plain, [*headers, *cells]))
        return [name for name in found if name not in ("", "-")]


class FittingConsole(Console):
    """A console that prints a table which is too wide for it in blocks of columns, the first column in each."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print what `rich.console.Console.print` prints, tables in blocks that fit."""
        for it in objects:
            for part in blocks(it, self.width) if isinstance(it, Table) else [marked(it)]:
                super().print(part, **options)
            if isinstance(it, NamedTable) and (lines := legend(it.names, it.section, self.width)):
                super().print(lines, markup=False, highlight=False)


@dataclass(frozen=True)
class Measured:
    """A column with the least width that cuts nothing and the one at which nothing is wrapped."""

    column: Column
    least: int
    widest: int

    @classmethod
    def of(cls, column: Column) -> "Measured":
        """The widths of a column: text is wrapped between words, numbers (to the right) after commas at most."""
        lines = [line for cell in column.cells for line in _plain(cell).splitlines()]
        header = _plain(column.header)
        widest = max(map(cell_len, [*lines, header]))
        if column.justify == "right":
            pieces = [piece for line in lines for piece in re.split("(?<=,) ", line)]
        else:
            numbers = [word for line in lines for word in line.split() if re.search(r"\d", word)]
            pieces = ["-" * min(widest, LEAST_OF_TEXT), *(word for word in numbers if len(word) < 2 * LEAST_OF_TEXT)]
        return cls(column, max(map(cell_len, [*pieces, *header.split()]), default=0), widest)


def console(width: int = WIDTH) -> Console:
    """A console on standard output, as wide as the terminal if it is one."""
    found = FittingConsole()
    if not found.is_terminal:
        found.width = width
    return found


def table(
    title: str,
    *columns: str,
    left: Collection[str] = (),
    named: Collection[str] = (),
    own: Collection[str] = (),
    section: str = "",
    lines: bool = False,
) -> NamedTable:
    """An empty table; columns are aligned to the right, and their numbers never cut, except those of text in `left`.

    The legend explains every header, but those that are the reader's `own`, and the cells of `named` columns, as the
    words of the `section` have them (`ufm/legend.py`).
    """
    made = NamedTable(named, own, section, title=marked(title), title_justify="left", show_lines=lines)
    for name in columns:
        made.add_column(marked(name), justify="left" if name in left else "right", overflow="fold")
    return made


def blocks(made: Table, width: int) -> Iterator[Table]:
    """The table in as few parts as fit into the width; the first has the title, each what tells the rows apart."""
    columns = [Measured.of(column) for column in made.columns]
    count = 1 if _wide(columns) <= width else _identifying(made)
    keys, others, title = columns[:count], columns[count:], made.title
    while others:
        count = max(1, sum(_wide([*keys, *others[: i + 1]]) <= width for i in range(len(others))))
        yield _block(made, title, [*keys, *others[:count]], width)
        others, title = others[count:], None


def _wide(columns: list[Measured]) -> int:
    """The least width of a table of these columns."""
    return 1 + sum(each.least + FRAME for each in columns)


def _identifying(made: Table) -> int:
    """How many of the first columns tell the rows apart: 1 or 2."""
    first = list(made.columns[0].cells)
    return 1 if len({*first}) == len(first) or len(made.columns) < 3 else 2


def _block(made: Table, title: Any, columns: list[Measured], width: int) -> Table:
    """A table of some of the columns, each as wide as it likes where there is room, else at its least."""
    part = Table(title=title, title_justify="left", show_lines=made.show_lines)
    widths = _shared([each.least for each in columns], [each.widest for each in columns], width - 1)
    for each, wide in zip(columns, widths, strict=True):
        header, is_number = _plain(each.column.header), each.column.justify == "right"
        lines = textwrap.wrap(header, wide) if is_number else [header]
        part.add_column(
            escape("\n".join(lines)), justify=each.column.justify, width=wide, no_wrap=is_number, overflow="fold"
        )
    cells = [
        [_wrapped(str(cell), wide, each.column) for cell in each.column.cells]
        for each, wide in zip(columns, widths, strict=True)
    ]
    for row, of_row in zip(made.rows, zip(*cells, strict=True), strict=True):
        part.add_row(*of_row, end_section=row.end_section)
    return part


def _wrapped(cell: str, width: int, column: Column) -> str:
    """A number's cell on several lines, one a comma, if it is too long for one."""
    is_long = column.justify == "right" and cell_len(_plain(cell)) > width
    return cell.replace(", ", ",\n") if is_long else cell


def _shared(least: list[int], widest: list[int], width: int) -> list[int]:
    """The widths of columns: what is left after the least goes to those that want more, to each as much."""
    widths, left = list(least), width - sum(each + FRAME for each in least)
    if left < 0:
        widths[0] = max(1, widths[0] + left)  # one number beside a name: the name is folded
    wanting = sorted(range(len(least)), key=lambda i: widest[i] - least[i])
    for done, i in enumerate(wanting):
        more = max(0, min(widest[i] - least[i], left // (len(wanting) - done)))
        widths[i], left = widths[i] + more, left - more
    return widths
