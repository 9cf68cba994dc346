"""Timing of phases: seconds per phase, summed over the threads at work."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch


class Profile:
    """Collects the time spent in named phases; a phase within a phase counts to the inner one only.

    Args:
        device: on an accelerator every phase ends by waiting for the device, which makes the whole slower and the
            phases true.
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.seconds: dict[str, float] = {}
        self._waits = torch.device(device).type != "cpu"
        self._lock = threading.Lock()
        self._running = threading.local()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count what runs inside to the phase `name`."""
        outer = getattr(self._running, "inside", None)
        inside = self._running.inside = [0.0]
        began = time.perf_counter()
        try:
            yield
        finally:
            if self._waits:
                torch.accelerator.synchronize()
            seconds = time.perf_counter() - began
            self._running.inside = outer
            if outer:
                outer[0] += seconds
            with self._lock:
                self.seconds[name] = self.seconds.get(name, 0.0) + seconds - inside[0]


def phases(profile: Profile | None) -> Callable[[str], AbstractContextManager[Any]]:
    """`profile.phase`, or for None a context manager that measures nothing."""
    return profile.phase if profile else nullcontext
