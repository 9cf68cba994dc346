"""Files of features: four kinds give the same numbers, and a file that is wrong gives one sentence."""

import io
import json
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pyarrow
import pytest
import torch
from pyarrow import parquet

from deepnet.__main__ import COMMANDS
from deepnet.evaluation.evaluation import accuracy_of
from deepnet.evaluation.feature_files import read_features, read_last_layer
from deepnet.evaluation.files import evaluate_file
from ufm.cli.command_line import main
from ufm.collapse import FeatureStats, all_metrics, nc4_held_out, nc5
from ufm.errors import RequestError

K, D, N = 4, 6, 48


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    y = np.arange(N) % K
    H = (rng.standard_normal((K, D))[y] + 0.3 * rng.standard_normal((N, D))).astype(np.float32)
    return {
        "features": H,
        "labels": y,
        "W": rng.standard_normal((K, D)).astype(np.float32),
        "b": np.zeros(K, np.float32),
    }


def written(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    match path.suffix:
        case ".npz":
            np.savez_compressed(path, **arrays)
        case ".pt":
            torch.save(tensors, path)
        case ".safetensors":
            pytest.importorskip("safetensors.torch").save_file(tensors, path)
        case ".parquet":
            columns = {"labels": arrays["labels"]} if "labels" in arrays else {}
            parquet.write_table(pyarrow.table({"features": list(arrays["features"]), **columns}), path)
    return path


@pytest.mark.parametrize("kind", ["npz", "pt", "safetensors", "parquet"])
def test_every_kind_of_file_gives_the_numbers_of_its_arrays(tmp_path, arrays, kind):
    path = written(tmp_path / f"f.{kind}", arrays)
    head = written(tmp_path / "head.npz", {name: arrays[name] for name in ("W", "b")})
    found = evaluate_file(path, head if kind == "parquet" else None)
    expected = {name: float(value) for name, value in all_metrics(FeatureStats.from_features(*arrays.values())).items()}
    accuracy = (np.argmax(arrays["features"] @ arrays["W"].T, 1) == arrays["labels"]).mean()
    assert found.metrics == pytest.approx({**expected, "accuracy": accuracy}, rel=1e-12)
    assert (found.samples, found.classes, found.present, found.dim) == (N, K, K, D)


def test_columns_of_a_table_are_features_in_their_order(tmp_path, arrays):
    H, y = arrays["features"], arrays["labels"]
    columns = {f"f{i}": H[:, i].astype(np.float64) for i in range(D)}
    parquet.write_table(pyarrow.table({"row": np.arange(N), **columns, "label": y}), tmp_path / "t.parquet")
    found = read_features(tmp_path / "t.parquet")
    np.testing.assert_array_equal(found.features.numpy(), H)
    np.testing.assert_array_equal(found.labels.numpy(), y)
    assert found.W is None


def test_other_samples_and_other_names(tmp_path, arrays):
    H, y, W, b = arrays.values()
    train = written(tmp_path / "train.npz", {"H": H, "y": y.astype(np.uint8), "weight": W, "bias": b})
    test = written(tmp_path / "test.pt", {"embeddings": H[:10] + 1, "targets": y[:10]})
    outside = written(tmp_path / "out.npz", {"X": H[::-1] - 5})
    found = evaluate_file(train, test=test, outside=outside).metrics
    stats = FeatureStats.from_features(H, y, W, b)
    assert found["nc4_test"] == float(nc4_held_out(stats, H[:10] + 1))
    assert found["nc5"] == pytest.approx(float(nc5(stats, H - 5)))
    assert 0 <= found["neco_auroc"] <= 1
    assert found["test_accuracy"] == (np.argmax((H[:10] + 1) @ W.T, 1) == y[:10]).mean()
    assert torch.equal(read_last_layer(train)[0], torch.from_numpy(W))


def test_progress_counts_every_sample_twice_and_changes_nothing(tmp_path, monkeypatch, arrays):
    path = written(tmp_path / "f.npz", arrays | {"labels": np.where(arrays["labels"] == 0, -100, arrays["labels"])})
    plain, told = evaluate_file(path), []
    monkeypatch.setattr("ufm.collapse.matrices.TILE", 8 * (K - 1))
    monkeypatch.setattr("ufm.collapse.matrices.CHUNK_TILES", 2)
    found = evaluate_file(path, progress=lambda done, samples: told.append((done, samples)))
    assert found.metrics == pytest.approx(plain.metrics, rel=1e-12)
    assert sum(done for done, _ in told) == 2 * N
    assert {samples for _, samples in told} == {N}
    assert len(told) == 2 * N // (2 * 8 * (K - 1) // K)


@pytest.mark.parametrize("files", [["one.npz", "two.npz"], ["--features", "[one.npz, two.npz]"]])
def test_the_command_writes_record_picture_and_table(tmp_path, monkeypatch, arrays, capsys, files):
    monkeypatch.chdir(tmp_path)
    written(Path("one.npz"), arrays)
    written(Path("two.npz"), arrays | {"labels": np.where(arrays["labels"] == 0, -100, arrays["labels"])})
    words = ["evaluate", *files, "--out", "out", "--export", "csv"]
    assert main("python -m deepnet", "", COMMANDS, words) == 0
    one, two = json.loads(Path("out/record.json").read_text())["result"]["evaluations"]
    assert one["layers"]["features"] == evaluate_file(Path("one.npz")).metrics
    assert (two["samples"], two["classes"], two["present"]) == (N * 3 // 4, K, K - 1)
    assert Path("out/evaluated_features.png").stat().st_size > 1000
    header, first, _ = Path("out/metrics.csv").read_text().splitlines()
    row = dict(zip(header.split(","), first.split(","), strict=True))
    assert float(row["nc1_pinv"]) == one["layers"]["features"]["nc1_pinv"]
    assert "nc1_trace" in capsys.readouterr().out
    assert main("python -m deepnet", "", COMMANDS, ["evaluate", "one.npz", "--out", "p", "--export", "parquet"]) == 0
    assert parquet.read_table("p/metrics.parquet")["present"].to_pylist() == [K]


def test_one_file_in_curves_lacks_what_another_has(tmp_path, monkeypatch, arrays):
    monkeypatch.chdir(tmp_path)
    written(Path("one.npz"), arrays)
    written(Path("two.npz"), {name: arrays[name] for name in ("features", "labels")})
    words = ["evaluate", "--features", "[one.npz, two.npz]", "--out", "out", "--export", "parquet"]
    assert main("python -m deepnet", "", COMMANDS, words) == 0
    assert parquet.read_table("out/metrics.parquet")["nc3"].to_pylist()[1] is None


def test_accuracy_takes_tiles_and_leaves_out_what_has_no_label(monkeypatch, arrays):
    H, y, W, b = (torch.from_numpy(array) for array in arrays.values())
    y[::7] = -100
    expected = float(((H @ W.mT + b + 3 * torch.eye(K)[0]).argmax(-1) == y).sum() / (y != -100).sum())
    monkeypatch.setattr("ufm.collapse.matrices.TILE", 5 * K)
    assert accuracy_of(H, y, W, b + 3 * torch.eye(K)[0], -100) == pytest.approx(expected)


def test_features_of_one_class_have_numbers_and_no_picture(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    written(Path("one.npz"), {"features": np.ones((3, 2)), "labels": np.zeros(3, int)})
    assert main("python -m deepnet", "", COMMANDS, ["evaluate", "one.npz", "--out", "out"]) == 0
    assert json.loads(Path("out/record.json").read_text())["result"]["evaluations"][0]["present"] == 1
    shown = capsys.readouterr().out
    assert "picture" not in shown
    assert not any(word in shown for word in ("nan", "inf "))
    assert "-: not defined for these features" in shown
    assert not Path("out/evaluated_features.png").exists()


@pytest.mark.parametrize("name", ["a[red]", "$x^$_{", "\x1b[31ma\x07", "a\\[b]", "\u202ea", "日"])
def test_the_name_of_a_file_is_shown_as_it_stands(tmp_path, monkeypatch, arrays, capsys, name):
    """No look, no formula, and nothing that commands a terminal: not in tables, sentences or pictures."""
    monkeypatch.chdir(tmp_path)
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in name)
    for file in (f"{name}.npz", f"{name}1.npz"):
        written(Path(file), arrays)
    words = ["evaluate", "--features", json.dumps([f"{name}.npz", f"{name}1.npz"]), "--out", name]
    assert main("python -m deepnet", "", COMMANDS, words) == 0
    assert main("python -m deepnet", "", COMMANDS, ["evaluate", f"{name}2.npz"]) == 2
    printed, errors = capsys.readouterr()
    assert f"{shown}.npz" in printed
    assert f"{shown}2.npz" in errors
    assert all(c.isprintable() or c == "\n" for c in printed + errors)
    assert Path(name, "evaluated_features.png").stat().st_size > 1000


def packed(**parts: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts.items():
            archive.writestr(f"{name}.npy", part)
    return content.getvalue()


def npy(array: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.save(content, array, allow_pickle=True)
    return content.getvalue()


def test_what_is_no_file_of_numbers_is_refused_and_runs_nothing(tmp_path, monkeypatch):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    huge = npy(np.zeros(8)).replace(b"(8,)", b"(8" + b"0" * 14 + b",)")  # says it has 8e14 numbers
    files = {
        "object.npz": (packed(features=npy(np.array([Trap()], dtype=object))), "holds object, no numbers"),
        "bomb.npz": (packed(features=b"\0" * 2**27), "features.npy would unpack to 134217728 bytes"),
        "liar.npz": (packed(features=huge), "features.npy"),
        "none.npz": (packed(other=npy(np.zeros(3))), "must be a file with an array named features, H, "),
        "empty.npz": (b"", "that can be read"),
        "text.pt": (b"no checkpoint", "that can be read"),
        "text.safetensors": (b"\xff" * 64, "that can be read"),
        "text.parquet": (b"PAR1", "that can be read"),
        "features.h5": (b"", "must be a file .npz, .pt, .pth, .safetensors, .parquet, got"),
    }
    torch.save({"features": Trap()}, tmp_path / "code.pt")
    before_zip = io.BytesIO()
    torch.save({"features": torch.eye(3)}, before_zip, _use_new_zipfile_serialization=False)
    files["old.pt"] = before_zip.getvalue(), r"\(it is in the format of torch before 1.6: torch.save"
    for name, (content, sentence) in files.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(RequestError, match=sentence):
            read_features(tmp_path / name)
    with pytest.raises(RequestError, match="it holds code or other objects"):
        read_features(tmp_path / "code.pt")
    assert not (tmp_path / "ran").exists()


WRONG = {
    "labels": ({"labels": np.arange(N) % K + 0.5}, "`labels` must be a tensor of integers"),
    "lengths": ({"labels": np.arange(N - 1) % K}, "`labels` must be one class per sample"),
    "nan": ({"features": np.full((N, D), np.nan)}, "`features` must be finite"),
    "maps": ({"features": np.zeros((N, D, 2))}, "`features` must be a floating-point tensor"),
    "too few rows": ({"W": np.zeros((2, D)), "b": np.zeros(2)}, r"`labels` must be in \[0, 2\)"),
}


@pytest.mark.parametrize("case", WRONG)
def test_arrays_that_do_not_belong_together_are_one_sentence(tmp_path, arrays, case):
    changed, sentence = WRONG[case]
    path = written(tmp_path / "f.npz", arrays | changed)
    with pytest.raises(RequestError, match=sentence):
        evaluate_file(path)


def test_other_samples_that_do_not_fit_are_refused(tmp_path, arrays):
    path = written(tmp_path / "f.npz", arrays)
    other = written(tmp_path / "o.npz", {"features": np.zeros((3, D + 1))})
    with pytest.raises(RequestError, match=r"`--outside` must be features \(samples, 6\)"):
        evaluate_file(path, outside=other)
    with pytest.raises(RequestError, match="`--features` must be a file with labels"):
        evaluate_file(other)


def test_metrics_that_are_not_defined_are_named(tmp_path, arrays, capsys, monkeypatch):
    """One class has no scatter between classes; two have."""
    monkeypatch.chdir(tmp_path)
    arrays["labels"] = 0 * arrays["labels"]
    written(tmp_path / "one.npz", arrays)
    assert main("deepnet", "", COMMANDS, ["evaluate", "one.npz"]) == 0
    printed = capsys.readouterr().out
    assert "nan" not in printed
    assert "inf" not in printed
    assert "-: not defined for these features" in printed
    found = evaluate_file(Path("one.npz"))
    assert {"nc1_pinv", "nc2_etf"} <= {*found.undefined["features"]}
    assert not {*found.undefined["features"]} & {*found.metrics}
    assert "<td>nc1_pinv</td><td>-</td>" in found._repr_html_()
    arrays["labels"][::2] = 1
    assert not evaluate_file(written(tmp_path / "two.npz", arrays)).undefined


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"features": [[1.0, 2.0, 3.0], [1.0], [1.0, 2.0]], "labels": [0, 1, 1]}, "no lists of one length"),
        ({"features": ["a", "b"], "labels": [0, 1]}, "features holds string, no lists of one length"),
        ({"features": [["a"], ["b"]], "labels": [0, 1]}, "features holds string, no numbers"),
        ({"features": [[1.0], [2.0]], "labels": ["cat", "dog"]}, "labels holds string, no numbers"),
    ],
)
def test_a_table_of_something_else_is_refused(tmp_path, columns, sentence):
    parquet.write_table(pyarrow.table(columns), tmp_path / "t.parquet")
    with pytest.raises(RequestError, match=sentence):
        evaluate_file(tmp_path / "t.parquet")


@pytest.mark.parametrize("kind", ["npz", "pt", "safetensors"])
def test_a_last_layer_may_be_that_of_a_wrapped_network(tmp_path, arrays, kind):
    layer = {"module._orig_mod.fc.weight": arrays["W"], "module._orig_mod.fc.bias": arrays["b"]}
    W, b = read_last_layer(written(tmp_path / f"layer.{kind}", layer))
    assert torch.equal(W, torch.from_numpy(arrays["W"]))
    assert torch.equal(b, torch.from_numpy(arrays["b"]))


def test_one_sample_a_class_says_nothing_of_nc1(tmp_path, monkeypatch, arrays, capsys):
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "few.npz", {"features": arrays["features"][:K], "labels": np.arange(K)})
    assert main("deepnet", "", COMMANDS, ["evaluate", "few.npz"]) == 0
    assert "NC1 is 0 whatever the features are" in capsys.readouterr().out
    assert "NC1 is 0 whatever the features are" in evaluate_file(Path("few.npz"))._repr_html_()


@pytest.mark.filterwarnings("error")
def test_a_script_is_refused_in_our_words(tmp_path):
    with warnings.catch_warnings(action="ignore"):
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), tmp_path / "s.pt")
    with pytest.raises(RequestError, match=r"code or other objects, .*; numpy\.savez keeps arrays"):
        evaluate_file(tmp_path / "s.pt")


STRANGE = {
    "sparse": lambda H: H.to_sparse(),
    "quantised": lambda H: torch.quantize_per_tensor(H, 0.1, 0, torch.qint8),
    "float8": lambda H: H.to(torch.float8_e4m3fn),
    "meta": lambda H: H.to("meta"),
    "expanded": lambda H: torch.zeros(1, D).expand(10**9, D),
}


@pytest.mark.parametrize("kind", STRANGE)
def test_a_tensor_whose_numbers_are_not_all_in_the_file_is_refused(tmp_path, arrays, kind):
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    with warnings.catch_warnings(action="ignore"):
        torch.save(tensors | {"features": STRANGE[kind](tensors["features"])}, tmp_path / "f.pt")
    told = r"`--features` must be .* (a dense tensor .*, got \w+|would unpack to 24000000000 bytes)"
    with warnings.catch_warnings(action="error"), pytest.raises(RequestError, match=told):
        evaluate_file(tmp_path / "f.pt")


def test_labels_beyond_int64_do_not_wrap(tmp_path, arrays):
    """2^64 - 100 is no -100, the label that is left out."""
    sound = written(tmp_path / "sound.npz", arrays)
    wide = arrays | {"labels": arrays["labels"].astype(np.uint64)}
    assert evaluate_file(written(tmp_path / "wide.npz", wide)).metrics == evaluate_file(sound).metrics
    wide["labels"][0] = 2**64 - 100
    path = written(tmp_path / "beyond.npz", wide)
    with pytest.raises(RequestError, match=r"`labels` must be integers below 2\^63"):
        evaluate_file(path)
    with pytest.raises(RequestError, match=r"--test: `labels` must be integers below 2\^63"):
        evaluate_file(sound, test=path)


def test_test_labels_are_classes(tmp_path, arrays):
    sound = written(tmp_path / "sound.npz", arrays)
    for labels, sentence in (
        (arrays["labels"] + 1, r"in \[0, 4\), got 4"),
        (0 * arrays["labels"] - 100, "a sample has"),
    ):
        with pytest.raises(RequestError, match=sentence):
            evaluate_file(sound, test=written(tmp_path / "test.npz", arrays | {"labels": labels}))
