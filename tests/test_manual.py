"""Every command's `--help` is a manual page, and what it shows as examples is understood."""

import importlib
import re
import shlex
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from ufm import __version__
from ufm.cli.command_line import main
from ufm.cli.common_setting import OutputSetting

ROOT = Path(__file__).parent.parent
PACKAGES = ("ufm", "deepnet", "theory_checks", "figures")
COMMANDS = [
    (package, name)
    for package in PACKAGES
    for name in importlib.import_module(f"{package}.__main__").COMMANDS
    if package != "theory_checks" or name == "all"
]


def run(words, capsys):
    package = importlib.import_module(f"{words[2]}.__main__")
    with pytest.raises(SystemExit) as done:
        main(" ".join(words[:3]), "", package.COMMANDS, words[3:])
    out = capsys.readouterr()
    return done.value.code, out.out, out.err


@pytest.mark.parametrize(("package", "name"), COMMANDS)
def test_help_is_a_manual_page(package, name, capsys):
    code, text, _ = run(["python", "-m", package, name, "--help"], capsys)
    assert code == 0
    assert text.startswith(f"usage: python -m {package} {name} [--option VALUE ...]\n\n")
    assert "\nWrites:" in text
    assert "\nExit codes: 0 " in text
    examples = [line.strip() for line in text.splitlines() if line.startswith(f"    python -m {package}")]
    assert len(examples) >= 2
    for example in examples:
        code, _, error = run([*shlex.split(example), "--print_config"], capsys)
        assert code == 0, (example, error)


@pytest.mark.parametrize(("package", "name"), COMMANDS)
def test_every_option_is_explained(package, name, capsys):
    _, text, _ = run(["python", "-m", package, name, "--help"], capsys)
    options = text.partition("\noptions:\n")[2].partition("\n\nExamples:")[0]
    entries = [" ".join(entry.partition("\n\n")[0].split()) for entry in options.split("\n  -")[1:]]
    assert len(entries) >= 3
    for entry in entries:
        explanation = re.sub(r" \((required, )?(type:|one of|default:) .*\)$", "", entry)
        assert re.search(r"\b[a-z]+ \w+\b.*\.$", explanation), entry


@pytest.mark.parametrize("package", PACKAGES)
def test_the_version_is_one(package, capsys):
    assert run(["python", "-m", package, "--version"], capsys)[:2] == (0, f"python -m {package} {__version__}\n")


def test_the_citation_has_that_version():
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text()


def interrupted_within_an_import(setting: OutputSetting) -> int:
    """What numpy makes of a Ctrl-C while it is imported."""
    with suppress(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    raise RecursionError("maximum recursion depth exceeded")


def interrupted_within_the_compiler(setting: OutputSetting) -> int:
    """A callback of the compiler swallows what is raised in it, and the command would go on to its end."""
    callback = compile(
        "import signal; signal.raise_signal(signal.SIGINT)", "llvmlite/binding/executionengine.py", "exec"
    )
    with suppress(KeyboardInterrupt):
        exec(callback)
    time.sleep(60)
    return 0


@pytest.mark.parametrize("where", ["an_import", "the_compiler"])
def test_ctrl_c_that_a_library_swallows_is_an_interrupt_still(where):
    here = "tests.test_manual"
    code = "import signal, sys; from ufm.cli.command import Command; from ufm.cli.command_line import main; "
    code += f"from ufm.cli.common_setting import OutputSetting; from {here} import interrupted_within_{where} as run; "
    code += "signal.signal(signal.SIGINT, signal.default_int_handler); "
    code += "sys.exit(main('tried', '', {'it': Command(OutputSetting, run)}, ['it']))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "tried: interrupted.\n")
