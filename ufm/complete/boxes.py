"""Branch and bound over boxes in outward rounded floating point: what is discarded holds no critical point.

An interval is a pair (low, high) of doubles; every operation is followed by `_out`, which moves both ends outwards by 4
units of roundoff u = 2^-53 of their size and 1e-300. An operation is off by at most u of its result (round to nearest),
the step itself by another u, so 4 u - 2 u are left; 1e-300 covers what underflows. Loops are compiled as written (no
fused or reordered operations). 0 times infinity is nan: an interval with a nan end discards nothing,
as every comparison with it is false.

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
SOLVED, NEARLY_SOLVED = 1e-14, 1e-9
"""Gradient of the inner variables at which their search ends, and which it may be left with: a guess, tested later."""
SLACK = 1.0 + 1e-12
"""More than the rounding of a few hundred sums and products of positive numbers, as in a norm."""


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
    return _out(min(p, q, r, s), max(p, q, r, s))


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
    """exp(x) to 6 u, for |x| <= 700.

    The steps of `ufm.compiled.exp`, written out again: those may be fused, and numba keeps one machine code a function.
    """
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
    v, ratio = _times(_log(_add((1.0, 1.0), odds)), -1.0), _inverse(odds)  # log p, and p / q
    power = _power(_inverse(_add((1.0, 1.0), ratio)), gamma)
    rise = _times(_mul(ratio, v), -gamma)
    A = _mul(power, _add((1.0, 1.0), (max(rise[0], 0.0), rise[1])))
    bent = _add(_mul(v, _sub((1.0, 1.0), _mul(ratio, _out(gamma - 1.0, gamma - 1.0)))), (2.0, 2.0))
    return A, _mul(_times(_mul(ratio, power), gamma), bent)


@exact_kernel
@no_type_check
def _at(ends, i):
    """The interval at place i of an array (2, ...)."""
    return ends[0, i], ends[1, i]


@exact_kernel
@no_type_check
def _set(ends, x):
    """Both ends at x: a loop, since numba takes seconds to compile an assignment of arrays (`ufm.compiled.copy`)."""
    for i in range(len(x)):
        ends[0, i], ends[1, i] = x[i], x[i]


@exact_kernel
@no_type_check
def _at2(ends, i, j):
    return ends[0, i, j], ends[1, i, j]


@exact_kernel
@no_type_check
def _at3(ends, i, j, k):
    return ends[0, i, j, k], ends[1, i, j, k]


@exact_kernel
@no_type_check
def _raise(ends, i, a):
    """Add an interval to the one at place i."""
    ends[0, i], ends[1, i] = _add((ends[0, i], ends[1, i]), a)


@exact_kernel
@no_type_check
def _raise2(ends, i, j, a):
    ends[0, i, j], ends[1, i, j] = _add((ends[0, i, j], ends[1, i, j]), a)


@exact_kernel
@no_type_check
def _difference(box, first, step, i, j, K):
    """u_i - u_j of a vector u that sums to zero and whose first K - 1 entries are at first, first + step, ..."""
    total = (0.0, 0.0)
    for m in range(K - 1):
        factor = (1.0 if i == m else -1.0 if i == K - 1 else 0.0) - (1.0 if j == m else -1.0 if j == K - 1 else 0.0)
        if factor != 0.0:
            total = _add(total, _times(_at(box, first + m * step), factor))
    return total


@exact_kernel
@no_type_check
def _minus_sum(box, first, step, K):
    """The last entry of such a vector."""
    total = (0.0, 0.0)
    for m in range(K - 1):
        total = _sub(total, _at(box, first + m * step))
    return total


@exact_kernel
@no_type_check
def _spreads(box, shape):
    """(2, K, K, r): w_i - w_j."""
    K, r = shape[0], shape[1]
    spread = np.empty((2, K, K, r))
    for i in range(K):
        for j in range(K):
            for a in range(r):
                spread[0, i, j, a], spread[1, i, j, a] = _difference(box, a, r, i, j, K)
    return spread


@exact_kernel
@no_type_check
def _logits(box, spread, cut, k, shape):
    """(2, K, K): z_i - z_j of the sample of class k, cut with what is known of it."""
    K, r, has_bias = shape[0], shape[1], shape[2] == 1
    z = np.zeros((2, K, K))
    for i in range(K):
        for j in range(i):
            total = _difference(box, (2 * K - 1) * r, 1, i, j, K) if has_bias else (0.0, 0.0)
            for a in range(r):
                total = _add(total, _mul(_at3(spread, i, j, a), _at(box, (K - 1) * r + k * r + a)))
            z[0, i, j], z[1, i, j] = max(total[0], cut[0, k, i, j]), min(total[1], cut[1, k, i, j])
            z[0, j, i], z[1, j, i] = -z[1, i, j], -z[0, i, j]
    return z


@exact_kernel
@no_type_check
def _softmax(z, k, gamma):
    """p, u = e_k - p, the label's odds 1/p_k - 1, and `slopes` there."""
    K = z.shape[1]
    p, u, own = np.empty((2, K)), np.empty((2, K)), (0.0, 0.0)
    for j in range(K):
        odds = (0.0, 0.0)
        for i in range(K):
            odds = _add(odds, _exp(_at2(z, i, j))) if i != j else odds
        own = odds if j == k else own
        p[0, j], p[1, j] = _inverse(_add(odds, (1.0, 1.0)))
        u[0, j], u[1, j] = -p[1, j], -p[0, j]
    # 1 - p_k = T / (1 + T) rises with the odds T.
    u[0, k] = _out(own[0] / (1.0 + own[0]), 0.0)[0]
    u[1, k] = 1.0 if own[1] > 1e200 else _out(0.0, own[1] / (1.0 + own[1]))[1]
    A, B = slopes(own, gamma)
    return p, u, own, A, B


@exact_kernel
@no_type_check
def _away(p, spread):
    """(2, K, r): w_j less the mean of the rows of W under p, a mean of differences and so within their hull."""
    K, r = spread.shape[1], spread.shape[3]
    away = np.empty((2, K, r))
    for j in range(K):
        for a in range(r):
            mean, least, most = (0.0, 0.0), 0.0, 0.0
            for i in range(K):
                if i != j:
                    step = _at3(spread, j, i, a)
                    mean = _add(mean, _mul(_at(p, i), step))
                    least, most = min(least, step[0]), max(most, step[1])
            away[0, j, a], away[1, j, a] = max(mean[0], least), min(mean[1], most)
    return away


@exact_kernel
@no_type_check
def _slope(k, shape, loss, A, u):
    """(2, K - 1): share of the sample of class k in the gradient along e_j - e_K."""
    K, alpha = shape[0], loss[0]
    slope, share = np.empty((2, K - 1)), _inverse((float(K), float(K)))
    for j in range(K - 1):
        g = _mul(A, _sub(_at(u, K - 1), _at(u, j)))
        g = _add(g, (alpha, alpha)) if j == k else g
        g = _sub(g, (alpha, alpha)) if k == K - 1 else g
        slope[0, j], slope[1, j] = _mul(g, share)
    return slope


@exact_kernel
@no_type_check
def _bend(shape, p, u, A, B):
    """(2, K - 1, K - 1): a sample's share in the Hessian along e_j - e_K: C_ji - C_jK - C_Ki + C_KK."""
    K = shape[0]
    bend, share, last = np.empty((2, K - 1, K - 1)), _inverse((float(K), float(K))), _at(p, K - 1)
    for j in range(K - 1):
        for i in range(j + 1):
            part = _sub(last, _mul(_sub(_at(p, j), last), _sub(_at(p, i), last)))
            part = _add(part, _at(p, j)) if i == j else part
            both = _mul(_sub(_at(u, j), _at(u, K - 1)), _sub(_at(u, i), _at(u, K - 1)))
            bend[0, j, i], bend[1, j, i] = _mul(_add(_mul(A, part), _mul(B, both)), share)
            bend[0, i, j], bend[1, i, j] = bend[0, j, i], bend[1, j, i]
    return bend


@exact_kernel
@no_type_check
def derivatives(box, cut, of, G, H):
    """Enclose gradient and Hessian of the reduced problem.

    Variables: w_ja at j r + a (rows of w but the last), h_ka at (K - 1) r + k r + a, the first K - 1 entries of b.

    Args:
        box: (2, m), low and high ends of the variables.
        cut: (2, K, K, K), known bounds of z_ki - z_kj at [:, k, i, j], i > j.
        of: shape (K, r, 1 with a bias), decays (c from below and above, of b), loss (alpha, gamma, largest
            odds 1/p - 1 at which (h, b) is known to be one function of w).
        G, H: (2, m) and (2, m, m), filled.
    """
    shape, decays, loss = of
    G[:], H[:] = 0.0, 0.0
    spread = _spreads(box, shape)
    for k in range(shape[0]):
        p, u, _, A, B = _softmax(_logits(box, spread, cut, k, shape), k, loss[1])
        away, slope = _away(p, spread), _slope(k, shape, loss, A, u)
        _add_features(k, box, shape, loss, A, B, p, u, away, slope, G, H)
        _add_classes(k, box, shape, slope, _bend(shape, p, u, A, B), G, H)
    _add_decays(box, shape, decays, G, H)
    for i in range(box.shape[1]):
        for j in range(i):
            H[0, j, i], H[1, j, i] = H[0, i, j], H[1, i, j]


@exact_kernel
@no_type_check
def _add_features(k, box, shape, loss, A, B, p, u, away, slope, G, H):
    """What the sample of class k adds to the rows of its features, and to those of b against them."""
    K, r = shape[0], shape[1]
    at_h, at_b, share = (K - 1) * r + k * r, (2 * K - 1) * r, _inverse((float(K), float(K)))
    for a in range(r):
        weight = _at(box, k * r + a) if k < K - 1 else _minus_sum(box, a, r, K)
        own = _at2(away, k, a)
        _raise(G, at_h + a, _mul(_sub(_times(weight, loss[0]), _mul(A, own)), share))
        for b in range(a + 1):
            part = (0.0, 0.0)
            for j in range(K):
                both = _square(_at2(away, j, a)) if a == b else _mul(_at2(away, j, a), _at2(away, j, b))
                part = _add(part, _mul(_at(p, j), both))
            both = _square(own) if a == b else _mul(own, _at2(away, k, b))
            _raise2(H, at_h + a, at_h + b, _mul(_add(_mul(A, part), _mul(B, both)), share))
        last = _along(K - 1, p, u, away, a, A, B, own)
        for j in range(K - 1):
            part = _mul(_sub(_along(j, p, u, away, a, A, B, own), last), share)
            if shape[2] == 1:
                _raise2(H, at_b + j, at_h + a, part)
            for b in range(r):
                both = _mul(part, _at(box, at_h + b))
                both = _add(both, _at(slope, j)) if a == b else both
                _raise2(H, at_h + a, j * r + b, both)


@exact_kernel
@no_type_check
def _along(j, p, u, away, a, A, B, own):
    """Entry j of C w_a: A p_j (w_ja - mean) + B u_j (w_ka - mean)."""
    return _add(_mul(A, _mul(_at(p, j), _at2(away, j, a))), _mul(B, _mul(_at(u, j), own)))


@exact_kernel
@no_type_check
def _add_classes(k, box, shape, slope, bend, G, H):
    """What the sample of class k adds to the rows of W and b."""
    K, r, has_bias = shape[0], shape[1], shape[2] == 1
    at_h, at_b = (K - 1) * r + k * r, (2 * K - 1) * r
    for j in range(K - 1):
        if has_bias:
            _raise(G, at_b + j, _at(slope, j))
        for a in range(r):
            h = _at(box, at_h + a)
            _raise(G, j * r + a, _mul(_at(slope, j), h))
            for i in range(K - 1):
                part = _at2(bend, j, i)
                if has_bias:
                    _raise2(H, at_b + j, i * r + a, _mul(part, h))
                for b in range(r):
                    if j * r + a >= i * r + b:
                        both = _square(h) if a == b else _mul(h, _at(box, at_h + b))
                        _raise2(H, j * r + a, i * r + b, _mul(part, both))
        for i in range(j + 1):
            if has_bias:
                _raise2(H, at_b + j, at_b + i, _at2(bend, j, i))


@exact_kernel
@no_type_check
def _add_decays(box, shape, decays, G, H):
    """Of |w|^2 and |b|^2 in coordinates that leave the last row out, and of |h|^2."""
    K, r, c, own = shape[0], shape[1], (decays[0], decays[1]), (decays[2], decays[2])
    at_h, at_b = (K - 1) * r, (2 * K - 1) * r
    for j in range(K - 1):
        for i in range(K - 1):
            factor = 2.0 if i == j else 1.0
            for a in range(r):
                _raise(G, j * r + a, _mul(_times(c, factor), _at(box, i * r + a)))
                _raise2(H, j * r + a, i * r + a, _times(c, factor))
            if shape[2] == 1:
                _raise(G, at_b + j, _mul(_times(own, factor), _at(box, at_b + i)))
                _raise2(H, at_b + j, at_b + i, _times(own, factor))
    for i in range(at_h, at_b):
        _raise(G, i, _mul(c, _at(box, i)))
        _raise2(H, i, i, c)


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
def _solve_inner(box, free, inner, of, G, H, V):
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
        if not _invert(block, V):
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
def _move(box, x, i):
    return _sub(_at(box, i), (x[i], x[i]))


@exact_kernel
@no_type_check
def _widen(box, x, inner, rough):
    """Fill in the inner variables x +- rough."""
    for i in range(len(inner)):
        box[0, inner[i]], box[1, inner[i]] = _out(x[inner[i]] - rough[i], x[inner[i]] + rough[i])


@exact_kernel
@no_type_check
def _image(box, x, inner, outer, G0, V, H, rough, found):
    """Krawczyk's image of the inner variables x +- rough for all outer ones of the box, less x: G0 at x, H over all."""
    n = len(inner)
    for i in range(n):
        image = (0.0, 0.0)
        for j in range(n):
            image = _sub(image, _times(_at(G0, inner[j]), V[i, j]))
            entry = (1.0, 1.0) if i == j else (0.0, 0.0)
            for m in range(n):
                entry = _sub(entry, _times(_at2(H, inner[m], inner[j]), V[i, m]))
            image = _add(image, _mul(entry, (-rough[j], rough[j])))
        for j in outer:
            entry = (0.0, 0.0)
            for m in range(n):
                entry = _add(entry, _times(_at2(H, inner[m], j), V[i, m]))
            image = _sub(image, _mul(entry, _move(box, x, j)))
        found[0, i], found[1, i] = image


@exact_kernel
@no_type_check
def _passes_test(box, x, free, inner, outer, of, G0, V, G, H, rough, found):
    """Krawczyk's test with growing radii: whether `found` is in the interior of what it was computed from."""
    for _ in range(5):
        _widen(box, x, inner, rough)
        derivatives(box, free, of, G, H)
        _image(box, x, inner, outer, G0, V, H, rough, found)
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
                    entry = _add(entry, _times(_times(_at2(H0, inner[k], inner[m]), Q[k, i]), Q[m, j]))
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
            total = _add(total, _times(_at(G0, inner[m]), Q[m, i]))
        for j in outer:
            entry = (0.0, 0.0)
            for m in range(n):
                entry = _add(entry, _times(_at2(H, inner[m], j), Q[m, i]))
            total = _add(total, _mul(entry, _move(box, x, j)))
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
            total = _add(total, _times(_difference(box, a, r, i, j, K), Q[k * r + a, m]))
        if shape[2] == 1:
            column = np.empty((2, K - 1))
            _set(column, Q[K * r :, m])
            total = _add(total, _difference(column, 0, 1, i, j, K))
        square += _size_of(total) ** 2
    return math.sqrt(square) * SLACK


@exact_kernel
@no_type_check
def _turn(box, x, shape, decays):
    """Of the energy lemma D_w and epsilon, from above."""
    K, r, moved, turned = shape[0], shape[1], 0.0, 0.0
    point = np.empty((2, len(x)))
    _set(point, x)
    for i in range(K):
        for j in range(i):
            square = 0.0
            steps = np.empty((2, r))
            for a in range(r):
                steps[0, a], steps[1, a] = _sub(_difference(box, a, r, i, j, K), _difference(point, a, r, i, j, K))
                square += _size_of(_at(steps, a)) ** 2
            turned = max(turned, square)
            for k in range(K):
                change = (0.0, 0.0)
                for a in range(r):
                    change = _add(change, _times(_at(steps, a), x[(K - 1) * r + k * r + a]))
                moved = max(moved, _size_of(change))
    return moved, math.sqrt(r * turned / (4.0 * K * decays[0])) * SLACK


@exact_kernel
@no_type_check
def _by_energy(box, x, free, cut, inner, outer, of, G0, H0, V, G, H, rough):
    """Radii for the inner variables, and bounds `cut` of differences of logits, by the energy lemma; False without.

    The lemma stands in `ufm/complete/reduction.py`; cross entropy and label smoothing only.
    """
    shape, n = of[0], len(inner)
    Q = np.zeros((n, n))
    if not _root(V, Q):
        return False
    _widen(box, x, inner, np.zeros(n))
    derivatives(box, free, of, G, H)
    moved, epsilon = _turn(box, x, shape, of[1])
    least, kappa = _least(Q, H0, inner) * (1.0 - epsilon) / SLACK, 0.0
    for k in range(shape[0]):
        for i in range(shape[0]):
            for j in range(i):
                kappa = max(kappa, _reach(box, k, i, j, Q, shape))
    if not (least > 0.0 and epsilon < 1.0):
        return False
    tau = kappa * _force(box, x, Q, inner, outer, G0, H) * _exp((moved, moved))[1] / least * SLACK
    if not tau < 0.95:
        return False
    radius = -_log((1.0 - tau * SLACK, 1.0))[0] / kappa * SLACK
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
    _set(point, x)
    for k in range(K):
        for i in range(K):
            for j in range(i):
                z = _difference(point, at_h + K * r, 1, i, j, K) if shape[2] == 1 else (0.0, 0.0)
                for a in range(r):
                    z = _add(z, _times(_difference(box, a, r, i, j, K), x[at_h + k * r + a]))
                reach = _reach(box, k, i, j, Q, shape) * radius * SLACK
                cut[0, k, i, j], cut[1, k, i, j] = _add(z, (-reach, reach))


@exact_kernel
@no_type_check
def _is_outside(box, outer, shape, domain, square):
    """Whether the box has no point that is in the domain and has |W|^2 <= square."""
    K, r = shape[0], shape[1]
    for row in domain:
        total = (0.0, 0.0)
        for i in range(len(outer)):
            if row[i] != 0.0:
                total = _add(total, _times(_at(box, outer[i]), row[i]))
        if total[1] < 0.0:
            return True
    norm = (0.0, 0.0)
    for a in range(r):
        norm = _add(norm, _square(_minus_sum(box, a, r, K)))
        for j in range(K - 1):
            norm = _add(norm, _square(_at(box, j * r + a)))
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
    _set(point, x)
    if not _solve_inner(point, free, inner, of, G0, H0, V):
        return True
    for i in inner:
        x[i] = point[0, i]
    for i in range(n):
        for j in range(q):
            for k in range(n):
                M[j, i] += (H0[0, outer[j], inner[k]] + H0[1, outer[j], inner[k]]) / 2 * V[k, i]
            rough[i] += 0.75 * abs(M[j, i]) * (box[1, outer[j]] - box[0, outer[j]])
    if of[2][1] == 0.0 and _by_energy(box, x, free, cut, inner, outer, of, G0, H0, V, G, H, rough):
        _widen(box, x, inner, rough)
        derivatives(box, cut, of, G, H)
        _image(box, x, inner, outer, G0, V, H, rough, found)
        for i in range(n):
            found[0, i], found[1, i] = max(found[0, i], -rough[i]), min(found[1, i], rough[i])
    elif not _passes_test(box, x, free, inner, outer, of, G0, V, G, H, rough, found) or not _is_convex(box, free, of):
        return True
    return _outer_step(box, x, outer, inner, G0, G, H, M, found)


@exact_kernel
@no_type_check
def _is_convex(box, free, of):
    """Whether no sample's odds 1/p - 1 exceed the limit anywhere in the box."""
    spread = _spreads(box, of[0])
    for k in range(of[0][0]):
        own = _softmax(_logits(box, spread, free, k, of[0]), k, 0.0)[2]
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
        total = _at(rest, i)
        for j in range(q):
            slope[0, i, j], slope[1, i, j] = _reduced(H[:, outer[j]], outer[i], inner, M[i])
            total = _add(total, _mul(_at2(slope, i, j), _move(box, x, outer[j])))
        for j in range(n):
            off[0, i, j], off[1, i, j] = _reduced(H[:, inner[j]], outer[i], inner, M[i])
            total = _add(total, _mul(_at2(off, i, j), _at(found, j)))
        if max(total[0], G[0, outer[i]]) > 0.0 or min(total[1], G[1, outer[i]]) < 0.0:
            return False
    return _contract(box, x, outer, rest, slope, off, found)


@exact_kernel
@no_type_check
def _reduced(ends, place, inner, row):
    """Entry `place` less M times the inner entries."""
    total = _at(ends, place)
    for i in range(len(inner)):
        total = _sub(total, _times(_at(ends, inner[i]), row[i]))
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
    if not _invert(middle, inverse):
        return True
    for i in range(q):
        total = (x[outer[i]], x[outer[i]])
        for j in range(q):
            total = _sub(total, _times(_at(rest, j), inverse[i, j]))
            entry = (1.0, 1.0) if i == j else (0.0, 0.0)
            for k in range(q):
                entry = _sub(entry, _times(_at2(slope, k, j), inverse[i, k]))
            total = _add(total, _mul(entry, _move(box, x, outer[j])))
        for j in range(n):
            entry = (0.0, 0.0)
            for k in range(q):
                entry = _add(entry, _times(_at2(off, k, j), inverse[i, k]))
            total = _sub(total, _mul(entry, _at(found, j)))
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
