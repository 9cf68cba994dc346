"""`kill -9` and Ctrl-C at twenty random moments of every long command (a scan's workers: `ufm/test_scan_killed`).

What was acknowledged is there, going on ends where an undisturbed run ends, and no half-written file stays.
"""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.disturbing import MOMENTS, ROOT, SIGNS, disturbed, undisturbed
from ufm.cli.records import HALF_WRITTEN
from ufm.scan.shards import read_rows

ATLAS = ["ufm", "atlas", "--classes", "3", "--dim", "4", "--starts", "300", "--max-rounds", "6", "--quiet-rounds", "6"]
PROOF = ["ufm", "atlas", "--classes", "3", "--dim", "3", "--per-class", "1", "--starts", "300", "--max-rounds", "2"]
PROOF += ["--decay-W", "0.007", "--decay-H", "0.007", "--decay-b", "0", "--prove-complete", "true"]
SCAN = ["ufm", "scan", "--loss", "focal", "--grid.gamma", "0:8:9", "--grid.decay", "1e-4:1e-1:9:log", "--starts", "16"]
ATLAS_SCAN = [
    "ufm",
    "atlas-scan",
    "--classes",
    "2",
    "--starts",
    "60",
    "--strengths",
    "[0.01, 0.1]",
    "--decays-b",
    "[0.0, null]",
]
VERIFY = ["ufm", "verify", "--classes", "4", "--dim", "5", "--starts", "400", "--saddle-starts", "64"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def record_of(folder: Path) -> dict:
    path = folder / "record.json"
    return json.loads(path.read_text())["result"] if path.exists() else {}


def without_times(value: object) -> object:
    """A result without what depends on when it was found."""
    if isinstance(value, dict):
        return {key: without_times(entry) for key, entry in value.items() if key != "seconds"}
    return [without_times(entry) for entry in value] if isinstance(value, list) else value


@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize("command", [ATLAS, ATLAS_SCAN], ids=lambda words: words[1])
def test_what_grows_in_a_folder_goes_on(tmp_path, command, sign):
    random.seed(1)
    seconds = undisturbed(*command, "--out", tmp_path / "undisturbed")
    expected = record_of(tmp_path / "undisturbed")
    counted = "rounds" if command is ATLAS else "entries"
    moments = number = 0
    while moments < MOMENTS:
        folder, number = tmp_path / f"run-{number}", number + 1
        done: list = []
        for _ in range(30):
            code = disturbed([*command, "--out", str(folder)], seconds, sign)
            moments += code != 0
            now = record_of(folder).get(counted, [])
            assert now[: len(done)] == done
            done = now
            if code == 0:
                break
        undisturbed(*command, "--out", folder)
        found = record_of(folder)
        if command is ATLAS:  # rounds after the last are not part of the undisturbed run
            assert len(found["rows"]) == len(expected["rows"])
            assert found["statuses"].keys() == expected["statuses"].keys()
        else:
            assert without_times(found) == without_times(expected)
        assert list(folder.rglob(HALF_WRITTEN)) == []
    print(f"{command[1]}, {sign.name}: stopped at {moments} moments, in {number} folders")


def test_a_proof_of_completeness_goes_on(tmp_path):
    random.seed(4)
    seconds = undisturbed(*PROOF, "--out", tmp_path / "undisturbed")
    expected = record_of(tmp_path / "undisturbed")["completeness"]
    boxes, code = [0], -1
    while code != 0:
        code = disturbed([*PROOF, "--out", str(tmp_path / "killed")], seconds, signal.SIGKILL)
        boxes.append(record_of(tmp_path / "killed").get("completeness", {"boxes": 0})["boxes"])
        assert len(boxes) < 30
    assert boxes == sorted(boxes)
    assert {0 < count < expected["boxes"] for count in boxes} == {True, False}
    found = record_of(tmp_path / "killed")["completeness"]
    assert without_times(found) == without_times(expected)
    assert list((tmp_path / "killed").rglob(HALF_WRITTEN)) == []
    print(f"atlas --prove-complete, SIGKILL: boxes after each of {len(boxes) - 1} calls: {boxes[1:]}")


@pytest.mark.parametrize("sign", SIGNS)
def test_verify_has_the_losses_that_are_done(tmp_path, sign):
    random.seed(2)
    seconds = undisturbed(*VERIFY, "--out", tmp_path / "undisturbed")
    whole = record_of(tmp_path / "undisturbed")
    assert whole["is_complete"]
    counts: list[int] = []
    stops = 0
    for moment in range(MOMENTS):
        folder = tmp_path / f"run-{moment}"
        code = disturbed([*VERIFY, "--out", str(folder)], seconds, sign)
        stops += code != 0
        result = record_of(folder)
        verdicts = result.get("verdicts", [])
        counts.append(len(verdicts))
        assert result.get("holds", False) <= (len(verdicts) == 4)
        assert code != 0 or result["is_complete"]
        for found, expected in zip(verdicts, whole["verdicts"], strict=False):
            assert without_times(found) == without_times(expected)
        if folder.exists() and not verdicts:  # the next start in that folder finds it free and clean
            undisturbed("ufm", "focal-window", "--classes", "3", "--points", "3", "--out", folder)
            assert list(folder.rglob(HALF_WRITTEN)) == []
    assert len(set(counts)) > 1
    print(f"verify, {sign.name}: stopped at {stops} of {MOMENTS} moments; losses done {sorted(counts)}")


def test_ctrl_c_on_a_scan(tmp_path):
    random.seed(3)
    seconds = undisturbed(*SCAN, "--out", tmp_path / "undisturbed")
    expected = read_rows(tmp_path / "undisturbed")
    assert len(expected) == 81
    moments = number = 0
    while moments < MOMENTS:
        folder, number = tmp_path / f"run-{number}", number + 1
        for _ in range(30):
            going_on = (folder / "setting.json").exists()
            words = ["ufm", "scan", "--resume", str(folder)] if going_on else [*SCAN, "--out", str(folder)]
            if disturbed(words, seconds, signal.SIGINT) == 0:
                break
            moments += 1
        undisturbed("ufm", "scan", "--resume", folder)
        assert read_rows(folder) == expected
        assert list(folder.rglob(HALF_WRITTEN)) == []
    print(f"scan, SIGINT: stopped at {moments} moments, in {number} folders")


def test_a_full_disk_loses_nothing(tmp_path):
    """A file system of 64 kB in a name space of its own, where the machine allows one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    words = f"{sys.executable} -m {' '.join(VERIFY)} --loss ce --out {disk}/out"
    fill = f"dd if=/dev/zero of={disk}/filler bs=1k count=60 2>/dev/null"
    script = f"mount -t tmpfs -o size=64k none {disk} && {fill}; {words}; echo code $?; ls -A {disk}/out"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if "mount:" in done.stderr or "unshare" in done.stderr:
        pytest.skip(f"no file system of our own here: {done.stderr.strip()}")
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert "code 3" in done.stdout or "code 2" in done.stdout
    assert HALF_WRITTEN.removeprefix(".*") not in done.stdout.partition("code")[2]
