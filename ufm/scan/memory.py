"""An estimate of the memory that a unit of a scan takes, made before anything is computed.

With P variables, N K logits, C cells and S = C starts, a process holds at its peak about

    libraries + 8 (8 S P + 10 W (P + N K) + 20 C (P + N K) + L (1200 P + 200 N K)) bytes,

W of the starts at work at the same time in the minimiser or in sorting the end points (`STATE_BYTES`), L points in the
Lanczos iteration (`BASIS_BYTES`); up to 300 variables a few chunks of dense Hessians in its place. The coefficients are
upper bounds of measured peaks, temporaries and what the C library cannot use again included; a test measures one unit
of each kind against them.
"""

from ufm.scan.cells import Unit
from ufm.scan.outcomes import STATE_BYTES, STATES
from ufm.solve.hessian import BASIS_BYTES, DENSE_UP_TO, LANCZOS_STEPS, WORKING_BYTES

LIBRARY_BYTES = 480 * 10**6
"""The bytes of Python with torch, numba and pyarrow in use."""


def unit_bytes(unit: Unit) -> int:
    """The peak memory, in bytes, of a process that works on the unit."""
    problem, cells = unit.cells[0].problem, len(unit.cells)
    P, logits, starts = problem.size, problem.N * problem.K, cells * unit.starts
    points = (len(STATES) + 1) * cells
    if P > DENSE_UP_TO:
        at_once = min(points, max(1, BASIS_BYTES // (8 * P * LANCZOS_STEPS)))
        curvature = 8 * at_once * (2 * P * LANCZOS_STEPS + 200 * logits)
    else:
        curvature = 6 * WORKING_BYTES
    at_work = min(starts, max(1, STATE_BYTES // (8 * (P + logits))))
    vectors = 8 * starts * P + 10 * at_work * (P + logits) + 20 * cells * (P + logits)
    return LIBRARY_BYTES + 8 * vectors + curvature
