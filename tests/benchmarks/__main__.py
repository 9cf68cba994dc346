"""`python -m tests.benchmarks [--tiny] [--json FILE] [NAME ...]`: all benchmarks or those named, a line per ratio."""

import argparse
import dataclasses
import importlib
import sys
import time
from pathlib import Path

from ufm.cli import process

NAMES = (
    "throughput",
    "evaluation",
    "scaling",
    "critical_points",
    "eigenpairs",
    "nc_statistics",
    "accelerator",
    "training",
    "watching",
)


def main() -> int:
    """Run, print, and write the record."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; default: all")
    parser.add_argument("--tiny", action="store_true", help="only see whether they work; the numbers mean nothing")
    parser.add_argument("--json", type=Path, help="file for the record; must not exist")
    asked = parser.parse_args()
    if unknown := sorted({*asked.names} - {*NAMES}):
        parser.error(f"NAME must be one of {', '.join(NAMES)}, got {unknown[0]}.")
    process.prepare()

    from rich.console import Console

    from tests.benchmarks.measure import summary
    from ufm.cli.records import check_new_file, write_record
    from ufm.errors import RequestError

    try:
        check_new_file(asked.json, "--json")
    except RequestError as error:
        parser.error(str(error))
    console = Console()
    began = time.perf_counter()
    rows = []
    for name in asked.names or NAMES:
        for row in importlib.import_module(f"tests.benchmarks.{name}").run(asked.tiny):
            verdict = {None: "", True: "[green]met[/]", False: "[red]missed[/]"}[row.is_met]
            line = f"{row.target}  {row.what}: {summary(row.ours)} against {summary(row.other)} a {row.unit}; "
            console.print(f"{line}ratio {row.ratio:.3g} {row.wanted and f'({row.wanted})'} {verdict}", highlight=False)
            rows.append(dataclasses.asdict(row) | {"is_met": row.is_met})
    if "accelerator" in (asked.names or NAMES) and not any(row["target"] == "6" for row in rows):
        console.print("6  not measured: torch sees no CUDA device here")
    seconds = time.perf_counter() - began
    console.print(f"{seconds:.0f} s")
    if asked.json:
        setting = {"tiny": asked.tiny, "names": asked.names}
        print(f"record: {write_record(asked.json, setting, {'rows': rows, 'seconds': seconds})}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
