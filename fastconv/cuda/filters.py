"""Whole filters in convolution kernels: packing them for the implicit GEMM, adding up the parts of their gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ..config import settings
from ..problem import ConvProblem
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

    @property
    def exchanged(self) -> Filters:
        """Input channels for output channels, as the input gradient has them."""
        return Filters(self.taps, self.outputs, self.channels, self.group, self.tap, self.o, self.c)


def filters_of(p: ConvProblem) -> Filters:
    """Sizes and strides of a problem's weights (O, C/groups, KD, KH, KW), or (KD, KH, KW, C/groups, O)."""
    taps, channels, outputs = p.taps, p.inputs, p.outputs
    if p.channels_last:
        return Filters(taps, channels, outputs, outputs, channels * p.O, p.O, 1)
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


def make_sum_parts(T: Any, S: Any, U: Any, shorten: Any = None) -> Callable[..., None]:
    """dw = sum of the parts, in order; one thread per weight, numbered (group, tap, input channel, output channel).

    `shorten`, if any, makes the 16 bits to store of a sum. A tap's `padded` channels in the parts may be more than
    there are.
    """

    def sum_parts(parts: Any, dw: Any, filters: Filters, padded: Any, count: Any, size: Any, part: Any) -> None:
        i = U(U(cuda.blockIdx.x) * U(BLOCK) + U(cuda.threadIdx.x))
        if i < U(size):
            q = U(i // U(filters.outputs))
            o = U(i - q * U(filters.outputs))
            r = U(q // U(filters.channels))
            c = U(q - r * U(filters.channels))
            g = U(r // U(filters.taps))
            tap = U(r - g * U(filters.taps))
            at = U(U(r * U(padded) + c) * U(filters.outputs) + o)
            total = T(0)
            for p in range(count):
                total += parts[U(U(p) * U(part) + at)]
            to = U(g * U(filters.group) + tap * U(filters.tap) + c * U(filters.c) + o * U(filters.o))
            if shorten is None:
                dw[to] = total
            else:
                dw[to] = shorten(total)

    return sum_parts


def sum_parts(parts: Any, dw: Any, filters: Filters, count: int, padded: int = 0, shorten: Any = None) -> None:
    """dw from `count` parts of it, each numbered (group, tap, input channel, output channel).

    `padded` is the number of input channels there, if they are filled up, and `shorten` as for `make_sum_parts`.
    """
    size, padded = dw.size, padded or filters.channels
    part = size // filters.channels * padded
    args = parts, flat(dw), filters, padded, count, size, part
    constants = () if shorten is None else (shorten,)
    launch(make_sum_parts, constants, blocks_for(size), args, dtype=parts.dtype, wide=needs_wide(count * part))


def count_parts(items: int, pixels: int, blocks: int, size: int) -> tuple[int, int]:
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
    # Two rounds of blocks, rather a few too few than a third round of a few.
    parts = max(1, min(2 * ENOUGH_BLOCKS // blocks, items // least, settings.scratch_bytes // size))
    part = -(-items // parts)
    return -(-items // part), part
