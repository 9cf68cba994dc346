"""What every command has in common, tried on one that computes nothing."""

import errno
import json
import os
from dataclasses import dataclass
from importlib import import_module

import pytest

from figures.stored import figure_scripts
from ufm.cli.command import job
from ufm.cli.common_setting import OutputSetting
from ufm.cli.job import Job
from ufm.cli.resume import RECORD
from ufm.errors import RequestError


@dataclass(frozen=True, kw_only=True)
class Setting(OutputSetting):
    parts: int = 2


class Count(Job[Setting, dict]):
    """Counts, and notes what becomes of it; raises what it is given after its first part."""

    name = "count"

    def __init__(self, setting, error=None):
        super().__init__(setting)
        self.error, self.seen = error, []

    def compute(self):
        for part in range(self.setting.parts):
            self.record({"parts": part})
            if self.error:
                raise self.error
        return {"parts": self.setting.parts}

    def show(self, result):
        self.seen.append(("shown", json.loads(self.path.read_text())["result"] if self.path.exists() else None))

    def exit_code(self, result):
        return 10 + result["parts"]

    def stopped(self):
        self.seen.append(("stopped", json.loads(self.path.read_text())["result"]))


class GoOn(Count):
    """The same, gone on with in its folder."""

    continues = True


class Refused(Count):
    def __init__(self, setting):
        raise RequestError("no")


def full(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_the_record_is_written_before_anything_is_shown(tmp_path, capsys):
    count = Count(Setting(out=tmp_path / "out"))
    assert count.run() == 12
    assert count.seen == [("shown", {"parts": 2})]
    assert capsys.readouterr().out == f"record: {tmp_path / 'out' / RECORD}\n"


def test_the_record_is_named_before_a_picture_can_fail(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("ufm.cli.job.draw", full)
    with pytest.raises(OSError, match="No space left"):
        Count(Setting(out=tmp_path / "out")).run()
    assert capsys.readouterr().out == f"record: {tmp_path / 'out' / RECORD}\n"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device"), RuntimeError()])
def test_what_is_finished_stays_and_the_user_is_told(tmp_path, error):
    count = Count(Setting(out=tmp_path / "out"), error)
    with pytest.raises(type(error)):
        count.run()
    assert count.seen == [("stopped", {"parts": 0})]


def test_a_refused_request_is_not_one_to_go_on_with(tmp_path):
    count = Count(Setting(out=tmp_path / "out"), RequestError("no"))
    with pytest.raises(RequestError):
        count.run()
    assert count.seen == []


def test_a_job_that_refuses_makes_no_folder(tmp_path):
    with pytest.raises(RequestError):
        job(f"{__name__}:Refused")(Setting(out=tmp_path / "out"))
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_recorded_is_shown(tmp_path, monkeypatch):
    count = Count(Setting(out=tmp_path / "out", parts=0))
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        count.run()
    assert count.seen == [("shown", None)]
    assert list(tmp_path.iterdir()) == []


def test_json_takes_the_records_place_or_is_a_copy(tmp_path):
    for kind, in_folder in ((Count, False), (GoOn, True)):
        setting = Setting(out=tmp_path / kind.__name__, json=tmp_path / f"{kind.__name__}.json")
        assert kind(setting).run() == 12
        assert setting.json.exists()
        assert (setting.out / RECORD).exists() == in_folder


def test_a_folder_is_gone_on_with_only_if_the_job_says_so(tmp_path):
    for kind in (Count, GoOn):
        assert kind(Setting(out=tmp_path / kind.__name__)).run() == 12
    with pytest.raises(RequestError, match="new or empty"):
        Count(Setting(out=tmp_path / "Count")).run()
    before = (tmp_path / "GoOn" / RECORD).read_text()
    done = GoOn(Setting(out=tmp_path / "GoOn"))
    done.compute = lambda: {"parts": 2}
    assert done.run() == 12
    assert (tmp_path / "GoOn" / RECORD).read_text() == before  # it says the same, and who found it
    done.compute = lambda: {"parts": 3}
    assert done.run() == 13
    assert (tmp_path / "GoOn" / RECORD).read_text() != before


def test_pictures_belong_to_jobs_that_there_are():
    commands = [import_module(f"{package}.__main__").COMMANDS for package in ("ufm", "deepnet")]
    names = {"claims", "compare_features"} | {name for entry in commands for name in entry}
    jobs = {script.JOB for script in figure_scripts("JOB").values()}
    assert jobs <= names
    assert names - jobs == {"atlas-compare", "atlas-scan"}
