"""One process a folder; what a killed one has left half written goes."""

import pytest

from ufm.__main__ import COMMANDS
from ufm.command_line import main
from ufm.output_folder import claimed, output_folder


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
