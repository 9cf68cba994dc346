"""Units of work as tasks of a Ray cluster (extra `ray`): one that runs, or a new one on this machine.

The workers import the function, so the project and a loss of your own must be importable there: on this machine as
here, on a cluster from the same paths or installed. Results come back to the driver; no common file system is needed.
"""

import os
import socket
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from ufm.engine.pool import Ended, Pool, attempt_elsewhere
from ufm.engine.setting import EngineSetting
from ufm.errors import RequestError, reason_of

AHEAD = 2
"""Units in the queue per unit that the cluster has room for: enough to keep it busy, and for an autoscaler to see."""
SECONDS_TO_ANSWER = 10


class RayPool(Pool):
    """The back end of a Ray cluster.

    Raises:
        ValueError: if there is no cluster at the address.
    """

    def __init__(self, function: Callable[[Any], Any], engine: EngineSetting) -> None:
        self._ray, self._engine = connect(engine), engine
        work: Any = self._ray.remote(num_cpus=engine.cpus, num_gpus=engine.gpus, max_retries=0)(attempt_elsewhere)
        self._begin: Callable[[Any], Any] = lambda unit: work.remote(function, unit, engine.cpus)
        self._busy: list[Any] = []

    @property
    def room(self) -> int:
        """The number of units that fill the cluster's queue now; a cluster may grow and shrink."""
        places = int(self._ray.cluster_resources().get("CPU", 0)) // self._engine.cpus
        return max(0, AHEAD * max(1, places) - len(self._busy))

    def start(self, units: Sequence[Any]) -> Sequence[Hashable]:
        """Start one task per unit."""
        tasks = [self._begin(unit) for unit in units]
        self._busy += tasks
        return tasks

    def finished(self) -> Sequence[Ended]:
        """Wait for tasks that have ended."""
        done, self._busy = self._ray.wait(self._busy, num_returns=1)
        return [(task, *self._answer(task)) for task in done]

    def stop(self) -> None:
        """Leave the cluster, which ends this driver's tasks; one of our own ends altogether."""
        self._ray.shutdown()

    def _answer(self, task: Any) -> tuple[Any, str | None]:
        try:
            return self._ray.get(task)
        except self._ray.exceptions.RayError as error:
            return None, f"the worker died ({' '.join(str(error).split())[:300]})"


def connect(engine: EngineSetting) -> Any:
    """The module `ray`, connected to the cluster.

    Raises:
        ValueError: if there is no cluster at the address.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # An accelerator's visibility is left alone on tasks that ask for none, as Ray will do by default.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    new = {} if engine.address else {"include_dashboard": False}
    try:
        _knock(engine.address)
        ray.init(address=engine.address or "local", log_to_driver=False, logging_level="ERROR", **new)
    except (OSError, RuntimeError, ValueError) as error:
        reason = reason_of(error)
        raise RequestError(f"`--engine.address` must be a Ray cluster, got {engine.address} ({reason}).") from None
    return ray


def _knock(address: str | None) -> None:
    """Refuse an address at which nothing answers; Ray itself would try for many minutes."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if port.isdigit():
        socket.create_connection((host, int(port)), timeout=SECONDS_TO_ANSWER).close()
