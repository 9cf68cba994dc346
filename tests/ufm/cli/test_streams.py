"""What is printed where an encoding lacks our characters."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ufm.cli.streams import plain_where_needed, plainer

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sec^2 x²", "sec^2 x^2"),
        ("α ≤ Γ, ς", "alpha <= Gamma, sigma"),
        ("Gröbner — Sükeník’s", "Grobner - Sukenik's"),
        ("a\udcffb ☃", "a?b ?"),
        ("x⁻¹₂", "x^-^12"),
    ],
)
def test_plainer_text_says_the_same(text, expected):
    assert plainer(text) == expected


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_every_character_can_be_printed(monkeypatch, encoding):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    with plain_where_needed():
        print("α² \udc80 ≤")
    stream.flush()
    assert stream.errors == "strict"  # as it was
    assert stream.buffer.getvalue().decode(encoding).endswith(" ? ≤\n" if encoding == "utf-8" else " ? <=\n")


@pytest.mark.parametrize("locale", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}])
def test_a_theorem_is_shown_and_recorded_in_any_locale(tmp_path, locale):
    words = ["-m", "theory_checks", "label_smoothing_closed_form", "--out", str(tmp_path / "out")]
    environment = os.environ | locale | {"PYTHONUTF8": "0", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, *words], env=environment, cwd=ROOT, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "out" / "record.json").exists()


def test_a_configuration_file_is_utf_8_in_any_locale(tmp_path):
    path = tmp_path / "setting.yaml"
    path.write_text("# Größe\nepochs: 7\n", encoding="utf-8")
    words = ["-m", "deepnet", "train", "--config", str(path), "--print-config"]
    locale = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, *words], env=os.environ | locale, capture_output=True, check=False)
    assert done.returncode == 0
    assert b"\nepochs: 7\n" in done.stdout


def test_text_files_name_their_encoding():
    """A file without one is read in the locale's."""
    import ast

    for path in (
        p for package in ("ufm", "deepnet", "theory_checks", "figures") for p in (ROOT / package).rglob("*.py")
    ):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("read_text", "write_text"):
                assert "encoding" in {keyword.arg for keyword in node.keywords}, f"{path}, line {node.lineno}"
