"""The claims of this folder: every module that defines `check` and `refuted` is one; there is nothing to register.

A claim's docstring has the claim as its first paragraph, then paragraphs `Theme:` (one of `THEMES`), `Source:`,
`Evidence:` and `False twin:`.
"""

import ast
import functools
import importlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from theory_checks.verdict import Verdict
from ufm.cli import process
from ufm.errors import RequestError, wrong_command
from ufm.errors import check as check_request

FOLDER = Path(__file__).parent
THEMES = (
    "minimisers",
    "critical points",
    "focal loss",
    "label smoothing",
    "squared error",
    "more layers",
    "spheres and codes",
    "imbalance",
    "several labels",
    "trained networks",
)
"""The themes of claims, in the order in which claims are listed."""


@dataclass(frozen=True)
class Claim:
    """A claim as its file's docstring states it."""

    name: str
    sentence: str
    theme: str
    source: str
    text: str


@dataclass(frozen=True)
class Row:
    """The outcome of one claim: a verdict, or the reason why its check did not run to its end."""

    claim: Claim
    seconds: float
    verdict: Verdict | None = None
    not_run: str = ""

    @property
    def holds(self) -> bool:
        """Whether the check ran and the claim held."""
        return self.verdict is not None and self.verdict.holds


def claims() -> list[Claim]:
    """All claims, by theme and name; nothing is imported."""
    return list(_claims())


@functools.cache
def _claims() -> tuple[Claim, ...]:
    trees = {path.stem: ast.parse(path.read_text(encoding="utf-8")) for path in FOLDER.glob("[!.]*.py")}
    found = (_claim(name, tree) for name, tree in trees.items() if {"check", "refuted"} <= _functions(tree))
    return tuple(sorted(found, key=lambda claim: (_place(claim), claim.name)))


def _place(claim: Claim) -> int:
    """The position of a claim's theme; after all others if the theme is not listed, which a test refuses."""
    return THEMES.index(claim.theme) if claim.theme in THEMES else len(THEMES)


def check(name: str) -> Row:
    """Check the claim of this name (the name of its file) and return the outcome.

    Raises:
        ValueError: if there is no such claim.
    """
    check_request(isinstance(name, str), "name", type(name).__name__, "the name of a claim")
    by_name = {claim.name: claim for claim in claims()}
    if name not in by_name:
        sentence = wrong_command(name, by_name).replace("`COMMAND`", "`name`")
        raise RequestError(sentence.replace("--help lists", "claims() lists"))
    return run(by_name[name])


def run(claim: Claim) -> Row:
    """Run one check here; whatever it raises becomes the reason why it did not run."""
    began = time.perf_counter()
    try:
        verdict = importlib.import_module(f"theory_checks.{claim.name}").check()
    except Exception as error:  # one check must not take the others with it
        reason = " ".join(str(error).split())[:300]
        return Row(claim, time.perf_counter() - began, not_run=f"{type(error).__name__}: {reason}")
    return Row(claim, time.perf_counter() - began, verdict)


def twin_of(claim: Claim) -> Verdict | str:
    """The verdict on the claim's false twin, which should be that it fails; the reason if its check did not run."""
    try:
        return importlib.import_module(f"theory_checks.{claim.name}").refuted()
    except Exception as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def run_all(claims: Sequence[Claim]) -> Iterator[Row]:
    """Rows as they are finished, from one process per core; an interrupt ends the processes at once."""
    done = set()
    for row in _in_processes(claims, _cores()):
        done.add(row.claim.name)
        yield row
    for claim in claims:  # those that a dying process has left behind, each in a process of its own
        if claim.name not in done:
            yield next(_in_processes([claim], 1), Row(claim, 0.0, not_run="its process died"))


def _in_processes(claims: Sequence[Claim], most: int) -> Iterator[Row]:
    """Rows as they are finished; none for a claim whose process died, nor for those after it."""
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(len(claims), most), context, initializer=_prepare_worker)
    try:
        for future in as_completed([pool.submit(run, claim) for claim in claims]):
            if future.exception() is None:
                yield future.result()
    except BaseException:
        for child in multiprocessing.active_children():
            child.terminate()
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _claim(name: str, tree: ast.Module) -> Claim:
    text = ast.get_docstring(tree) or ""
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
    theme, source = (_paragraph(paragraphs, heading) for heading in ("Theme: ", "Source: "))
    return Claim(name, paragraphs[0], theme, source, text)


def _paragraph(paragraphs: Sequence[str], heading: str) -> str:
    """The paragraph that begins so, without its heading; empty if there is none."""
    return next((text.removeprefix(heading) for text in paragraphs if text.startswith(heading)), "")


def _functions(tree: ast.Module) -> set[str]:
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def _prepare_worker() -> None:
    """One thread per process, set before torch and numpy are imported; the parent deals with Ctrl-C.

    A worker whose parent was killed ends too.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ["OMP_NUM_THREADS"] = "1"
    process.prepare()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
