"""Every option of every command, given what it may not take: refused in one sentence that names it, or allowed."""

import dataclasses
import importlib
from typing import get_type_hints

import pytest

from ufm.cli.command_line import main

PACKAGES = ("ufm", "deepnet", "theory_checks", "figures")
NEEDED = {
    "scan": ["--grid.decay", "1e-3,1e-2"],
    "grid": ["--grid.seed", "0,1"],
    "compare": ["--runs", "a"],
    "measure": ["--run", "a"],
    "evaluate": ["--features", "a.npz"],
    "atlas-compare": ["--atlases", "[a, b]"],
}
WORDS = (
    *(
        "nan",
        "inf",
        "-inf",
        ".nan",
        "-1",
        "0",
        "1e400",
        "",
        " ",
        "x",
        "1:30",
        "1:30.5",
        "[]",
        "{}",
        "[",
        "{a: 1}",
        "[x]",
    ),
    *(
        "true",
        "yes",
        "null",
        "~",
        "1_000",
        "0o17",
        "0x10",
        "1e3",
        "2020-01-01",
        "7" * 401,
        "7" * 5000,
        "x" * 300,
        "²",
        "\0",
    ),
)
"""What is written where something else is expected."""
BELOW = {"loss": ".gamma", "model": ".temperature", "head": ".temperature", "grid": ".decay", "sbatch": ".qos"}
"""Options below a name."""


def options_of(setting, prefix="--"):
    kinds = get_type_hints(setting)
    for field in dataclasses.fields(setting):
        name = f"{prefix}{field.name.replace('_', '-')}"
        if dataclasses.is_dataclass(kinds[field.name]):
            yield from options_of(kinds[field.name], f"{name}.")
        elif field.name != "given":
            yield name
            if field.name in BELOW:
                yield name + BELOW[field.name]


def commands():
    for package in PACKAGES:
        for name, command in importlib.import_module(f"{package}.__main__").COMMANDS.items():
            if package != "theory_checks" or name == "all":
                yield package, name, command


EVERY = [(package, name, option) for package, name, command in commands() for option in options_of(command.setting)]


@pytest.mark.parametrize(("package", "name", "option"), EVERY, ids=[" ".join(each) for each in EVERY])
def test_whatever_is_written_is_allowed_or_refused_by_the_options_name(package, name, option, capsys):
    command = importlib.import_module(f"{package}.__main__").COMMANDS[name]
    quiet = {name: dataclasses.replace(command, run=lambda setting: 0)}
    for word in WORDS:
        try:
            code = main("it", "", quiet, [name, *NEEDED.get(name, []), f"{option}={word}"])
        except SystemExit as done:
            code = done.code
        output = capsys.readouterr()
        assert code in (0, 2), (word, output.err)
        assert output.out == ""
        if code == 2:
            (line,) = output.err.splitlines()
            root = option.partition(".")[0]
            assert f"`{option}" in line or f"`{root}" in line or f" {root[2:]}" in line or f"[{root[2:]}" in line, line
            assert " must be " in line or " needs " in line, (word, line)
            assert len(line) < 1500


def test_there_are_enough():
    assert len(EVERY) > 150
