import os
import signal
import time
from pathlib import Path

import pytest

from ufm.engine.map_units import ATTEMPTS, map_units
from ufm.engine.setting import EngineSetting

pytestmark = pytest.mark.usefixtures("all_cores")


def _square(unit):
    return unit * unit


def _fragile(unit):
    """(number, folder): number 3 dies at its first attempt, 4 always, 5 raises always."""
    number, folder = unit
    marker = Path(folder) / f"{number}-{time.monotonic_ns()}"
    marker.touch()
    attempts = len(list(Path(folder).glob(f"{number}-*")))
    if number == 4 or (number == 3 and attempts == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 5:
        raise ArithmeticError("five is right out")
    return number * number


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_every_unit_is_done_once(workers, tmp_path):
    outcomes = list(map_units(_square, range(7), workers, EngineSetting(), tmp_path))
    assert sorted((o.unit, o.result) for o in outcomes) == [(i, i * i) for i in range(7)]
    assert all(o.error is None for o in outcomes)


def test_a_dead_worker_costs_its_unit_which_is_done_again(tmp_path):
    units = [(i, str(tmp_path)) for i in range(8)]
    outcomes = {o.unit[0]: o for o in map_units(_fragile, units, 2, EngineSetting(), tmp_path)}
    assert {i: o.result for i, o in outcomes.items() if o.error is None} == {i: i * i for i in (0, 1, 2, 3, 6, 7)}
    assert "died (exit code -9)" in outcomes[4].error
    assert "ArithmeticError: five is right out" in outcomes[5].error
    for number, attempts in ((0, 1), (3, 2), (4, ATTEMPTS), (5, ATTEMPTS)):
        assert len(list(tmp_path.glob(f"{number}-*"))) == attempts


def test_in_this_process_a_unit_that_raises_is_handed_back(tmp_path):
    (outcome,) = map_units(_fragile, [(5, str(tmp_path))], 0, EngineSetting(), tmp_path)
    assert outcome.result is None
    assert "five is right out" in outcome.error
    assert len(list(tmp_path.iterdir())) == ATTEMPTS


def _report(unit):
    Path(unit, f"worker-{os.getpid()}").touch()
    time.sleep(60)


def test_who_stops_listening_leaves_no_worker_behind(tmp_path):
    units = map_units(_report, [str(tmp_path)] * 2, 2, EngineSetting(), tmp_path)

    def interrupt(signum, frame):
        if any(tmp_path.iterdir()):  # a worker is at work
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.2, 0.2)
    try:
        with pytest.raises(KeyboardInterrupt):
            next(units)
    finally:
        signal.signal(signal.SIGALRM, before)
    workers = [int(path.name.partition("-")[2]) for path in tmp_path.iterdir()]
    assert workers
    for worker in workers:
        assert not Path(f"/proc/{worker}").exists()
