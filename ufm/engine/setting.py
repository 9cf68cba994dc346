"""The options on where units of work run, for every command that maps units; no back end is imported."""

import importlib.util
import math
import shutil
from dataclasses import dataclass, field, fields
from typing import Literal

from ufm.errors import RequestError, check

PACKAGES = {"ray": "ray", "slurm": "submitit"}
SLURM_PROGRAMS = ("sbatch", "srun", "sacct", "scancel")
TAKES = {
    "local": (),
    "ray": ("address", "cpus", "gpus"),
    "slurm": ("cpus", "gpus", "partition", "account", "time", "memory", "parallel", "sbatch"),
}
"""The options that each engine takes."""


@dataclass(frozen=True, kw_only=True)
class EngineSetting:
    """The engine: processes on this machine, a Ray cluster, or SLURM job arrays."""

    name: Literal["local", "ray", "slurm"] = "local"
    """local (see --workers), ray (extra `ray`) or slurm (extra `slurm`); `--engine ray` is short for this. With slurm,
    run on a login node with --out where the nodes see it: units are job arrays of up to 1,000 tasks, Ctrl-C cancels
    them; when the driver is killed they live on, and --resume takes over what is queued, running or done."""
    address: str | None = None
    """ray: address of the cluster, e.g. auto, head:6379, ray://head:10001; default: a new one on this machine."""
    cpus: int = 1
    """ray, slurm: CPU cores per unit, >= 1."""
    gpus: int = 0
    """ray, slurm: GPUs per unit, >= 0."""
    partition: str | None = None
    """slurm: partition; default: the cluster's."""
    account: str | None = None
    """slurm: account that pays."""
    time: int = 60
    """slurm: minutes a unit may take, >= 1."""
    memory: float | None = None
    """slurm: GB per unit, > 0; default: the cluster's."""
    parallel: int = 256
    """slurm: most array tasks that run at a time, >= 1."""
    sbatch: dict[str, str | int] = field(default_factory=dict)
    """slurm: any other option of sbatch, as --engine.sbatch.qos high, --engine.sbatch.constraint a100."""

    def __post_init__(self) -> None:
        for option in fields(self):
            is_taken = option.name == "name" or option.name in TAKES[self.name]
            value, default = getattr(self, option.name), {} if option.name == "sbatch" else option.default
            check(is_taken or value == default, f"--engine.{option.name}", value, f"left out with --engine {self.name}")
        for name, least in (("cpus", 1), ("gpus", 0), ("time", 1), ("parallel", 1)):
            check(getattr(self, name) >= least, f"--engine.{name}", getattr(self, name), f"an integer >= {least}")
        check(self.memory is None or 0 < self.memory < math.inf, "--engine.memory", self.memory, "finite and > 0")
        self._check_installed()

    def _check_installed(self) -> None:
        package = PACKAGES.get(self.name)
        if package and importlib.util.find_spec(package) is None:
            install = f"pip install 'neural-collapse-laboratory[{self.name}]'"
            raise RequestError(f"`--engine {self.name}` needs the package {package}, which is missing: {install}.")
        missing = [name for name in SLURM_PROGRAMS if self.name == "slurm" and shutil.which(name) is None]
        if missing:
            raise RequestError(f"`--engine slurm` needs {', '.join(missing)} on the PATH, as on a login node.")
