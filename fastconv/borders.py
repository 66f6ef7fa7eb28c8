"""Borders as rules and index tables: where each element of a padded axis comes from, and the way back for gradients.

One rule describes an axis in all five padding modes, so no kernel needs a padded copy of its input or code of its own
for a mode: kernels on both devices read the rule's table. A part of a rule is a rule, so that of a long axis only the
tables of short parts are made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .kept import kept


class Border(NamedTuple):
    """Places start, start + step, ... of an axis, `length` of them; outside 0..size-1 the mode says what is there.

    The modes mean what they mean for ``np.pad``, any number of elements before and after.
    """

    size: int
    start: int
    length: int
    step: int = 1
    mode: str = "zeros"

    def part(self, first: int, length: int) -> Border:
        """Elements first..first+length-1."""
        return self._replace(start=self.start + first * self.step, length=length)

    def every(self, first: int, step: int) -> Border:
        """Elements first, first + step, ..."""
        length = len(range(first, self.length, step))
        return self._replace(start=self.start + first * self.step, length=length, step=self.step * step)

    @property
    def last(self) -> int:
        """The place of the last element."""
        return self.start + (self.length - 1) * self.step

    @property
    def is_inside(self) -> bool:
        """True where every element is real."""
        return self.length > 0 and self.start >= 0 and self.last < self.size

    @property
    def is_identity(self) -> bool:
        """True for 0, 1, 2, ...: every element comes from its own place."""
        return self.is_inside and self.start == 0 and (self.step == 1 or self.length == 1)

    @property
    def fills(self) -> bool:
        """True where some elements are zeros that are not there."""
        return self.mode == "zeros" and self.length > 0 and not self.is_inside

    def table(self) -> np.ndarray:
        """Where each element comes from: int64 (length,), -1 for a zero."""
        n, place = self.size, np.arange(self.start, self.start + self.length * self.step, self.step, dtype=np.int64)
        if self.mode == "zeros":
            place[(place < 0) | (place >= n)] = -1
        elif self.mode == "edge":
            place = np.clip(place, 0, n - 1)
        elif self.mode == "wrap":
            place %= n
        else:  # there and back again: "symmetric" repeats the elements at either end, "reflect" does not
            twice = 0 if self.mode == "symmetric" else 1
            place %= max(1, 2 * (n - twice))
            place = np.minimum(place, 2 * n - 1 - twice - place)
        return place


@kept
def border_table(border: Border) -> np.ndarray:
    """A rule's table, shared and read-only."""
    return frozen(border.table())


def border_index(n: int, before: int, after: int, mode: str) -> np.ndarray:
    """Where each element of a padded axis of `n` elements comes from: int64 (before + n + after,), -1 for a zero.

    Examples
    --------
    >>> border_index(3, 2, 1, "reflect")
    array([2, 1, 0, 1, 2, 1])
    >>> border_index(3, 1, 1, "zeros")
    array([-1,  0,  1,  2, -1])
    """
    return border_table(Border(n, -before, before + n + after, mode=mode))


def frozen(table: np.ndarray) -> np.ndarray:
    """The table, contiguous and read-only: all tables are one type to Numba, and none is changed by accident."""
    table = np.ascontiguousarray(table)
    table.setflags(write=False)
    return table


def counting(n: int) -> Border:
    """An axis of `n` elements without a border."""
    return Border(n, 0, n)


def counting_index(n: int) -> np.ndarray:
    """The table of an axis of `n` elements without a border."""
    return border_table(counting(n))


def fold_border(
    dxp: np.ndarray, dx: np.ndarray, padding: Sequence[tuple[int, int]], mode: str, first_axis: int
) -> None:
    """Write to `dx` the gradient of a padded array `dxp`: each element of x gathers from all places it was copied to.

    The adjoint of ``np.pad`` over ``len(padding)`` axes from `first_axis` on; sums run in a fixed order. `dxp` is used
    up: the sums are made in it, so that no copy of it is.
    """
    for a, (before, after) in enumerate(padding, start=first_axis):
        n = dx.shape[a]
        lead = (slice(None),) * a
        inner = dxp[(*lead, slice(before, before + n))]
        if mode != "zeros" and (before or after):
            index = border_index(n, before, after, mode)
            with np.errstate(all="ignore"):  # as silent as the compiled kernels
                for place in (*range(before), *range(before + n, before + n + after)):
                    inner[(*lead, index[place])] += dxp[(*lead, place)]
        dxp = inner
    dx[...] = dxp
