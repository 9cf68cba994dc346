"""Names from files and words: what is imported, what is called, and what neither."""

import importlib
import sys

import pytest

from ufm.import_string import find, foreign, is_installed, source_hash
from ufm.model.own_loss import loss_of

SOURCE = """
import functools, os, subprocess
from collections import OrderedDict
from pathlib import Path as Place
from torch.nn import functional
import torch
Place("imported").touch()

def cross_entropy(logits, labels, weight: float = 1.0, flag: bool = False):
    return weight * functional.cross_entropy(logits, labels, reduction="none") + (0 if flag else 0)

class Focal:
    def __init__(self, gamma: float = 2.0):
        Place("called").touch()
        self.gamma = gamma
    def __call__(self, logits, labels):
        return cross_entropy(logits, labels) * self.gamma

class Shell:
    def __init__(self, args):
        Place("called").touch()

module = torch.nn.CrossEntropyLoss(reduction="none")
partial = functools.partial(functional.cross_entropy, reduction="none")
function = lambda logits, labels: functional.cross_entropy(logits, labels, reduction="none")
bound = module.forward
shell = os.system
popen = subprocess.Popen
theirs = functional.cross_entropy
if True:
    inner = partial
try:
    tried = partial
except ValueError:
    pass
number = 3
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    (tmp_path / "own_module.py").write_text(SOURCE)
    (tmp_path / "exits.py").write_text("import sys\nloss = 1\nsys.exit(0)\n")
    (tmp_path / "raises.py").write_text("loss = 1\nraise RuntimeError()\n")
    (tmp_path / "broken.py").write_text("def loss(:\n")
    (tmp_path / "binary.py").write_bytes(b"\0\1\2")
    (tmp_path / "script.py").write_text("from pathlib import Path\nPath('imported').touch()\n")
    package = tmp_path / "own_package"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").write_text("import own_module\nfrom own_module import cross_entropy\n")
    (package / "__main__.py").write_text("from pathlib import Path\nPath('imported').touch()\nloss = print\n")
    (package / "inner" / "losses.py").write_text("def loss(logits, labels):\n    return logits.sum(-1)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    before = {*sys.modules}
    yield tmp_path
    for name in {*sys.modules} - before:
        if name.partition(".")[0] in ("own_module", "exits", "raises", "broken", "binary", "script", "own_package"):
            del sys.modules[name]


def was_imported(folder) -> bool:
    return (folder / "imported").exists()


@pytest.mark.parametrize("name", ["cross_entropy", "Focal", "module", "partial", "function", "bound", "inner", "tried"])
def test_callables_of_a_module_are_losses(folder, name):
    found = find(f"own_module.{name}", "--loss")
    assert callable(found)
    assert was_imported(folder)
    assert not (folder / "called").exists()  # found, not called
    loss_of({"name": f"own_module.{name}"})
    assert (folder / "called").exists() == (name == "Focal")


@pytest.mark.parametrize(
    "path",
    [
        "own_module.subprocess",
        "own_module.os",
        "own_module.Place",
        "own_module.OrderedDict",
        "own_module.functional",
        "own_module.nothing",
        "own_module.__builtins__",
        "own_module.os.system",
        "script.loss",
        "own_package.cross_entropy",  # of another module
        "own_package.__main__.loss",
        "own_package.inner.nothing.loss",
        "own_package.inner.losses.other",
        "broken.loss",
        "binary.loss",
        "nothing.loss",
        ".loss",
        "own_module.",
        "own_module..loss",
        "own module.loss",
        "own_module.loss()",
        "../own_module.loss",
    ],
)
def test_what_a_module_does_not_define_is_refused_before_it_is_imported(folder, path):
    with pytest.raises(ValueError, match=r"`--loss` must be an import path that works here, got "):
        find(path, "--loss")
    assert not was_imported(folder)


@pytest.mark.parametrize(
    "path",
    ["antigravity.x", "antigravity.geohash", "this.s", "idlelib.idle.x", "turtledemo.__main__.x", "pip.__main__.x"],
)
def test_modules_of_the_standard_library_and_scripts_are_not_imported(path):
    module = path.rpartition(".")[0]
    assert module not in sys.modules
    with pytest.raises(ValueError, match=f"got {path} \\({module} is (of Python's standard library|a script)"):
        find(path, "--loss")
    assert module not in sys.modules


@pytest.mark.parametrize(
    "path",
    [
        *("subprocess.Popen", "subprocess.run", "os.system", "os.popen", "posix.system", "ctypes.CDLL", "pickle.loads"),
        *("builtins.eval", "builtins.exec", "importlib.import_module", "runpy.run_path", "code.interact"),
        *("functools.partial", "operator.methodcaller", "types.FunctionType", "multiprocessing.Process"),
    ],
)
def test_callables_of_the_standard_library_are_refused(path):
    importlib.import_module(path.rpartition(".")[0])  # that it is there already changes nothing
    with pytest.raises(ValueError, match="is of Python's standard library"):
        loss_of({"name": path, "args": "touch pwned"})


@pytest.mark.parametrize("name", ["shell", "popen", "theirs"])
def test_another_name_of_a_function_or_class_from_elsewhere_is_refused(folder, name):
    with pytest.raises(ValueError, match=f"own_module.{name} \\(it is defined in "):
        loss_of({"name": f"own_module.{name}"})


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("torch.nn.CrossEntropyLoss", "it is defined in torch.nn.modules.loss, not in torch.nn"),
        ("torch.tensor", r"a function \(logits, labels\)"),
        ("torch.Generator", "not in torch"),
        ("torch.hub.set_dir", "a function \\(logits, labels\\)"),
        ("torch.package.package_importer.PackageImporter", "a subclass of ufm.model.loss.Loss or torch.nn.Module"),
        ("hypothesis.database.DirectoryBasedExampleDatabase", "a subclass of ufm.model.loss.Loss or torch.nn.Module"),
    ],
)
def test_of_installed_packages_only_losses_by_their_looks_are_called(path, complaint):
    with pytest.raises(ValueError, match=complaint):
        loss_of({"name": path, "root": "x"})


def test_losses_of_installed_packages():
    for path in ("torch.nn.functional.cross_entropy", "torch.nn.modules.loss.CrossEntropyLoss"):
        assert is_installed(path)
        loss_of({"name": path, "reduction": "none"})
    assert not is_installed("ufm.model.losses.Focal")
    assert not is_installed("own_module.Focal")


def test_a_class_that_is_no_loss_by_its_looks_is_not_made(folder):
    with pytest.raises(ValueError, match=r"instances are called as \(logits, labels\), got own_module.Shell"):
        loss_of({"name": "own_module.Shell", "args": "x"})
    assert not (folder / "called").exists()


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ({"weight": None}, "a finite number, a text, true or false, got None"),
        ({"weight": [1]}, r"a finite number, a text, true or false, got \[1\]"),
        ({"weight": {"a": 1}}, "a finite number, a text, true or false"),
        ({"weight": float("nan")}, "a finite number, a text, true or false, got nan"),
        ({"gamma": 1.0}, "take its parameters.*gamma"),
        ({"logits": 1.0}, "take its parameters.*logits"),
    ],
)
def test_parameters_are_plain_and_in_the_signature(spec, complaint):
    with pytest.raises(ValueError, match=complaint):
        loss_of({"name": "own_module.cross_entropy", **spec})


def test_words_of_the_command_line_are_truth_values_where_they_are_asked_for():
    loss = loss_of({"name": "own_module.cross_entropy", "flag": "false"})
    assert loss.on_samples.keywords["flag"] is False  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("exits.loss", "importing exits: SystemExit: 0 in .*exits.py, line 3"),
        ("raises.loss", "importing raises: RuntimeError: RuntimeError"),
    ],
)
def test_an_import_that_fails_or_ends_the_program_is_a_complaint(path, reason):
    with pytest.raises(ValueError, match=reason):
        find(path, "--loss")


def test_finding_a_hash_imports_nothing(folder):
    assert len(source_hash("own_package.inner.losses.loss")) == 16
    assert source_hash("nothing.loss") == ""
    assert not was_imported(folder)


class Odd(BaseException):
    pass


@pytest.mark.parametrize("error", [SystemExit(0), SystemExit(), Odd(), ValueError(), StopIteration(1), GeneratorExit()])
def test_whatever_foreign_code_raises_is_a_complaint(error):
    with (
        pytest.raises(ValueError, match=f"`--loss` must do, got it \\({type(error).__name__}"),
        foreign("--loss", "do", "it"),
    ):
        raise error


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_ctrl_c_and_a_lack_of_memory_are_not_its_own(error):
    with pytest.raises(error), foreign("--loss", "do", "it"):
        raise error
