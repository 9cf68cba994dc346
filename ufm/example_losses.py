"""Losses that users ask about, written as a user would write them: worked examples of the report card.

A class with its parameters, or a function; (logits (M, K), labels (M,)) -> one number per sample. A scan over a
parameter makes it a tensor of no dimension.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

Logits = Float[Tensor, "M K"]
Labels = Int[Tensor, " M"]
PerSample = Float[Tensor, " M"]


@dataclass(frozen=True)
class Poly1:
    """Cross entropy plus epsilon (1 - p_y) (Leng et al. 2022, PolyLoss)."""

    epsilon: float | Tensor = 1.0

    def __call__(self, logits: Logits, labels: Labels) -> PerSample:
        """One loss per sample."""
        cross_entropy = functional.cross_entropy(logits, labels, reduction="none")
        return cross_entropy - self.epsilon * torch.expm1(-cross_entropy)


@dataclass(frozen=True)
class LogitNormalised:
    """Cross entropy of z / (temperature |z|) (Wei et al. 2022, LogitNorm), their 1e-7 added to the norm."""

    temperature: float | Tensor = 0.5

    def __call__(self, logits: Logits, labels: Labels) -> PerSample:
        """One loss per sample."""
        norm = logits.norm(dim=-1, keepdim=True) + 1e-7
        return functional.cross_entropy(logits / (self.temperature * norm), labels, reduction="none")


@dataclass(frozen=True)
class GeneralisedCrossEntropy:
    """(1 - p_y^q) / q, bounded by 1/q (Zhang and Sabuncu 2018); cross entropy for q -> 0, 1 - p_y for q = 1."""

    q: float | Tensor = 0.7

    def __call__(self, logits: Logits, labels: Labels) -> PerSample:
        """One loss per sample."""
        log_p = -functional.cross_entropy(logits, labels, reduction="none")
        return -torch.expm1(self.q * log_p) / self.q
