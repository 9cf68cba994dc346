"""What words and files amount to: types, YAML 1.2's scalars, one layer over another."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from deepnet.__main__ import COMMANDS as DEEPNET
from ufm.__main__ import COMMANDS as UFM
from ufm.cli.command_line import main
from ufm.cli.parser import Parser
from ufm.cli.typed import typed
from ufm.cli.yaml_core import Word, dumped, integer, number, parsed
from ufm.errors import RequestError

COMMANDS = UFM | DEEPNET


def asked(*words):
    words = [word.replace("--loss=", "--loss.name=").replace("--engine=", "--engine.name=") for word in words]
    request = Parser("it", "", COMMANDS).parse_args(words)
    return request[request.command]


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "setting.yaml"
        path.write_text(text, encoding="utf-8")
        return f"--config={path}"

    return write


FOCAL = "loss:\n  name: focal\n  gamma: 2\n"


@pytest.mark.parametrize(
    ("words", "loss"),
    [
        (("FILE",), {"name": "focal", "gamma": 2}),
        (("FILE", "--loss=ce"), {"name": "ce"}),
        (("--loss=ce", "FILE"), {"name": "focal", "gamma": 2}),
        (("FILE", "--loss=focal"), {"name": "focal", "gamma": 2}),
        (("FILE", "--loss.gamma=3"), {"name": "focal", "gamma": 3}),
        (("FILE", "--loss=ls", "--loss.alpha=0.1"), {"name": "ls", "alpha": 0.1}),
        (("FILE", "--loss.alpha=0.1", "--loss=ls"), {"name": "ls", "alpha": 0.1}),
        (("--loss.gamma=3", "--loss=focal"), {"name": "focal", "gamma": 3}),
        (("--loss={name: ls, alpha: 0.5}",), {"name": "ls", "alpha": 0.5}),
        ((), {"name": "ce"}),
    ],
)
def test_what_a_file_said_of_another_loss_goes(file, words, loss):
    path = file(FOCAL)
    assert asked("train", *(path if word == "FILE" else word for word in words))["loss"] == loss


def test_a_loss_may_be_its_name_in_a_file_and_its_engine_too(file):
    values = asked("scan", file("loss: focal\nengine: slurm\ngrid: {gamma: 1:8:9, decay: 1e-3}\n"))
    assert (values["loss"], values["engine"]["name"]) == ({"name": "focal"}, "slurm")
    assert values["grid"] == {"gamma": "1:8:9", "decay": "1e-3"}


def test_what_a_file_said_of_another_engine_goes(file):
    path = file("engine:\n  name: slurm\n  partition: long\n  sbatch: {time: 1:30:00}\n")
    kept = asked("scan", path, "--engine.cpus=2")["engine"]
    assert (kept["partition"], kept["cpus"], kept["sbatch"]) == ("long", 2, {"time": "1:30:00"})
    assert asked("scan", path, "--engine=local")["engine"]["partition"] is None


@pytest.mark.parametrize(
    ("text", "folders"),
    [
        ("[0, 1]", ["0", "1"]),
        ("[001, 002]", ["001", "002"]),
        ("[1e5, 0x10, 1_0, 1:30]", ["1e5", "0x10", "1_0", "1:30"]),
        ("[true, null, ~, 2020-01-01, .nan, yes]", ["true", "null", "~", "2020-01-01", ".nan", "yes"]),
        ("['a, b', c]", ["a, b", "c"]),
    ],
)
def test_folders_keep_their_names(file, text, folders):
    for word in (f"--runs={text}", file(f"runs: {text}\n")):
        assert [str(path) for path in asked("compare", word)["runs"]] == folders


@pytest.mark.parametrize("name", ["001", "1e5", "0x10", "true", "2020-01-01", "1:30", "a: b", "#x"])
def test_a_folder_keeps_its_name(file, name):
    assert asked("verify", f"--out={name}")["out"] == Path(name)
    assert asked("verify", file(f"out: '{name}'\n"))["out"] == Path(name)


def test_null_is_nothing_in_a_file_and_a_folder_on_the_command_line(file):
    assert asked("verify", file("out: null\ndecay_b:\n")) == asked("verify", "--decay_b=null")
    assert asked("verify", file("decay_b:\n"))["decay_b"] is None
    assert asked("verify", "--out=null")["out"] == Path("null")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("7", 7), ("-7", -7), ("007", 7), ("0o17", 15), ("0x1F", 31), ("1_0", None), ("1:30", None), ("0b1", None)),
        *(("1e3", None), ("", None), ("²", None), ("٣", None), ("7" * 5000, None)),
    ],
)
def test_integers_are_those_of_yaml_1_2(text, value):
    assert integer(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(
            ("1e3", 1e3),
            (".5", 0.5),
            ("1.", 1.0),
            ("-1.5E-2", -0.015),
            ("1e400", None),
            ("7" * 400, None),
            (".inf", None),
        ),
        *((".nan", None), ("nan", None), ("1:30.5", None), ("1_0.5", None), ("0x10", 16.0)),
    ],
)
def test_numbers_are_finite_and_those_of_yaml_1_2(text, value):
    assert number(text) == value


TEXT = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")))


@settings(deadline=None)  # a busy machine is no fault
@given(st.dictionaries(TEXT, st.none() | st.booleans() | st.integers(-9, 9) | TEXT | st.floats(0, 1)))
def test_what_is_dumped_is_read_again(values):
    """By the types of the values, which settings have."""
    found = parsed(dumped(values))
    assert found.keys() == values.keys()
    for key, value in values.items():
        kind = str | None if value is None else type(value)
        raw = found[key]
        assert typed(kind, raw, key) == value


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\na: 2",
        "a: {b: 1, b: 2}",
        "a: [{b: 1, b: 2}]",
        "a: &x 1",
        "a: !!int 1",
        "[" * 30,
        "a: {[1]: 2}",
        'a: "\\udcff"',
        '"\\udcff": 1',
    ],
)
def test_what_yaml_may_not_say(text):
    with pytest.raises(ValueError, match=r"twice|anchors|levels|one word|surrogates"):
        parsed(text)


@pytest.mark.parametrize("name", ["--out", "--json", "--config", "--loss"])
def test_a_byte_of_another_encoding_is_refused_before_a_record_has_it(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="2"):
        main("it", "", UFM, ["verify", name, "a\udcff"])
    option = name.replace("loss", "loss.name")
    assert capsys.readouterr().err == f"it: `{option}` must be text in UTF-8, as records are, got a\\udcff.\n"
    assert not any(tmp_path.iterdir())


def test_a_number_with_colons_is_no_parameter():
    with pytest.raises(RequestError, match="must be one number"):
        typed(dict[str, int | float | str], {"gamma": Word("1:3")}, "--loss")


def test_the_printed_configuration_is_one(tmp_path, capsys):
    words = [
        "--loss",
        "focal",
        "--loss.gamma",
        "1e3",
        "--out",
        "001",
        "--engine",
        "slurm",
        "--engine.sbatch.time",
        "1:30",
    ]
    with pytest.raises(SystemExit):
        main("it", "", UFM, ["scan", *words, "--grid.decay", "1", "--print-config"])
    path = tmp_path / "printed.yaml"
    path.write_text(capsys.readouterr().out)
    assert yaml.safe_load(path.read_text())["loss"] == {"name": "focal", "gamma": 1000.0}
    again = asked("scan", f"--config={path}")
    assert (again["out"], again["grid"]) == (Path("001"), {"decay": "1"})
    assert again["engine"]["sbatch"] == {"time": "1:30"}


def test_a_caller_in_this_process_goes_on_after_ctrl_c(monkeypatch, capsys):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("ufm.cli.parser.Parser.parse_args", stop)
    assert main("it", "", UFM, ["verify"]) == 130
    assert capsys.readouterr().err == "it: interrupted.\n"
