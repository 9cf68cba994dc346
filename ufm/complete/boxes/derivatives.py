"""Gradient and Hessian of the reduced problem (`ufm/complete/reduction.py`) over a box of its coordinates, enclosed."""

from typing import no_type_check

import numpy as np

from ufm.compiled import exact_kernel
from ufm.complete.boxes.intervals import (
    FAR,
    add,
    at,
    at2,
    at3,
    exp,
    increase,
    increase2,
    inverse,
    log,
    mul,
    outwards,
    squared,
    sub,
    times,
    to_power,
)


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
    v, ratio = times(log(add((1.0, 1.0), odds)), -1.0), inverse(odds)  # log p, and p / q
    power = to_power(inverse(add((1.0, 1.0), ratio)), gamma)
    rise = times(mul(ratio, v), -gamma)
    A = mul(power, add((1.0, 1.0), (max(rise[0], 0.0), rise[1])))
    bent = add(mul(v, sub((1.0, 1.0), mul(ratio, outwards(gamma - 1.0, gamma - 1.0)))), (2.0, 2.0))
    return A, mul(times(mul(ratio, power), gamma), bent)


@exact_kernel
@no_type_check
def difference(box, first, step, i, j, K):
    """u_i - u_j of a vector u that sums to zero and whose first K - 1 entries are at first, first + step, ..."""
    total = (0.0, 0.0)
    for m in range(K - 1):
        factor = (1.0 if i == m else -1.0 if i == K - 1 else 0.0) - (1.0 if j == m else -1.0 if j == K - 1 else 0.0)
        if factor != 0.0:
            total = add(total, times(at(box, first + m * step), factor))
    return total


@exact_kernel
@no_type_check
def minus_sum(box, first, step, K):
    """The last entry of such a vector."""
    total = (0.0, 0.0)
    for m in range(K - 1):
        total = sub(total, at(box, first + m * step))
    return total


@exact_kernel
@no_type_check
def spreads(box, shape):
    """(2, K, K, r): w_i - w_j."""
    K, r = shape[0], shape[1]
    spread = np.empty((2, K, K, r))
    for i in range(K):
        for j in range(K):
            for a in range(r):
                spread[0, i, j, a], spread[1, i, j, a] = difference(box, a, r, i, j, K)
    return spread


@exact_kernel
@no_type_check
def logits(box, spread, cut, k, shape):
    """(2, K, K): z_i - z_j of the sample of class k, cut with what is known of it."""
    K, r, has_bias = shape[0], shape[1], shape[2] == 1
    z = np.zeros((2, K, K))
    for i in range(K):
        for j in range(i):
            total = difference(box, (2 * K - 1) * r, 1, i, j, K) if has_bias else (0.0, 0.0)
            for a in range(r):
                total = add(total, mul(at3(spread, i, j, a), at(box, (K - 1) * r + k * r + a)))
            z[0, i, j], z[1, i, j] = max(total[0], cut[0, k, i, j]), min(total[1], cut[1, k, i, j])
            z[0, j, i], z[1, j, i] = -z[1, i, j], -z[0, i, j]
    return z


@exact_kernel
@no_type_check
def softmax(z, k, gamma):
    """p, u = e_k - p, the label's odds 1/p_k - 1, and `slopes` there."""
    K = z.shape[1]
    p, u, own = np.empty((2, K)), np.empty((2, K)), (0.0, 0.0)
    for j in range(K):
        odds = (0.0, 0.0)
        for i in range(K):
            odds = add(odds, exp(at2(z, i, j))) if i != j else odds
        own = odds if j == k else own
        p[0, j], p[1, j] = inverse(add(odds, (1.0, 1.0)))
        u[0, j], u[1, j] = -p[1, j], -p[0, j]
    # 1 - p_k = T / (1 + T) rises with the odds T.
    u[0, k] = outwards(own[0] / (1.0 + own[0]), 0.0)[0]
    u[1, k] = 1.0 if own[1] > 1e200 else outwards(0.0, own[1] / (1.0 + own[1]))[1]
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
                    step = at3(spread, j, i, a)
                    mean = add(mean, mul(at(p, i), step))
                    least, most = min(least, step[0]), max(most, step[1])
            away[0, j, a], away[1, j, a] = max(mean[0], least), min(mean[1], most)
    return away


@exact_kernel
@no_type_check
def _slope(k, shape, loss, A, u):
    """(2, K - 1): share of the sample of class k in the gradient along e_j - e_K."""
    K, alpha = shape[0], loss[0]
    slope, share = np.empty((2, K - 1)), inverse((float(K), float(K)))
    for j in range(K - 1):
        g = mul(A, sub(at(u, K - 1), at(u, j)))
        g = add(g, (alpha, alpha)) if j == k else g
        g = sub(g, (alpha, alpha)) if k == K - 1 else g
        slope[0, j], slope[1, j] = mul(g, share)
    return slope


@exact_kernel
@no_type_check
def _bend(shape, p, u, A, B):
    """(2, K - 1, K - 1): a sample's share in the Hessian along e_j - e_K: C_ji - C_jK - C_Ki + C_KK."""
    K = shape[0]
    bend, share, last = np.empty((2, K - 1, K - 1)), inverse((float(K), float(K))), at(p, K - 1)
    for j in range(K - 1):
        for i in range(j + 1):
            part = sub(last, mul(sub(at(p, j), last), sub(at(p, i), last)))
            part = add(part, at(p, j)) if i == j else part
            both = mul(sub(at(u, j), at(u, K - 1)), sub(at(u, i), at(u, K - 1)))
            bend[0, j, i], bend[1, j, i] = mul(add(mul(A, part), mul(B, both)), share)
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
    spread = spreads(box, shape)
    for k in range(shape[0]):
        p, u, _, A, B = softmax(logits(box, spread, cut, k, shape), k, loss[1])
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
    at_h, at_b, share = (K - 1) * r + k * r, (2 * K - 1) * r, inverse((float(K), float(K)))
    for a in range(r):
        weight = at(box, k * r + a) if k < K - 1 else minus_sum(box, a, r, K)
        own = at2(away, k, a)
        increase(G, at_h + a, mul(sub(times(weight, loss[0]), mul(A, own)), share))
        for b in range(a + 1):
            part = (0.0, 0.0)
            for j in range(K):
                both = squared(at2(away, j, a)) if a == b else mul(at2(away, j, a), at2(away, j, b))
                part = add(part, mul(at(p, j), both))
            both = squared(own) if a == b else mul(own, at2(away, k, b))
            increase2(H, at_h + a, at_h + b, mul(add(mul(A, part), mul(B, both)), share))
        last = _along(K - 1, p, u, away, a, A, B, own)
        for j in range(K - 1):
            part = mul(sub(_along(j, p, u, away, a, A, B, own), last), share)
            if shape[2] == 1:
                increase2(H, at_b + j, at_h + a, part)
            for b in range(r):
                both = mul(part, at(box, at_h + b))
                both = add(both, at(slope, j)) if a == b else both
                increase2(H, at_h + a, j * r + b, both)


@exact_kernel
@no_type_check
def _along(j, p, u, away, a, A, B, own):
    """Entry j of C w_a: A p_j (w_ja - mean) + B u_j (w_ka - mean)."""
    return add(mul(A, mul(at(p, j), at2(away, j, a))), mul(B, mul(at(u, j), own)))


@exact_kernel
@no_type_check
def _add_classes(k, box, shape, slope, bend, G, H):
    """What the sample of class k adds to the rows of W and b."""
    K, r, has_bias = shape[0], shape[1], shape[2] == 1
    at_h, at_b = (K - 1) * r + k * r, (2 * K - 1) * r
    for j in range(K - 1):
        if has_bias:
            increase(G, at_b + j, at(slope, j))
        for a in range(r):
            h = at(box, at_h + a)
            increase(G, j * r + a, mul(at(slope, j), h))
            for i in range(K - 1):
                part = at2(bend, j, i)
                if has_bias:
                    increase2(H, at_b + j, i * r + a, mul(part, h))
                for b in range(r):
                    if j * r + a >= i * r + b:
                        both = squared(h) if a == b else mul(h, at(box, at_h + b))
                        increase2(H, j * r + a, i * r + b, mul(part, both))
        for i in range(j + 1):
            if has_bias:
                increase2(H, at_b + j, at_b + i, at2(bend, j, i))


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
                increase(G, j * r + a, mul(times(c, factor), at(box, i * r + a)))
                increase2(H, j * r + a, i * r + a, times(c, factor))
            if shape[2] == 1:
                increase(G, at_b + j, mul(times(own, factor), at(box, at_b + i)))
                increase2(H, at_b + j, at_b + i, times(own, factor))
    for i in range(at_h, at_b):
        increase(G, i, mul(c, at(box, i)))
        increase2(H, i, i, c)
