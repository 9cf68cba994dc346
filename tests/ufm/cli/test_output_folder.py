"""One process a folder; what a killed one has left half written goes."""

from contextlib import ExitStack

import pytest

from ufm.__main__ import COMMANDS
from ufm.cli.command_line import main
from ufm.cli.output_folder import claimed, output_folder
from ufm.cli.records import new_folder


@pytest.mark.parametrize("command", ["verify", "atlas", "atlas-scan", "focal-window", "scan", "report-card"])
def test_a_second_process_is_refused(tmp_path, capsys, command):
    words = ["--grid.decay", "1e-3,1e-2"] if command == "scan" else []
    folder = tmp_path / "out"
    folder.mkdir()
    with claimed(folder, "--out"):
        assert main("python -m ufm", "", COMMANDS, [command, *words, "--out", str(folder)]) == 2
    assert "`--out` must be a folder in which no other process works" in capsys.readouterr().err
    assert list(folder.iterdir()) == []


def test_half_written_files_are_removed_and_in_nobodys_way(tmp_path):
    (tmp_path / ".record.json.abcdefgh.part").write_text("{")
    with output_folder(tmp_path, "x") as folder:
        assert list(folder.iterdir()) == []


def test_a_folder_of_its_own_that_stays_empty_goes_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KeyboardInterrupt), output_folder(None, "x"):
        raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt), output_folder(tmp_path / "a" / "b", "x"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_what_is_to_be_continued_may_be_there(tmp_path):
    (tmp_path / "record.json").write_text("{}")
    with output_folder(tmp_path, "x", continues="record.json") as folder:
        assert folder == tmp_path
    with pytest.raises(ValueError, match="new or empty"), output_folder(tmp_path, "x"):
        pass


def test_a_folder_that_another_process_has_begun_meanwhile_stays_its_own(tmp_path, monkeypatch):
    """Two calls with one `--out` at the same time: the one that is refused must not remove the other's empty folder."""
    folder, theirs = tmp_path / "out", ExitStack()

    def begun_by_another(path, name):
        made = new_folder(path, name)
        theirs.enter_context(claimed(made, "--out"))
        return made

    monkeypatch.setattr("ufm.cli.output_folder.new_folder", begun_by_another)
    with theirs, pytest.raises(ValueError, match="no other process works"), output_folder(folder, "x"):
        pass
    assert folder.is_dir()


def test_a_folder_that_was_removed_and_made_anew_meanwhile_is_not_held(tmp_path, monkeypatch):
    folder = tmp_path / "out"
    folder.mkdir()

    def made_anew(*_):
        folder.rmdir()
        (tmp_path / "keeps its number").mkdir()
        folder.mkdir()

    monkeypatch.setattr("fcntl.flock", made_anew)
    with pytest.raises(ValueError, match="no other process works"), claimed(folder, "--out"):
        pass
