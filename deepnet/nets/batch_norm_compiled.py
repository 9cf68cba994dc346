"""Batch normalisation, the shortcut and ReLU on CPU cores, each pass once through memory, in compiled loops.

A network's convolutions leave maps larger than the caches, so that what follows them costs what it reads and writes.
Here that is one pass for the statistics, one for the output, and two for the gradient. Loops run over rows (the
channels of one pixel of one image, or of a few), in float32 over float32 or bfloat16 maps, with sums over many rows in
float64. They are cut into parts whose number does not depend on the threads at work, so neither does a result.
"""

from typing import Any, NamedTuple, no_type_check

import numpy as np
import torch
from jaxtyping import Float
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import types
from numba.extending import intrinsic
from torch import Tensor

from ufm.compiled import sum_kernel
from ufm.errors import check
from ufm.parallel import share_out

PARTS = 16
BLOCK = 64
"""Rows that are summed in float32 before float64 takes over."""
ROW = 256
"""Rows shorter than this are taken several at a time: a short loop costs more to begin than to run."""


@intrinsic
def _wide(typing_context: Any, value: Any) -> Any:
    """The float32 behind a value of a map: itself, or the bfloat16 of these 16 bits."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if value == types.float32:
            return arguments[0]
        word = ir.IntType(32)
        return builder.bitcast(builder.shl(builder.zext(arguments[0], word), ir.Constant(word, 16)), ir.FloatType())

    return types.float32(value), generate


@intrinsic
def _narrow(typing_context: Any, value: Any, like: Any) -> Any:
    """A float32 as a map holds it: itself, or the bits of the nearest bfloat16 (ties to even; nan stays nan)."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        number = arguments[0]
        if like == types.float32:
            return number
        word = ir.IntType(32)
        bits = builder.bitcast(number, word)
        is_odd = builder.and_(builder.lshr(bits, ir.Constant(word, 16)), ir.Constant(word, 1))
        rounded = builder.lshr(builder.add(bits, builder.add(is_odd, ir.Constant(word, 0x7FFF))), ir.Constant(word, 16))
        is_nan = builder.fcmp_unordered("uno", number, number)
        return builder.trunc(builder.select(is_nan, ir.Constant(word, 0x7FC0), rounded), ir.IntType(16))

    return like(types.float32, like), generate


@sum_kernel
@no_type_check
def _moments(x, mean, squares, first_part, beyond):
    """Mean and sum of squared deviations of each column, for each part of the rows."""
    (R, C), parts = x.shape, len(mean)
    for part in range(first_part, beyond):
        low, high = R * part // parts, R * (part + 1) // parts
        first = min(low + BLOCK, high)
        shift = np.zeros(C, np.float32)  # near the mean, so that no large squares cancel
        for r in range(low, first):
            for c in range(C):
                shift[c] += _wide(x[r, c])
        for c in range(C):
            shift[c] /= np.float32(first - low)
        linear, quadratic = np.zeros(C), np.zeros(C)
        short_linear, short_quadratic = np.empty(C, np.float32), np.empty(C, np.float32)
        for block in range(low, high, BLOCK):
            short_linear[:], short_quadratic[:] = 0, 0
            for r in range(block, min(block + BLOCK, high)):
                for c in range(C):
                    d = _wide(x[r, c]) - shift[c]
                    short_linear[c] += d
                    short_quadratic[c] += d * d
            for c in range(C):
                linear[c] += short_linear[c]
                quadratic[c] += short_quadratic[c]
        for c in range(C):
            mean[part, c] = shift[c] + linear[c] / (high - low)
            squares[part, c] = quadratic[c] - linear[c] * linear[c] / (high - low)


@sum_kernel
@no_type_check
def _outputs(x, shortcut, line, y, is_rectified, parts, first_part, beyond):
    """y = relu(scale x + offset + shortcut), or what of it is asked for; `line` is mean, scale and offset."""
    R, C = x.shape
    scale, offset = line[1], line[2]
    zero = np.float32(0)
    has_shortcut = shortcut.size > 0
    for part in range(first_part, beyond):
        for r in range(R * part // parts, R * (part + 1) // parts):
            if has_shortcut:
                for c in range(C):
                    z = scale[c] * _wide(x[r, c]) + offset[c] + _wide(shortcut[r, c])
                    y[r, c] = _narrow(zero if z < zero else z, x[r, c])
            elif is_rectified:
                for c in range(C):
                    z = scale[c] * _wide(x[r, c]) + offset[c]
                    y[r, c] = _narrow(zero if z < zero else z, x[r, c])
            else:
                for c in range(C):
                    y[r, c] = _narrow(scale[c] * _wide(x[r, c]) + offset[c], x[r, c])


@sum_kernel
@no_type_check
def _gradient_sums(dy, x, y, line, g, is_rectified, plain, weighted, first_part, beyond):
    """Sums over each part of the gradient g before ReLU, and of g (x - mean); with a shortcut, `g` is filled, too."""
    (R, C), parts = x.shape, len(plain)
    mean, scale, offset = line[0], line[1], line[2]
    zero = np.float32(0)
    has_shortcut = g.size > 0
    for part in range(first_part, beyond):
        low, high = R * part // parts, R * (part + 1) // parts
        row = np.empty(C, np.float32)
        short_plain, short_weighted = np.empty(C, np.float32), np.empty(C, np.float32)
        for block in range(low, high, BLOCK):
            short_plain[:], short_weighted[:] = 0, 0
            for r in range(block, min(block + BLOCK, high)):
                for c in range(C):
                    row[c] = _wide(dy[r, c])
                if has_shortcut:
                    for c in range(C):
                        row[c] = zero if _wide(y[r, c]) <= zero else row[c]
                    for c in range(C):
                        g[r, c] = _narrow(row[c], x[r, c])
                elif is_rectified:
                    for c in range(C):
                        row[c] = zero if scale[c] * _wide(x[r, c]) + offset[c] <= zero else row[c]
                for c in range(C):
                    short_plain[c] += row[c]
                for c in range(C):
                    short_weighted[c] += row[c] * (_wide(x[r, c]) - mean[c])
            for c in range(C):
                plain[part, c] += short_plain[c]
                weighted[part, c] += short_weighted[c]


@sum_kernel
@no_type_check
def _input_gradients(g, x, line, tilt, dx, is_masked, parts, first_part, beyond):
    """dx = scale g + slope (x - mean) + constant, the last two in `tilt`; g is zero where ReLU was, or `is_masked`."""
    R, C = x.shape
    mean, scale, offset, slope, constant = line[0], line[1], line[2], tilt[0], tilt[1]
    zero = np.float32(0)
    for part in range(first_part, beyond):
        row = np.empty(C, np.float32)
        for r in range(R * part // parts, R * (part + 1) // parts):
            for c in range(C):
                row[c] = scale[c] * _wide(g[r, c])
            if is_masked:
                for c in range(C):
                    row[c] = zero if scale[c] * _wide(x[r, c]) + offset[c] <= zero else row[c]
            for c in range(C):
                row[c] += slope[c] * (_wide(x[r, c]) - mean[c])
            for c in range(C):
                dx[r, c] = _narrow(row[c] + constant[c], x[r, c])


class Moments(NamedTuple):
    """Mean and variance (divided by the count) of each channel."""

    mean: Float[Tensor, " c"]
    variance: Float[Tensor, " c"]


def can_take(x: Tensor) -> bool:
    """Maps on the CPU in a number format that the loops know, more than one pixel a channel."""
    return x.device.type == "cpu" and x.dtype in (torch.float32, torch.bfloat16) and x.numel() > x.shape[1]


def moments(x: Float[Tensor, "n c h w"]) -> Moments:
    """Mean and variance of each channel, in one pass; parts are joined as in Chan, Golub and LeVeque (1983).

    Raises:
        ValueError: on maps that `can_take` refuses.
    """
    _check_maps(x)
    rows = _rows(x)
    parts = _parts(rows)
    sums = np.empty((2, parts, rows.shape[1]))
    share_out(_moments, parts, rows, *sums)
    means, squares = (_by_channel(of_parts, x) for of_parts in sums)
    counts = np.diff(len(rows) * np.arange(parts + 1) // parts).repeat(len(means) // parts)[:, None]
    mean = (counts * means).sum(0) / counts.sum()
    variance = (squares + counts * (means - mean) ** 2).sum(0) / counts.sum()
    return Moments(torch.from_numpy(mean).float(), torch.from_numpy(variance).float())


class Normalise(torch.autograd.Function):
    """relu(weight (x - mean) / sqrt(variance + eps) + bias + shortcut), without the last two if so asked.

    The gradient takes mean and variance for those of `x` (Ioffe and Szegedy 2015, section 3).
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Float[Tensor, "n c h w"],
        shortcut: Float[Tensor, "n c h w"] | None,
        weight: Float[Tensor, " c"],
        bias: Float[Tensor, " c"],
        of_x: Moments,
        eps: float,
        is_rectified: bool,
    ) -> Float[Tensor, "n c h w"]:
        """In one pass; a shortcut comes with ReLU.

        Raises:
            ValueError: on maps that `can_take` refuses, a shortcut of another shape, or numbers for other channels.
        """
        _check_maps(x)
        same = shortcut is None or (shortcut.shape == x.shape and shortcut.device == x.device)
        check(same, "shortcut", shortcut is not None and tuple(shortcut.shape), f"{tuple(x.shape)} on the CPU")
        for name, each in {"weight": weight, "bias": bias, "mean": of_x.mean, "variance": of_x.variance}.items():
            found = f"{tuple(each.shape)} on {each.device}"
            check(each.shape == x.shape[1:2] and each.device == x.device, name, found, f"({x.shape[1]},) on the CPU")
        x = x.contiguous(memory_format=torch.channels_last)
        y, rows = torch.empty_like(x), _rows(x)
        deviation = (of_x.variance + eps).sqrt()
        scale = weight / deviation
        line = torch.stack([of_x.mean, scale, bias - scale * of_x.mean])
        added = _nothing(x) if shortcut is None else _rows(shortcut.to(x.dtype))
        parts = _parts(rows)
        share_out(_outputs, parts, rows, added, _by_entry(line, x), _rows(y), is_rectified, parts)
        ctx.is_rectified, ctx.has_shortcut = is_rectified, shortcut is not None
        ctx.save_for_backward(x, y if ctx.has_shortcut else None, line, deviation)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dy: Float[Tensor, "n c h w"]) -> tuple[Tensor | None, ...]:
        """In two passes, of which the first also makes the shortcut's gradient."""
        x, y, line, deviation = ctx.saved_tensors
        allowed = f"{x.dtype} {tuple(x.shape)}"
        check(dy.shape == x.shape and dy.dtype == x.dtype, "dy", f"{dy.dtype} {tuple(dy.shape)}", allowed)
        rows, line_by_entry, scale = _rows(x), _by_entry(line, x), line[1]
        parts, count = _parts(rows), x.numel() // x.shape[1]
        to_shortcut = torch.empty_like(x) if ctx.has_shortcut else None
        seen, g = (_nothing(x) if maps is None else _rows(maps) for maps in (y, to_shortcut))
        sums = np.zeros((2, parts, rows.shape[1]))
        share_out(_gradient_sums, parts, _rows(dy), rows, seen, line_by_entry, g, ctx.is_rectified, *sums)
        to_bias, weighted = (torch.from_numpy(_by_channel(of_parts, x).sum(0)).float() for of_parts in sums)
        to_weight = weighted / deviation
        tilt = torch.stack([-scale / deviation * to_weight / count, -scale * to_bias / count])
        before, is_masked = (g, False) if ctx.has_shortcut else (_rows(dy), ctx.is_rectified)
        dx = torch.empty_like(x)
        tilts = _by_entry(tilt, x)
        share_out(_input_gradients, parts, before, rows, line_by_entry, tilts, _rows(dx), is_masked, parts)
        return dx, to_shortcut, to_weight, to_bias, None, None, None


def _check_maps(x: Tensor) -> None:
    is_allowed = x.dim() == 4 and can_take(x)
    allowed = "float32 or bfloat16 maps (n, c, h, w) on the CPU with more than one pixel a channel"
    check(is_allowed, "x", f"{x.dtype} {tuple(x.shape)} on {x.device}", allowed)


def _rows(maps: Float[Tensor, "n c h w"]) -> np.ndarray:
    """The memory of maps as rows of the channels of one pixel or a few; bfloat16 as its 16 bits."""
    maps = maps.detach().contiguous(memory_format=torch.channels_last)
    rows = maps.permute(0, 2, 3, 1).view(-1, _pixels_in_a_row(maps) * maps.shape[1])
    return (rows.view(torch.uint16) if rows.dtype == torch.bfloat16 else rows).numpy()


def _pixels_in_a_row(maps: Float[Tensor, "n c h w"]) -> int:
    channels, pixels = maps.shape[1], 1
    while maps.numel() // channels % (2 * pixels) == 0 and 2 * pixels * channels <= ROW:
        pixels *= 2
    return pixels


def _by_entry(of_channels: Float[Tensor, "k c"], maps: Float[Tensor, "n c h w"]) -> np.ndarray:
    """k numbers for each channel as k numbers for each entry of a row."""
    return np.tile(of_channels.detach().float().numpy(), _pixels_in_a_row(maps))


def _by_channel(of_parts: np.ndarray, maps: Float[Tensor, "n c h w"]) -> np.ndarray:
    """Numbers for each part and entry of a row as (group, channel)."""
    return of_parts.reshape(-1, maps.shape[1])


def _nothing(maps: Tensor) -> np.ndarray:
    return np.empty((0, 0), np.uint16 if maps.dtype == torch.bfloat16 else np.float32)


def _parts(rows: np.ndarray) -> int:
    """How many parts the loops are cut into."""
    return min(PARTS, len(rows))
