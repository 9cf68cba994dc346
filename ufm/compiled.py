"""Compilation of loops for CPU cores by numba, at first use; the result is cached for the next run.

Compiled code runs without Python's lock, so that threads over chunks or parts use every core (`ufm/parallel.py`); no
kernel starts threads itself. What is kept of a kernel is made anew when a file changes whose functions it calls; any
other value that it is to follow is an argument. The tests' type checker must leave kernels alone, so
`typing.no_type_check` stands below each decorator.

A kernel reads memory without looking at its bounds: every tensor that comes from outside goes through `array_of` once.
"""

from typing import TYPE_CHECKING, Any, no_type_check

import numba
import numpy as np
from numba.core import types
from numba.extending import intrinsic, register_jitable

from ufm.compiled_cache import ForgivingCache
from ufm.errors import check

if TYPE_CHECKING:
    from torch import Tensor

_IS_OFF = numba.config.DISABLE_JIT  # type: ignore[attr-defined]
check(not _IS_OFF, "NUMBA_DISABLE_JIT", _IS_OFF, "0 or not set: these loops run compiled only")


def _compiled(**options: Any) -> Any:
    """A decorator; where nothing can be kept (a read-only installation and no home folder) every run compiles anew."""

    def decorate(function: Any) -> Any:
        try:
            compiled = numba.njit(cache=True, nogil=True, error_model="numpy", **options)(function)
        except RuntimeError:
            return numba.njit(nogil=True, error_model="numpy", **options)(function)
        compiled._cache = ForgivingCache(compiled._cache, function)
        return compiled

    return decorate


def _part(**options: Any) -> Any:
    """A decorator for what only kernels call: it is compiled into these, and not for Python or to be kept besides."""
    return register_jitable(nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True, **options)


_CONTRACTED, _REORDERED = {"contract"}, {"contract", "reassoc", "nsz"}
kernel, part = _compiled(fastmath=_CONTRACTED), _part(fastmath=_CONTRACTED)
"""Decorators: compile as written, except that a product and a sum may become one instruction."""
exact_kernel = _compiled()
"""Decorator for interval arithmetic: compile as written, every operation rounded once."""
sum_kernel, sum_part = _compiled(fastmath=_REORDERED), _part(fastmath=_REORDERED)
"""Decorators for sums over a vector: they may be reordered, which is what lets them use vector instructions."""


def array_of(
    argument: str, tensor: "Tensor", shape: tuple[int, ...], dtype: type[np.generic] = np.float64
) -> np.ndarray:
    """The array that a kernel may read: of this shape and type, in one piece of this machine's memory.

    The tensor's own memory where that has no gaps, a copy of it otherwise; without its gradient.

    Raises:
        ValueError: if it is no such tensor.
    """
    array = tensor.detach().contiguous().numpy() if tensor.device.type == "cpu" else np.empty(0)
    if array.shape != shape or array.dtype != dtype:  # a sentence takes longer than many a loop
        found = f"{tensor.dtype} {tuple(tensor.shape)} on {tensor.device}"
        check(False, argument, found, f"{np.dtype(dtype)} {shape} on the CPU")
    return array


LOG2_E = 1.4426950408889634
LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
"""ln 2 in two parts, the first with enough zeros at its end that small multiples are exact (Cody and Waite 1980)."""


@intrinsic
def reinterpreted(typing_context: Any, bits: Any) -> Any:
    """The float64 that has these 64 bits."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], context.get_value_type(types.float64))

    return types.float64(types.int64), generate


@intrinsic
def bits_of(typing_context: Any, number: Any) -> Any:
    """The 64 bits of a float64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], context.get_value_type(types.int64))

    return types.int64(types.float64), generate


@part
@no_type_check
def exp(x):
    """exp(x) for x <= 0 in float64, to two units in the last place; exp(-708) below -708; nan stays nan.

    Unlike the library's, it is compiled into the loop that calls it and becomes vector instructions there.
    """
    x = -708.0 if x < -708.0 else x
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


@part
@no_type_check
def log1p(x):
    """log(1 + x) for 0 <= x <= 1 in float64, to three units in the last place; nan stays nan.

    2 artanh(x / (2 + x)), of half the argument beyond sqrt(2) - 1; compiled into the loop that calls it, as `exp`.
    """
    is_long = x > 0.41421356237309503
    s = (x - 1.0) / (x + 3.0) if is_long else x / (2.0 + x)
    w = s * s
    p = 1 / 21
    p = p * w + 1 / 19
    p = p * w + 1 / 17
    p = p * w + 1 / 15
    p = p * w + 1 / 13
    p = p * w + 1 / 11
    p = p * w + 1 / 9
    p = p * w + 1 / 7
    p = p * w + 1 / 5
    p = p * w + 1 / 3
    rest = 2.0 * s + 2.0 * s * (w * p)
    return LN2_HIGH + (LN2_LOW + rest) if is_long else rest


@part
@no_type_check
def log(x):
    """log(x) for finite x >= 1 in float64, to two units in the last place of it or of 1; nan stays nan."""
    bits = bits_of(x)
    power = np.float64((bits >> 52) - 1023)
    fraction = reinterpreted((bits & 0xFFFFFFFFFFFFF) | 0x3FF0000000000000) - 1.0
    return power * LN2_HIGH + (power * LN2_LOW + log1p(fraction)) + 0.0 * x


@part
@no_type_check
def copy(source, target):
    """target = source: a loop, since numba's assignment of arrays brings along its sentence for shapes that do not fit.

    That sentence takes longer to compile than the rest of a solver.
    """
    for i in range(len(source)):
        target[i] = source[i]


@sum_part
@no_type_check
def square(v):
    """The sum of squares."""
    total = 0.0
    for p in range(len(v)):
        total += v[p] * v[p]
    return total
