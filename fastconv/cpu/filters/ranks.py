"""The element of one rank in the window around every element: medians, percentiles.

Elements become signed integers of their width in the same order (`to_keys`): NaN is the largest number, -0 below +0.
Vectors run along rows, and every lane does the same, whatever the data:

* few elements: a selection network (`networks`), for the medians of 9 and 25 in registers, for others in a scratch
  that the first cache holds;
* many elements: the bits of the result from the highest on, each by counting the elements below a limit.

Cost: about n*log2(n)**2/4 comparators of two operations, or 2*n operations a bit. Both are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numba.core import types
from numba.extending import intrinsic

from ...memory import scratch
from ...simd.emit import I64, Emitter, Lanes, element
from ...simd.fields import behind, fields, packed
from ...simd.jit import kernel
from ...simd.lane_math import add, largest, pick, smallest
from ...simd.lanes import (
    address,
    first_lanes,
    inlined,
    lane_count,
    load,
    lowest,
    peek,
    place,
    spread,
    store,
    zero,
    zeros,
)
from ...simd.parallel import parallel_kernel
from ...threads import team
from .blocks import Blocks, Cut, copy_block, locate
from .networks import HIGH, LOW, selection, selection_table

#: Elements up to which a network is the faster way, by the bytes of one.
NETWORK = {1: 16, 2: 48, 4: 128, 8: 400}
SIGNED, UNSIGNED, FLOATING = range(3)
CELL = 2  # vectors of an element of a network in scratch


class Ranks(NamedTuple):
    """What the kernel knows of its problem; behind it the cut's table, where the elements lie, and comparators."""

    blocks: Blocks
    order: int
    elements: int
    rank: int
    comparators: int  # 0 means bit by bit


@dataclass(frozen=True, eq=False)
class Selection:
    """All that calls of one shape have in common."""

    cut: Cut
    dtype: np.dtype  # of keys
    numbers: np.ndarray
    cells: int
    count: int

    def run(self, x: np.ndarray, y: np.ndarray, cval: Any) -> None:
        """Write the elements of the rank to y: C-contiguous arrays of one dtype that do not overlap."""
        cut = self.cut
        if not cut.work:
            return
        members = team(cut.tasks, cut.work * 8 * self.count)
        own = scratch((members, cut.size + self.cells), self.dtype)
        fill = np.array(cval, x.dtype).view(self.dtype)[()]
        select_blocks(
            members, cut.tasks, x.reshape(-1).view(self.dtype), y.reshape(-1).view(self.dtype), own,
            self.numbers, fill, cut.size,
        )  # fmt: skip


def plan_selection(cut: Cut, places: tuple[tuple[int, int, int], ...], rank: int, dtype: np.dtype) -> Selection:
    """Choose the way to an element of this rank, counted from the smallest of the window's."""
    n, count = cut.blocks, len(places)
    network = selection_table(count, rank) if count <= NETWORK[dtype.itemsize] else np.empty(0, np.int64)
    order = {"f": FLOATING, "i": SIGNED}.get(dtype.kind, UNSIGNED)
    offsets = np.array([t * n.plane + r * n.pitch + c * n.unit for t, r, c in places], np.int64)
    numbers = packed(Ranks(n, order, count, rank, network.size // 3), cut.table, offsets, network)
    keys = np.dtype(f"i{dtype.itemsize}")
    cells = count * CELL * 64 // dtype.itemsize if network.size else 0
    return Selection(cut, keys, numbers, cells, count)


@intrinsic
def to_keys(typingctx, a):  # type: ignore[no-untyped-def]
    """Bits of floats as integers in their order; any NaN is the largest."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        bits, most = a.dtype.bitwidth, (1 << a.dtype.bitwidth - 1) - 1
        infinity = ((1 << (8 if bits == 32 else 11)) - 1) << (23 if bits == 32 else 52)
        nan = builder.icmp_signed(">", builder.and_(args[0], a.constant(most)), a.constant(infinity))
        return builder.select(nan, a.constant(most), _reordered(builder, a, args[0]))

    return a(a), codegen


@intrinsic
def from_keys(typingctx, a):  # type: ignore[no-untyped-def]
    """The bits of the floats that `to_keys` made these integers of."""
    return a(a), lambda context, builder, signature, args: _reordered(builder, a, args[0])


def _reordered(builder: Any, kind: Any, value: Any) -> Any:
    """Negative numbers' magnitudes grow downwards: all their bits but the sign change."""
    bits = kind.dtype.bitwidth
    sign = builder.ashr(value, kind.constant(bits - 1))
    return builder.xor(value, builder.and_(sign, kind.constant((1 << bits - 1) - 1)))


@intrinsic
def count_below(typingctx, count, a, limit):  # type: ignore[no-untyped-def]
    """count + 1 in the lanes where a < limit."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        below = builder.icmp_signed("<", args[1], args[2])
        return builder.sub(args[0], builder.sext(below, count.vector))

    return (count(count, a, limit), codegen) if count == a == limit else None


@intrinsic
def bits_of(typingctx, a):  # type: ignore[no-untyped-def]
    """Bits of a lane: a compile-time constant."""
    return types.int64(a), lambda context, builder, signature, args: I64(a.dtype.bitwidth)


@intrinsic
def halved(typingctx, a):  # type: ignore[no-untyped-def]
    """The bits of a, one place lower; zeros follow."""
    return a(a), lambda context, builder, signature, args: builder.lshr(args[0], a.constant(1))


@intrinsic
def at_most(typingctx, a, b):  # type: ignore[no-untyped-def]
    """The mask of lanes where a <= b, signed integers."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.icmp_signed("<=", *args)

    return (Lanes(types.boolean, a.count)(a, b), codegen) if a == b else None


@intrinsic(prefer_literal=True)
def median_in_registers(typingctx, x, at, offsets, like, count):  # type: ignore[no-untyped-def]
    """The median of x[at + offsets[k]], lane by lane, for a literal `count`."""
    number = count.literal_value

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        emit, (kind, _, table, *_) = Emitter(context, builder, like), signature.args
        first = element(context, builder, kind, args[0], args[1])
        values = []
        for k in range(number):
            hop = builder.load(element(context, builder, table, args[2], I64(k)))
            values.append(emit.load(emit.at(first, hop)))
        for a, b, what in selection(number, number // 2):
            low, high = values[a], values[b]
            above = builder.icmp_signed(">", low, high)
            if what != HIGH:
                values[a] = builder.select(above, high, low)
            if what != LOW:
                values[b] = builder.select(above, low, high)
        return values[number // 2]

    return like(x, at, offsets, like, count), codegen


@parallel_kernel
def select_blocks(thread, first, last, x, y, own, numbers, fill, size):  # type: ignore[no-untyped-def]
    """A task is a block of outputs: its inputs are copied to scratch, become keys there, and are selected from."""
    p, mine = fields(Ranks, numbers), own[thread]
    n, block, cells, tables = p.blocks, address(mine), address(mine[size:]), behind(p)
    px, py, places = address(x), address(y), place(tables, n.tables)
    pairs = place(places, p.elements)
    for task in range(first, last):
        here = locate(n, task)
        copy_block(n, px, tables, here, fill, block)
        if p.order != SIGNED:
            _order(p.order, block, n.leads * n.plane)
        for r in range(here.rows):
            y0 = (here.plane * n.height + here.row0 + r) * n.width + here.col0
            _select_row(p, block, r * n.pitch, here.cols, py, y0, places, pairs, cells)


@kernel
def _order(order, block, count):  # type: ignore[no-untyped-def]
    like = zeros(block, 1)
    for j in range(0, count, lane_count(like)):
        value = load(block, j, like, None)
        store(block, j, to_keys(value) if order == FLOATING else add(value, lowest(like)), None)


@kernel
def _select_row(p, block, at, count, y, y0, places, pairs, cells):  # type: ignore[no-untyped-def]
    wide, like = zeros(block, CELL), zeros(block, 1)
    lanes = lane_count(like)
    if p.comparators == 0 or p.rank != p.elements // 2 or (p.elements != 9 and p.elements != 25):
        for j in range(0, count, CELL * lanes):
            if p.comparators:
                value = _by_network(wide, p, block, at + j, places, pairs, cells)
            else:
                value = _by_bits(wide, p, block, at + j, places)
            _put(p.order, value, y, y0 + j, count - j)
    elif p.elements == 9:
        for j in range(0, count, lanes):
            _put(p.order, median_in_registers(block, at + j, places, like, 9), y, y0 + j, count - j)
    else:
        for j in range(0, count, lanes):
            _put(p.order, median_in_registers(block, at + j, places, like, 25), y, y0 + j, count - j)


@inlined
def _put(order, value, y, y0, count):  # type: ignore[no-untyped-def]
    if order == FLOATING:
        value = from_keys(value)
    elif order == UNSIGNED:
        value = add(value, lowest(value))
    if count >= lane_count(value):
        store(y, y0, value, None)
    else:
        store(y, y0, value, first_lanes(count, value))


@inlined
def _by_network(like, p, block, at, places, pairs, cells):  # type: ignore[no-untyped-def]
    lanes = lane_count(like)
    for k in range(p.elements):
        store(cells, k * lanes, load(block, at + peek(places, k), like, None), None)
    for c in range(0, 3 * p.comparators, 3):
        a, b, what = peek(pairs, c) * lanes, peek(pairs, c + 1) * lanes, peek(pairs, c + 2)
        low, high = load(cells, a, like, None), load(cells, b, like, None)
        if what != HIGH:
            store(cells, a, smallest(low, high), None)
        if what != LOW:
            store(cells, b, largest(low, high), None)
    return load(cells, p.rank * lanes, like, None)


@inlined
def _by_bits(like, p, block, at, places):  # type: ignore[no-untyped-def]
    """The largest number that has at most `rank` elements below it, counted up from the smallest bit by bit."""
    found, rank, bit = lowest(like), spread(p.rank, like), lowest(like)
    for _ in range(bits_of(like)):
        limit = add(found, bit)
        count = zero(like)
        for k in range(p.elements):
            count = count_below(count, load(block, at + peek(places, k), like, None), limit)
        found = pick(at_most(count, rank), limit, found)
        bit = halved(bit)
    return found
