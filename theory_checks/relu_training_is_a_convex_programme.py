"""Two-layer ReLU net, scalar output, wide enough, three data sets in the plane: the convex programme over all
activation patterns has the network's global minimum.

Theme: more layers

Source: Ergen and Pilanci 2021 (convex duality); Pilanci and Ergen 2020 for the programme

Evidence: certificate at 6 samples in the plane (3 data sets, 12 patterns). The programme's solution is a network (a
neuron for each vector that is not zero), whose value is an upper bound. Its residual v, scaled until |v' relu(X u)| <=
beta for every unit u, is a dual point and gives a lower bound; the maximum over the circle is exact, since on every arc
between two activation changes the function is linear in u. The gap is the solver's.

False twin: the programme without one of the patterns.
"""

import numpy as np

from theory_checks.verdict import DIGITS, Verdict, deviation

BETA = 0.1


def check() -> Verdict:
    """All patterns."""
    return _verdict(None)


def refuted() -> Verdict:
    """All but one."""
    return _verdict(1)


def _verdict(without: int | None) -> Verdict:
    from theory_checks.softmax_relaxation import ALLOWED

    findings = []
    for seed in range(3):
        random = np.random.default_rng(seed)
        X, y = random.standard_normal((6, 2)), random.standard_normal(6)
        arcs = _arcs(X)
        upper, v = _programme(X, y, [arc for number, arc in enumerate(arcs) if number != without])
        v = v * min(1.0, BETA / _largest(X, v, arcs))
        lower = v @ y - v @ v / 2
        text = f"data set {seed}, {len(arcs)} patterns: [{lower:.8f}, {upper:.8f}], relative width"
        findings.append(deviation(text, float((upper - lower) / upper), ALLOWED))
    return Verdict.of("certificate", findings, margin_is=DIGITS, sizes=f"N = 6, two inputs, beta = {BETA}", starts=3)


def _arcs(X: np.ndarray) -> list[tuple[float, float]]:
    """The arcs of directions u on which no sample changes its activation."""
    normal = np.arctan2(X[:, 1], X[:, 0]) + np.pi / 2
    ends = np.sort(np.mod(np.concatenate([normal, normal + np.pi]), 2 * np.pi))
    return list(zip(ends, [*ends[1:], ends[0] + 2 * np.pi], strict=True))


def _pattern(X: np.ndarray, arc: tuple[float, float]) -> np.ndarray:
    middle = (arc[0] + arc[1]) / 2
    return (X @ np.array([np.cos(middle), np.sin(middle)]) > 0).astype(float)


def _programme(X: np.ndarray, y: np.ndarray, arcs: list[tuple[float, float]]) -> tuple[float, np.ndarray]:
    """Solve it, read a network off the solution, and return the network's value and residual."""
    import cvxpy

    from theory_checks.softmax_relaxation import solve

    patterns = [_pattern(X, arc) for arc in arcs]
    weights = [(cvxpy.Variable(2), cvxpy.Variable(2)) for _ in patterns]
    fit = sum(D[:, None] * X @ (v - w) for D, (v, w) in zip(patterns, weights, strict=True))
    cone = [(2 * D - 1)[:, None] * X @ u >= 0 for D, pair in zip(patterns, weights, strict=True) for u in pair]
    penalty = sum(cvxpy.norm(u) for pair in weights for u in pair)
    solve(cvxpy.Minimize(cvxpy.sum_squares(fit - y) / 2 + BETA * penalty), cone)
    network = sum(np.maximum(X @ v.value, 0) - np.maximum(X @ w.value, 0) for v, w in weights)
    residual = y - network
    norms = sum(np.linalg.norm(u.value) for pair in weights for u in pair)
    return float(residual @ residual / 2 + BETA * norms), residual


def _largest(X: np.ndarray, v: np.ndarray, arcs: list[tuple[float, float]]) -> float:
    """max over unit u of |v' relu(X u)|: on an arc it is |g . u|, largest at +-g/|g| if it lies there, or at an end."""
    largest = 0.0
    for low, high in arcs:
        g = (v * _pattern(X, (low, high))) @ X
        towards = np.arctan2(g[1], g[0])
        angles = [low, high, *(t for t in towards + np.pi * np.arange(-2, 5) if low <= t <= high)]
        largest = max(largest, *(abs(g @ np.array([np.cos(t), np.sin(t)])) for t in angles))
    return largest
