"""The setting of `ufm focal-window`."""

from dataclasses import dataclass

from ufm.cli.bounds import check_bias_decay, check_integer
from ufm.cli.common_setting import CommonSetting
from ufm.errors import check


@dataclass(frozen=True, kw_only=True)
class FocalWindowSetting(CommonSetting):
    """Where focal loss leaves the theory: zero, the ETF and partial collapse compete in a window of decays.

    Thresholds on the ray to the ETF, the window in which m < K active classes are lower than both, the best m, and for
    every m at one strength a proof that it is a local minimiser.

    Examples:
        python -m ufm focal-window --classes 30
        python -m ufm focal-window --classes 20 --gamma 2 --at 0.05

    Writes: record.json and focal_window.png into --out.
    """

    classes: int = 30
    """Number of classes K in [2, 1000]; the proofs take about (K / 30)^3 times 5 s."""
    gamma: float = 3.0
    """Focal parameter gamma, >= 0."""
    decay_b: float | None = 0.0
    """Weight decay of the bias: > 0 decayed, 0 free, null for a model without bias."""
    at: float | None = None
    """c = sqrt(n decay_W decay_H) at which all states are listed; by default where zero and the ETF are equal."""
    points: int = 200
    """Points of the curves and of the order of transitions."""
    certify: bool = True
    """Prove each state in ball arithmetic (n = 1), for decays and gamma that are exactly the doubles given."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.device == "cpu", "--device", self.device, "cpu for proofs")
        check_integer("--classes", self.classes, 2, 1000)
        check(0 <= self.gamma <= 100, "--gamma", self.gamma, "in [0, 100]")
        check_bias_decay(self.decay_b)
        check(self.at is None or 0 < self.at <= 1e100, "--at", self.at, "in (0, 1e100]")
        check_integer("--points", self.points, 2, 10_000)
