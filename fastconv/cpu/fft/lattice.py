"""Stride and dilation by phases, and where the elements of a tile live, for method "fft".

A strided convolution is one of stride 1 over more channels: tap u lies at position u*d of the filter. With stride s
that is ``position // s`` steps into phase ``position % s`` of the input, the input subsampled by s from there on: every
phase counts as a further input channel (output channel, for the input gradient), and no output is computed that is not
wanted. Phases that no tap falls into are left out.

A `Lattice` describes an array as tiles see it: for each spatial axis and each of its phases, the index in the array of
every position of the padded, subsampled axis, -1 where there is none (it reads as zero and is not written). One pair of
kernels (`tiles`) so serves both layouts, all padding modes, stride and dilation, and both directions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ...borders import frozen
from ...problem import Axis, Triple
from ..lowering import Strides

_NEVER = 1 << 62


class TapPhase(NamedTuple):
    """Taps ``taps`` of an axis lie at positions ``places`` of the elements ``offset``, ``offset + stride``, ..."""

    offset: int
    taps: slice
    places: slice


class AxisPhases(NamedTuple):
    """The phases of an axis that taps fall into, and how many positions a filter spans in any of them."""

    phases: tuple[TapPhase, ...]
    extent: int

    @property
    def offsets(self) -> tuple[int, ...]:
        """First element of each phase."""
        return tuple(phase.offset for phase in self.phases)

    def taps(self, kernel: int) -> np.ndarray:
        """Phase and place of each tap: int64 (2, kernel)."""
        table = np.empty((2, kernel), np.int64)
        positions = np.arange(self.extent)
        for i, phase in enumerate(self.phases):
            table[0, phase.taps] = i
            table[1, phase.taps] = positions[phase.places]
        return frozen(table)


def phases_of(axis: Axis, flip: bool = False) -> AxisPhases:
    """Phases of a filter's axis; with `flip` its taps run backwards within the extent, as the input gradient asks."""
    k, s, d = axis.kernel, axis.stride, axis.dilation
    taps, step = s // math.gcd(s, d), d // math.gcd(s, d)  # the next tap of a phase, and how far it lies in it
    first = {u * d % s: u for u in range(min(k, taps))}
    extent = d * (k - 1) // s + 1
    found = []
    for offset, u in sorted(first.items()):
        count, place = -(-(k - u) // taps), u * d // s
        places = range(place, place + count * step, step)
        if flip:
            places = range(extent - 1 - place, extent - 1 - place - count * step, -step)
        stop = places.stop if places.stop >= 0 else None
        found.append(TapPhase(offset, slice(u, None, taps), slice(places.start, stop, places.step)))
    return AxisPhases(tuple(found), extent)


@dataclass(frozen=True)
class Positions:
    """Positions of one axis: a border from the table `left`, the `n` elements themselves, the table `right`.

    The tables hold indices or -1 and all positions beyond them count as -1; phase r has every `step`-th position from
    ``offsets[r]`` on.
    """

    left: np.ndarray
    n: int
    right: np.ndarray
    offsets: tuple[int, ...] = (0,)
    step: int = 1

    def table(self, length: int) -> np.ndarray:
        """Index of each position, int64 (phases, length)."""
        index = np.concatenate([self.left, np.arange(self.n), self.right])
        table = np.full((len(self.offsets), length), -1, dtype=np.int64)
        for row, r in zip(table, self.offsets, strict=True):
            part = index[r :: self.step][:length]
            row[: len(part)] = part
        return table

    def runs(self) -> tuple[np.ndarray, np.ndarray]:
        """The same in few words: where each run of neighbours or of -1 starts, and the index there."""
        rows = [self._runs(r) for r in self.offsets]
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


class Lattice(NamedTuple):
    """A 5-D array as tiles see it: its positions on three axes and the strides (n, c, d, h, w) of its elements."""

    axes: tuple[Positions, Positions, Positions]
    strides: Strides

    def tables(self, reach: Triple) -> tuple[np.ndarray, ...]:
        """The indices of `reach` positions of two axes, the runs of the last (starts, indices)."""
        first, second, last = self.axes
        return frozen(first.table(reach[0])), frozen(second.table(reach[1])), *map(frozen, last.runs())
