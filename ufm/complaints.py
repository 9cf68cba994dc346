"""What the parser of the command line complains about, in this project's one kind of sentence.

Each names the argument, what is allowed, and what was given (`ufm.command_line.check` for everything else).
"""

import re
from collections.abc import Callable
from difflib import get_close_matches

FEW_COMMANDS = 12
"""Up to which a wrong one is answered with all of them."""
LOSS_PARAMETER = re.compile(r"--(alpha|gamma|rescale|convention)\b")


def in_our_words(complaint: str) -> str:
    """The parser's complaint on one line, its most common forms in this project's words."""
    line = " ".join(complaint.split())
    for form, sentence in _FORMS.items():
        if match := re.fullmatch(form, line):
            return sentence(match)
    return line


def option(key: str) -> str:
    """`decay_W` as it is written on the command line."""
    return f"--{key.replace('_', '-')}"


def reason_of(error: BaseException) -> str:
    """The first line of what an error says; its type where it says nothing, as a lack of memory does."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def _wrong_type(match: re.Match[str]) -> str:
    kind = re.sub(r"<class '[\w.]*?(\w+)'>", r"\1", match["type"]).replace("NoneType", "null").strip("[]()")
    kind = {"float": "float (a finite number)"}.get(kind, kind)
    name, allowed = option(match["key"]), f"of type {kind}"
    if match["key"] in ("loss", "model", "head"):
        allowed = f"a name, its parameters as {name}.NAME VALUE"
    if kind == "dict":
        allowed = f"given by name, {name}.NAME VALUE"
    if choices := re.match(r"typing\.Literal\[(.*?)\]", kind):
        allowed = f"one of {choices[1]}"
    return f"`{name}` must be {allowed}, got {match['value'] or 'nothing'}."


def _wrong_command(match: re.Match[str]) -> str:
    """All names where they are few; else those like the word, such as the claims that contain it."""
    names = [name.strip("' ") for name in match["names"].split(",")]
    near = [name for name in names if match["word"] in name] or get_close_matches(match["word"], names)
    allowed = f"one of {', '.join(names)}" if len(names) <= FEW_COMMANDS else "one of those that --help lists"
    if near and len(names) > FEW_COMMANDS:
        allowed += f", such as {', '.join(near)}"
    return f"`COMMAND` must be {allowed}, got {match['word'] or 'nothing'}."


def _unknown_option(match: re.Match[str]) -> str:
    """With a hint where a loss's parameter was given as if it were the command's."""
    found = LOSS_PARAMETER.match(match["words"])
    hint = f" (a loss's parameter is --loss.{found[1]}, an axis of a scan --grid.{found[1]})" if found else ""
    return f"`{match['words']}` must be left out: there is no such option, --help lists those there are{hint}."


_FORMS: dict[str, Callable[[re.Match[str]], str]] = {
    r"Parser key \"(?P<key>[\w.]+)\": Expected a typing.Literal\[(?P<type>.*?)\]\.? Got value: ?(?P<value>.*)": (
        lambda match: f"`{option(match['key'])}` must be one of {match['type']}, got {match['value'] or 'nothing'}."
    ),
    r"Parser key \"(?P<key>[\w.]+)\": Expected an? (?P<type><class '[\w.]+'>)\. Got value: ?(?P<value>.*)": _wrong_type,
    r"Parser key \"(?P<key>[\w.]+)\": Does not validate against any of the Union subtypes Subtypes: (?P<type>.*?)"
    r" Errors: .*Given value type: .*? Given value: ?(?P<value>.*)": _wrong_type,
    r"argument COMMAND: invalid choice: '(?P<word>.*)' \(choose from (?P<names>[^()]*)\)": _wrong_command,
    r"expected \"command\" to be one of .*, but it was not provided\.?": (
        lambda _: "`COMMAND` must be given, --help lists those there are, got nothing."
    ),
    r"unrecognized arguments: (?P<words>.*)": _unknown_option,
    r"the following arguments are required: \w+\.(?P<key>\w+)": (
        lambda match: f"`{option(match['key'])}` must be given, got nothing."
    ),
    r"argument (?P<option>--\w+): expected one argument": (
        lambda match: f"`{match['option'].replace('_', '-')}` must be followed by a value, got nothing."
    ),
}
"""The parser's complaints, as patterns, in this project's words."""
