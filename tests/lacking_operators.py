"""Beside torch for CPUs the usual wheel of torchvision does not import, which torchmetrics imports if it is there.

Importing this defines the two operators that it lacks, which no metric of ours calls.
"""

from importlib import metadata
from importlib.util import find_spec

import torch

OPERATORS = ("nms", "qnms")
DEFINED = []
"""A library of operators lasts as long as its object."""


def _are_lacking() -> bool:
    is_alien = find_spec("torchvision") is not None and not metadata.version("torchvision").endswith("+cpu")
    return torch.__version__.endswith("+cpu") and is_alien and not hasattr(torch.ops.torchvision, OPERATORS[0])


if _are_lacking():
    DEFINED.append(torch.library.Library("torchvision", "DEF"))
    for name in OPERATORS:
        DEFINED[0].define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
