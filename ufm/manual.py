"""What `--help` prints: a manual page made from a setting's docstring and its attributes.

The docstring's first line says what the command does. Paragraphs `Examples:` (one command a line, indented) and
`Writes:` (where files go) come after the options, as they stand; the exit codes follow.
"""

import re
import textwrap
from argparse import Action

from jsonargparse import DefaultHelpFormatter

EXIT_CODES = (
    "Exit codes: 0 done, and what was claimed holds; 1 a claim failed; 2 the request was wrong; 3 the program or the "
    "machine failed (a bug, a full disk); 130 interrupted."
)
_OWN_PARAGRAPHS = re.compile(r"^(Examples|Writes):", re.MULTILINE)


def description(docstring: str) -> str:
    """What stands before the options."""
    return _split(docstring)[0]


def epilog(docstring: str) -> str:
    """What stands after them."""
    return "\n\n".join(part for part in (_split(docstring)[1], EXIT_CODES) if part)


def _split(docstring: str) -> tuple[str, str]:
    first, _, rest = docstring.strip().partition("\n")
    text = f"{first}\n{textwrap.dedent(rest)}"
    place = _OWN_PARAGRAPHS.search(text)
    cut = place.start() if place else len(text)
    return text[:cut].strip(), text[cut:].strip()


class ManualPage(DefaultHelpFormatter):
    """Wraps paragraphs, keeps indented lines as they are, and shows names and defaults as a user would write them."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        blocks = re.split(r"\n\s*\n|\n(?=    )|(?<=:)\n", text)
        return "\n".join(self._block(block, width, indent) for block in blocks)

    def _block(self, block: str, width: int, indent: str) -> str:
        if block.startswith("    "):
            return block.rstrip()
        return "\n" + super()._fill_text(block, width, indent)

    def _expand_help(self, action: Action) -> str:
        text = re.sub(
            r"dict\[str, [\w |\[\]]+\], default: \{'name': '(\w+)'\}",
            r"name, default: \1",
            super()._expand_help(action),
        )
        text = re.sub(r"<class '(\w+)'>", r"\1", text)
        text = re.sub(r"type: Optional\[Literal\[([^]]*)\]\]", r"one of \1", text)
        text = re.sub(r"type: Literal\[[^]]*\], ", "", text)  # the choices stand beside the option
        return re.sub(r"dict\[str, [\w |]+\], default: \{\}", "key and value, default: none", text)

    def add_argument(self, action: Action) -> None:
        """Leave out what the parser adds to a group of options, a file for all of them: `--config` is the one way."""
        if action.help != "Path to a configuration file.":
            super().add_argument(action)
