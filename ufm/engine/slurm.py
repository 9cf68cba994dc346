"""Units of work as SLURM job arrays, through submitit (extra `slurm`).

Jobs live on when the driver is killed. Their files are in the results folder, which the cluster's nodes must see; the
next driver finds them there and takes over what is queued, running or done.
"""

import pickle
import subprocess
import sys
import time
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ufm.engine.plain_pickle import LARGEST, plain, sketch
from ufm.engine.pool import Ended, Pool, attempt_elsewhere
from ufm.engine.setting import EngineSetting
from ufm.errors import RequestError
from ufm.files import content

LARGEST_ARRAY = 1000
"""SLURM's own default allows 1,001 tasks."""
SECONDS_BETWEEN_LOOKS, SECONDS_BETWEEN_CALLS = 1.0, 30
"""Seconds between two looks at the results in the folder, and the least between two calls of `sacct`."""
PATIENCE = 15.0
"""Seconds for the result of a job that has ended to appear on a slow file system."""


class SlurmPool(Pool):
    """The back end of SLURM: a folder of jobs.

    Raises:
        ValueError: if `sbatch` refuses the jobs.
    """

    def __init__(self, function: Callable[[Any], Any], engine: EngineSetting, folder: Path) -> None:
        import submitit
        from submitit.slurm.slurm import SlurmInfoWatcher

        self._submitit, self._function, self._folder, self._cpus = submitit, function, folder, engine.cpus
        submitit.SlurmJob.watcher = SlurmInfoWatcher(delay_s=SECONDS_BETWEEN_CALLS)
        self._executor = submitit.SlurmExecutor(folder)
        self._executor.update_parameters(job_name="ufm", **_parameters(engine))
        self._busy: dict[str, Any] = {}
        self._ended_at: dict[str, float] = {}
        self._delivered: list[Any] = []
        self._earlier = self._jobs_of_an_earlier_driver()

    @property
    def room(self) -> int:
        """No limit: the queue is SLURM's."""
        return sys.maxsize

    def start(self, units: Sequence[Any]) -> Sequence[Hashable]:
        """Queue one array task per unit, except for units that an earlier driver has queued."""
        jobs = [self._adopted(unit) for unit in units]
        new = [unit for unit, job in zip(units, jobs, strict=True) if job is None]
        firsts = range(0, len(new), LARGEST_ARRAY)
        submitted = (job for first in firsts for job in self._submit(new[first : first + LARGEST_ARRAY]))
        every = [job or next(submitted) for job in jobs]
        self._busy |= {job.job_id: job for job in every}
        return [job.job_id for job in every]

    def finished(self) -> Sequence[Ended]:
        """The jobs that have ended, looked for every second; files of what was delivered before go."""
        self._tidy()
        while True:
            ended = [job for job in self._busy.values() if self._has_ended(job)]
            if ended:
                answers = [(self._busy.pop(job.job_id).job_id, *self._answer(job)) for job in ended]
                self._delivered = [job for job, (_, _, error) in zip(ended, answers, strict=True) if error is None]
                return answers
            time.sleep(SECONDS_BETWEEN_LOOKS)

    def stop(self) -> None:
        """Cancel queued and running jobs."""
        self._tidy()
        arrays = sorted({name.partition("_")[0] for name in self._busy})
        if arrays:
            subprocess.run(["scancel", *arrays], check=False)

    def _submit(self, units: Sequence[Any]) -> list[Any]:
        errors = self._submitit.core.utils
        count = len(units)
        try:
            return self._executor.map_array(attempt_elsewhere, [self._function] * count, units, [self._cpus] * count)
        except (errors.FailedJobError, errors.FailedSubmissionError) as error:
            reason = " ".join(str(error).split())[-300:]
            raise RequestError(f"`--engine slurm` must come with options that sbatch takes, got: {reason}.") from None

    def _jobs_of_an_earlier_driver(self) -> list[tuple[Any, Any]]:
        """Unit and job, of jobs that have succeeded or have not ended; a unit as a sketch: pickles here run no code."""
        found = []
        for path in sorted(self._folder.glob("[!.]*_submitted.pkl")):
            job: Any = self._submitit.SlurmJob(self._folder, path.name.removesuffix("_submitted.pkl"))
            has_failed = job.done(force_check=True) and self._answer(job)[1] is not None
            with suppress(Exception):  # whatever a file of another making may hold is no unit of ours
                submitted = sketch(content(path, LARGEST))
                if not has_failed:
                    found.append((submitted.state["args"][1], job))
        return found

    def _adopted(self, unit: Any) -> Any:
        ours = sketch(pickle.dumps(unit))
        place = next((i for i, (theirs, _) in enumerate(self._earlier) if theirs == ours), None)
        return None if place is None else self._earlier.pop(place)[1]

    def _has_ended(self, job: Any) -> bool:
        """Whether a job has ended: with its result, or without one for so long that none will come."""
        if job.paths.result_pickle.exists():
            return True
        if not job.done():
            return False
        return time.monotonic() - self._ended_at.setdefault(job.job_id, time.monotonic()) > PATIENCE

    def _answer(self, job: Any) -> tuple[Any, str | None]:
        if not job.paths.result_pickle.exists():
            return None, f"the worker died (job {job.job_id}: {job.state}; {job.paths.stderr})"
        try:
            outcome, result = plain(content(job.paths.result_pickle, LARGEST))
            if outcome == "error":
                raise self._submitit.core.utils.FailedJobError(result)
            answer, error = result
            return answer, error
        except Exception as failure:  # whatever a node may do to a job, from its time limit to a lost file system
            return None, f"job {job.job_id} failed ({' '.join(str(failure).split())[-300:]}; {job.paths.stderr})"

    def _tidy(self) -> None:
        """Remove the files of jobs whose results the caller has put away."""
        for job in self._delivered:
            for path in self._folder.glob(f"{job.job_id}_*"):
                path.unlink(missing_ok=True)
        self._delivered.clear()


def _parameters(engine: EngineSetting) -> dict[str, Any]:
    """The options as submitit's parameters."""
    named = {
        "partition": engine.partition,
        "account": engine.account,
        "time": engine.time,
        "cpus_per_task": engine.cpus,
        "gpus_per_node": engine.gpus or None,
        "mem": engine.memory and f"{round(1024 * engine.memory)}M",
        "array_parallelism": engine.parallel,
        "additional_parameters": dict(engine.sbatch) or None,
    }
    return {name: value for name, value in named.items() if value is not None}
