"""Tolerances are decided in one place, each with its reason."""

import ast
from pathlib import Path

import pytest

import ufm.tolerances

ROOT = Path(__file__).parent.parent.parent
FILES = [path for package in ("ufm", "deepnet") for path in sorted((ROOT / package).glob("**/*.py"))]


def small_literals(tree: ast.AST) -> list[float]:
    """Numbers from 1e-40 to below 1e-4 that something is compared with or that a solver is given."""
    compared = [node for node in ast.walk(tree) if isinstance(node, ast.Compare)]
    given = [node for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg in ("rtol", "atol", "xtol")]
    numbers = [part for node in [*compared, *given] for part in ast.walk(node) if isinstance(part, ast.Constant)]
    return [n.value for n in numbers if isinstance(n.value, float) and 1e-40 <= n.value < 1e-4]


def undocumented(source: str) -> list[str]:
    """Assignments that no docstring follows."""
    body = ast.parse(source).body
    pairs = zip(body, [*body[1:], None], strict=True)
    is_said = {id(a): isinstance(b, ast.Expr) and isinstance(b.value, ast.Constant) for a, b in pairs}
    return [ast.unparse(node) for node in body if isinstance(node, ast.Assign) and not is_said[id(node)]]


@pytest.mark.parametrize("path", FILES, ids=lambda path: "/".join(path.relative_to(ROOT).parts))
def test_no_tolerance_stands_in_the_code(path):
    assert small_literals(ast.parse(path.read_text())) == []


def test_a_tolerance_in_the_code_is_seen():
    assert small_literals(ast.parse("a = x < 1e-9 * y")) == [1e-9]
    assert small_literals(ast.parse("solve(f, rtol=1e-7)")) == [1e-7]
    assert small_literals(ast.parse("a = 1e-9 * y if x > 1e-50 else 0.5")) == []


def test_every_tolerance_has_its_reason_and_is_used():
    source = Path(ufm.tolerances.__file__).read_text()
    assert undocumented(source) == []
    assert undocumented("A = 1\nB = 2\n'why'") == ["A = 1"]
    names = [name for name in vars(ufm.tolerances) if name.isupper()]
    text = "".join(path.read_text() for path in FILES if path.name != "tolerances.py")
    assert len(names) > 40
    assert [name for name in names if name not in text] == []
