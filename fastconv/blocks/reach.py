"""What part of an array some outputs are made of, axis by axis, and where its elements lie.

All that is served is a window that slides: output i meets elements i*stride - before + t, t < extent, of each axis. So
a block of outputs needs a stretch of elements, which may begin and end outside of the array: a border mode says what is
there, or it is left out, for functions that treat the edges of what they get as the array's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ..borders import Border

CUT = "cut"  # in place of a border mode: what lies outside is left out


class Reach(NamedTuple):
    """One axis of an operation: `size` elements, `out` outputs."""

    size: int
    out: int
    stride: int = 1
    before: int = 0
    extent: int = 1
    mode: str = CUT
    whole: bool = False  # every output needs all elements, and all come at once: channels

    def stretch(self, first: int, last: int) -> Border:
        """The elements that outputs first..last-1 need."""
        if self.whole:
            return Border(self.size, 0, self.size)
        start, end = first * self.stride - self.before, (last - 1) * self.stride - self.before + self.extent
        if self.mode == CUT:
            start = min(max(0, start), self.size - 1)
            return Border(self.size, start, max(1, min(end, self.size) - start))
        return Border(self.size, start, end - start, mode=self.mode)


class Run(NamedTuple):
    """Places at, at + 1, ... of a stretch, which come from elements low..high-1, in order, reversed, or one for all."""

    at: int
    length: int
    low: int
    high: int
    step: int

    @property
    def places(self) -> slice:
        """Where they lie in the stretch."""
        return slice(self.at, self.at + self.length)


def runs(stretch: Border, ends: Sequence[int] | np.ndarray = ()) -> Iterator[Run]:
    """A stretch as runs, none of which reaches over one of the `ends` of an axis's chunks; zeros are left out.

    Examples
    --------
    >>> [tuple(run) for run in runs(Border(4, -2, 7, mode="reflect"))]
    [(0, 3, 0, 3, -1), (3, 3, 1, 4, 1), (6, 1, 2, 3, 1)]
    """
    table = stretch.table()
    chunk = np.searchsorted(np.asarray(ends), table, side="right")
    at, total = 0, len(table)
    while at < total:
        if table[at] < 0:
            at += 1
            continue
        stop, step = at + 1, 1
        if stop < total and (difference := int(table[stop] - table[at])) in (-1, 0, 1):
            step = difference
        same = np.flatnonzero((np.diff(table[at:]) != step) | (chunk[at + 1 :] != chunk[at]) | (table[at + 1 :] < 0))
        stop = at + 1 + (int(same[0]) if same.size else total - at - 1)
        low, high = sorted((int(table[at]), int(table[stop - 1])))
        yield Run(at, stop - at, low, high + 1, step)
        at = stop


def turned(part: np.ndarray, steps: Sequence[int]) -> np.ndarray:
    """What was read of some runs, one an axis, as it lies in the stretch; a repeated element may stand once."""
    return part[tuple(slice(None, None, -1) if step < 0 else slice(None) for step in steps)]
