"""The setting of `ufm softmax-codes`."""

from dataclasses import dataclass, field

from ufm.cli.bounds import check_integer, check_memory
from ufm.cli.common_setting import CommonSetting
from ufm.errors import check


@dataclass(frozen=True, kw_only=True)
class SoftmaxCodesSetting(CommonSetting):
    """Find softmax codes: unit classifiers of more classes than dimensions with the largest least margin.

    Cross entropy on spheres is minimised at falling temperature, and the best starts end in linear programmes. The
    margins are those of the codes found, lower bounds of the largest; beside them exact values where they are known,
    and in 3 dimensions the best known packings of points.

    Examples:
        python -m ufm softmax-codes
        python -m ufm softmax-codes --dim 4 --classes '[9, 24]' --starts 256

    Writes: record.json and softmax_codes.png into --out. A folder that holds codes of the same request is continued.
    """

    dim: int = 3
    """Feature dimension d >= 2."""
    classes: list[int] = field(default_factory=lambda: [*range(4, 17), 20, 24, 30, 40, 50])
    """Numbers of classes K, each in [3, 200]."""
    starts: int = 64
    """Random starts per K."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_integer("--dim", self.dim, 2, 100)
        allowed = bool(self.classes) and all(3 <= K <= 200 for K in self.classes)
        check(allowed, "--classes", self.classes, "a list of integers in [3, 200]")
        check_integer("--starts", self.starts, 1, 10**5)
        vectors = 40  # of 2 K d numbers, a start at work
        check_memory("--starts", self.starts, vectors * 8 * self.starts * 2 * max(self.classes) * self.dim)
        check(self.device == "cpu", "--device", self.device, "cpu (the linear programmes run there)")
