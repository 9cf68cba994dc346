"""An object by its import path, `module.Name`: not called, and its module looked at before it is imported.

An import runs a module, and the path may stand in a file from elsewhere. So the module must be Python source outside
the standard library that binds the name itself, which its text says, and a function or class must be defined there.
What the object is for (a loss) is for the caller to check, who also alone calls it, within `foreign`.
"""

import ast
import hashlib
import importlib
import importlib.util
import inspect
import sys
import sysconfig
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from ufm import files
from ufm.errors import RequestError, reason_of

LARGEST_SOURCE = 2**24
"""Bytes of a module."""
STANDARD = [Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib")]
INSTALLED = ("site-packages", "dist-packages")
"""Where Python keeps its library, and the names of the folders, below it or not, where it keeps packages."""
OURS = __name__.partition(".")[0]


def find(path: str, argument: str) -> Any:
    """What an import path names.

    Raises:
        ValueError: if there is no such module or name, the module is of the standard library or no Python source, its
            import fails or ends the program, or the function or class is defined elsewhere.
    """
    name, _, last = path.rpartition(".")
    is_path = all(part.isidentifier() for part in path.split("."))
    if not is_path or last.startswith("__"):
        raise _refused(path, argument, "no names with dots between")
    if name in sys.modules:
        reason = _reason_of_spec(name, getattr(sys.modules[name], "__spec__", None))
    else:
        reason = _reason_of_source(name, last)
    if reason:
        raise _refused(path, argument, reason)
    with foreign(argument, "be an import path that works here", path, f"importing {name}: "):
        module = importlib.import_module(name)
        found = getattr(module, last)
    if reason := _reason_of_home(found, module):
        raise _refused(path, argument, reason)
    return found


def is_installed(path: str) -> bool:
    """Whether the module has come with a package that is installed, other than this project."""
    origin = _origin(path)
    return not is_ours(path) and origin is not None and any(part in INSTALLED for part in origin.parts)


def is_ours(path: str) -> bool:
    """Whether the module is of this project."""
    return path.partition(".")[0] == OURS


def source_hash(path: str) -> str:
    """A hash of the file that a module, which is not imported for it, comes from; empty where there is none."""
    origin = _origin(path)
    return hashlib.sha256(files.content(origin, LARGEST_SOURCE)).hexdigest()[:16] if origin else ""


@contextmanager
def foreign(argument: str, duty: str, got: str, doing: str = "") -> Iterator[None]:
    """Run code of others: whatever it raises is our complaint that the argument "must `duty`, got `got`", and why.

    Raises:
        ValueError: on any error, `SystemExit` included; Ctrl-C and a lack of memory are not its own.
    """
    try:
        yield
    except (KeyboardInterrupt, MemoryError, RequestError):
        raise
    except BaseException as error:
        reason = f"{doing}{type(error).__name__}: {reason_of(error)}{_place(error)}"
        raise RequestError(f"`{argument}` must {duty}, got {got} ({reason}).") from None


def _place(error: BaseException) -> str:
    """Where an error was raised, if within a file of the user."""
    inner = traceback.extract_tb(error.__traceback__)[-1]
    is_own = inner.filename != __file__ and not _is_standard(inner.filename) and "<" not in inner.filename
    return f" in {inner.filename}, line {inner.lineno}" if is_own else ""


def _refused(path: str, argument: str, reason: str) -> RequestError:
    return RequestError(f"`{argument}` must be an import path that works here, got {path} ({reason}).")


def _reason_of_spec(name: str, spec: ModuleSpec | None) -> str:
    """Why a module must not be used; a module that the running program has made is its own."""
    is_standard = spec is not None and (spec.origin in ("built-in", "frozen") or _is_standard(spec.origin))
    return f"{name} is of Python's standard library" if is_standard else ""


def _reason_of_source(module: str, name: str) -> str:
    """Why a module must not be imported for a name."""
    if any(part.startswith("__") for part in module.split(".")):
        return f"{module} is a script"
    try:
        spec = _spec(module)
        if spec is None:
            return f"importing {module}: ModuleNotFoundError"
        if reason := _reason_of_spec(module, spec):
            return reason
        if spec.origin is None or not spec.origin.endswith(".py"):
            return f"{module} is no file of Python source"
        tree = ast.parse(files.content(Path(spec.origin), LARGEST_SOURCE))
    except (OSError, ImportError, ValueError, SyntaxError, RecursionError) as error:
        return f"importing {module}: {type(error).__name__}: {reason_of(error)}"
    return "" if name in _bound(tree.body) else f"{spec.origin} defines no {name} itself"


def _reason_of_home(found: Any, module: ModuleType) -> str:
    """Why a function or class is not the module's own; an instance, or a method of one, is where it is bound."""
    if inspect.ismethod(found) or not (inspect.isroutine(found) or inspect.isclass(found)):
        return ""
    home = getattr(found, "__module__", None) or "no module"
    is_made_here = getattr(module, "__spec__", None) is None and home == "__main__"  # put together by a running script
    return "" if home == module.__name__ or is_made_here else f"it is defined in {home}, not in {module.__name__}"


def _spec(module: str) -> ModuleSpec | None:
    """Where the module is, found without importing what it is in, which `importlib.util.find_spec` would."""
    top, *inner = module.split(".")
    spec = importlib.util.find_spec(top) if top else None
    places = list(spec.submodule_search_locations or ()) if spec else []
    for part in inner:
        spec = PathFinder.find_spec(part, places) if places else None
        if spec is None:
            return None
        is_package = spec.submodule_search_locations is not None
        places = [str(Path(place) / part) for place in places] if is_package else []
    return spec


def _origin(path: str) -> Path | None:
    """The file of the module of an import path."""
    name = path.rpartition(".")[0]
    spec = getattr(sys.modules[name], "__spec__", None) if name in sys.modules else _spec(name)
    return Path(spec.origin) if spec and spec.origin and spec.has_location else None


def _is_standard(origin: str | None) -> bool:
    path = Path(origin or "").resolve()
    return any(path.is_relative_to(place) for place in STANDARD) and not any(part in INSTALLED for part in path.parts)


def _bound(body: Sequence[ast.stmt]) -> set[str]:
    """The names that statements define or assign; what they import is another module's."""
    names: set[str] = set()
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
            continue
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)}
        inner = [*getattr(node, "body", ()), *getattr(node, "orelse", ()), *getattr(node, "finalbody", ())]
        names |= _bound([*inner, *(each for handler in getattr(node, "handlers", ()) for each in handler.body)])
    return names
