"""Branch and bound over boxes in outward rounded floating point: what is discarded holds no critical point.

An interval is a pair (low, high) of doubles; every operation is followed by `_out`, which moves both ends outwards by 4
units of roundoff u = 2^-53 of their size and 1e-300. An operation is off by at most u of its result (round to nearest),
the step itself by another u, so 4 u - 2 u are left; 1e-300 covers what underflows. Loops are compiled as written (no
fused or reordered operations).

*exp* is our own, so that its error is proved, not believed: for |x| <= 700, k = rint(x log2(e)) is at most 1010 in
modulus, k LN2_HIGH is exact (LN2_HIGH has 20 zero bits at its end), and r = (x - k LN2_HIGH) - k LN2_LOW differs from
x - k ln 2 by at most 3 u / 2 (|r| <= 0.35, two subtractions; k (ln 2 - LN2_HIGH - LN2_LOW) < 1e-20). The Taylor
polynomial of degree 13 leaves out at most 1.5 * 0.35^14 / 14! < 1e-17 < u / 10; Horner's scheme, whose last steps are
(p r) r + r + 1 with p r^2 + r <= 0.43, adds less than 3 u. All in all less than 6 u relative to a value >= 0.7;
`EXP_ERROR` is 64 u. *log* takes the library's only as a guess l, and corrects it by x exp(-l) = 1 + e, which gives
|log x - l| <= |e| + e^2 for |e| < 1/2.

What is enclosed: gradient and Hessian of the reduced problem (`ufm/complete/reduction.py`) in its coordinates; then

 * the *inner* variables y as functions of the outer ones o: Krawczyk's operator for F_y = 0, for every o of the box;
 * the *outer* equations: F_o - M F_y, M = F_oy F_yy^-1 at the middle, in mean-value form over the box and the enclosure
   of y. It is 0 at critical points, and nearly free of y. An interval of it without 0 discards the box; times an
   approximate inverse of the Schur complement it contracts the box.

Boxes narrower than `narrowest` that are left are handed back; balls decide about them (`ufm/complete/balls.py`).
"""

import math
from typing import no_type_check

import numpy as np

from ufm.compiled import LN2_HIGH, LN2_LOW, LOG2_E, exact_kernel, reinterpreted

U4 = 2.0**-51
TINY = 1e-300
EXP_ERROR = 2.0**-47
FAR = 1e300
DISCARDED, SPLIT, KEPT = 0, 1, 2


@exact_kernel
@no_type_check
def _out(low, high):
    return low - (abs(low) * U4 + TINY), high + (abs(high) * U4 + TINY)


@exact_kernel
@no_type_check
def _add(a, b):
    return _out(a[0] + b[0], a[1] + b[1])


@exact_kernel
@no_type_check
def _sub(a, b):
    return _out(a[0] - b[1], a[1] - b[0])


@exact_kernel
@no_type_check
def _mul(a, b):
    p, q, r, s = a[0] * b[0], a[0] * b[1], a[1] * b[0], a[1] * b[1]
    return _out(min(min(p, q), min(r, s)), max(max(p, q), max(r, s)))


@exact_kernel
@no_type_check
def _times(a, t):
    """Times a double that is exact."""
    p, q = a[0] * t, a[1] * t
    return _out(min(p, q), max(p, q))


@exact_kernel
@no_type_check
def _square(a):
    p, q = a[0] * a[0], a[1] * a[1]
    low, high = _out(min(p, q), max(p, q))
    return (0.0 if a[0] <= 0.0 <= a[1] else max(low, 0.0)), high


@exact_kernel
@no_type_check
def _inverse(a):
    """1 / a of a positive interval."""
    return _out(1.0 / a[1], 1.0 / a[0])


@exact_kernel
@no_type_check
def _exp_near(x):
    """exp(x) to 6 u, for |x| <= 700."""
    k = np.rint(x * LOG2_E)
    r = (x - k * LN2_HIGH) - k * LN2_LOW
    p = 1 / 6227020800
    p = p * r + 1 / 479001600
    p = p * r + 1 / 39916800
    p = p * r + 1 / 3628800
    p = p * r + 1 / 362880
    p = p * r + 1 / 40320
    p = p * r + 1 / 5040
    p = p * r + 1 / 720
    p = p * r + 1 / 120
    p = p * r + 1 / 24
    p = p * r + 1 / 6
    p = p * r + 1 / 2
    return ((p * r) * r + r + 1.0) * reinterpreted((np.int64(k) + 1023) << 52)


@exact_kernel
@no_type_check
def _exp(a):
    low = 0.0 if a[0] < -700.0 else _exp_near(min(a[0], 700.0)) * (1.0 - EXP_ERROR)
    high = FAR * FAR if a[1] > 700.0 else _exp_near(max(a[1], -700.0)) * (1.0 + EXP_ERROR)
    return low, high


@exact_kernel
@no_type_check
def _log_point(x):
    """An interval for log(x), x in [1e-290, 1e290]."""
    guess = math.log(x)
    e = _sub(_mul((x, x), _exp((-guess, -guess))), (1.0, 1.0))
    size = max(abs(e[0]), abs(e[1]))
    if not size < 0.5:
        return -FAR, FAR
    size = size * (1.0 + 2.0 * size)
    return _out(guess - size, guess + size)


@exact_kernel
@no_type_check
def _log(a):
    """Of a positive interval."""
    if not (a[0] > 1e-290 and a[1] < 1e290):
        return -FAR, FAR
    return _log_point(a[0])[0], _log_point(a[1])[1]


@exact_kernel
@no_type_check
def _power(a, exponent):
    """a^exponent of a positive interval and a double that is exact."""
    return _exp(_times(_log(a), exponent))


@exact_kernel
@no_type_check
def slopes(odds, gamma):
    """A and B of a sample whose odds 1/p - 1 are in this interval: gradient A (p - e_y), Hessian A C + B u u'.

    u = e_y - p, C = diag(p) - p p'. Focal loss phi(v) = -(1 - e^v)^gamma v at v = log p: A = -phi'(v) =
    q^gamma (1 + gamma p (-v) / q) and B = phi''(v) = gamma p q^(gamma - 1) (v (1 - (gamma - 1) p / q) + 2), q = 1 - p.
    """
    if gamma == 0.0:
        return (1.0, 1.0), (0.0, 0.0)
    if not (odds[0] > 1e-280 and odds[1] < 1e280):
        return (-FAR, FAR), (-FAR, FAR)
    total = _add((1.0, 1.0), odds)
    p, v = _inverse(total), _times(_log(total), -1.0)
    q = _inverse(_add((1.0, 1.0), _inverse(odds)))
    ratio, power = _inverse(odds), _power(q, gamma)  # p / q = 1 / odds
    fall = _times(_mul(ratio, v), -gamma)
    A = _mul(power, _add((1.0, 1.0), (max(fall[0], 0.0), fall[1])))
    inner = _add(_mul(v, _sub((1.0, 1.0), _mul(ratio, _out(gamma - 1.0, gamma - 1.0)))), (2.0, 2.0))
    return A, _mul(_times(_mul(ratio, power), gamma), inner)


@exact_kernel
@no_type_check
def _get(low, high, i):
    return low[i], high[i]


@exact_kernel
@no_type_check
def _raise(low, high, i, a):
    """Add an interval to the one at place i."""
    low[i], high[i] = _add((low[i], high[i]), a)


@exact_kernel
@no_type_check
def _difference(low, high, first, step, l, j, K):
    """u_l - u_j of a vector u that sums to zero and whose first K - 1 entries are at first, first + step, ..."""
    total = (0.0, 0.0)
    for i in range(K - 1):
        factor = (1.0 if l == i else -1.0 if l == K - 1 else 0.0) - (1.0 if j == i else -1.0 if j == K - 1 else 0.0)
        if factor != 0.0:
            total = _add(total, _times((low[first + i * step], high[first + i * step]), factor))
    return total


@exact_kernel
@no_type_check
def derivatives(low, high, cut, shape, decays, loss, G, H):
    """Enclose gradient and Hessian of the reduced problem over the box [low, high].

    Variables: v_ja at j r + a (rows of W but the last), h_ka at (K - 1) r + k r + a, the first K - 1 entries of b.

    Args:
        cut: (2, K, K, K), known bounds of z_kl - z_kj at [:, k, l, j], l > j.
        shape: K, r, and 1 with a bias.
        decays: c from below and above, decay of b.
        loss: alpha of label smoothing, gamma of focal loss.
        G, H: (2, m) and (2, m, m), filled: low and high ends.
    """
    K, r, m = shape[0], shape[1], len(low)
    at_h, at_b = (K - 1) * r, (K - 1) * r + K * r
    has_bias, share = shape[2] == 1, _inverse((float(K), float(K)))
    c, decay_b, alpha, gamma = (decays[0], decays[1]), decays[2], loss[0], loss[1]
    G[:], H[:] = 0.0, 0.0
    odds, p = np.empty((2, K, K)), np.empty((2, K))
    away, spread = np.empty((2, K, r)), np.empty((2, K, K, r))
    for l in range(K):
        for j in range(K):
            for a in range(r):
                spread[0, l, j, a], spread[1, l, j, a] = _difference(low, high, a, r, l, j, K)
    for k in range(K):
        for l in range(K):
            for j in range(l):
                z = (0.0, 0.0)
                for a in range(r):
                    h = (low[at_h + k * r + a], high[at_h + k * r + a])
                    z = _add(z, _mul((spread[0, l, j, a], spread[1, l, j, a]), h))
                if has_bias:
                    z = _add(z, _difference(low, high, at_b, 1, l, j, K))
                z = (max(z[0], cut[0, k, l, j]), min(z[1], cut[1, k, l, j]))
                odds[0, l, j], odds[1, l, j] = _exp(z)
                odds[0, j, l], odds[1, j, l] = _exp((-z[1], -z[0]))
        others = (0.0, 0.0)
        for j in range(K):
            total = (0.0, 0.0)
            for l in range(K):
                if l != j:
                    total = _add(total, (odds[0, l, j], odds[1, l, j]))
            if j == k:
                others = total
            p[0, j], p[1, j] = _inverse(_add(total, (1.0, 1.0)))
        # p_k - 1 is -q, q = T / (1 + T) rises with the odds T.
        q = (
            _out(others[0] / (1.0 + others[0]), 0.0)[0],
            1.0 if others[1] > 1e200 else _out(0.0, others[1] / (1.0 + others[1]))[1],
        )
        A, B = slopes(others, gamma)
        for j in range(K):
            for a in range(r):
                mean, least, most = (0.0, 0.0), 0.0, 0.0  # sum_l p_l (w_j - w_l), within the hull of these
                for l in range(K):
                    if l != j:
                        each = (spread[0, j, l, a], spread[1, j, l, a])
                        mean = _add(mean, _mul((p[0, l], p[1, l]), each))
                        least, most = min(least, each[0]), max(most, each[1])
                away[0, j, a], away[1, j, a] = max(mean[0], least), min(mean[1], most)
        _sample(k, low, high, shape, share, alpha, A, B, p, q, away, G, H)
    for j in range(K - 1):
        for a in range(r):
            for i in range(K - 1):
                i_a, factor = i * r + a, 2.0 if i == j else 1.0
                _raise(G[0], G[1], j * r + a, _mul(_times(c, factor), (low[i_a], high[i_a])))
                _raise(H[0, j * r + a], H[1, j * r + a], i_a, _times(c, factor))
    for i in range(at_h, at_b):
        _raise(G[0], G[1], i, _mul(c, (low[i], high[i])))
        _raise(H[0, i], H[1, i], i, c)
    if has_bias and decay_b > 0.0:
        for j in range(K - 1):
            for i in range(K - 1):
                factor = 2.0 if i == j else 1.0
                _raise(G[0], G[1], at_b + j, _times((low[at_b + i], high[at_b + i]), factor * decay_b))
                _raise(H[0, at_b + j], H[1, at_b + j], at_b + i, _times((decay_b, decay_b), factor))
    for i in range(m):
        for j in range(i):
            H[0, j, i], H[1, j, i] = H[0, i, j], H[1, i, j]


@exact_kernel
@no_type_check
def _sample(k, low, high, shape, share, alpha, A, B, p, q, away, G, H):
    """Add what the sample of class k adds; of H the entries [i, j] with i >= j, and the decays' are not yet there."""
    K, r, has_bias = shape[0], shape[1], shape[2] == 1
    at_h, at_b = (K - 1) * r, (K - 1) * r + K * r
    u = np.empty((2, K))  # e_k - p
    for j in range(K):
        u[0, j], u[1, j] = (q[0], q[1]) if j == k else (-p[1, j], -p[0, j])
    last_u = (u[0, K - 1], u[1, K - 1])
    inner = np.empty((2, K - 1, K - 1))  # share times the Hessian in the logits, in coordinates of sum zero
    slope = np.empty((2, K - 1))  # share times the gradient there
    for j in range(K - 1):
        g = _mul(A, _sub(last_u, (u[0, j], u[1, j])))
        g = _add(g, (alpha, alpha)) if j == k else g
        g = _sub(g, (alpha, alpha)) if k == K - 1 else g
        slope[0, j], slope[1, j] = _mul(g, share)
        if has_bias:
            _raise(G[0], G[1], at_b + j, (slope[0, j], slope[1, j]))
        for i in range(j + 1):
            # C_ji - C_jK - C_Ki + C_KK with C = A (diag(p) - p p') + B u u'
            pj, pi, pl = (p[0, j], p[1, j]), (p[0, i], p[1, i]), (p[0, K - 1], p[1, K - 1])
            part = _sub(pl, _mul(_sub(pj, pl), _sub(pi, pl)))
            part = _add(part, pj) if i == j else part
            step = _mul(_sub((u[0, j], u[1, j]), last_u), _sub((u[0, i], u[1, i]), last_u))
            part = _mul(_add(_mul(A, part), _mul(B, step)), share)
            inner[0, j, i], inner[1, j, i] = part
            inner[0, i, j], inner[1, i, j] = part
    for a in range(r):
        h_a, wk_a = at_h + k * r + a, (away[0, k, a], away[1, k, a])
        weight = (low[k * r + a], high[k * r + a]) if k < K - 1 else _minus_sum(low, high, a, r, K)
        g = _sub(_times(weight, alpha), _mul(A, wk_a))
        _raise(G[0], G[1], h_a, _mul(g, share))
        h = (low[h_a], high[h_a])
        for j in range(K - 1):
            _raise(G[0], G[1], j * r + a, _mul((slope[0, j], slope[1, j]), h))
        for b in range(a + 1):  # features against features
            wk_b, part = (away[0, k, b], away[1, k, b]), (0.0, 0.0)
            for j in range(K):
                of_a, of_b = (away[0, j, a], away[1, j, a]), (away[0, j, b], away[1, j, b])
                part = _add(part, _mul((p[0, j], p[1, j]), _square(of_a) if a == b else _mul(of_a, of_b)))
            both = _square(wk_a) if a == b else _mul(wk_a, wk_b)
            part = _mul(_add(_mul(A, part), _mul(B, both)), share)
            _raise(H[0, h_a], H[1, h_a], at_h + k * r + b, part)
        last = _along(K - 1, p, u, away, a, A, B, wk_a)
        for j in range(K - 1):  # features against the bias and W
            part = _mul(_sub(_along(j, p, u, away, a, A, B, wk_a), last), share)
            if has_bias:
                _raise(H[0, at_b + j], H[1, at_b + j], h_a, part)
            for b in range(r):
                of_b = (low[at_h + k * r + b], high[at_h + k * r + b])
                both = _mul(part, of_b)
                both = _add(both, (slope[0, j], slope[1, j])) if a == b else both
                _raise(H[0, h_a], H[1, h_a], j * r + b, both)
    for j in range(K - 1):
        for i in range(K - 1):
            part = (inner[0, j, i], inner[1, j, i])
            if has_bias and i <= j:
                _raise(H[0, at_b + j], H[1, at_b + j], at_b + i, part)
            for a in range(r):
                h = (low[at_h + k * r + a], high[at_h + k * r + a])
                if has_bias:
                    _raise(H[0, at_b + j], H[1, at_b + j], i * r + a, _mul(part, h))
                for b in range(r):
                    if j * r + a >= i * r + b:
                        other = (low[at_h + k * r + b], high[at_h + k * r + b])
                        both = _square(h) if a == b else _mul(h, other)
                        _raise(H[0, j * r + a], H[1, j * r + a], i * r + b, _mul(part, both))


@exact_kernel
@no_type_check
def _minus_sum(low, high, first, step, K):
    total = (0.0, 0.0)
    for i in range(K - 1):
        total = _sub(total, (low[first + i * step], high[first + i * step]))
    return total


@exact_kernel
@no_type_check
def _along(j, p, u, away, a, A, B, wk_a):
    """Entry j of C w_a: A p_j (w_ja - mean) + B u_j (w_ka - mean)."""
    part = _mul(A, _mul((p[0, j], p[1, j]), (away[0, j, a], away[1, j, a])))
    return _add(part, _mul(B, _mul((u[0, j], u[1, j]), wk_a)))


@exact_kernel
@no_type_check
def _invert(matrix, inverse):
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
def _solve_inner(x, cut, inner, shape, decays, loss, G, H, V):
    """Newton's method in floating point for the inner variables of x, damped; a guess, which Krawczyk's test judges.

    G and H are those at the last x, V the inverse of the inner block of H's middle. False if it did not converge.
    """
    n = len(inner)
    block, step, start = np.empty((n, n)), np.empty(n), np.empty(n)
    derivatives(x, x, cut, shape, decays, loss, G, H)
    size = _size(G, inner)
    for _ in range(60):
        for i in range(n):
            for j in range(n):
                block[i, j] = (H[0, inner[i], inner[j]] + H[1, inner[i], inner[j]]) / 2
        if not _invert(block, V):
            return False
        if size < 1e-14:
            return True
        for i in range(n):
            start[i], step[i] = x[inner[i]], 0.0
            for j in range(n):
                step[i] -= V[i, j] * (G[0, inner[j]] + G[1, inner[j]]) / 2
        length, is_lower = 1.0, False
        for _ in range(30):
            for i in range(n):
                x[inner[i]] = start[i] + length * step[i]
            derivatives(x, x, cut, shape, decays, loss, G, H)
            if _size(G, inner) < size * (1.0 - 0.1 * length):
                is_lower = True
                break
            length *= 0.5
        if not is_lower:
            return size < 1e-9
        size = _size(G, inner)
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
def _krawczyk(x, low, high, cut, inner, outer, shape, decays, loss, G0, V, G, H, rough, found):
    """Image of Krawczyk's operator for the inner variables, for all outer ones of the box: they are in x + found.

    low, high: the box, whose inner part is filled in with x +- rough; G0: gradient at x; G, H: over the box, filled.
    """
    n = len(inner)
    for i in range(n):
        low[inner[i]], high[inner[i]] = _out(x[inner[i]] - rough[i], x[inner[i]] + rough[i])
    derivatives(low, high, cut, shape, decays, loss, G, H)
    for i in range(n):
        image = (0.0, 0.0)
        for j in range(n):
            image = _sub(image, _times((G0[0, inner[j]], G0[1, inner[j]]), V[i, j]))
        for j in outer:
            entry = (0.0, 0.0)
            for l in range(n):
                entry = _add(entry, _times((H[0, inner[l], j], H[1, inner[l], j]), V[i, l]))
            image = _sub(image, _mul(entry, _move(low, high, x, j)))
        for j in range(n):
            entry = (1.0, 1.0) if i == j else (0.0, 0.0)
            for l in range(n):
                entry = _sub(entry, _times((H[0, inner[l], inner[j]], H[1, inner[l], inner[j]]), V[i, l]))
            image = _add(image, _mul(entry, (-rough[j], rough[j])))
        found[0, i], found[1, i] = image


@exact_kernel
@no_type_check
def _passes_test(x, low, high, cut, inner, outer, shape, decays, loss, G0, V, G, H, rough, found):
    """Krawczyk's test with growing radii: whether `found` is in the interior of what it was computed from."""
    for _ in range(5):
        _krawczyk(x, low, high, cut, inner, outer, shape, decays, loss, G0, V, G, H, rough, found)
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
def _by_energy(x, low, high, free, cut, inner, outer, shape, decays, loss, G0, H0, V, G, H, rough):
    """Radii for the inner variables, and bounds `cut` of differences of logits, by the energy lemma; False without.

    The lemma stands in `ufm/complete/reduction.py`; cross entropy and label smoothing only.
    """
    K, r, n = shape[0], shape[1], len(inner)
    Q, square = np.zeros((n, n)), 1e-280
    for i in range(n):  # V = Q Q' as it comes
        for j in range(i + 1):
            total = V[i, j]
            for l in range(j):
                total -= Q[i, l] * Q[j, l]
            if i == j and not total > 0.0:
                return False
            Q[i, j] = math.sqrt(total) if i == j else total / Q[j, j]
    for i in inner:
        low[i], high[i] = x[i], x[i]
    derivatives(low, high, free, shape, decays, loss, G, H)
    least = 1.0  # of the eigenvalues of Q' H0 Q (Gershgorin)
    for i in range(n):
        radius, gradient = 0.0, (0.0, 0.0)
        for j in range(n):
            entry = (-1.0, -1.0) if i == j else (0.0, 0.0)
            for k in range(n):
                for l in range(n):
                    if Q[k, i] * Q[l, j] != 0.0:
                        both = (H0[0, inner[k], inner[l]], H0[1, inner[k], inner[l]])
                        entry = _add(entry, _times(_times(both, Q[k, i]), Q[l, j]))
            radius += max(abs(entry[0]), abs(entry[1]))
            gradient = _add(gradient, _times((G0[0, inner[j]], G0[1, inner[j]]), Q[j, i]))
        for j in outer:
            entry = (0.0, 0.0)
            for l in range(n):
                entry = _add(entry, _times((H[0, inner[l], j], H[1, inner[l], j]), Q[l, i]))
            gradient = _add(gradient, _mul(entry, _move(low, high, x, j)))
        least = min(least, 1.0 - radius * (1.0 + 1e-12))
        square += max(abs(gradient[0]), abs(gradient[1])) ** 2
    eta = math.sqrt(square) * (1.0 + 1e-12)
    kappa, moved, turn = _ranges(x, low, high, Q, shape, decays)
    least = least * (1.0 - turn) * (1.0 - 1e-12)
    if not least > 0.0:
        return False
    tau = kappa * eta * _exp((moved, moved))[1] / least * (1.0 + 1e-12)
    if not tau < 0.95:
        return False
    radius = -_log((1.0 - tau * (1.0 + 1e-12), 1.0))[0] / kappa * (1.0 + 1e-12)
    for i in range(n):
        square = 0.0
        for j in range(n):
            square += Q[i, j] ** 2
        rough[i] = math.sqrt(square) * radius * (1.0 + 1e-12) + TINY
    _cut(x, low, high, Q, radius, shape, cut)
    return True


@exact_kernel
@no_type_check
def _row(low, high, k, l, j, i, Q, shape):
    """An upper bound of the modulus of entry i of Q'd, d the derivative of z_kl - z_kj in the inner variables."""
    K, r, total = shape[0], shape[1], (0.0, 0.0)
    for a in range(r):
        w = _difference(low, high, a, r, l, j, K)
        total = _add(total, _times(w, Q[k * r + a, i]))
    if shape[2] == 1:
        column = Q[K * r :, i]
        total = _add(total, _difference(column, column, 0, 1, l, j, K))
    return max(abs(total[0]), abs(total[1]))


@exact_kernel
@no_type_check
def _length(low, high, k, l, j, Q, shape):
    square = 0.0
    for i in range(len(Q)):
        square += _row(low, high, k, l, j, i, Q, shape) ** 2
    return math.sqrt(square) * (1.0 + 1e-12) + TINY


@exact_kernel
@no_type_check
def _ranges(x, low, high, Q, shape, decays):
    """Of the energy lemma kappa, D_w and epsilon, from above."""
    K, r = shape[0], shape[1]
    kappa, moved, turned = 0.0, 0.0, 0.0
    for l in range(K):
        for j in range(l):
            square = 0.0
            for a in range(r):
                now, middle = _difference(low, high, a, r, l, j, K), _difference(x, x, a, r, l, j, K)
                step = _sub(now, middle)
                square += max(abs(step[0]), abs(step[1])) ** 2
            turned = max(turned, square)
            for k in range(K):
                kappa = max(kappa, _length(low, high, k, l, j, Q, shape))
                change = (0.0, 0.0)
                for a in range(r):
                    h = x[(K - 1) * r + k * r + a]
                    now, middle = _difference(low, high, a, r, l, j, K), _difference(x, x, a, r, l, j, K)
                    change = _add(change, _times(_sub(now, middle), h))
                moved = max(moved, max(abs(change[0]), abs(change[1])))
    return kappa, moved, math.sqrt(r * turned / (4.0 * K * decays[0])) * (1.0 + 1e-12)


@exact_kernel
@no_type_check
def _cut(x, low, high, Q, radius, shape, cut):
    """Bounds of differences of logits over the box, with inner variables within `radius` of x in energy."""
    K, r, at_h = shape[0], shape[1], (shape[0] - 1) * shape[1]
    for k in range(K):
        for l in range(K):
            for j in range(l):
                z = (0.0, 0.0)
                for a in range(r):
                    z = _add(z, _times(_difference(low, high, a, r, l, j, K), x[at_h + k * r + a]))
                if shape[2] == 1:
                    z = _add(z, _difference(x, x, at_h + K * r, 1, l, j, K))
                reach = _length(low, high, k, l, j, Q, shape) * radius
                cut[0, k, l, j], cut[1, k, l, j] = _add(z, _out(-reach, reach))


@exact_kernel
@no_type_check
def _is_outside(low, high, outer, shape, domain, square):
    """Whether the box has no point that is in the domain and has |W|^2 <= square."""
    K, r = shape[0], shape[1]
    for row in domain:
        total = (0.0, 0.0)
        for i in range(len(outer)):
            if row[i] != 0.0:
                total = _add(total, _times((low[outer[i]], high[outer[i]]), row[i]))
        if total[1] < 0.0:
            return True
    norm = (0.0, 0.0)
    for a in range(r):
        norm = _add(norm, _square(_minus_sum(low, high, a, r, K)))
        for j in range(K - 1):
            norm = _add(norm, _square((low[j * r + a], high[j * r + a])))
    return norm[0] > square


@exact_kernel
@no_type_check
def examine(low, high, x, outer, inner, shape, decays, loss, domain, square):
    """Discard a box, or contract it; low and high (all variables) are changed in the places of the outer ones.

    Args:
        x: a guess for the inner variables, improved; its outer part becomes the middle.
        outer, inner: which variables are which; others are 0.
        domain: rows a of a'o >= 0.
        square: upper bound of |W|^2.

    Returns:
        `DISCARDED` if it holds no critical point of the domain, else `SPLIT`.
    """
    if _is_outside(low, high, outer, shape, domain, square):
        return DISCARDED
    m, q, n = len(low), len(outer), len(inner)
    G0, H0, G, H = np.empty((2, m)), np.empty((2, m, m)), np.empty((2, m)), np.empty((2, m, m))
    V, M, rough, found = np.empty((n, n)), np.zeros((q, n)), np.empty(n), np.empty((2, n))
    for i in outer:
        x[i] = low[i] + (high[i] - low[i]) / 2
    free, cut = np.empty((2, shape[0], shape[0], shape[0])), np.empty((2, shape[0], shape[0], shape[0]))
    free[0], free[1] = -FAR, FAR
    cut[:] = free
    if not _solve_inner(x, free, inner, shape, decays, loss, G0, H0, V):
        return SPLIT
    for i in range(n):
        rough[i] = 1e-13
        for j in range(q):
            for l in range(n):
                M[j, i] += (H0[0, outer[j], inner[l]] + H0[1, outer[j], inner[l]]) / 2 * V[l, i]
            rough[i] += 0.75 * abs(M[j, i]) * (high[outer[j]] - low[outer[j]])
    if loss[1] == 0.0 and _by_energy(
        x, low, high, free, cut, inner, outer, shape, decays, loss, G0, H0, V, G, H, rough
    ):
        _krawczyk(x, low, high, cut, inner, outer, shape, decays, loss, G0, V, G, H, rough, found)
        for i in range(n):
            found[0, i], found[1, i] = max(found[0, i], -rough[i]), min(found[1, i], rough[i])
    elif not _passes_test(x, low, high, free, inner, outer, shape, decays, loss, G0, V, G, H, rough, found):
        return SPLIT
    rest, slope, off = np.empty((2, q)), np.empty((2, q, q)), np.empty((2, q, n))
    for i in range(q):
        rest[0, i], rest[1, i] = _reduced(G0[0], G0[1], outer[i], inner, M[i])
        total = (rest[0, i], rest[1, i])
        for j in range(q):
            slope[0, i, j], slope[1, i, j] = _reduced(H[0, outer[j]], H[1, outer[j]], outer[i], inner, M[i])
            total = _add(total, _mul((slope[0, i, j], slope[1, i, j]), _move(low, high, x, outer[j])))
        for j in range(n):
            off[0, i, j], off[1, i, j] = _reduced(H[0, inner[j]], H[1, inner[j]], outer[i], inner, M[i])
            total = _add(total, _mul((off[0, i, j], off[1, i, j]), (found[0, j], found[1, j])))
        if total[0] > 0.0 or total[1] < 0.0 or G[0, outer[i]] > 0.0 or G[1, outer[i]] < 0.0:
            return DISCARDED
    return _contract(low, high, x, outer, rest, slope, off, found)


@exact_kernel
@no_type_check
def _reduced(low, high, place, inner, row):
    """Entry `place` less M times the inner entries."""
    total = (low[place], high[place])
    for i in range(len(inner)):
        total = _sub(total, _times((low[inner[i]], high[inner[i]]), row[i]))
    return total


@exact_kernel
@no_type_check
def _move(low, high, x, i):
    return _sub((low[i], high[i]), (x[i], x[i]))


@exact_kernel
@no_type_check
def _contract(low, high, x, outer, rest, slope, off, found):
    """Newton's step with an approximate inverse, cut with the box."""
    q, n = len(outer), off.shape[2]
    middle, inverse = (slope[0] + slope[1]) / 2, np.empty((q, q))
    if not _invert(middle, inverse):
        return SPLIT
    image = np.empty((2, q))
    for i in range(q):
        total = (0.0, 0.0)
        for j in range(q):
            total = _sub(total, _times((rest[0, j], rest[1, j]), inverse[i, j]))
            entry = (1.0, 1.0) if i == j else (0.0, 0.0)
            for l in range(q):
                entry = _sub(entry, _times((slope[0, l, j], slope[1, l, j]), inverse[i, l]))
            total = _add(total, _mul(entry, _move(low, high, x, outer[j])))
        for j in range(n):
            entry = (0.0, 0.0)
            for l in range(q):
                entry = _add(entry, _times((off[0, l, j], off[1, l, j]), inverse[i, l]))
            total = _sub(total, _mul(entry, (found[0, j], found[1, j])))
        image[0, i], image[1, i] = _add((x[outer[i]], x[outer[i]]), total)
    for i in range(q):
        low[outer[i]], high[outer[i]] = max(low[outer[i]], image[0, i]), min(high[outer[i]], image[1, i])
        if low[outer[i]] > high[outer[i]]:
            return DISCARDED
    return SPLIT


@exact_kernel
@no_type_check
def search(stack, guesses, size, kept, kept_guesses, count, outer, inner, shape, decays, loss, domain, limits, budget):
    """Work on the boxes of a stack, depth first, until it is empty, full, or `budget` boxes have been looked at.

    Args:
        stack: (capacity, 2, q) low and high ends of the outer variables of the first `size` boxes.
        guesses: (capacity, m) for all variables.
        kept, kept_guesses, count: the same of boxes that are narrower than `narrowest`.
        limits: upper bound of |W|^2, `narrowest`.

    Returns:
        The sizes of both, and how many boxes were looked at.
    """
    q, m, done = len(outer), guesses.shape[1], 0
    low, high = np.zeros(m), np.zeros(m)
    while size > 0 and done < budget and size + 2 < len(stack) and count < len(kept):
        size, done = size - 1, done + 1
        widths, x = np.empty(q), guesses[size].copy()
        for i in range(q):
            low[outer[i]], high[outer[i]] = stack[size, 0, i], stack[size, 1, i]
            widths[i] = high[outer[i]] - low[outer[i]]
        if examine(low, high, x, outer, inner, shape, decays, loss, domain, limits[0]) == DISCARDED:
            continue
        widest, is_contracted = 0, False
        for i in range(q):
            is_contracted = is_contracted or high[outer[i]] - low[outer[i]] < 0.7 * widths[i]
            if high[outer[i]] - low[outer[i]] > high[outer[widest]] - low[outer[widest]]:
                widest = i
        is_narrow = high[outer[widest]] - low[outer[widest]] < limits[1]
        if is_narrow:
            for i in range(q):
                kept[count, 0, i], kept[count, 1, i] = low[outer[i]], high[outer[i]]
            kept_guesses[count] = x
            count += 1
            continue
        for half in range(1 if is_contracted else 2):
            for i in range(q):
                stack[size, 0, i], stack[size, 1, i] = low[outer[i]], high[outer[i]]
            middle = low[outer[widest]] + (high[outer[widest]] - low[outer[widest]]) / 2
            if not is_contracted:
                stack[size, 1 - half, widest] = middle
            guesses[size] = x
            size += 1
    return size, count, done
