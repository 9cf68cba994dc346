"""The arrows of the picture in the README: who may import whom, read off the source."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("ufm", "deepnet", "theory_checks", "figures")
# What a module may import of ours, besides its own package. `__main__` is the outermost layer: it may call figures.
ALLOWED = {
    "ufm": set(),
    "deepnet": {
        "ufm.arguments",
        "ufm.central_path",
        "ufm.collapse",
        "ufm.command_line",
        "ufm.compiled",
        "ufm.errors",
        "ufm.engine",
        "ufm.engine_setting",
        "ufm.files",
        "ufm.grid",
        "ufm.imbalance",
        "ufm.loss",
        "ufm.losses",
        "ufm.output_folder",
        "ufm.parallel",
        "ufm.pick_all_labels",
        "ufm.prediction",
        "ufm.problem",
        "ufm.records",
        "ufm.softmax_codes",
        "ufm.start",
        "ufm.stored_setting",
    },
    "theory_checks": {"ufm"},  # all of it
    "figures": {"ufm.command_line", "ufm.errors", "ufm.files", "ufm.output_folder", "ufm.records", "ufm.start"},
}
FILES = [path for package in PACKAGES for path in sorted((ROOT / package).glob("**/*.py"))]


def _imports(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    named = {
        f"{node.module}.{alias.name}" if node.module in PACKAGES else str(node.module)
        for node in nodes
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    return {name for name in plain | named if name.split(".")[0] in PACKAGES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_imports_follow_the_arrows(path):
    package = path.relative_to(ROOT).parts[0]
    foreign = {name for name in _imports(path) if name.split(".")[0] != package}
    if path.stem == "__main__":
        foreign = {name for name in foreign if not name.startswith("figures")}
    allowed = ALLOWED[package]
    refused = {name for name in foreign if name not in allowed and name.split(".")[0] not in allowed}
    assert not refused, f"{path} imports {refused}"


def test_no_cycles():
    graph = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): _imports(path)
        for path in FILES
        if path.stem != "__main__"
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
    heavy = ("torch", "scipy", "matplotlib", "sklearn", "numba", "sympy", "cvxpy", "flint")
    code = f"import sys, {package}.__main__; print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert found.stdout.strip() == "[]"
