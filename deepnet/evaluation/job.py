"""The command `evaluate`."""

from pathlib import Path
from typing import Any, TypedDict

from rich.progress import BarColumn, Progress, TaskProgressColumn, TimeElapsedColumn, TimeRemainingColumn

from deepnet.evaluation import report
from deepnet.evaluation.evaluation import Evaluation
from deepnet.evaluation.files import evaluate_file
from deepnet.settings import EvaluateSetting
from ufm.cli.job import Job
from ufm.cli.table import console
from ufm.errors import printable

PARTS = ("class means", "within classes", "between classes")
"""What a file's evaluation consists of; the time of the last does not depend on samples."""


class Evaluations(TypedDict):
    """The contents of the record: one entry per file, with the fields of `Evaluation`."""

    evaluations: list[dict[str, Any]]


class Evaluate(Job[EvaluateSetting, Evaluations]):
    """The job of `evaluate`: the metrics of features from files."""

    name = "evaluate"

    def compute(self) -> Evaluations:
        """Evaluate one file after the other."""
        setting = self.setting
        self._found: list[Evaluation] = []
        for number, file in enumerate(setting.files, 1):
            self._found.append(self._evaluated(file))
            if len(setting.files) > 1:
                print(f"read {printable(str(file))} ({number} of {len(setting.files)})", flush=True)
        return {"evaluations": [each.as_dict() for each in self._found]}

    def _evaluated(self, file: Path) -> Evaluation:
        """The evaluation of one file, with a bar for each of its parts."""
        setting = self.setting
        columns = "{task.description}", BarColumn(), TaskProgressColumn(), TimeElapsedColumn(), TimeRemainingColumn()
        with Progress(*columns, transient=True, disable=not console().is_terminal) as bars:  # else leaves a blank line
            parts = [bars.add_task(f"{file.name}: {part}", total=None, start=False) for part in PARTS]
            bars.start_task(parts[0])

            def advance(done: int, samples: int) -> None:
                part = next(each for each in parts if not bars.tasks[each].finished)
                bars.start_task(part)
                bars.update(part, advance=done, total=samples)
                if bars.tasks[parts[-2]].finished:
                    bars.start_task(parts[-1])

            return evaluate_file(file, setting.last_layer, setting.test, setting.outside, advance)

    def show(self, result: Evaluations) -> None:
        """Print a table of metrics by file."""
        report.show(self._found)

    def files(self) -> dict[str, Path | str]:
        """Write the table to a file if that is asked for, and name it."""
        asked = self.setting.export
        return {"table": report.export(self._found, self.folder, asked)} if asked else {}
