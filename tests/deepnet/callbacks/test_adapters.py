"""Lightning, Hugging Face and ignite: one line of the user's, the same numbers, in their logs."""

import importlib
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

pytest.importorskip("torchmetrics")
from deepnet.callbacks.probe import collapse_of

K, N = 3, 30
pytestmark = pytest.mark.filterwarnings("ignore")


def needed(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except (ImportError, RuntimeError) as error:  # torchvision's wheel beside a CPU torch lacks two operators
        pytest.skip(f"{name} cannot be imported here: {error}")


@pytest.fixture
def data() -> TensorDataset:
    y = torch.arange(N) % K
    return TensorDataset(torch.randn(N, 5, generator=torch.Generator().manual_seed(0)) + y[:, None], y)


class _Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.fc = nn.Sequential(nn.Linear(5, 6), nn.ReLU()), nn.Linear(6, K)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        logits = self.fc(self.body(x))
        loss = {} if labels is None else {"loss": nn.functional.cross_entropy(logits, labels)}
        return {**loss, "logits": logits}


def scalars(folder: Path) -> dict[str, list[float]]:
    """What TensorBoard's files below a folder say."""
    reader = needed("tensorboard.backend.event_processing.event_accumulator")
    found: dict[str, list[float]] = {}
    for path in folder.rglob("events.out.tfevents*"):
        events = reader.EventAccumulator(str(path)).Reload()
        found |= {tag: [each.value for each in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("has_forward", "precision"), [(True, "32-true"), (False, "32-true"), (True, "64-true")])
def test_lightning(data, tmp_path, has_forward, precision):
    pl = needed("lightning.pytorch")
    callback = needed("deepnet.callbacks.lightning").NeuralCollapseCallback
    needed("tensorboard")

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.body = nn.Linear(6, K), nn.Sequential(nn.Linear(5, 6), nn.ReLU())

        def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
            x, y = batch
            loss = nn.functional.cross_entropy(self.fc(self.body(x)), y)
            self.log("loss", loss)
            return loss

        def validation_step(self, batch: tuple[Tensor, Tensor], index: int, dataloader_idx: int = 0) -> None:
            pass

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), 0.1)

    class WithForward(Module):
        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.body(x))

    module = WithForward() if has_forward else Module()
    logger = importlib.import_module("lightning.pytorch.loggers").TensorBoardLogger(str(tmp_path))
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    made = {"max_epochs": 4, "accelerator": "cpu", "precision": precision, "log_every_n_steps": 1, **quiet}
    loader = DataLoader(data, 10, shuffle=True)
    trainer = pl.Trainer(logger=logger, callbacks=[callback(2, ("train", "val"))], **made)
    with pytest.raises(ValueError, match="`splits` must be of loaders that the trainer has, got val"):
        trainer.fit(module, loader)
    assert trainer.global_step == 0
    trainer.fit(module, loader, {"one": DataLoader(data, 7), "other": loader})
    net = nn.Sequential(module.body, module.fc)
    x, y = data.tensors
    expected = collapse_of(net, [(x.to(module.fc.weight.dtype), y)])
    for split in ("val_one", "val_other"):
        value = float(trainer.callback_metrics[f"nc/{split}/nc1_pinv"])
        assert value == pytest.approx(expected["nc1_pinv"], rel=1e-5)
    assert float(trainer.callback_metrics["nc/train/nc1_pinv"]) == pytest.approx(expected["nc1_pinv"], rel=1e-5)
    found = scalars(tmp_path)
    assert len(found["nc/train/nc1_pinv"]) == 2
    assert len(found["loss"]) == 12  # a step each: what measuring ran has not logged
    assert found["nc/train/nc3"][-1] == pytest.approx(expected["nc3"], rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(  # epochs have 4 steps
    ("made", "epochs"), [({"num_train_epochs": 4}, [2, 4]), ({"max_steps": 10}, [2]), ({"max_steps": 3}, [])]
)
def test_hugging_face_measures_every_second_epoch_and_each_eval_set(data, tmp_path, made, epochs):
    transformers = needed("transformers")
    callback = needed("deepnet.callbacks.transformers").NeuralCollapseCallback
    quiet = {"report_to": [], "use_cpu": True, "save_strategy": "no", "disable_tqdm": True}
    arguments = partial(transformers.TrainingArguments, str(tmp_path), **quiet, **made)
    rows = [{"x": x, "labels": y} for x, y in data]
    begun = partial(transformers.Trainer, _Classifier(), train_dataset=rows, eval_dataset={"a": rows, "b": rows[:15]})
    trainer = begun(args=arguments(eval_strategy="epoch"), callbacks=[callback(2, ("train", "eval"))])
    trainer.train()
    for split, loader in {"train": data.tensors, "eval_a": data.tensors, "eval_b": data[:15]}.items():
        lines = [line for line in trainer.state.log_history if f"nc/{split}/nc1_pinv" in line]
        assert [line["epoch"] for line in lines] == epochs
        expected = collapse_of(trainer.model, [loader])["nc1_pinv"]
        assert all(
            line["epoch"] < 4 or line[f"nc/{split}/nc1_pinv"] == pytest.approx(expected, rel=1e-4) for line in lines
        )
    with pytest.raises(ValueError, match="`splits` must be without eval where eval_strategy is no, got train, eval"):
        begun(args=arguments(), callbacks=[callback(2, ("train", "eval"))]).train()


@pytest.mark.slow
def test_hugging_face(data, tmp_path, monkeypatch):
    transformers = needed("transformers")
    needed("accelerate")
    callback = needed("deepnet.callbacks.transformers").NeuralCollapseCallback
    needed("tensorboard")
    wandb = needed("wandb")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    made = transformers.BertConfig(vocab_size=20, num_labels=K, max_position_embeddings=8, **sizes)
    model = transformers.BertForSequenceClassification(made)
    ids = torch.randint(4, 20, (N, 4), generator=torch.Generator().manual_seed(0))
    rows = [{"input_ids": ids[i], "labels": i % K} for i in range(N)]
    arguments = transformers.TrainingArguments(
        "out", num_train_epochs=2, per_device_train_batch_size=8, report_to=["tensorboard", "wandb"], use_cpu=True,
        save_strategy="no", disable_tqdm=True, logging_steps=1,
    )  # fmt: skip
    trainer = transformers.Trainer(model, arguments, train_dataset=rows, callbacks=[callback()])
    trainer.train()
    logged = dict(wandb.run.summary) if wandb.run is not None else {}
    wandb.finish()
    expected = collapse_of(model, [{"input_ids": ids, "labels": torch.arange(N) % K}])
    (last,) = [line for line in trainer.state.log_history if "nc/train/nc1_pinv" in line and line["epoch"] == 2]
    assert last["nc/train/nc1_pinv"] == pytest.approx(expected["nc1_pinv"], rel=1e-4)
    found = scalars(tmp_path / "out")
    assert found["nc/train/nc1_pinv"][-1] == pytest.approx(expected["nc1_pinv"], rel=1e-4)
    assert len(found["nc/train/nc1_pinv"]) == 2
    assert logged["nc/train/nc1_pinv"] == pytest.approx(expected["nc1_pinv"], rel=1e-4)
    assert list((tmp_path / "wandb").glob("offline-run-*/*.wandb"))


def test_ignite(data):
    engine = needed("ignite.engine").Engine
    handler = needed("deepnet.callbacks.ignite").NeuralCollapseHandler
    net, loader = nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, K)), DataLoader(data, 10)
    trainer = engine(lambda _, batch: None)
    handler(net, {"train": loader, "val": [data.tensors]}, every=2).attach(trainer)
    trainer.run(loader, max_epochs=1)
    assert trainer.state.metrics == {}
    trainer.run(loader, max_epochs=2)
    expected = collapse_of(net, loader)
    assert trainer.state.metrics["nc/val/nc1_pinv"] == pytest.approx(expected["nc1_pinv"])
    assert {f"nc/{split}/{name}" for split in ("train", "val") for name in expected} == set(trainer.state.metrics)


@pytest.mark.parametrize(
    ("adapter", "packages"),
    [
        ("lightning", ["lightning.pytorch", "pytorch_lightning"]),
        ("transformers", ["transformers"]),
        ("ignite", ["ignite.engine"]),
    ],
)
def test_without_the_package_one_sentence_says_what_to_install(monkeypatch, adapter, packages):
    for package in packages:
        monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, f"deepnet.callbacks.{adapter}", raising=False)
    sentence = rf"needs {adapter}: pip install 'neural-collapse-laboratory\[{adapter}\]' \("
    with pytest.raises(ImportError, match=sentence):
        importlib.import_module(f"deepnet.callbacks.{adapter}")
