"""SLURM as a node of its own sees it: `sbatch`, `srun`, `sacct` and `scancel` that run array tasks as processes.

    python fake_slurm.py PROGRAM ARGUMENTS...

State is in the folder FAKE_SLURM: one file a task with its state, one with its process id; each job's script as
`sbatch` got it.
"""

import itertools
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

PROGRAMS = ("sbatch", "srun", "sacct", "scancel")
AT_A_TIME = 2


def install(folder: Path) -> Path:
    """Put the programs into a folder for the PATH."""
    for name in PROGRAMS:
        program = folder / name
        program.write_text(f'#!/bin/sh\nexec {sys.executable} {__file__} {name} "$@"\n')
        program.chmod(0o755)
    return folder


def sbatch(state: Path, script: str) -> None:
    text = Path(script).read_text()
    job = next(number for number in itertools.count(1) if not (state / f"{number}.sh").exists())
    (state / f"{job}.sh").write_text(text)
    last = re.search(r"--array=0-(\d+)", text)
    tasks = [f"{job}_{i}" for i in range(int(last[1]) + 1)] if last else [str(job)]
    for task in tasks:
        (state / f"{task}.state").write_text("PENDING")
    print(f"Submitted batch job {job}", flush=True)
    if os.fork() == 0:  # the controller
        os.setsid()
        os.closerange(0, 3)
        _run_all(state, job, tasks)
        os._exit(0)


def srun(state: Path, *words: str) -> None:
    command = list(words)
    while command[0].startswith("--"):
        del command[: 2 if command[0] in ("--output", "--error") else 1]
    os.execvp(command[0], command)


def sacct(state: Path, *words: str) -> None:
    print("JobID|State|NodeList")
    for path in sorted(state.glob("*.state")):
        print(f"{path.stem}|{path.read_text()}|here")


def scancel(state: Path, *jobs: str) -> None:
    for job in jobs:
        for path in [*state.glob(f"{job}.state"), *state.glob(f"{job}_*.state")]:
            if path.read_text() in ("PENDING", "RUNNING"):
                path.write_text("CANCELLED")
        for path in [*state.glob(f"{job}.pid"), *state.glob(f"{job}_*.pid")]:
            os.killpg(int(path.read_text()), signal.SIGKILL)


def _run_all(state: Path, job: int, tasks: list[str]) -> None:
    waiting, running = list(tasks), {}
    while waiting or running:
        while waiting and len(running) < AT_A_TIME:
            task = waiting.pop(0)
            if (state / f"{task}.state").read_text() == "PENDING":
                running[task] = _begin(state, job, task)
        for task, process in list(running.items()):
            if process.poll() is not None:
                del running[task]
                (state / f"{task}.pid").unlink()
                if (state / f"{task}.state").read_text() == "RUNNING":
                    (state / f"{task}.state").write_text("FAILED" if process.returncode else "COMPLETED")
        time.sleep(0.02)


def _begin(state: Path, job: int, task: str) -> "subprocess.Popen[bytes]":
    environment = {"SLURM_JOB_ID": str(job), "SLURM_NTASKS": "1", "SLURM_JOB_NUM_NODES": "1", "SLURM_NODEID": "0"}
    environment |= {"SLURM_PROCID": "0", "SLURM_LOCALID": "0"}
    if "_" in task:
        environment |= {"SLURM_ARRAY_JOB_ID": str(job), "SLURM_ARRAY_TASK_ID": task.partition("_")[2]}
    with (state / f"{task}.log").open("w") as log:
        command = ["bash", str(state / f"{job}.sh")]
        process = subprocess.Popen(
            command, env=os.environ | environment, stdout=log, stderr=log, start_new_session=True
        )
    (state / f"{task}.pid").write_text(str(process.pid))
    (state / f"{task}.state").write_text("RUNNING")
    return process


if __name__ == "__main__":
    {"sbatch": sbatch, "srun": srun, "sacct": sacct, "scancel": scancel}[sys.argv[1]](
        Path(os.environ["FAKE_SLURM"]), *sys.argv[2:]
    )
