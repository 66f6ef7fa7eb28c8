"""How an array with a channel axis is cut into runs, for kernels that sum over channels or scale by them.

A run is a stretch of memory whose coefficients repeat with period `width`, and whose sums are kept apart:

* channels last: the whole array is one plane, cut into pieces of `length` elements; `width` is a multiple of C, so
  that the inner loop is long even for few channels, and the columns are folded to `fold` = C sums.
* channels first: a plane is one (n, c), cut into pieces; all its coefficients are equal and `fold` = 1.

The cut depends on the shape alone: sums over runs, added in order, have the same bits for any number of threads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..kept import kept
from ..memory import scratch
from ..simd.jit import kernel

LENGTH = 8192
WIDTH = 64
DOUBLE = np.dtype(np.float64)


@dataclass(frozen=True, eq=False)
class Runs:
    """The cut of one array; `images` planes of each of `periods` sets of coefficients."""

    images: int
    periods: int
    plane: int
    length: int
    pieces: int
    width: int
    fold: int
    order: np.ndarray  # the channel of each coefficient, flat (periods, width)

    @property
    def tasks(self) -> int:
        """Number of runs."""
        return self.images * self.periods * self.pieces

    @cached_property
    def numbers(self) -> np.ndarray:
        """The integers of the cut as compiled functions read them: periods, width, fold, the geometry, and `pixels`."""
        return np.array([self.periods, self.width, self.fold, *self.geometry, self.pixels])

    @property
    def pixels(self) -> int:
        """Pixels of a task, where channels are the last axis and whole pixels are taken."""
        return max(1, LENGTH // self.fold)

    @property
    def geometry(self) -> tuple[int, int, int]:
        """What `bounds` needs."""
        return self.plane, self.length, self.pieces

    def spread(self, values: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """Per-channel coefficients as the kernels read them: flat (periods, width)."""
        return values.astype(dtype, copy=False)[self.order]

    def reduce(self, partial: np.ndarray) -> np.ndarray:
        """Sums per channel from the sums per run."""
        return partial.reshape(self.images, self.periods, self.pieces, self.fold).sum(axis=(0, 2)).reshape(-1)


@kept
def cut_runs(shape: tuple[int, ...], axis: int) -> Runs:
    """The runs of a C-contiguous array of `shape` whose channels lie along `axis`, counted from 0."""
    C, inner = shape[axis], math.prod(shape[axis + 1 :])
    if inner > 1:
        length = min(inner, LENGTH)
        order = np.repeat(np.arange(C), WIDTH)
        return Runs(math.prod(shape[:axis]), C, inner, length, -(-inner // length), WIDTH, 1, order)
    total = math.prod(shape)
    width = C
    if C < 4 * WIDTH:
        whole = math.lcm(C, 16)
        width = whole * -(-WIDTH // whole)
    length = width * max(1, LENGTH // width)
    return Runs(1, 1, total, length, max(1, -(-total // length)), width, C, np.arange(width) % C)


def sums_of(cut: Runs, size: int, count: int) -> np.ndarray:
    """Room for sums over the runs of an array of `size` elements, `count` times: each run writes its own."""
    room = scratch((count, cut.tasks * cut.fold), DOUBLE)
    if not size:
        room.fill(0)
    return room


@kernel
def bounds(run, plane, length, pieces):
    """First and past-the-last element of a run."""
    start = run // pieces * plane
    offset = run % pieces * length
    return start + offset, start + min(offset + length, plane)


@kernel
def clear(total):
    """Set all to 0."""
    for j in range(total.size):
        total[j] = 0.0


@kernel
def add_columns(a, total, sums):
    """sums[j % fold] = sum of a[i] with i % width == j: four rows at a time in a's precision, then in double."""
    width = total.size
    clear(total)
    i = 0
    while i + 4 * width <= a.size:
        p, q = a[i : i + width], a[i + width : i + 2 * width]
        r, s = a[i + 2 * width : i + 3 * width], a[i + 3 * width : i + 4 * width]
        for j in range(width):
            total[j] += np.float64((p[j] + q[j]) + (r[j] + s[j]))
        i += 4 * width
    while i < a.size:
        p = a[i : i + width]
        for j in range(p.size):
            total[j] += np.float64(p[j])
        i += width
    fold_columns(total, sums)


@kernel
def fold_columns(total, sums):
    """sums[j] = total[j] + total[j + fold] + ...; `total` is used up."""
    fold, left = sums.size, total.size
    while left % (2 * fold) == 0:  # halves are added as long as there are two
        left //= 2
        low, high = total[:left], total[left : 2 * left]
        for j in range(left):
            low[j] += high[j]
    clear(sums)
    for start in range(0, left, fold):
        for j in range(fold):
            sums[j] += total[start + j]
