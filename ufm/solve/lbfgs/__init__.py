"""L-BFGS for many starts at once, as tensor operations and compiled."""
