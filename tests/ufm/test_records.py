import json
import math

import pytest
import torch

from ufm.records import atomic_file, check_new_file, new_folder, read_record, write_record


def test_a_record_says_what_was_asked_and_what_came_out(tmp_path):
    path = write_record(
        tmp_path / "r.json", {"seed": 3, "out": tmp_path}, {"x": torch.tensor([1.5, 2.0]), "bad": math.nan}
    )
    record = read_record(path)
    assert record["setting"] == {"seed": 3, "out": str(tmp_path)}
    assert record["result"] == {"x": [1.5, 2.0], "bad": None}
    assert record["versions"]["torch"] == torch.__version__
    assert {"schema", "command", "created", "commit", "machine"} <= record.keys()


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
