"""Where the elements of a tile live, for method "fft".

A `Lattice` describes an array as tiles see it: for each spatial axis and each of its phases (see `phases`), the
index in the array of every position of the padded, subsampled axis, -1 where there is none (it reads as zero and is not
written). One pair of kernels so serves both layouts, all padding modes, stride and dilation, and both directions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...borders import frozen
from ..lowering import Strides

Triple = tuple[int, int, int]

_NEVER = 1 << 62


@dataclass(frozen=True)
class Axis:
    """Positions of one axis: a border from the table `left`, the `n` elements themselves, the table `right`.

    The tables hold indices or -1 and all positions beyond them count as -1; phase r has every `step`-th position from
    ``phases[r]`` on.
    """

    left: np.ndarray
    n: int
    right: np.ndarray
    phases: tuple[int, ...] = (0,)
    step: int = 1

    def table(self, length: int) -> np.ndarray:
        """Index of each position, int64 (phases, length)."""
        index = np.concatenate([self.left, np.arange(self.n), self.right])
        table = np.full((len(self.phases), length), -1, dtype=np.int64)
        for row, r in zip(table, self.phases, strict=True):
            part = index[r :: self.step][:length]
            row[: len(part)] = part
        return table

    def runs(self) -> tuple[np.ndarray, np.ndarray]:
        """The same in few words: where each run of neighbours or of -1 starts, and the index there."""
        rows = [self._runs(r) for r in self.phases]
        length = max(len(starts) for starts, _ in rows)
        starts = np.full((len(rows), length + 1), _NEVER, dtype=np.int64)
        indices = np.full((len(rows), length), -1, dtype=np.int64)
        for i, (places, index) in enumerate(rows):
            starts[i, : len(places)] = places
            indices[i, : len(index)] = index
        return starts, indices

    def _runs(self, r: int) -> tuple[np.ndarray, np.ndarray]:
        before, step = len(self.left), self.step
        left = self.left[r::step]
        first = len(left)
        last = max(first, -(-(before + self.n - r) // step))
        right = self.right[last * step + r - before - self.n :: step]
        inner = [first] if last > first else []
        starts = np.concatenate([np.arange(first), inner, last + np.arange(len(right) + 1)]).astype(np.int64)
        index = np.concatenate([left, [f * step + r - before for f in inner], right, [-1]]).astype(np.int64)
        new = np.ones(len(index), dtype=bool)
        new[1:] = (index[1:] >= 0) | (index[:-1] >= 0)
        return starts[new], index[new]


@dataclass(frozen=True, eq=False)
class Lattice:
    """A 5-D array as tiles see it, by the strides (n, c, d, h, w) of its elements."""

    channels: int  # of a group
    strides: tuple[int, int, int, int, int]
    tables: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
    step: int

    def side(self, fill: Triple) -> tuple[int, ...]:
        """What kernels need beside the tables; a tile holds `fill` positions of the array and zeros beyond."""
        return *self.strides, self.step, *fill


def lattice(channels: int, strides: Strides, axes: tuple[Axis, ...], reach: Triple) -> Lattice:
    """The lattice of an array with so many `channels` in a group that has `reach` positions on its axes."""
    first, second, last = axes
    tables = frozen(first.table(reach[0])), frozen(second.table(reach[1])), *map(frozen, last.runs())
    return Lattice(channels, strides, tables, last.step)  # type: ignore[arg-type]
