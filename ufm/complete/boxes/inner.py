"""The inner variables of the reduced problem as functions of the outer ones, enclosed for all outer ones of a box.

By Krawczyk's operator for F_y = 0, or by the energy lemma (step 8 of `ufm/complete/reduction.py`).
"""

import math
from typing import no_type_check

import numpy as np

from ufm.compiled import exact_kernel
from ufm.complete.boxes.derivatives import derivatives, difference
from ufm.complete.boxes.intervals import TINY, add, at, at2, exp, log, mul, outwards, set_points, sub, times

SOLVED, NEARLY_SOLVED = 1e-14, 1e-9
"""Gradient of the inner variables at which their search ends, and which it may be left with: a guess, tested later."""
SLACK = 1.0 + 1e-12
"""More than the rounding of a few hundred sums and products of positive numbers, as in a norm."""


@exact_kernel
@no_type_check
def invert(matrix, inverse):
    """Gauss and Jordan with pivots, rounded as it comes: what uses the inverse takes it as it is. False if singular."""
    n = len(matrix)
    work = matrix.copy()
    for i in range(n):
        for j in range(n):
            inverse[i, j] = 1.0 if i == j else 0.0
    for i in range(n):
        pivot = i
        for j in range(i + 1, n):
            if abs(work[j, i]) > abs(work[pivot, i]):
                pivot = j
        if not abs(work[pivot, i]) > TINY:
            return False
        for j in range(n):
            work[i, j], work[pivot, j] = work[pivot, j], work[i, j]
            inverse[i, j], inverse[pivot, j] = inverse[pivot, j], inverse[i, j]
        scale = 1.0 / work[i, i]
        for j in range(n):
            work[i, j] *= scale
            inverse[i, j] *= scale
        for j in range(n):
            factor = work[j, i]
            if j != i and factor != 0.0:
                for k in range(n):
                    work[j, k] -= factor * work[i, k]
                    inverse[j, k] -= factor * inverse[i, k]
    return True


@exact_kernel
@no_type_check
def solve_inner(box, free, inner, of, G, H, V):
    """Newton's method in floating point for the inner variables of a point, damped; a guess, which a test judges.

    box: the point, twice; G and H are those at the last point, V the inverse of the inner block of H's middle. False if
    it did not converge.
    """
    n = len(inner)
    block, step, start = np.empty((n, n)), np.empty(n), np.empty(n)
    derivatives(box, free, of, G, H)
    size = _size(G, inner)
    for _ in range(60):
        for i in range(n):
            for j in range(n):
                block[i, j] = (H[0, inner[i], inner[j]] + H[1, inner[i], inner[j]]) / 2
        if not invert(block, V):
            return False
        if size < SOLVED:
            return True
        for i in range(n):
            start[i], step[i] = box[0, inner[i]], 0.0
            for j in range(n):
                step[i] -= V[i, j] * (G[0, inner[j]] + G[1, inner[j]]) / 2
        if not _shorten(box, free, inner, of, G, H, start, step, size):
            return size < NEARLY_SOLVED
        size = _size(G, inner)
    return False


@exact_kernel
@no_type_check
def _shorten(box, free, inner, of, G, H, start, step, size):
    """Halve the step until the gradient is smaller."""
    length = 1.0
    for _ in range(30):
        for i in range(len(inner)):
            box[0, inner[i]] = box[1, inner[i]] = start[i] + length * step[i]
        derivatives(box, free, of, G, H)
        if _size(G, inner) < size * (1.0 - 0.1 * length):
            return True
        length *= 0.5
    return False


@exact_kernel
@no_type_check
def _size(G, places):
    total = 0.0
    for i in places:
        total += abs(G[0, i] + G[1, i]) / 2
    return total


@exact_kernel
@no_type_check
def move(box, x, i):
    """Where variable i of the box lies from x."""
    return sub(at(box, i), (x[i], x[i]))


@exact_kernel
@no_type_check
def widen(box, x, inner, rough):
    """Fill in the inner variables x +- rough."""
    for i in range(len(inner)):
        box[0, inner[i]], box[1, inner[i]] = outwards(x[inner[i]] - rough[i], x[inner[i]] + rough[i])


@exact_kernel
@no_type_check
def image_of(box, x, inner, outer, G0, V, H, rough, found):
    """Krawczyk's image of the inner variables x +- rough for all outer ones of the box, less x: G0 at x, H over all."""
    n = len(inner)
    for i in range(n):
        image = (0.0, 0.0)
        for j in range(n):
            image = sub(image, times(at(G0, inner[j]), V[i, j]))
            entry = (1.0, 1.0) if i == j else (0.0, 0.0)
            for m in range(n):
                entry = sub(entry, times(at2(H, inner[m], inner[j]), V[i, m]))
            image = add(image, mul(entry, (-rough[j], rough[j])))
        for j in outer:
            entry = (0.0, 0.0)
            for m in range(n):
                entry = add(entry, times(at2(H, inner[m], j), V[i, m]))
            image = sub(image, mul(entry, move(box, x, j)))
        found[0, i], found[1, i] = image


@exact_kernel
@no_type_check
def passes_test(box, x, free, inner, outer, of, G0, V, G, H, rough, found):
    """Krawczyk's test with growing radii: whether `found` is in the interior of what it was computed from."""
    for _ in range(5):
        widen(box, x, inner, rough)
        derivatives(box, free, of, G, H)
        image_of(box, x, inner, outer, G0, V, H, rough, found)
        is_inside = True
        for i in range(len(inner)):
            is_inside = is_inside and -rough[i] < found[0, i] and found[1, i] < rough[i]
        if is_inside:
            return True
        for i in range(len(inner)):
            rough[i] = max(rough[i], 1.25 * max(-found[0, i], found[1, i]))
            if not rough[i] < 1e3:
                return False
    return False


@exact_kernel
@no_type_check
def _root(V, Q):
    """Q with Q Q' = V as it comes (Cholesky); False if V is not positive definite."""
    n = len(V)
    for i in range(n):
        for j in range(n):
            total = V[i, j]
            for m in range(min(i, j)):
                total -= Q[i, m] * Q[j, m]
            if i == j and not total > 0.0:
                return False
            if i == j:
                Q[i, j] = math.sqrt(total)
            elif j < i:
                Q[i, j] = total / Q[j, j]
    return True


@exact_kernel
@no_type_check
def _size_of(a):
    return max(-a[0], a[1])


@exact_kernel
@no_type_check
def _least(Q, H0, inner):
    """A lower bound of the eigenvalues of Q'H0 Q (Gershgorin)."""
    n, least = len(inner), 1.0
    for i in range(n):
        radius = 0.0
        for j in range(n):
            entry = (-1.0, -1.0) if i == j else (0.0, 0.0)
            for k in range(n):
                for m in range(n):
                    entry = add(entry, times(times(at2(H0, inner[k], inner[m]), Q[k, i]), Q[m, j]))
            radius += _size_of(entry)
        if not radius < 1.0:  # also if it is nan, which `min` would pass over
            return 0.0
        least = min(least, 1.0 - radius * SLACK)
    return least


@exact_kernel
@no_type_check
def _force(box, x, Q, inner, outer, G0, H):
    """An upper bound of |Q'F_y(w, x)| over the box; G0 at x, H over the outer box with the inner variables of x."""
    n, square = len(inner), TINY
    for i in range(n):
        total = (0.0, 0.0)
        for m in range(n):
            total = add(total, times(at(G0, inner[m]), Q[m, i]))
        for j in outer:
            entry = (0.0, 0.0)
            for m in range(n):
                entry = add(entry, times(at2(H, inner[m], j), Q[m, i]))
            total = add(total, mul(entry, move(box, x, j)))
        square += _size_of(total) ** 2
    return math.sqrt(square) * SLACK


@exact_kernel
@no_type_check
def _reach(box, k, i, j, Q, shape):
    """An upper bound of |Q'd|, d the derivative of z_ki - z_kj in the inner variables."""
    K, r, square = shape[0], shape[1], TINY
    for m in range(len(Q)):
        total = (0.0, 0.0)
        for a in range(r):
            total = add(total, times(difference(box, a, r, i, j, K), Q[k * r + a, m]))
        if shape[2] == 1:
            column = np.empty((2, K - 1))
            set_points(column, Q[K * r :, m])
            total = add(total, difference(column, 0, 1, i, j, K))
        square += _size_of(total) ** 2
    return math.sqrt(square) * SLACK


@exact_kernel
@no_type_check
def _turn(box, x, shape, decays):
    """Of the energy lemma D_w and epsilon, from above."""
    K, r, moved, turned = shape[0], shape[1], 0.0, 0.0
    point = np.empty((2, len(x)))
    set_points(point, x)
    for i in range(K):
        for j in range(i):
            square = 0.0
            steps = np.empty((2, r))
            for a in range(r):
                steps[0, a], steps[1, a] = sub(difference(box, a, r, i, j, K), difference(point, a, r, i, j, K))
                square += _size_of(at(steps, a)) ** 2
            turned = max(turned, square)
            for k in range(K):
                change = (0.0, 0.0)
                for a in range(r):
                    change = add(change, times(at(steps, a), x[(K - 1) * r + k * r + a]))
                moved = max(moved, _size_of(change))
    return moved, math.sqrt(r * turned / (4.0 * K * decays[0])) * SLACK


@exact_kernel
@no_type_check
def by_energy(box, x, free, cut, inner, outer, of, G0, H0, V, G, H, rough):
    """Radii for the inner variables, and bounds `cut` of differences of logits, by the energy lemma; False without.

    The lemma stands in `ufm/complete/reduction.py`; cross entropy and label smoothing only.
    """
    shape, n = of[0], len(inner)
    Q = np.zeros((n, n))
    if not _root(V, Q):
        return False
    widen(box, x, inner, np.zeros(n))
    derivatives(box, free, of, G, H)
    moved, epsilon = _turn(box, x, shape, of[1])
    least, kappa = _least(Q, H0, inner) * (1.0 - epsilon) / SLACK, 0.0
    for k in range(shape[0]):
        for i in range(shape[0]):
            for j in range(i):
                kappa = max(kappa, _reach(box, k, i, j, Q, shape))
    if not (least > 0.0 and epsilon < 1.0):
        return False
    tau = kappa * _force(box, x, Q, inner, outer, G0, H) * exp((moved, moved))[1] / least * SLACK
    if not tau < 0.95:
        return False
    radius = -log((1.0 - tau * SLACK, 1.0))[0] / kappa * SLACK
    for i in range(n):
        rough[i] = math.sqrt(np.sum(Q[i] ** 2)) * radius * SLACK + TINY
    _cut(box, x, Q, radius, shape, cut)
    return True


@exact_kernel
@no_type_check
def _cut(box, x, Q, radius, shape, cut):
    """Bounds of differences of logits over the box, with inner variables within `radius` of x in energy."""
    K, r, at_h = shape[0], shape[1], (shape[0] - 1) * shape[1]
    point = np.empty((2, len(x)))
    set_points(point, x)
    for k in range(K):
        for i in range(K):
            for j in range(i):
                z = difference(point, at_h + K * r, 1, i, j, K) if shape[2] == 1 else (0.0, 0.0)
                for a in range(r):
                    z = add(z, times(difference(box, a, r, i, j, K), x[at_h + k * r + a]))
                reach = _reach(box, k, i, j, Q, shape) * radius * SLACK
                cut[0, k, i, j], cut[1, k, i, j] = add(z, (-reach, reach))
