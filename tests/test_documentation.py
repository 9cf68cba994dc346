"""The documentation: built without a warning, it has every public name and every formula, and needs no network."""

import ast
import html
import importlib
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.figures.browser import chromium

pytest.importorskip("mkdocs", reason="mkdocs is not installed: pip install -e '.[docs]'")
markdown = pytest.importorskip("markdown")
ROOT = Path(__file__).parent.parent
PUBLIC = ("ufm", "ufm.collapse", "ufm.plot", "deepnet", "deepnet.nn", "theory_checks")
EMPHASIS = re.compile(r"(?<![\w*|])\*(?=\w)([^*]*)(?<=[\w.])\*(?!\w)")
ITEM = re.compile(r"^(\d+\.|[-*]) ")


def _pages():
    """The hook of mkdocs as a module; its name is one of the standard library's."""
    spec = importlib.util.spec_from_file_location("documentation_pages", ROOT / "docs" / "site.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pages = _pages()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("documentation")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


def _text(page):
    """What a reader sees of a page, without spaces and marks of code."""
    return re.sub(r"[\s`]", "", html.unescape(re.sub(r"<[^>]*>", "", page.read_text(encoding="utf-8"))))


def _docstrings(path):
    """The docstrings of a module and of what is public in it."""
    nodes = [ast.parse(path.read_text(encoding="utf-8"))]
    for node in nodes:
        yield ast.get_docstring(node) or ""
        inner = getattr(node, "body", []) if not isinstance(node, ast.FunctionDef) else []
        defined = [child for child in inner if isinstance(child, ast.ClassDef | ast.FunctionDef)]
        nodes.extend(child for child in defined if not child.name.startswith("_"))


@pytest.mark.slow
@pytest.mark.parametrize("package", PUBLIC)
def test_every_public_name_is_on_the_page_of_its_module(site, package):
    module = importlib.import_module(package)
    defined_here = [name for name in vars(module) if getattr(vars(module)[name], "__module__", "") == package]
    listed = getattr(module, "__all__", [name for name in defined_here if not name.startswith("_")])
    names = set(listed) - set(getattr(module, "ROOMS", []))
    assert names
    for name in names:
        home = getattr(getattr(module, name), "__module__", package)
        file = importlib.import_module(home).__file__
        page = site / pages.page_of(Path(file).relative_to(ROOT)).replace(".md", ".html")
        text = page.read_text(encoding="utf-8")
        defined = getattr(getattr(module, name), "__name__", name)
        assert f'id="{home}.{defined}"' in text, name
        assert f'id="{home}.{defined}_"' not in text


@pytest.mark.slow
def test_no_sign_of_a_formula_is_lost(site):
    lost = []
    for path in pages.modules():
        text = _text(site / pages.page_of(path).replace(".md", ".html"))
        lines = [line for each in _docstrings(ROOT / path) for line in each.splitlines()]
        for line in lines:
            plain = re.sub(r"[\s`]", "", EMPHASIS.sub(r"\1", ITEM.sub("", line.strip())))
            is_of_a_table = line.lstrip().startswith("|") and line.rstrip().endswith("|")
            is_an_entry = re.match(r"\s*[\w, .]+:( |$)", line)  # of Attributes, Args, Raises: laid out anew
            if not (is_of_a_table or is_an_entry) and plain not in text:
                lost.append(f"{path}: {line.strip()}")
    assert lost == []


@pytest.mark.slow
def test_it_is_read_and_searched_without_a_network(site):
    asked, errors = [], []
    with chromium() as browser:
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto((site / "index.html").as_uri())
        page.keyboard.press("/")
        page.keyboard.type("duality gap")
        found = page.locator(".md-search-result__item a").first
        found.wait_for()
        assert page.locator(".md-search-result__item", has_text="certificate").count() > 0
        found.click()
        page.wait_for_url(re.compile("reference|README|index"))
        page.goto((site / "reference/ufm/index.html").as_uri())
        page.get_by_role("link", name="certify", exact=True).click()
        assert page.url.endswith("reference/ufm/theory/certificate.html#ufm.theory.certificate.certify")
    assert {url.partition(":")[0] for url in asked} <= {"file", "data", "blob"}
    assert errors == []


FORMULAS = [
    "|Z|_* and |Y|_* are norms",
    "a < b, <G, Z> and <G1, b'>",
    "1. First,\n   > 0 in a sum\n   + mu",
    "_i and x_",
    "x >= 1, where\n>= 2 fails",
]


@pytest.mark.parametrize("formula", FORMULAS)
def test_markdown_leaves_formulas_alone(formula):
    def text(extensions):
        shown = html.unescape(re.sub(r"<[^>]*>", "", markdown.markdown(formula, extensions=extensions)))
        return " ".join(shown.split())

    plain = " ".join(ITEM.sub("", formula).split())
    assert text([pages.Mathematics()]) == plain
    assert text([]) != plain  # as Markdown reads it otherwise


def test_what_is_no_formula_stays_markdown():
    text = "Kinds:\n- *one* [page](a_b/c_d.md)\n- `two_`"
    shown = markdown.markdown(text, extensions=[pages.Mathematics()])
    assert shown.count("<li>") == 2
    assert "<em>one</em>" in shown
    assert 'href="a_b/c_d.md"' in shown
    assert "<code>two_</code>" in shown


def test_the_notebook_has_its_code_and_what_it_showed():
    shown = pages.notebook(ROOT / pages.NOTEBOOK)
    assert "import deepnet" in shown
    assert shown.count("```python") == shown.count("\n```\n") - shown.count("```text") + shown.endswith("```")


def test_every_page_of_the_readme_is_on_the_site():
    from figures.readme import PAGES

    assert {*PAGES, "TUTORIAL.md", "CONTRIBUTING.md"} <= {*pages._leaves(pages.PAGES)}
