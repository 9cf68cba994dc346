"""Benchmarks: both sides in one process, alternately, and the ratio. `python -m tests.benchmarks` runs all of them."""
