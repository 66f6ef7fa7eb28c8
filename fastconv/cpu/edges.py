"""Reading x as it lies though zeros surround it: taps that would fall on them are left out of the sum.

Rows of taps above and below x are left out by `Lowered.row_terms`, for all outputs of a row alike. Of the outputs of a
row those between `left` and `right` meet x with all their columns of taps; for each of the others, the edges, a column
of outputs is summed with the taps that it meets, which lie side by side.
"""

from __future__ import annotations

from typing import NamedTuple

from ..borders import Border, border_table
from ..simd.jit import kernel
from .lowering import Axes, Lowered


class Edges(NamedTuple):
    """How x is read: `pitch` apart from padded plane, row and column to the next, the first of which lie at `start`."""

    pitch: Axes
    start: int
    first: int  # column of x that the first column of taps reads for the first output
    width: int  # columns of x
    reach: int  # columns of taps
    left: int  # output columns from `left` to `right` meet x with all their taps
    right: int


def edges(low: Lowered) -> Edges | None:
    """How x can be read as it lies; None where it cannot: something else than zeros is added, or channels lie apart."""
    planes, rows, cols = low.index
    height, reach = low.reach[1], low.reach[2]
    if low.C > 1 and low.x_strides.c != 1 or not len(low.taps) or not all(map(_zeros, low.index)):
        return None
    if not planes.is_inside or cols.step != 1 or low.fills and low.reach[0].number > 1:
        return None
    if not rows.is_inside and not _met(low.out[1], low.stride[1], height.number, height.step, rows):
        return None
    left, right, stride = 0, low.out[2], low.stride[2]
    if not cols.is_inside:
        if reach.step != 1 or low.x_strides.w != low.C or not _met(right, stride, reach.number, 1, cols):
            return None
        left = min(right, -(-max(0, -cols.start) // stride))
        right = min(right, max(left, (cols.size - reach.number - cols.start) // stride + 1))
    at = low.x_strides
    pitch = Axes(at.d * planes.step, at.h * rows.step, at.w)
    start = planes.start * at.d + rows.start * at.h + cols.start * at.w
    return Edges(pitch, start, cols.start, cols.size, reach.number, left, right)


def _zeros(border: Border) -> bool:
    return border.is_inside or border.fills


def _met(outputs: int, stride: int, taps: int, step: int, border: Border) -> bool:
    """Whether every output meets an element with some tap."""
    table = border_table(border) >= 0
    return all(table[i * stride : i * stride + (taps - 1) * step + 1 : step].any() for i in range(outputs))


@kernel
def met_taps(edges, stride, col):
    """The first and the end of the columns of taps that an output column meets."""
    first = edges.first + col * stride
    return max(0, -first), min(edges.reach, edges.width - first)
