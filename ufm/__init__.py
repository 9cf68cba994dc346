"""The unconstrained feature model: solve it, compare it with theory, certify its critical points."""

__version__ = "0.1.0"
