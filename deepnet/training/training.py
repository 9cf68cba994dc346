"""The state of a run between two epochs: its setting, network and data, and all that its next epoch depends on.

Randomness (initial parameters, then order and augmentation) comes from one generator on the CPU, so that a seed means
the same on every device and a resumed run continues bit for bit on a CPU.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from deepnet import distributed
from deepnet.data.load import Data, Selection, loaded
from deepnet.measures.features import Forward
from deepnet.measures.measure import Measure, measures_of
from deepnet.nets.nets import Network, check_net, made_net
from deepnet.nets.own_net import OwnBody
from deepnet.settings import TrainSetting
from deepnet.training import checkpoint, own_code
from deepnet.training.decayed import decayed
from deepnet.training.optimiser import make_optimiser
from deepnet.training.recorded import RecordedStep
from ufm.arguments import instance, takes
from ufm.device import torch_device
from ufm.errors import RequestError, check
from ufm.labels import labels_below
from ufm.model.loss import Loss
from ufm.model.own_loss import check_loss, is_own, loss_of


@dataclass
class Training:
    """The state of a run between two epochs.

    Attributes:
        step_net: `net` as a training step calls it: the same parameters, their gradients averaged over the processes.
        measures: what is measured of every split; a caller may add its own, whose names must be new.
        best: epoch of the best validation accuracy so far, and that accuracy.
        residual: of the last terminal block; infinite before the first.
        recorded: the training step as a CUDA graph, once there is one; it holds these parameters' addresses.
    """

    setting: TrainSetting
    data: Data
    loss: Loss
    net: Network
    optimiser: torch.optim.Optimizer
    generator: torch.Generator
    step_net: Forward
    measures: tuple[Measure, ...]
    epoch: int = 0
    best: tuple[int, float] | None = None
    residual: float = math.inf
    recorded: RecordedStep | None = None

    @property
    def is_over(self) -> bool:
        """Whether no epoch and no terminal block is left."""
        return is_over(self.setting, self.epoch, self.residual)

    def state(self) -> dict[str, Any]:
        """The contents of a checkpoint."""
        return {
            "setting": checkpoint.plain_setting(self.setting),
            "epoch": self.epoch,
            "net": self.net.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "generator": self.generator.get_state(),
            "best": None if self.best is None else list(self.best),
            "residual": self.residual,
        }

    def restore(self, state: dict[str, Any], source: object = "the checkpoint") -> None:
        """Continue from a checkpoint, read from `source`.

        Raises:
            ValueError: if it lacks a part, its parameters are of another network, or a number in it is not finite.
        """
        self.recorded = None
        self.restore_net(state, source)
        with _of_this_network(source):
            own = self.optimiser.state_dict()["param_groups"]  # the setting's, whatever a file says
            self.optimiser.load_state_dict({"state": state["optimiser"]["state"], "param_groups": own})
            self.generator.set_state(state["generator"])
            self.best = None if state["best"] is None else (int(state["best"][0]), float(state["best"][1]))
            if not state["residual"] >= 0:
                raise ValueError(f"residual {state['residual']}")
            self.residual = float(state["residual"])
            for parameter, kept in self.optimiser.state.items():
                tensors = {name: value for name, value in kept.items() if isinstance(value, torch.Tensor)}
                if any(value.shape not in (parameter.shape, ()) for value in tensors.values()):
                    raise ValueError("the optimiser's state is of another size")
                _check_finite(tensors, source)

    def restore_net(self, state: dict[str, Any], source: object = "the checkpoint") -> None:
        """Take the network and the epoch from a checkpoint.

        Raises:
            ValueError: as `restore`.
        """
        with _of_this_network(source):
            self.net.load_state_dict(state["net"])
            if type(state["epoch"]) is not int or state["epoch"] < 0:
                raise ValueError(f"epoch {state['epoch']}")
            self.epoch = state["epoch"]
        _check_finite(self.net.state_dict(), source)


@contextmanager
def _of_this_network(source: object) -> Iterator[None]:
    try:
        yield
    except RequestError:
        raise
    except (LookupError, TypeError, RuntimeError, ValueError, AttributeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[-1].strip().rstrip(".")
        raise RequestError(f"{source} must be of this network and optimiser ({reason}).") from None


def _check_finite(tensors: dict[str, torch.Tensor], source: object) -> None:
    """Refuse nan and infinities, which a run never saves.

    Raises:
        ValueError: naming a tensor that has one.
    """
    bad = [name for name, value in tensors.items() if not bool(value.isfinite().all())]
    if bad:
        raise RequestError(f"{source} must hold finite numbers, got {bad[0]} with nan or infinity in it.")


@takes(setting=instance(TrainSetting))
def begin(setting: TrainSetting) -> Training:
    """Begin a run: load the data and draw the initial parameters.

    Raises:
        ValueError: if the loss, the network, the data or the device is not available.
    """
    loss_of(setting.loss)  # refused before the data are read
    check_net(setting.net)
    torch_device(setting.device)
    with distributed.first_goes_ahead():
        data = loaded(setting.data, setting.data_folder, selection_of(setting), setting.download)
    return begin_on(data, setting)


def is_over(setting: TrainSetting, epoch: int, residual: float) -> bool:
    """Whether a run is over after this many epochs and blocks, with the residual in its checkpoint."""
    return epoch >= setting.lines or residual < setting.terminal_residual


def selection_of(setting: TrainSetting) -> Selection:
    """The selection of images that a setting asks for."""
    names = ("validation", "per_class", "test_per_class", "seed", "imbalance", "multilabel", "image_size")
    return Selection(*(getattr(setting, name) for name in names))


@takes(data=instance(Data), setting=instance(TrainSetting))
def begin_on(data: Data, setting: TrainSetting) -> Training:
    """Begin a run on given data: draw the initial parameters.

    Raises:
        ValueError: if the loss, the network or the device is not available, or a label lies outside the classes.
    """
    loss = data.tags or loss_of(setting.loss)
    if is_own(setting.loss):
        check_loss(loss, data.classes)
    device = torch_device(distributed.own_device(setting.device))
    torch.backends.cudnn.benchmark = device.type == "cuda"
    torch.backends.cudnn.allow_tf32 = False  # `fp32` has 24 bits in convolutions, too, as L-BFGS needs them
    data = data.to(device)
    for split in data.splits.values():
        labels_below(split.labels, loss.label_count(data.classes))
    generator = torch.Generator().manual_seed(setting.seed)
    net = made_net(setting.net, setting.width, data.classes, data.shape, generator, setting.head)
    net = net.to(device, memory_format=net.memory_format)  # type: ignore[call-overload]
    if setting.terminal:
        decayed(net)  # refused here if that is not known
        is_random = isinstance(net.body, OwnBody) and net.body.is_random
        check(not is_random, "--terminal", setting.terminal, "0 with a network that draws random numbers in training")
    measures, step_net = measures_of(loss, setting.decay), distributed.parallel(net)
    return Training(setting, data, loss, net, make_optimiser(net, setting), generator, step_net, measures)


def reopen(
    folder: Path,
    device: str,
    data_folder: Path | None = None,
    which: Literal["last", "best"] = "last",
    code: str = "",
) -> Training:
    """Read the run in a folder, with the network of its last checkpoint or that which was best on validation.

    Args:
        folder: Of the run.
        device: To compute on.
        data_folder: Folder of the data set; None: the run's own.
        which: The network of the last checkpoint, or the best on validation.
        code: Import paths of the user's own that the run may call, with commas between.

    Raises:
        ValueError: if the folder holds no run, or a damaged one, or calls other code of the user.
    """
    stored = checkpoint.read_setting(folder)
    own_code.check_named(folder, stored, code)
    own_code.say_if_changed(folder, checkpoint.read_sources(folder))
    setting = TrainSetting(**stored | {"device": device, "data_folder": data_folder or Path(stored["data_folder"])})
    training = begin(setting)
    training.restore(checkpoint.load(folder), f"the checkpoint in {folder}")
    checkpoint.read_metrics(folder, training.epoch)  # refused here if it is damaged
    if which == "best":
        training.restore_net(checkpoint.load_best(folder), folder / checkpoint.BEST)
    return training
