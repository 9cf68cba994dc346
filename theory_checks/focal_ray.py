"""Focal loss on the ETF ray, in balls: loss and minus its derivative as functions of the margin a."""

from dataclasses import dataclass

from flint import arb


@dataclass(frozen=True)
class Ray:
    """K classes, focusing parameter gamma."""

    K: int
    gamma: int

    @staticmethod
    def ball(number: float | str | int) -> arb:
        """A number as a ball."""
        return arb(number)

    def focal(self, odds: arb) -> arb:
        """(1 - p)^gamma (-log p) at p = 1/(1 + odds)."""
        return (odds / (1 + odds)) ** self.gamma * (1 + odds).log()

    def loss(self, a: arb) -> arb:
        """At margin a."""
        return self.focal((self.K - 1) * (-a).exp())

    def slope(self, a: arb) -> arb:
        """S(a) = -d loss/da."""
        odds = (self.K - 1) * (-a).exp()
        rest = odds / (1 + odds)
        return rest**self.gamma * (rest + self.gamma * (1 + odds).log() / (1 + odds))
