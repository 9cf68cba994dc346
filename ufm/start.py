"""What a process of ours does first, before anything that takes time is imported.

Only where a package runs as a program: in a program of yours, or a notebook, nothing here happens.
"""

import os
import signal
import sys

TYPE_CHECKING = False  # `typing` takes longer to import than all that is done here
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

HOME = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PACKAGES = ("ufm", "deepnet", "theory_checks", "figures")
PROGRAMS = {"ufm": "ufm", "deepnet": "deepnet", "theory_checks": "theory_checks", "ncfigures": "figures"}
"""The package of each program that an installation brings."""
_AS_A_PROGRAM = ("__main__", "__mp_main__")
"""How the module is called that runs as one, and in the worker processes of one."""


class OurPackages:
    """Finds this project's packages beside this one, whatever else in the current folder has such a name."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> "ModuleSpec | None":
        """Where one of the packages is; None for everything else."""
        if name not in PACKAGES:  # first: the next import asks here for its own module where it is not loaded yet
            return None
        from importlib.machinery import PathFinder

        return PathFinder.find_spec(name, [HOME])


def begin(name: str, prog: str) -> None:
    """Answer Ctrl-C with one sentence, find our own packages, draw to files, compile; whatever the user's settings."""
    if name not in _AS_A_PROGRAM:
        return
    sys.meta_path.insert(0, OurPackages)
    os.environ |= {"MPLBACKEND": "agg", "NUMBA_DISABLE_JIT": "0"}  # without the compiler our loops would take hours
    try:
        os.getcwd()
    except OSError as error:  # libraries of torch's would end the process with a sentence about themselves
        sentence = f"{prog}: the current folder must be one that is there and can be read, got {error.strerror}.\n"
        os.write(2, sentence.encode())
        os._exit(2)
    if name != "__main__" or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return

    def stop(number: int, frame: object) -> None:
        os.write(2, f"{prog}: interrupted.\n".encode())
        os._exit(130)

    signal.signal(signal.SIGINT, stop)


def console(package: str, prog: str) -> int:
    """Run a package's command line as an installed program: as `python -m`, but the current folder shadows nothing.

    A module of the user's own that lies there is found still, after everything that is installed.
    """
    begin("__main__", prog)
    from importlib import import_module

    sys.path.append(os.getcwd())
    return import_module(f"{package}.__main__").program(prog)


def ufm() -> int:
    """The program `ufm`."""
    return console("ufm", "ufm")


def deepnet() -> int:
    """The program `deepnet`."""
    return console("deepnet", "deepnet")


def theory_checks() -> int:
    """The program `theory_checks`."""
    return console("theory_checks", "theory_checks")


def ncfigures() -> int:
    """The program `ncfigures`: `figures` is a name that many a folder has."""
    return console("figures", "ncfigures")


def stranger() -> str | None:
    """A file that would be imported in the place of one of our packages; None if there is none."""
    from importlib.util import find_spec

    for name in PACKAGES:
        found = sys.modules.get(name) or find_spec(name)
        file = getattr(found, "__file__", None) or getattr(found, "origin", None) or name
        if os.path.dirname(os.path.dirname(os.path.realpath(file))) != os.path.realpath(HOME):
            return str(file)
    return None
