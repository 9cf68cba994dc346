"""Legends of the printed tables, for `--explain`: what each name of a row or column means, in one sentence.

`WORDS` is the one place for these sentences: a table only says which of its words are names (`ufm/cli/table.py`). A
name with a part that varies stands there with `*` for it.
"""

import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from fnmatch import fnmatchcase

WORDS: dict[str, str] = {}

_explained: ContextVar[set[str] | None] = ContextVar("explained", default=None)
"""The names that have been explained; None where no legend is asked for."""


@contextmanager
def explained(is_asked: bool) -> Iterator[None]:
    """Within, tables have a legend if it `is_asked` for, each name in the first table that has it."""
    token = _explained.set(set() if is_asked else None)
    try:
        yield
    finally:
        _explained.reset(token)


def meaning(name: str) -> str | None:
    """The sentence on a name, that of a name with `*` where there is none of its own; None without any."""
    if name in WORDS:
        return WORDS[name]
    return next((words for pattern, words in WORDS.items() if "*" in pattern and fnmatchcase(name, pattern)), None)


def legend(names: Sequence[str], width: int) -> str:
    """The lines on the names that are not explained yet, as wide as the console; nothing where none are asked for."""
    done = _explained.get()
    if done is None:
        return ""
    new = {name: words for name in names if name not in done and (words := meaning(name))}
    done.update(new)
    return "\n".join(textwrap.fill(f"{name}: {words}", width, subsequent_indent="    ") for name, words in new.items())
