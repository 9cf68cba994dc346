"""The outer equations over a box, which discard or contract it, and the search that halves what is left."""

from typing import no_type_check

import numpy as np

from ufm.compiled import exact_kernel
from ufm.complete.boxes.derivatives import derivatives, logits, minus_sum, softmax, spreads
from ufm.complete.boxes.inner import by_energy, image_of, invert, move, passes_test, solve_inner, widen
from ufm.complete.boxes.intervals import FAR, add, at, at2, mul, set_points, squared, sub, times


@exact_kernel
@no_type_check
def _is_outside(box, outer, shape, domain, square):
    """Whether the box has no point that is in the domain and has |W|^2 <= square."""
    K, r = shape[0], shape[1]
    for row in domain:
        total = (0.0, 0.0)
        for i in range(len(outer)):
            if row[i] != 0.0:
                total = add(total, times(at(box, outer[i]), row[i]))
        if total[1] < 0.0:
            return True
    norm = (0.0, 0.0)
    for a in range(r):
        norm = add(norm, squared(minus_sum(box, a, r, K)))
        for j in range(K - 1):
            norm = add(norm, squared(at(box, j * r + a)))
    return norm[0] > square


@exact_kernel
@no_type_check
def examine(box, x, outer, inner, of, domain, square):
    """Discard a box, or contract it in the places of the outer variables.

    Args:
        box: (2, m); the inner part is overwritten.
        x: a guess for the inner variables, improved; its outer part becomes the middle.
        outer, inner: which variables are which; others are 0.
        of: as in `derivatives`.
        domain: rows a of a'o >= 0.
        square: upper bound of |W|^2.

    Returns:
        Whether it may hold a critical point of the domain.
    """
    if _is_outside(box, outer, of[0], domain, square):
        return False
    K, m, q, n = of[0][0], box.shape[1], len(outer), len(inner)
    G0, H0, G, H = np.empty((2, m)), np.empty((2, m, m)), np.empty((2, m)), np.empty((2, m, m))
    V, M, rough, found = np.empty((n, n)), np.zeros((q, n)), np.full(n, 1e-13), np.empty((2, n))
    free = np.empty((2, K, K, K))
    free[0], free[1] = -FAR, FAR
    cut, point = free.copy(), np.empty((2, m))
    for i in outer:
        x[i] = box[0, i] + (box[1, i] - box[0, i]) / 2
    set_points(point, x)
    if not solve_inner(point, free, inner, of, G0, H0, V):
        return True
    for i in inner:
        x[i] = point[0, i]
    for i in range(n):
        for j in range(q):
            for k in range(n):
                M[j, i] += (H0[0, outer[j], inner[k]] + H0[1, outer[j], inner[k]]) / 2 * V[k, i]
            rough[i] += 0.75 * abs(M[j, i]) * (box[1, outer[j]] - box[0, outer[j]])
    if of[2][1] == 0.0 and by_energy(box, x, free, cut, inner, outer, of, G0, H0, V, G, H, rough):
        widen(box, x, inner, rough)
        derivatives(box, cut, of, G, H)
        image_of(box, x, inner, outer, G0, V, H, rough, found)
        for i in range(n):
            found[0, i], found[1, i] = max(found[0, i], -rough[i]), min(found[1, i], rough[i])
    elif not passes_test(box, x, free, inner, outer, of, G0, V, G, H, rough, found) or not _is_convex(box, free, of):
        return True
    return _outer_step(box, x, outer, inner, G0, G, H, M, found)


@exact_kernel
@no_type_check
def _is_convex(box, free, of):
    """Whether no sample's odds 1/p - 1 exceed the limit anywhere in the box."""
    spread = spreads(box, of[0])
    for k in range(of[0][0]):
        own = softmax(logits(box, spread, free, k, of[0]), k, 0.0)[2]
        if not own[1] <= of[2][2]:
            return False
    return True


@exact_kernel
@no_type_check
def _outer_step(box, x, outer, inner, G0, G, H, M, found):
    """Whether the outer equations, less M times the inner ones, can be 0; then Newton's step cuts the box."""
    q, n = len(outer), len(inner)
    rest, slope, off = np.empty((2, q)), np.empty((2, q, q)), np.empty((2, q, n))
    for i in range(q):
        rest[0, i], rest[1, i] = _reduced(G0, outer[i], inner, M[i])
        total = at(rest, i)
        for j in range(q):
            slope[0, i, j], slope[1, i, j] = _reduced(H[:, outer[j]], outer[i], inner, M[i])
            total = add(total, mul(at2(slope, i, j), move(box, x, outer[j])))
        for j in range(n):
            off[0, i, j], off[1, i, j] = _reduced(H[:, inner[j]], outer[i], inner, M[i])
            total = add(total, mul(at2(off, i, j), at(found, j)))
        if max(total[0], G[0, outer[i]]) > 0.0 or min(total[1], G[1, outer[i]]) < 0.0:
            return False
    return _contract(box, x, outer, rest, slope, off, found)


@exact_kernel
@no_type_check
def _reduced(ends, place, inner, row):
    """Entry `place` less M times the inner entries."""
    total = at(ends, place)
    for i in range(len(inner)):
        total = sub(total, times(at(ends, inner[i]), row[i]))
    return total


@exact_kernel
@no_type_check
def _contract(box, x, outer, rest, slope, off, found):
    """Newton's step with an approximate inverse, cut with the box; False if nothing is left."""
    q, n = len(outer), off.shape[2]
    middle, inverse, image = np.empty((q, q)), np.empty((q, q)), np.empty((2, q))
    for i in range(q):
        for j in range(q):
            middle[i, j] = (slope[0, i, j] + slope[1, i, j]) / 2
    if not invert(middle, inverse):
        return True
    for i in range(q):
        total = (x[outer[i]], x[outer[i]])
        for j in range(q):
            total = sub(total, times(at(rest, j), inverse[i, j]))
            entry = (1.0, 1.0) if i == j else (0.0, 0.0)
            for k in range(q):
                entry = sub(entry, times(at2(slope, k, j), inverse[i, k]))
            total = add(total, mul(entry, move(box, x, outer[j])))
        for j in range(n):
            entry = (0.0, 0.0)
            for k in range(q):
                entry = add(entry, times(at2(off, k, j), inverse[i, k]))
            total = sub(total, mul(entry, at(found, j)))
        image[0, i], image[1, i] = total
    for i in range(q):
        box[0, outer[i]], box[1, outer[i]] = max(box[0, outer[i]], image[0, i]), min(box[1, outer[i]], image[1, i])
        if box[0, outer[i]] > box[1, outer[i]]:
            return False
    return True


@exact_kernel
@no_type_check
def _put(boxes, guesses, place, box, x, outer):
    """Box and guess to this place."""
    for i in range(len(outer)):
        boxes[place, 0, i], boxes[place, 1, i] = box[0, outer[i]], box[1, outer[i]]
    for i in range(len(x)):
        guesses[place, i] = x[i]


@exact_kernel
@no_type_check
def search(stack, guesses, size, kept, kept_guesses, count, outer, inner, of, domain, limits, budget):
    """Work on the boxes of a stack, depth first, until it is empty, full, or `budget` boxes have been looked at.

    Args:
        stack: (capacity, 2, q) low and high ends of the outer variables of the first `size` boxes.
        guesses: (capacity, m) for all variables.
        kept, kept_guesses, count: the same of boxes that are narrower than `narrowest`.
        limits: upper bound of |W|^2, `narrowest`.

    Returns:
        The sizes of both, and how many boxes were looked at.
    """
    q, done = len(outer), 0
    box, widths = np.zeros((2, guesses.shape[1])), np.empty(q)
    while size > 0 and done < budget and size + 2 < len(stack) and count < len(kept):
        size, done = size - 1, done + 1
        x = guesses[size].copy()
        for i in range(q):
            box[0, outer[i]], box[1, outer[i]] = stack[size, 0, i], stack[size, 1, i]
            widths[i] = stack[size, 1, i] - stack[size, 0, i]
        if not examine(box, x, outer, inner, of, domain, limits[0]):
            continue
        widest, is_contracted = 0, False
        for i in range(q):
            left = box[1, outer[i]] - box[0, outer[i]]
            is_contracted = is_contracted or left < 0.7 * widths[i]
            widths[i] = left
            widest = i if left > widths[widest] else widest
        if widths[widest] < limits[1]:
            _put(kept, kept_guesses, count, box, x, outer)
            count += 1
            continue
        _put(stack, guesses, size, box, x, outer)
        size += 1
        if not is_contracted:
            _put(stack, guesses, size, box, x, outer)
            middle = box[0, outer[widest]] + widths[widest] / 2
            stack[size - 1, 1, widest], stack[size, 0, widest] = middle, middle
            size += 1
    return size, count, done
