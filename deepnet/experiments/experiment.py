"""The experiments of this folder: every module that defines `RUNS` and `STATEMENTS` is one; nothing to register.

Its docstring has the paper's point as its first paragraph, then paragraphs `Source:` and, where needed, `Setting:`.
"""

import ast
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepnet.settings import TrainSetting
from ufm.errors import check

if TYPE_CHECKING:
    from deepnet.experiments.statement import Statement
    from deepnet.measures.measure import Measure

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Experiment:
    """An experiment as its file states it."""

    name: str
    sentence: str
    source: str

    @cached_property
    def runs(self) -> Mapping[str, Mapping[str, Any]]:
        """The changes of each run to the common setting, by the run's name."""
        return self._module.RUNS

    @cached_property
    def statements(self) -> "tuple[Statement, ...]":
        """The statements about the runs."""
        return self._module.STATEMENTS

    @property
    def measures(self) -> "tuple[Measure, ...]":
        """Further measures of its runs, beyond those of every run (`MEASURES`, if the module has it)."""
        return getattr(self._module, "MEASURES", ())

    @cached_property
    def _module(self) -> Any:
        return importlib.import_module(f"deepnet.experiments.{self.name}")


def list_experiments() -> list[Experiment]:
    """All experiments by name; torch is not imported."""
    trees = {path.stem: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("[!.]*.py"))}
    return [_experiment(name, tree) for name, tree in trees.items() if {"RUNS", "STATEMENTS"} <= _names(tree)]


def find(name: str) -> list[Experiment]:
    """The experiment of that name, or all for `all`.

    Raises:
        ValueError: if there is none.
    """
    experiments = list_experiments()
    names = [experiment.name for experiment in experiments]
    check(name in ("all", *names), "NAME", name, f"all or one of {', '.join(names)}")
    return [experiment for experiment in experiments if name in ("all", experiment.name)]


def setting_of(common: Mapping[str, Any], changes: Mapping[str, Any], seed: int) -> TrainSetting:
    """The setting of one run; the change `longer` is a factor of the epochs, all others are fields of the setting."""
    values = {**common, **changes, "seed": seed}
    values["epochs"] = values.pop("longer", 1) * values["epochs"]
    return TrainSetting(**values)


def _experiment(name: str, tree: ast.Module) -> Experiment:
    paragraphs = [" ".join(text.split()) for text in (ast.get_docstring(tree) or "").split("\n\n")]
    source = next((p.removeprefix("Source: ") for p in paragraphs if p.startswith("Source: ")), "")
    return Experiment(name, paragraphs[0], source)


def _names(tree: ast.Module) -> set[str]:
    nodes = [node for node in tree.body if isinstance(node, ast.Assign | ast.AnnAssign)]
    targets = [target for node in nodes for target in (node.targets if isinstance(node, ast.Assign) else [node.target])]
    return {target.id for target in targets if isinstance(target, ast.Name)}
