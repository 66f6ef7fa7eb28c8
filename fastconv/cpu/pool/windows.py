"""What the pooling kernels share: the kinds of reduction, the reduction of a run of lanes, and the shape of windows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ...kept import kept
from ...simd.jit import callable_kernel, kernel
from ...simd.lane_math import add, divide, doubles, largest, magnitude, multiply, root
from ...simd.lanes import inlined, load, lowest, spread, zero
from ...threads import get_num_threads
from ...windows import Windows, tables

# What a window's elements are reduced to.
MAX, SUM, MAGNITUDES, SQUARES = range(4)

# Windows of more elements than this are summed in float64.
SHORT_SUM = 16

# A tap of a channels-last pool takes this much less time than the operations that the threshold for threads counts.
CHEAPER = 3

# Elements along the row of the largest window that has a plan: a plan has a table of its taps.
LARGEST = 1 << 16

# Channels of a channels-last task are a multiple of this, unless it has them all.
BLOCK = 32


@inlined
def largest_tap(like, mask, x, at, count, stride):  # type: ignore[no-untyped-def]
    """The largest of the lanes at `at` and at the other taps; count and stride are (D, H, W)."""
    best = lowest(like)
    for a in range(count[0]):
        for u in range(count[1]):
            i = at + a * stride[0] + u * stride[1]
            for _ in range(count[2]):
                best = largest(best, load(x, i, like, mask))
                i += stride[2]
    return best


@inlined
def sum_of_taps(like, mask, x, at, count, stride):  # type: ignore[no-untyped-def]
    """The sum of the lanes at all taps, in x's dtype."""
    total = zero(like)
    for a in range(count[0]):
        for u in range(count[1]):
            i = at + a * stride[0] + u * stride[1]
            for _ in range(count[2]):
                total = add(total, load(x, i, like, mask))
                i += stride[2]
    return total


@inlined
def exact_taps(like, mask, x, at, count, stride, code):  # type: ignore[no-untyped-def]
    """The sum of lifted lanes over all taps in float64; each row of a window has a partial sum of its own."""
    total = doubles(zero(like))
    for a in range(count[0]):
        for u in range(count[1]):
            i = at + a * stride[0] + u * stride[1]
            row = zero(total)
            for _ in range(count[2]):
                row = add(row, lifted(doubles(load(x, i, like, mask)), code))
                i += stride[2]
            total = add(total, row)
    return total


@inlined
def lifted(a, code):  # type: ignore[no-untyped-def]
    """What is summed: a, |a| or a^2."""
    if code == SUM:
        return a
    if code == MAGNITUDES:
        return magnitude(a)
    return multiply(a, a)


@inlined
def lowered(total, code, divisor):  # type: ignore[no-untyped-def]
    """What a sum becomes: its quotient, itself or its square root."""
    if code == SUM:
        return quotient(total, divisor)
    if code == MAGNITUDES:
        return total
    return root(total)


@inlined
def quotient(total, divisor):  # type: ignore[no-untyped-def]
    """total / divisor[0]; where the reciprocal divisor[1] is not 0 it is exact, and a product is much cheaper."""
    if divisor[1] != 0.0:
        return multiply(total, spread(divisor[1], total))
    return divide(total, spread(divisor[0], total))


@kernel
def with_reciprocal(divisor):  # type: ignore[no-untyped-def]
    """(divisor, its reciprocal if it is a power of two, else 0); nothing was summed where the divisor is 0."""
    if divisor == 0.0:
        return 1.0, 1.0
    whole = np.int64(divisor)
    exact = whole == divisor and whole & (whole - 1) == 0
    return divisor, 1.0 / divisor if exact else 0.0


@kernel
def larger(best, a):  # type: ignore[no-untyped-def]
    """The larger of two numbers, NaN if either is NaN."""
    return a if a > best or np.isnan(a) else best


@inlined
def next_row(od, oh, OD, OH):  # type: ignore[no-untyped-def]
    """The output row after (od, oh); counting on is cheaper than dividing a task's number again."""
    if oh + 1 < OH:
        return od, oh + 1
    return (od + 1 if od + 1 < OD else 0), 0


@callable_kernel
def longest_run(table):  # type: ignore[no-untyped-def]
    """(first, last, hop): most consecutive windows of one axis that have one size and divisor and start `hop` apart."""
    best, end, hop, i = 0, min(1, table.shape[0]), 0, 0
    while i + 1 < table.shape[0]:
        step, j = table[i + 1, 0] - table[i, 0], i + 1
        while (
            j < table.shape[0]
            and table[j, 0] - table[j - 1, 0] == step
            and table[j, 1] == table[i, 1]
            and table[j, 2] == table[i, 2]
        ):
            j += 1
        if j - i > end - best:
            best, end, hop = i, j, step
        i = max(i + 1, j - 1)
    return best, end, hop


@callable_kernel
def spacing(table, step, size):  # type: ignore[no-untyped-def]
    """(stride, leading padding, window) where the windows of one axis lie a stride apart, else (0, 0, 0).

    `table` holds each window's first real element, number of elements and divisor; cut windows must be what the
    padding leaves of a whole one.
    """
    count, window, whole = table.shape[0], 0, 0
    for i in range(count):
        if table[i, 1] > window:
            window, whole = table[i, 1], i
    if window == 0:
        return 0, 0, 0
    stride = 1 if count == 1 else 0
    if whole + 1 < count:
        stride = table[whole + 1, 0] - table[whole, 0]
    elif whole > 0:  # the window before lacks elements in front
        stride = table[whole, 0] - table[whole - 1, 0] + (window - table[whole - 1, 1]) * step
    before = whole * stride - table[whole, 0]
    if stride < 1 or before < 0:
        return 0, 0, 0
    for i in range(count):
        start = i * stride - before
        skipped = max(0, (-start + step - 1) // step)
        real = max(0, min(window, (size - start + step - 1) // step) - skipped)
        if real != table[i, 1] or (real > 0 and start + skipped * step != table[i, 0]):
            return 0, 0, 0
    return stride, before, window


@callable_kernel
def covers(table, step, size):  # type: ignore[no-untyped-def]
    """(start, owners): the windows that hold element h of an axis are owners[start[h] : start[h + 1]], rising."""
    start = np.zeros(size + 1, np.int64)
    for i in range(table.shape[0]):
        for t in range(table[i, 1]):
            start[table[i, 0] + t * step + 1] += 1
    for h in range(size):
        start[h + 1] += start[h]
    owners = np.empty(start[size], np.int64)
    place = start.copy()
    for i in range(table.shape[0]):
        for t in range(table[i, 1]):
            h = table[i, 0] + t * step
            owners[place[h]] = i
            place[h] += 1
    return start, owners


@dataclass(frozen=True)
class DealPlan:
    """How the kernels that work along rows deal a row's columns to phases, one for each remainder modulo the stride.

    Attributes
    ----------
    line : tuple
        Stride, leading padding, columns of x in use, columns of a phase, output columns.
    taps : ndarray
        Where in the phases the first window finds its taps.
    columns : ndarray
        The windows' divisors along the row, then their reciprocals, or zeros if these are not exact.
    """

    line: tuple[int, int, int, int, int]
    taps: np.ndarray
    columns: np.ndarray

    @property
    def length(self) -> int:
        """Columns of all phases."""
        return self.line[0] * self.line[3]


@kept
def deal_plan(windows: Windows, step: int, width: int, lanes: int) -> DealPlan | None:
    """The plan for the windows of the last axis; None if they do not lie a stride apart, or are larger than plans."""
    table = tables(windows)[2]
    stride, before, window = spacing(table, step, width)
    if stride == 0 or window > LARGEST:
        return None
    offsets = np.arange(window, dtype=np.int64) * step
    out, last = table.shape[0], (window - 1) * step // stride
    rounded = -(-out // lanes) * lanes
    phase = -(-(rounded + last) // lanes) * lanes
    divisors = np.ones(rounded)
    divisors[:out] = np.maximum(table[:, 2], 1)
    exact = np.all(np.frexp(divisors)[0] == 0.5)
    columns = np.concatenate([divisors, 1 / divisors if exact else np.zeros(rounded)])
    line = stride, before, min(width, stride * phase - before), phase, out
    return DealPlan(line, offsets % stride * phase + offsets // stride, columns)


def shape_of(x: np.ndarray, channels_last: bool) -> tuple[int, tuple[int, int, int], bool]:
    """Channels, (D, H, W), and whether to take x as channels-last: with one channel both layouts are the same."""
    C, size = (x.shape[4], x.shape[1:4]) if channels_last else (x.shape[1], x.shape[2:])
    return C, size, channels_last and C > 1  # type: ignore[return-value]


def channel_block(rows: int, C: int) -> int:
    """Channels of a channels-last task: all of them, unless there are too few rows (or images) for the threads.

    The block decides who computes an element, not how, so that it may depend on the number of threads.
    """
    parts = -(-2 * get_num_threads() // max(1, rows))
    return C if parts == 1 else min(C, -(-C // (parts * BLOCK)) * BLOCK)


@kept
def taps_of(windows: Windows) -> int:
    """Elements of the largest window."""
    return math.prod(int(table[:, 1].max()) for table in tables(windows))
