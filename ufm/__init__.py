"""The unconstrained feature model: solve it, compare it with theory, certify its critical points."""
