import errno
import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ufm.cli.records import atomic_file, check_new_file, new_folder, read_record, says, write_record

ROOT = Path(__file__).parents[3]


def test_a_record_says_what_was_asked_and_what_came_out(tmp_path):
    path = write_record(
        tmp_path / "r.json", {"seed": 3, "out": tmp_path}, {"x": torch.tensor([1.5, 2.0]), "bad": math.nan}
    )
    record = read_record(path)
    assert record["setting"] == {"seed": 3, "out": str(tmp_path)}
    assert record["result"] == {"x": [1.5, 2.0], "bad": None}
    assert record["versions"]["torch"].split("+")[0] == torch.__version__.split("+")[0]  # a build may be left out
    assert {"schema", "command", "created", "commit", "machine"} <= record.keys()


def test_a_record_says_what_it_was_given_and_nothing_else(tmp_path):
    path, setting, result = tmp_path / "r.json", {"out": tmp_path}, {"x": [1.0], "bad": math.nan}
    assert not says(path, setting, result)
    write_record(path, setting, result)
    assert says(path, setting, result)
    assert not says(path, setting | {"seed": 1}, result)
    assert not says(path, setting, result | {"x": [1.0 + 1e-15]})


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def fail():
        with atomic_file(path) as file:
            file.write("half of the n")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", ["", "{", "[1]", '"text"', "{}", json.dumps({"schema": 99}), "\x00\x01"])
def test_what_is_not_a_record_is_refused(tmp_path, content):
    path = tmp_path / "r.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"r\.json must be a record"):
        read_record(path)
    with pytest.raises(ValueError, match=r"must be a record"):
        read_record(tmp_path / "missing.json")


def test_nothing_is_written_over(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").touch()
    with pytest.raises(ValueError, match=r"--out.*new or empty.*holds a"):
        new_folder(tmp_path / "full", "x")
    with pytest.raises(ValueError, match=r"--out.*made and written"):
        new_folder(tmp_path / "full" / "a", "x")
    with pytest.raises(ValueError, match=r"--json.*does not exist yet"):
        check_new_file(tmp_path / "full" / "a", "--json")
    with pytest.raises(ValueError, match=r"--json.*folder that can be written"):
        check_new_file(tmp_path / "nowhere" / "a", "--json")
    assert new_folder(tmp_path / "new" / "deep", "x").is_dir()


def full(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_no_wrong_request(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.TemporaryFile", full)
    with pytest.raises(OSError, match="No space left"):
        new_folder(tmp_path / "out", "x")
    with pytest.raises(OSError, match="No space left"):
        check_new_file(tmp_path / "r.json", "--json")


def test_a_name_that_is_nearly_too_long_can_be_written(tmp_path):
    path = tmp_path / ("ä" * 125 + ".json")
    with atomic_file(path) as file:
        file.write("\u2260")
    assert path.read_bytes() == "\u2260".encode()


def git(folder: Path, *words: str) -> str:
    command = ["git", "-c", "user.name=x", "-c", "user.email=x@x", "-C", str(folder), *words]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()


def repository(folder: Path, *tracked: str) -> str:
    """Make a repository with these files; its commit."""
    folder.mkdir(exist_ok=True)
    git(folder, "init", "-q")
    for name in tracked:
        git(folder, "add", name)
    git(folder, "commit", "-q", "--allow-empty", "-m", "x")
    return git(folder, "rev-parse", "--short=12", "HEAD")


def commit_of(package_parent: Path, **more: str) -> str:
    """What records of the copy of `ufm` in a folder say."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"PYTHONPATH": str(package_parent), "PYTHONDONTWRITEBYTECODE": "1"} | more
    code = "from ufm.cli.records import provenance; print(provenance()['commit'])"
    command = [sys.executable, "-c", code]
    cwd = package_parent.parent
    return subprocess.run(command, env=environment, cwd=cwd, check=True, capture_output=True, text=True).stdout.strip()


def copied(folder: Path) -> Path:
    """`ufm` in a folder."""
    shutil.copytree(ROOT / "ufm", folder / "ufm", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def test_the_commit_is_that_of_the_packages_own_checkout(tmp_path):
    own = copied(tmp_path / "own")
    commit = repository(own, "ufm")
    other = repository(tmp_path / "other")
    assert commit_of(own) == commit != other
    foreign = {"GIT_DIR": str(tmp_path / "other" / ".git"), "GIT_WORK_TREE": str(tmp_path / "other")}
    assert commit_of(own, **foreign) == commit
    (own / "ufm" / "__init__.py").write_text((own / "ufm" / "__init__.py").read_text() + "# changed\n")
    assert commit_of(own) == f"{commit}+changes"


def test_the_commit_of_a_repository_around_the_package_is_not_the_packages(tmp_path):
    repository(tmp_path / "paper")
    assert commit_of(copied(tmp_path / "paper" / ".venv" / "site-packages")) == "None"
    beside = copied(tmp_path / "beside")
    repository(beside)  # its root, but the package is not one of its files
    assert commit_of(beside) == "None"
    vendored = tmp_path / "vendored"
    copied(vendored / "third_party")
    repository(vendored, "third_party")
    assert commit_of(vendored / "third_party") == "None"
    loose = copied(tmp_path / "loose")
    assert commit_of(loose, GIT_DIR=str(tmp_path / "paper" / ".git")) == "None"
