"""The command `softmax-codes`: one code after the other, recorded after each."""

import time
from typing import TypedDict

from torch import Tensor

from ufm.cli.job import Job
from ufm.cli.resume import earlier_result
from ufm.reports.softmax_codes_report import show
from ufm.reports.softmax_codes_setting import SoftmaxCodesSetting
from ufm.theory.softmax_codes import exact_margin, find_softmax_code, packing_margin


class Code(TypedDict):
    """The entry of one code in the record.

    Attributes:
        K: number of classes.
        margin: least margin of the code found, a lower bound of the largest.
        exact: the largest, where it is known; `packing`: that of the best known packing of points, in 3 dimensions.
        self_duality: largest distance of a feature from its classifier row.
        starts: random starts tried; `seconds` they took.
        W, H: the code, unit rows of shape (K, d).
    """

    K: int
    margin: float
    exact: float | None
    packing: float | None
    self_duality: float
    starts: int
    seconds: float
    W: Tensor
    H: Tensor


class Codes(TypedDict):
    """The contents of the record: `rows`, one code each, by rising K."""

    rows: list[Code]


class SoftmaxCodes(Job[SoftmaxCodesSetting, Codes]):
    """The job of `softmax-codes`: the best code found for every K."""

    name = "softmax-codes"
    continues = True

    def compute(self) -> Codes:
        """Search the codes that the folder lacks."""
        earlier = earlier_result(self.folder, self.setting.as_dict())
        rows: list[Code] = earlier["rows"] if earlier else []
        for K in sorted({*self.setting.classes} - {row["K"] for row in rows}):
            found = code(self.setting, K)
            rows = sorted([*rows, found], key=lambda row: row["K"])
            self.record({"rows": rows})
            print(f"K = {K}: margin {found['margin']:.10f}", flush=True)
        return {"rows": rows}

    def show(self, result: Codes) -> None:
        """Print a line per K."""
        show(self.setting, result["rows"])


def code(setting: SoftmaxCodesSetting, K: int) -> Code:
    """The best code of K classes, what is known about it, and the code itself."""
    began = time.perf_counter()
    found = find_softmax_code(K, setting.dim, setting.starts, setting.seed)
    return {
        "K": K,
        "margin": found.margin,
        "exact": exact_margin(K, setting.dim),
        "packing": packing_margin(K, setting.dim),
        "self_duality": found.self_duality,
        "starts": found.starts,
        "seconds": time.perf_counter() - began,
        "W": found.W,
        "H": found.H,
    }
