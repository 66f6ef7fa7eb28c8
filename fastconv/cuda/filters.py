"""Whole filters in convolution kernels: packing them for the implicit GEMM, adding up the parts of their gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ..config import settings
from .backend import cuda
from .launch import BLOCK, blocks_for, flat, launch, needs_wide

ENOUGH_BLOCKS = 264  # two for each multiprocessor of the largest GPUs
LEAST_PART = 256  # pixels that one part of a weight gradient sums at least


class Filters(NamedTuple):
    """Taps, input and output channels of a group's filters, and their strides in w or dw."""

    taps: int
    channels: int
    outputs: int
    group: int
    tap: int
    c: int
    o: int


def filters_of(shape: tuple[int, ...], groups: int, channels_last: bool) -> Filters:
    """Sizes and strides of weights (O, C/groups, KD, KH, KW), or (KD, KH, KW, C/groups, O) with `channels_last`."""
    if channels_last:
        *kernel, channels, total = shape
        taps, outputs = kernel[0] * kernel[1] * kernel[2], total // groups
        return Filters(taps, channels, outputs, outputs, channels * total, total, 1)
    total, channels, *kernel = shape
    taps, outputs = kernel[0] * kernel[1] * kernel[2], total // groups
    return Filters(taps, channels, outputs, outputs * channels * taps, 1, taps, channels * taps)


def make_pack(T: Any, S: Any, U: Any) -> Callable[..., None]:
    """packed[g, row, o] = w at offsets[row], or 0 where that is negative; one thread per element of `packed`."""

    def pack(w: Any, packed: Any, offsets: Any, rows: Any, outputs: Any, group: Any, step: Any, size: Any) -> None:
        i = U(U(cuda.blockIdx.x) * U(BLOCK) + U(cuda.threadIdx.x))
        if i < U(size):
            q = U(i // U(outputs))
            o = U(i - q * U(outputs))
            g = U(q // U(rows))
            offset = offsets[U(q - g * U(rows))]
            v = T(0)
            if offset >= 0:
                v = w[U(g * U(group) + U(offset) + o * U(step))]
            packed[i] = v

    return pack


def make_sum_parts(T: Any, S: Any, U: Any) -> Callable[..., None]:
    """dw = sum of the parts, in order; one thread per weight, numbered (group, tap, input channel, output channel)."""

    def sum_parts(parts: Any, dw: Any, filters: Filters, count: Any, size: Any) -> None:
        i = U(U(cuda.blockIdx.x) * U(BLOCK) + U(cuda.threadIdx.x))
        if i < U(size):
            total = T(0)
            for p in range(count):
                total += parts[U(U(p) * U(size) + i)]
            q = U(i // U(filters.outputs))
            o = U(i - q * U(filters.outputs))
            r = U(q // U(filters.channels))
            c = U(q - r * U(filters.channels))
            g = U(r // U(filters.taps))
            tap = U(r - g * U(filters.taps))
            dw[U(g * U(filters.group) + tap * U(filters.tap) + c * U(filters.c) + o * U(filters.o))] = total

    return sum_parts


def sum_parts(parts: Any, dw: Any, filters: Filters, count: int) -> None:
    """dw from `count` parts of it, each numbered (group, tap, input channel, output channel)."""
    args = parts, flat(dw), filters, count, dw.size
    launch(make_sum_parts, (), blocks_for(dw.size), args, dtype=dw.dtype, wide=needs_wide(count * dw.size))


def cut(items: int, pixels: int, blocks: int, size: int) -> tuple[int, int]:
    """How many parts a sum is cut into, and items of a part.

    A function of the problem alone: the order of the sum must not depend on the device.

    Parameters
    ----------
    items, pixels : int
        What is cut, and how many pixels an item holds.
    blocks : int
        Blocks that work on each part.
    size : int
        Bytes of a part's result.
    """
    least = -(-LEAST_PART // pixels)
    parts = max(1, min(-(-2 * ENOUGH_BLOCKS // blocks), items // least, settings.scratch_bytes // size))
    part = -(-items // parts)
    return -(-items // part), part
