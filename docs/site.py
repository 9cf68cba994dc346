"""What the documentation is made of: the pages where they lie, the notebook, and a page for every module of ours.

mkdocs calls `on_config`, `on_files` and `on_page_markdown` (`mkdocs.yml`). Nothing of ours is imported: names and
docstrings are read off the source.
"""

import ast
import json
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from markdown import Extension, Markdown
from markdown.inlinepatterns import InlineProcessor
from markdown.preprocessors import Preprocessor
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
PACKAGES = ("ufm", "deepnet", "theory_checks", "figures")
NOTEBOOK = "TUTORIAL.ipynb"
PAGES = {
    "Start": "README.md",
    "Tutorial": [{"By commands": "TUTORIAL.md"}, {"In a notebook": "notebook.md"}],
    "Pages": [
        {"The model: ufm": "ufm/README.md"},
        {"Scans": "ufm/scan/README.md"},
        {"Atlases": "ufm/atlas/README.md"},
        {"Metrics": "ufm/collapse/README.md"},
        {"Theorems": "theory_checks/README.md"},
        {"Trained nets: deepnet": "deepnet/README.md"},
        {"Theory and nets": "deepnet/comparison/README.md"},
        {"Experiments": "deepnet/experiments/README.md"},
        {"Figures": "figures/README.md"},
        {"How fast": "tests/benchmarks/README.md"},
        {"Where things go": "CONTRIBUTING.md"},
        {"Changes": "CHANGELOG.md"},
    ],
}
"""The pages by what the navigation calls them."""
LINK = re.compile(r"(?P<before>!?\[(?:[^\[\]]|\[[^\[\]]*\])*\])\((?P<target>[^)\s#:]+)(?P<anchor>#[^)\s]*)?\)")


class Mathematics(Extension):
    """Markdown that leaves formulas as they are: `<G, Z>` is no tag, `|Z|_*` no emphasis, `> 0` no quotation."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: D102
        md.preprocessors.register(Lists(md), "lists", 5)  # after code blocks are put aside
        md.parser.blockprocessors.deregister("quote")
        md.inlinePatterns.deregister("html")
        md.inlinePatterns.register(Literal(r"_\*?", md), "literal", 65)  # before emphasis, after links


class Lists(Preprocessor):
    """A list after a colon gets its empty line; a line that begins with a plus goes on with a sum."""

    def run(self, lines: list[str]) -> list[str]:  # noqa: D102
        text = re.sub(r":\n(?= *(?:1\.|[-*]) )", ":\n\n", "\n".join(lines))
        return re.sub(r"^( {0,3})\+ ", r"\1\+ ", text, flags=re.MULTILINE).split("\n")


class Literal(InlineProcessor):
    """What matches, as it is."""

    def handleMatch(self, m: re.Match[str], data: str) -> tuple[str, int, int]:  # noqa: D102
        return m[0], m.start(0), m.end(0)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The configuration with the navigation, and with mathematics that Markdown leaves alone."""
    config.nav = [{title: pages} for title, pages in PAGES.items()]
    config.nav.append({"Reference": [reference(package) for package in PACKAGES]})
    config.markdown_extensions.append(Mathematics())
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The files of the site: the pages and their pictures from where they lie, and those that are made here."""
    here = [uri for uri in _leaves(PAGES) if uri != "notebook.md"]
    pictures = [str(path.relative_to(ROOT)) for path in (ROOT / "figures" / "gallery").glob("*.png")]
    for uri in [*here, *pictures]:
        files.append(File.generated(config, uri, abs_src_path=str(ROOT / uri)))
    files.append(File.generated(config, "notebook.md", content=notebook(ROOT / NOTEBOOK)))
    for path in modules():
        files.append(File.generated(config, page_of(path), content=module_page(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """The page with links to modules leading to their page; what is not on the site is not linked."""
    folder = posixpath.dirname(page.file.src_uri)

    def linked(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, found["target"]))
        uri = "notebook.md" if target == NOTEBOOK else page_of(Path(target)) if target.endswith(".py") else target
        if files.get_file_from_path(uri) is None:
            return found["before"].removeprefix("!")[1:-1]
        return f"{found['before']}({posixpath.relpath(uri, folder or '.')}{found['anchor'] or ''})"

    return LINK.sub(linked, markdown)


def modules() -> list[Path]:
    """The path of every module from the project's folder, but for programs' `__main__`."""
    found = [path.relative_to(ROOT) for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return [path for path in found if path.stem != "__main__"]


def name_of(path: Path) -> str:
    """`ufm.theory.certificate`."""
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def page_of(path: Path) -> str:
    """`reference/ufm/theory/certificate.md`; a package's is its folder's index."""
    return f"reference/{path.with_suffix('.md').as_posix()}".replace("__init__", "index")


def module_page(path: Path) -> str:
    """What stands on the page of a module: for a package with public names, first where each is defined."""
    public = "".join(_rows(path))
    table = f"\n\n| public name | what it is |\n|---|---|\n{public}" if public else ""
    return f"# {name_of(path)}{table}\n\n::: {name_of(path)}\n"


def _rows(path: Path) -> Iterator[str]:
    """A row for each public name of a package: a link to where it is defined, and the first line of its docstring."""
    for module, names in homes(path).items():
        docstrings = _docstrings(ROOT / module)
        for name in names:
            page = posixpath.relpath(page_of(module), posixpath.dirname(page_of(path)))
            yield f"| [`{name}`]({page}#{name_of(module)}.{name}) | {docstrings[name].replace('|', chr(92) + '|')} |\n"


def homes(path: Path) -> dict[Path, list[str]]:
    """The public names that a package takes from its modules, by the path of the module; none for a module."""
    found: dict[Path, list[str]] = {}
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))) if path.stem == "__init__" else ():
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith(f"{name_of(path)}."):
            names = [alias.name for alias in node.names]
            found.setdefault(Path(*str(node.module).split(".")).with_suffix(".py"), []).extend(names)
    return found


def _docstrings(path: Path) -> dict[str, str]:
    """The first line of the docstring of every class and function of a file."""
    nodes = ast.parse(path.read_text(encoding="utf-8")).body
    defined = [node for node in nodes if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    return {node.name: (ast.get_docstring(node) or "").partition("\n")[0] for node in defined}


def reference(folder: str) -> dict[str, Any]:
    """The navigation of a package: its page, its modules, its rooms."""
    here = [path for path in modules() if path.parent == Path(folder)]
    pages: list[Any] = [page_of(Path(folder) / "__init__.py")]
    pages += [{path.stem: page_of(path)} for path in here if path.stem != "__init__"]
    rooms = sorted({str(path.parent) for path in modules() if path.parent.parent == Path(folder)})
    return {Path(folder).name: pages + [reference(room) for room in rooms]}


def notebook(path: Path) -> str:
    """The notebook as a page: text, code, and what the code showed when it was last run."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n\n".join(part for cell in cells for part in _cell(cell))


def _cell(cell: dict[str, Any]) -> Iterator[str]:
    text = "".join(cell["source"])
    yield text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```"
    for output in cell.get("outputs", []):
        shown = output.get("data", {})
        if "image/png" in shown:
            yield f"![](data:image/png;base64,{''.join(shown['image/png']).strip()})"
        elif "text/html" in shown:
            yield "".join(shown["text/html"])
        else:
            yield "```text\n" + "".join(shown.get("text/plain", output.get("text", []))) + "\n```"


def _leaves(pages: Any) -> Iterator[str]:
    """The addresses in a navigation."""
    if isinstance(pages, str):
        yield pages
    else:
        for page in pages.values() if isinstance(pages, dict) else pages:
            yield from _leaves(page)
