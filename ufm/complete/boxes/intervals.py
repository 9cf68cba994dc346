"""Intervals in outward rounded floating point, and arrays of them.

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
"""

import math
from typing import no_type_check

import numpy as np

from ufm.compiled import LN2_HIGH, LN2_LOW, LOG2_E, exact_kernel, reinterpreted

U4 = 2.0**-51
TINY = 1e-300
EXP_ERROR = 2.0**-47
FAR = 1e300


@exact_kernel
@no_type_check
def outwards(low, high):
    """Both ends moved by more than the rounding of the operation that made them."""
    return low - (abs(low) * U4 + TINY), high + (abs(high) * U4 + TINY)


@exact_kernel
@no_type_check
def add(a, b):
    """a + b."""
    return outwards(a[0] + b[0], a[1] + b[1])


@exact_kernel
@no_type_check
def sub(a, b):
    """a - b."""
    return outwards(a[0] - b[1], a[1] - b[0])


@exact_kernel
@no_type_check
def mul(a, b):
    """a b."""
    p, q, r, s = a[0] * b[0], a[0] * b[1], a[1] * b[0], a[1] * b[1]
    return outwards(min(p, q, r, s), max(p, q, r, s))


@exact_kernel
@no_type_check
def times(a, t):
    """Times a double that is exact."""
    p, q = a[0] * t, a[1] * t
    return outwards(min(p, q), max(p, q))


@exact_kernel
@no_type_check
def squared(a):
    """a a, as one number and not two."""
    p, q = a[0] * a[0], a[1] * a[1]
    low, high = outwards(min(p, q), max(p, q))
    return (0.0 if a[0] <= 0.0 <= a[1] else max(low, 0.0)), high


@exact_kernel
@no_type_check
def inverse(a):
    """1 / a of a positive interval."""
    return outwards(1.0 / a[1], 1.0 / a[0])


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
def exp(a):
    """exp a."""
    low = 0.0 if a[0] < -700.0 else _exp_near(min(a[0], 700.0)) * (1.0 - EXP_ERROR)
    high = FAR * FAR if a[1] > 700.0 else _exp_near(max(a[1], -700.0)) * (1.0 + EXP_ERROR)
    return low, high


@exact_kernel
@no_type_check
def _log_point(x):
    """An interval for log(x), x in [1e-290, 1e290]."""
    guess = math.log(x)
    e = sub(mul((x, x), exp((-guess, -guess))), (1.0, 1.0))
    size = max(abs(e[0]), abs(e[1]))
    if not size < 0.5:
        return -FAR, FAR
    size = size * (1.0 + 2.0 * size)
    return outwards(guess - size, guess + size)


@exact_kernel
@no_type_check
def log(a):
    """Of a positive interval."""
    if not (a[0] > 1e-290 and a[1] < 1e290):
        return -FAR, FAR
    return _log_point(a[0])[0], _log_point(a[1])[1]


@exact_kernel
@no_type_check
def to_power(a, exponent):
    """a^exponent of a positive interval and a double that is exact."""
    return exp(times(log(a), exponent))


@exact_kernel
@no_type_check
def at(ends, i):
    """The interval at place i of an array (2, ...)."""
    return ends[0, i], ends[1, i]


@exact_kernel
@no_type_check
def set_points(ends, x):
    """Both ends at x: a loop, since numba takes seconds to compile an assignment of arrays (`ufm.compiled.copy`)."""
    for i in range(len(x)):
        ends[0, i], ends[1, i] = x[i], x[i]


@exact_kernel
@no_type_check
def at2(ends, i, j):
    """Interval (i, j) of an array of them."""
    return ends[0, i, j], ends[1, i, j]


@exact_kernel
@no_type_check
def at3(ends, i, j, k):
    """Interval (i, j, k) of an array of them."""
    return ends[0, i, j, k], ends[1, i, j, k]


@exact_kernel
@no_type_check
def increase(ends, i, a):
    """Add an interval to the one at place i."""
    ends[0, i], ends[1, i] = add((ends[0, i], ends[1, i]), a)


@exact_kernel
@no_type_check
def increase2(ends, i, j, a):
    """Add to interval (i, j) of an array of them."""
    ends[0, i, j], ends[1, i, j] = add((ends[0, i, j], ends[1, i, j]), a)
