"""Replacement of characters that the encoding of a terminal or log lacks: alpha for α, ^2 for ².

Nothing that is shown may fail for its looks. Text in another encoding than UTF-8 becomes plainer, not an error.
"""

import codecs
import re
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import TextIOWrapper

_PLAINER = {
    **{"≤": "<=", "≥": ">=", "≈": "~", "≠": "!=", "±": "+-", "×": "x", "·": "*", "−": "-", "√": "sqrt", "∞": "inf"},
    **{"→": "->", "←": "<-", "⇒": "=>", "∇": "grad ", "∂": "d", "∈": " in ", "…": "...", "–": "-", "—": "-", "−": "-"},
    **{"‘": "'", "’": "'", "“": '"', "”": '"', "•": "*", "✓": "yes", "✗": "no", "█": "#", "°": " degrees"},
}
_GREEK = re.compile(r"GREEK (SMALL|CAPITAL) LETTER (?:FINAL )?(\w+)")


def plainer(text: str) -> str:
    """The text in ASCII: Greek letters by name, powers with ^, letters without accents, else a question mark."""
    return "".join(map(_plainer, text))


def _plainer(character: str) -> str:
    if character.isascii() or character in _PLAINER:
        return _PLAINER.get(character, character)
    if letter := _GREEK.match(unicodedata.name(character, "")):
        return letter[2].lower() if letter[1] == "SMALL" else letter[2].capitalize()
    kind, _, code = unicodedata.decomposition(character).rpartition(" ")
    if kind == "<super>":
        return f"^{_plainer(chr(int(code, 16)))}"
    found = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return found or "?"


def _instead(error: UnicodeError) -> tuple[str, int]:
    """The replacement for characters that a stream cannot encode."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return plainer(error.object[error.start : error.end]), error.end


codecs.register_error("plainer", _instead)


@contextmanager
def plain_where_needed() -> Iterator[None]:
    """Let standard output and errors take every character, and leave them as they were afterwards."""
    with ExitStack() as stack:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):
                stack.callback(_set_errors, stream, stream.errors)
                _set_errors(stream, "plainer")
        yield


def _set_errors(stream: TextIOWrapper, errors: str | None) -> None:
    if not stream.closed:
        stream.reconfigure(errors=errors)
