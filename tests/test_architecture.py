"""The arrows of the picture in the README: who may import whom, read off the source."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("ufm", "deepnet", "theory_checks", "figures")
# Which rooms a room may import. `__main__` and the public page `__init__` of a package stand above its rooms.
ALLOWED = {
    "ufm": "",
    "ufm.collapse": "ufm",
    "ufm.cli": "ufm",
    "ufm.engine": "ufm ufm.cli",
    "ufm.model": "ufm",
    "ufm.solve": "ufm ufm.model",
    "ufm.curvature": "ufm ufm.model ufm.solve",
    "ufm.theory": "ufm ufm.model ufm.solve",
    "ufm.proof": "ufm ufm.model ufm.theory",
    "ufm.complete": "ufm ufm.model ufm.theory ufm.proof",
    "ufm.atlas": "ufm ufm.cli ufm.model ufm.solve ufm.theory ufm.proof ufm.complete",
    "ufm.scan": "ufm ufm.collapse ufm.cli ufm.engine ufm.model ufm.solve ufm.theory",
    "ufm.verify": "ufm ufm.collapse ufm.cli ufm.model ufm.solve ufm.curvature ufm.theory",
    "ufm.reports": "ufm ufm.cli ufm.model ufm.solve ufm.theory ufm.proof ufm.scan",
    "deepnet": "ufm ufm.cli ufm.engine",
    "deepnet.data": "deepnet deepnet.evaluation ufm ufm.cli ufm.collapse ufm.model",
    "deepnet.nets": "deepnet deepnet.evaluation ufm",
    "deepnet.measures": "deepnet deepnet.data deepnet.nets ufm ufm.collapse ufm.model ufm.theory",
    "deepnet.training": "deepnet deepnet.data deepnet.nets deepnet.measures ufm ufm.cli ufm.model",
    "deepnet.evaluation": "deepnet ufm ufm.cli ufm.collapse",
    "deepnet.nn": "deepnet deepnet.evaluation ufm ufm.model ufm.theory",
    "deepnet.callbacks": "deepnet deepnet.measures deepnet.evaluation ufm ufm.collapse",
    "deepnet.comparison": "deepnet deepnet.nets deepnet.measures deepnet.evaluation deepnet.training "
    "ufm ufm.cli ufm.collapse ufm.model ufm.theory",
    "deepnet.grid": "deepnet deepnet.data deepnet.nets deepnet.training ufm ufm.cli ufm.engine ufm.model",
    "deepnet.experiments": "deepnet deepnet.nets deepnet.measures deepnet.training "
    "ufm ufm.cli ufm.collapse ufm.engine ufm.model ufm.theory",
    "theory_checks": "ufm ufm.cli ufm.model ufm.solve ufm.theory ufm.proof ufm.complete ufm.verify",
    "figures": "ufm ufm.cli",
}
MOST_FILES = 20
"""In a room, so that a reader can hold it in the head; claims and figures list themselves."""
FILES = [path for package in PACKAGES for path in sorted((ROOT / package).glob("**/*.py"))]


def _imports(path: Path) -> set[str]:
    """The modules of ours that a file imports."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    named = {
        f"{node.module}.{alias.name}" for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    return {_module(name) for name in plain | named if name.split(".")[0] in PACKAGES}


def _module(name: str) -> str:
    """The module or package of a name, which may be something within one."""
    path = ROOT.joinpath(*name.split("."))
    return name if path.is_dir() or path.with_suffix(".py").exists() else name.rpartition(".")[0]


def _room(module: str) -> str:
    """`ufm.solve` for everything in it, `ufm` for what stands beside the rooms."""
    return max((room for room in ALLOWED if f"{module}.".startswith(f"{room}.")), key=len)


@pytest.mark.parametrize("path", FILES, ids=lambda path: "/".join(path.relative_to(ROOT).with_suffix("").parts))
def test_imports_follow_the_arrows(path):
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    found = {_room(name) for name in _imports(path)} - {_room(module)}
    if path.parent.parent == ROOT and path.stem in ("__init__", "__main__"):
        found = {room for room in found if room.split(".")[0] != module.split(".")[0]}
    refused = found - set(ALLOWED[_room(module)].split())
    assert not refused, f"{module} imports {refused}"


def test_every_folder_is_a_room_that_can_be_held_in_the_head():
    folders = {path.parent for path in FILES if path.relative_to(ROOT).parts[0] in ("ufm", "deepnet")}
    found = {folder: len([path for path in folder.glob("*.py") if path.stem != "__init__"]) for folder in folders}
    assert {folder: count for folder, count in found.items() if count > MOST_FILES} == {}


def test_no_cycles():
    graph = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): _imports(path)
        for path in FILES
        if path.stem not in ("__init__", "__main__")
    }
    done: set[str] = set()

    def visit(module, chain):
        assert module not in chain, " -> ".join([*chain, module])
        if module not in done:
            for imported in graph.get(module, ()):
                visit(imported, [*chain, module])
            done.add(module)

    for module in graph:
        visit(module, [])


@pytest.mark.parametrize("package", ["ufm", "deepnet", "theory_checks", "figures"])
def test_help_needs_no_heavy_library(package):
    """`--help` answers at once because the command line imports none of these (torch alone takes about a second)."""
    heavy = ("torch", "scipy", "matplotlib", "sklearn", "numba", "sympy", "cvxpy", "flint", "ufm.cli.records")
    code = f"import sys, {package}.__main__; print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert found.stdout.strip() == "[]"


def test_the_readme_draws_this_house():
    """Its table has every room, with what it may import; within a package a room goes by its last name."""
    lines = re.findall(r"^\| `([\w.]+)` \| [^|]+ \| ([^|]*) ?\|$", (ROOT / "README.md").read_text(), re.MULTILINE)
    drawn = {room: {_full(room, name) for name in re.findall(r"`([\w.]+)`", names)} for room, names in lines}
    assert drawn == {room: set(names.split()) for room, names in ALLOWED.items()}


def _full(room: str, name: str) -> str:
    within = f"{room.split('.', maxsplit=1)[0]}.{name}"
    return within if within in ALLOWED else name
