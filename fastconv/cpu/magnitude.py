"""How large the elements of an array are, at the speed of reading it: what decides whether a transform may serve it.

All is told in biased exponents, as bits hold them: 0 for zeros and subnormal numbers, all ones for NaN and Inf.

* `largest`: of a whole array.
* `measure`: of each image and group the largest element, and the smallest *block* that holds anything but zeros. A
  block is a rectangle of neighbouring positions with all channels of a group; its exponent is that of its largest
  element.
* `channel_gap`: by how much the channels' largest elements differ.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ..problem import ConvProblem
from ..simd.jit import callable_kernel, kernel
from ..simd.parallel import parallel_kernel, recording
from ..threads import team

BLOCK = 1 << 15  # elements of one task
KEPT = 1 << 12  # positions whose exponents a task keeps at once
EXPONENT: dict[int, Any] = {4: np.uint32(0x7F800000), 8: np.uint64(0x7FF0000000000000)}
SHIFT = {4: 23, 8: 52}


class Images(NamedTuple):
    """How images lie in memory: N x groups x channels (of a group) x size; for channels-last N x size x groups x ..."""

    N: int
    groups: int
    channels: int
    size: tuple[int, int, int]
    channels_last: bool


class Levels(NamedTuple):
    """The largest exponent, and that of the smallest block: of all images here, of each by `of_images`; 0 for none."""

    largest: int
    smallest: int
    found: np.ndarray  # of each task and group the largest, and how far the smallest block lies below NaN
    images: Images

    def of_images(self) -> tuple[np.ndarray, np.ndarray]:
        """The same of each image (rows) and group (columns)."""
        N, groups, last = self.images.N, self.images.groups, self.images.channels_last
        shape = (2, N, -1, groups) if last else (2, N, groups, self.found.shape[1] // (N * groups), 1)
        top, fall = self.found.reshape(shape).max(axis=2 if last else 3).reshape(2, N, groups).astype(np.int64)
        shift = SHIFT[self.found.itemsize]
        return top >> shift, np.where(fall > 0, int(EXPONENT[self.found.itemsize]) - fall, 0) >> shift


def largest(x: np.ndarray) -> int:
    """The exponent of the largest element of a C-contiguous float array."""
    mask = EXPONENT[x.itemsize]
    bits = x.reshape(-1).view(mask.dtype)
    tasks = -(-bits.size // BLOCK)
    members = team(tasks, bits.size)
    found = np.zeros(members, mask.dtype)
    _largest(members, tasks, bits, mask, found)
    return max(found.tolist()) >> SHIFT[x.itemsize]


def exponent_of(value: Any) -> int:
    """The exponent of a number of NumPy's that is not negative."""
    return int(value.view(EXPONENT[value.itemsize].dtype)) >> SHIFT[value.itemsize]


def is_finite(x: np.ndarray) -> bool:
    """True where no element of a C-contiguous float array is NaN or Inf; a program that is noted down looks anew."""
    if recording.steps is not None:
        mask = EXPONENT[x.itemsize]
        _require_finite(1, 1, x.reshape(-1).view(mask.dtype), mask)
        return True
    return largest(x) < int(EXPONENT[x.itemsize]) >> SHIFT[x.itemsize]


@parallel_kernel
def _require_finite(thread, first, last, bits, mask):
    most = bits.dtype.type(0)
    for i in range(bits.size):
        most = max(most, bits[i] & mask)
    if most == mask:
        raise ValueError("an element is not finite")


def levels(problem: ConvProblem, array: np.ndarray, block: tuple[int, int], dy: bool) -> Levels:
    """The levels of x, or of the gradient to y with `dy`."""
    return measure(array, _images(problem, dy), block)


@lru_cache(maxsize=1024)
def _images(problem: ConvProblem, dy: bool) -> Images:
    channels, size = (problem.outputs, problem.out) if dy else (problem.inputs, problem.size)
    return Images(problem.N, problem.groups, channels, size, problem.channels_last)


def measure(x: np.ndarray, images: Images, block: tuple[int, int]) -> Levels:
    """The levels of images in blocks of at most `block` rows and columns, whose columns are rounded to a power of 2."""
    mask, cut = EXPONENT[x.itemsize], _cut(images, block)
    bits = x.reshape(-1).view(mask.dtype)
    members = team(cut.tasks, bits.size)
    kept = np.empty((2, members * cut.kept), mask.dtype)
    found, over_all = np.zeros((2, cut.tasks, cut.lanes), mask.dtype), np.zeros((members, 2), mask.dtype)
    _levels(members, cut.tasks, bits, mask, cut.sizes, cut.pieces, kept, found, over_all)
    top, fall = map(max, zip(*over_all.tolist(), strict=True))
    shift = SHIFT[x.itemsize]
    return Levels(top >> shift, int(mask) - fall >> shift if fall else 0, found, images)


def channel_gap(x: np.ndarray, N: int, channels: int, positions: int, channels_last: bool) -> int:
    """Bits between the largest element and the largest of the channel with the smallest elements; zeros do not count.

    x is (N, channels, positions) or (N, positions, channels).
    """
    mask = EXPONENT[x.itemsize]
    bits = x.reshape(-1).view(mask.dtype)
    if channels_last:
        rows = max(1, BLOCK // channels)
        tasks = -(-N * positions // rows)
        peaks = np.zeros((tasks, channels), mask.dtype)
        _column_peaks(team(tasks, bits.size), tasks, bits.reshape(N * positions, channels), mask, rows, peaks)
    else:
        tasks = N * channels
        peaks = np.zeros(tasks, mask.dtype)
        _row_peaks(team(tasks, bits.size), tasks, bits.reshape(tasks, positions), mask, peaks)
    return int(_gap(peaks.reshape(-1), channels, SHIFT[x.itemsize]))


@callable_kernel
def _gap(peaks, channels, shift):
    """Bits between the largest and the smallest of the channels' largest elements; those of zeros do not count."""
    high, low = 0, -1
    for c in range(channels):
        most = peaks.dtype.type(0)
        for i in range(c, peaks.size, channels):
            most = max(most, peaks[i])
        exponent = np.int64(most) >> shift
        if exponent > 0:
            high = max(high, exponent)
            low = exponent if low < 0 else min(low, exponent)
    return high - low if low >= 0 else 0


class _Cut(NamedTuple):
    """A task is a piece of rows and columns of a plane, of all channels; positions lie `lanes` groups deep."""

    sizes: tuple[int, int, int, int, int]  # channels one after the other, D, H, W, channels side by side
    pieces: tuple[int, int, int, int, int, int]  # rows, columns of a block; of a piece; pieces along rows, columns
    lanes: int
    tasks: int
    kept: int


@lru_cache(maxsize=256)
def _cut(images: Images, block: tuple[int, int]) -> _Cut:
    N, groups, channels, (D, H, W), last = images
    lanes, side_by_side = (groups, channels) if last else (1, 1)
    outer, planes = (N, 1) if last else (N * groups, channels)
    rows, cols = min(block[0], H), 1 << (min(block[1], W).bit_length() - 1)
    most = max(1, KEPT // lanes)
    width = min(W, max(1, most // cols) * cols)
    bands = max(1, min(most // (width * rows), BLOCK // (channels * groups * rows * width)))
    height = bands * rows
    down, across = -(-H // height), -(-W // width)
    return _Cut(
        (planes, D, H, W, side_by_side),
        (rows, cols, height, width, down, across),
        lanes,
        outer * D * down * across,
        height * width * lanes,
    )


@parallel_kernel
def _largest(thread, first, last, bits, mask, found):
    """Each task: the largest exponent of a block; found[thread] over all its tasks."""
    for task in range(first, last):
        block = bits[task * BLOCK : min(bits.size, (task + 1) * BLOCK)]
        most = found[thread]
        for i in range(block.size):
            most = max(most, block[i] & mask)
        found[thread] = most


@parallel_kernel
def _levels(thread, first, last, bits, mask, sizes, pieces, kept, found, over_all):
    """Each task: per group the largest exponent, and how far the smallest block's lies below `mask`; 0 for no block."""
    high, fall, most = found[0], found[1], over_all[thread]
    C, D, H, W, inner = sizes
    rows, cols, height, width, down, across = pieces
    lanes = found.shape[2]
    room = height * width * lanes
    a, b = kept[0, thread * room : (thread + 1) * room], kept[1, thread * room : (thread + 1) * room]
    for task in range(first, last):
        plane, top, left = task // (down * across), task // across % down * height, task % across * width
        tall, wide = min(height, H - top), min(width, W - left)
        line, n, size = wide * lanes, -(-tall // rows), cols
        together = tall if across == 1 and C > 1 else 1  # whole rows are joined at once, then to rows of blocks
        a[: tall * line] = 0
        for c in range(C):
            for r in range(0, tall, together):
                at = ((((plane // D * C + c) * D + plane % D) * H + top + r) * W + left) * lanes * inner
                to = (r if together > 1 else r // rows) * line
                _join(bits[at : at + together * line * inner], mask, inner, a[to : to + together * line])
        if together > 1:
            b[: n * line] = 0
            for r in range(tall):
                to = r // rows * line
                _join(a[r * line : (r + 1) * line], mask, 1, b[to : to + line])
            a, b = b, a
        while size > 1:
            half = (line // lanes + 1) // 2 * lanes
            for r in range(n):
                _halve(a[r * line : (r + 1) * line], lanes, b[r * half : (r + 1) * half])
            a, b, line, size = b, a, half, size // 2
        _extremes(a, n * line // lanes, mask, high[task], fall[task])
        for j in range(lanes):
            most[0], most[1] = max(most[0], high[task, j]), max(most[1], fall[task, j])


@kernel
def _join(row, mask, inner, kept):
    """kept[i] = the larger of that and the exponents of `inner` neighbours."""
    if inner == 1:
        for i in range(kept.size):
            kept[i] = max(kept[i], row[i] & mask)
        return
    for i in range(kept.size):
        channels, most = row[i * inner : (i + 1) * inner], kept[i]
        for c in range(channels.size):
            most = max(most, channels[c] & mask)
        kept[i] = most


@kernel
def _halve(a, lanes, b):
    """b = the larger of neighbouring positions of a, each of some lanes; a last one without a neighbour stays."""
    pairs = a.size // (2 * lanes)
    if lanes == 1:
        for i in range(pairs):
            b[i] = max(a[2 * i], a[2 * i + 1])
    else:
        for i in range(pairs):
            x, y = a[2 * i * lanes : (2 * i + 2) * lanes], b[i * lanes : (i + 1) * lanes]
            for j in range(lanes):
                y[j] = max(x[j], x[lanes + j])
    for j in range(2 * pairs * lanes, a.size):
        b[j - pairs * lanes] = a[j]


@kernel
def _extremes(a, positions, mask, high, fall):
    """Per lane: high = the largest of a, fall = how far the smallest that is not 0 lies below `mask`."""
    lanes = high.size
    for i in range(positions):
        for j in range(lanes):
            most = a[i * lanes + j]
            high[j] = max(high[j], most)
            fall[j] = max(fall[j], mask - most if most > 0 else most)


@parallel_kernel
def _row_peaks(thread, first, last, bits, mask, peaks):
    """peaks[i] = the largest exponent of row i."""
    for task in range(first, last):
        row, most = bits[task], peaks[task]
        for i in range(row.size):
            most = max(most, row[i] & mask)
        peaks[task] = most


@parallel_kernel
def _column_peaks(thread, first, last, bits, mask, rows, peaks):
    """peaks[task] = the largest exponents of each column of `rows` rows."""
    for task in range(first, last):
        most = peaks[task]
        for r in range(task * rows, min(bits.shape[0], (task + 1) * rows)):
            row = bits[r]
            for i in range(most.size):
                most[i] = max(most[i], row[i] & mask)
