"""How much memory a unit of a scan takes, said before anything is computed.

With P variables, N K logits, C cells and S = C starts, a process holds at its peak about

    libraries + 8 (8 S P + 10 W (P + N K) + 20 C (P + N K)) + curvature bytes,

W starts at work at the same time in the minimiser (its cache's worth) or in sorting the end points (`STATE_BYTES`), and
for the curvature the Lanczos basis (at most `BASIS_BYTES`) or a few chunks of dense Hessians. The coefficients are upper
bounds of measured peaks (resident set); a test measures one unit of each kind against them.
"""

from ufm.cells import Unit
from ufm.hessian import BASIS_BYTES, DENSE_UP_TO, LANCZOS_STEPS, WORKING_BYTES
from ufm.outcomes import STATE_BYTES, STATES

LIBRARY_BYTES = 480 * 10**6
"""Python with torch, numba and pyarrow, once they have worked."""


def unit_bytes(unit: Unit) -> int:
    """Peak of a process that works on the unit."""
    problem, cells = unit.cells[0].problem, len(unit.cells)
    P, logits, starts = problem.size, problem.N * problem.K, cells * unit.starts
    points = (len(STATES) + 1) * cells
    if P > DENSE_UP_TO:
        curvature = min(BASIS_BYTES, 8 * P * LANCZOS_STEPS * points) + 8 * 12 * min(points, 32) * logits
    else:
        curvature = 6 * WORKING_BYTES
    at_work = min(starts, max(1, STATE_BYTES // (8 * (P + logits))))
    vectors = 8 * starts * P + 10 * at_work * (P + logits) + 20 * cells * (P + logits)
    return LIBRARY_BYTES + 8 * vectors + curvature
