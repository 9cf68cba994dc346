"""Programs started by torchrun, in a process of their own for each share."""

import os
import subprocess
import sys
from pathlib import Path


def torchrun(processes: int, *words: str | Path, **options) -> subprocess.CompletedProcess[str]:
    """Run a script, or `-m` a module, in so many processes of one thread each, with this project importable."""
    launcher = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={processes}", "--standalone"]
    ours = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    command = [*launcher, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, env=ours, **options)
