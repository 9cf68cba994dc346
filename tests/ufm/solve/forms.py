"""The three forms of L-BFGS, for tests that hold each of them to the same."""

import pytest

from ufm.solve import minimise
from ufm.solve.lbfgs.batched import BatchedLbfgs
from ufm.solve.lbfgs.compiled import CompiledLbfgs

FORMS = {"descent": CompiledLbfgs, "compiled": CompiledLbfgs, "batched": BatchedLbfgs}
"""One start after the other where the objective is compiled, else as `compiled`; starts in turns; masks."""


def use(form: str, monkeypatch: pytest.MonkeyPatch, working_bytes: int | None = None) -> None:
    """Let `minimise` take this form on the CPU, with that much memory for the starts at work."""
    monkeypatch.setitem(minimise.METHODS, "cpu", (FORMS[form], working_bytes or minimise.METHODS["cpu"][1]))
    if form != "descent":
        monkeypatch.setattr(minimise, "compiled_objective", lambda model, starts: None)
