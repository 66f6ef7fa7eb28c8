"""How an array is cut for filters: blocks of rows with their borders, and the scratch that a thread copies one to.

An array is seen as `planes` planes of `height` rows of `width` elements. Along a row, neighbours on the filtered axis
are `unit` elements apart (the axes behind it). A window spans `tall` rows, `wide` elements and, of the axes before
these, `leads` planes. A block is padded as its mode says, so that no kernel looks at borders:

    block[t, r, j] = x[lead[plane, t], rows[r0 + r], columns[c0 + j]]    or cval
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ...borders import Border, border_table
from ...kept import kept
from ...simd.host import host
from ...simd.jit import kernel
from ...simd.lanes import peek, poke
from ...simd.vector import copy

BUDGET = 320 << 10  # bytes of a block: with what is computed from it, it stays in a core's second cache
ROOM = 192  # elements behind a block: whole vectors are read, and written, there
LEAST_TASKS = 16
WORTH_SHARING = 1 << 14  # elements
#: SciPy's modes in the words of `borders`.
MODES = {
    "reflect": "symmetric",
    "grid-mirror": "symmetric",
    "constant": "zeros",
    "grid-constant": "zeros",
    "nearest": "edge",
    "mirror": "reflect",
    "wrap": "wrap",
    "grid-wrap": "wrap",
}


class Span(NamedTuple):
    """The window along one axis of `size` elements: `length` of them, `before` in front of the output's own."""

    size: int
    length: int = 1
    before: int = 0
    mode: str = "nearest"

    @property
    def after(self) -> int:
        return self.length - 1 - self.before

    def outside(self) -> np.ndarray:
        """Where the elements in front of the axis come from, then those behind it; -1 for a constant."""
        n, mode = self.size, MODES[self.mode]
        front, back = Border(n, -self.before, self.before, mode=mode), Border(n, n, self.after, mode=mode)
        return np.concatenate([border_table(front), border_table(back)])


class Blocks(NamedTuple):
    """What kernels know of the cut; sizes and distances count elements."""

    planes: int
    height: int
    width: int
    leads: int  # planes that a window meets
    above: int  # rows of a window before its output's, and all but one of its rows
    tall: int
    left: int
    wide: int
    unit: int
    rows: int  # of a block's outputs
    cols: int
    row_blocks: int
    col_blocks: int
    pitch: int  # of a block's rows, and of its planes
    plane: int
    constant: int  # whether places outside of an axis hold a constant: bit 0 rows, bit 1 columns
    rows_at: int  # where the tables of rows and columns begin, behind that of planes
    cols_at: int
    tables: int  # their length in all


@dataclass(frozen=True, eq=False)
class Cut:
    """The cut of one shape and window; `table` says where borders come from, and lies behind a kernel's numbers."""

    blocks: Blocks
    table: np.ndarray
    size: int  # elements of a block in scratch, with room to read whole vectors behind it

    @property
    def tasks(self) -> int:
        return self.blocks.planes * self.blocks.row_blocks * self.blocks.col_blocks

    @property
    def work(self) -> int:
        """Elements of the array."""
        return self.blocks.planes * self.blocks.height * self.blocks.width


class Shape(NamedTuple):
    """An array as filters see it: axes in front of the last two that are filtered, these two, and what is behind."""

    lead: tuple[Span, ...]
    rows: Span
    columns: Span
    unit: int


def shape_of(spans: Sequence[Span]) -> Shape:
    """The last filtered axis runs along the rows; the axis before it, filtered or not, across them."""
    last = max((a for a, span in enumerate(spans) if span.length > 1), default=len(spans) - 1)
    unit = math.prod(span.size for span in spans[last + 1 :])
    if last == 0:
        return Shape((), Span(1), spans[0], unit)
    lead = tuple(spans[: last - 1])
    rows, columns = spans[last - 1], spans[last]
    if all(span.length == 1 for span in lead) and rows.length == 1:  # one axis: all before it are rows
        return Shape((), Span(math.prod(span.size for span in lead) * rows.size), columns, unit)
    return Shape(lead, rows, columns, unit)


def across(shape: Shape) -> Shape:
    """The same where lanes run behind the filtered axis: it is that of the rows, and columns are not filtered."""
    assert shape.rows.length == 1 and not shape.lead
    return Shape((Span(shape.rows.size),), shape.columns, Span(shape.unit), 1)


@kept
def cut(shape: Shape, itemsize: int, several: int = 1) -> Cut:
    """Cut an array whose elements take `itemsize` bytes in scratch, of which there are `several` blocks."""
    lead, rows, columns, unit = shape
    planes, height, width = math.prod(span.size for span in lead), rows.size, columns.size * unit
    leads = math.prod(span.length for span in lead)
    tall, wide = rows.length - 1, (columns.length - 1) * unit
    lanes = host().lanes(itemsize)
    block_rows, block_cols = _block(planes, height, width, tall, wide, lanes, BUDGET // (itemsize * several * leads))
    pitch = _up(block_cols + wide, lanes) + lanes
    pitch += lanes if pitch * itemsize % 2048 == 0 else 0  # rows a power of two apart share few sets of the first cache
    plane = pitch * (block_rows + tall)
    tables = _lead_table(lead), rows.outside(), _element_table(columns, unit)
    blocks = Blocks(
        planes, height, width, leads, rows.before, tall, columns.before * unit, wide, unit, block_rows, block_cols,
        -(-height // block_rows), -(-width // block_cols), pitch, plane,
        (MODES[rows.mode] == "zeros") + 2 * (MODES[columns.mode] == "zeros"),
        tables[0].size, tables[0].size + tables[1].size, sum(table.size for table in tables),
    )  # fmt: skip
    return Cut(blocks, np.concatenate(tables), max(leads * plane, 2 * pitch) + ROOM)


def _block(planes: int, height: int, width: int, tall: int, wide: int, lanes: int, budget: int) -> tuple[int, int]:
    """Rows and columns of a block: as large as the scratch may be, small enough for every thread to find some."""
    rows, cols = min(height, max(16, 2 * tall)), width
    whole = 4 * lanes
    while (rows + tall) * (cols + wide) > budget and cols > whole and cols > 2 * wide:
        cols = _up(-(-cols // 2), whole)
    while (rows + tall) * (cols + wide) > budget and rows > max(4, tall // 2):
        rows = -(-rows // 2)
    while (2 * rows + tall) * (cols + wide) <= budget and rows < height:
        rows = min(height, 2 * rows)
    if planes * height * width < WORTH_SHARING:
        return rows, cols
    while rows > max(8, 2 * tall) and planes * -(-height // rows) * -(-width // cols) < LEAST_TASKS:
        rows = -(-rows // 2)
    while cols > 8 * max(whole, wide) and planes * -(-height // rows) * -(-width // cols) < LEAST_TASKS:
        cols = _up(-(-cols // 2), whole)
    return rows, cols


def _up(count: int, step: int) -> int:
    return -(-count // step) * step


def _lead_table(lead: tuple[Span, ...]) -> np.ndarray:
    """Which planes each plane's window meets, plane after plane; empty where it is the plane itself alone."""
    if all(span.length == 1 for span in lead):
        return np.empty(0, np.int64)
    planes = np.zeros((1, 1), np.int64)
    for span in lead:
        n, k = span.size, span.length
        rule = Border(n, -span.before, n + k - 1, mode=MODES[span.mode])
        places = border_table(rule)[np.arange(n)[:, None] + np.arange(k)]
        met = planes[:, None, :, None] * n + places[None, :, None, :]
        met[(planes[:, None, :, None] < 0) | (places[None, :, None, :] < 0)] = -1
        planes = met.reshape(planes.shape[0] * n, planes.shape[1] * k)
    return planes.reshape(-1)


def _element_table(columns: Span, unit: int) -> np.ndarray:
    places = columns.outside()
    each = places[:, None] * unit + np.arange(unit)
    each[places < 0] = -1
    return each.reshape(-1)


class Here(NamedTuple):
    """A task's block."""

    plane: int
    row0: int
    rows: int
    col0: int
    cols: int


@kernel
def locate(n, task):
    """The block of outputs that is a task."""
    col0, row0 = task % n.col_blocks * n.cols, task // n.col_blocks % n.row_blocks * n.rows
    plane = task // (n.col_blocks * n.row_blocks)
    return Here(plane, row0, min(n.rows, n.height - row0), col0, min(n.cols, n.width - col0))


@kernel
def source_row(n, tables, here, t, r):
    """The row of x, counted over all planes, that row r of plane t of a block is; -1 for a constant."""
    plane = here.plane if n.rows_at == 0 else peek(tables, here.plane * n.leads + t)
    row = here.row0 + r - n.above
    if row < 0:
        row = peek(tables, n.rows_at + row + n.above)
    elif row >= n.height:
        row = peek(tables, n.rows_at + row - n.height + n.above)
    return -1 if plane < 0 or row < 0 else plane * n.height + row


@kernel
def source_column(n, tables, q):
    """The element of a row of x that element q of a padded row is; -1 for a constant."""
    column = q - n.left
    if column < 0:
        return peek(tables, n.cols_at + q)
    return peek(tables, n.cols_at + q - n.width) if column >= n.width else column


@kernel
def copy_block(n, x, tables, here, fill, dst):
    """Copy the block of x that a task needs to dst, as it is."""
    count, moved = here.cols + n.wide, n.left - here.col0
    first, end = max(0, moved), min(count, moved + n.width)
    for t in range(n.leads):
        for r in range(here.rows + n.tall):
            row, at = source_row(n, tables, here, t, r), t * n.plane + r * n.pitch
            if row < 0:
                fill_row(dst, at, count, fill)
                continue
            x0 = row * n.width
            copy(dst, at + first, x, x0 + first - moved, end - first)
            for j in range(count - (end - first)):
                q = j if j < first else j + end - first
                column = source_column(n, tables, here.col0 + q)
                poke(dst, at + q, fill if column < 0 else peek(x, x0 + column))


@kernel
def fill_row(dst, at, count, value):
    """dst[at : at+count] = value."""
    for j in range(at, at + count):
        poke(dst, j, value)
