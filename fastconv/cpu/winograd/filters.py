"""Filters for Winograd's method: transformed at near copy speed from either layout, forward or turned around.

The transform wants a panel's output channels side by side, ``[c][tap][lane]``. Channels-last filters lie so already; in
all other cases a chunk is first transposed in registers to scratch that stays in the cache.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...borders import frozen
from ...kept import kept
from ...memory import scratch
from ...simd.family import invoke
from ...simd.jit import kernel, parallel_kernel
from ...simd.lanes import place
from ...simd.vector import copy
from ...threads import team
from ..lowering import Lowered, WeightStrides
from ..pack import pack_planar
from .plan import TAPS, Cut
from .transforms import filter_address


class Filters(NamedTuple):
    """Where w[group, panel, tap, c, o] lies in a flat array, and the order in which taps are read."""

    array: np.ndarray
    strides: tuple[int, int, int, int, int]
    rows: np.ndarray
    cols: np.ndarray


def as_given(w: np.ndarray, at: WeightStrides, low: Lowered, lanes: int) -> Filters:
    """The filters as the caller has them; the order of `low.taps` tells whether they are turned around."""
    tap = at.tap if at.o == 1 else lanes  # else they are read where they have been packed
    strides = (at.group, lanes * at.o, at.tap, at.c, at.o)
    return Filters(w.reshape(-1), strides, *_tap_offsets(tuple(low.taps.tolist()), tap))


@kept
def _tap_offsets(taps: tuple[int, ...], tap: int) -> tuple[np.ndarray, np.ndarray]:
    """Offsets of the rows and columns of a filter whose taps are `tap` apart."""
    order = np.array(taps).reshape(3, 3) * tap
    return frozen(order[:, 0] - order[:, 0].min()), frozen(order[0] - order[0].min())


def pack_filters(w: np.ndarray, at: WeightStrides, low: Lowered, p: Cut) -> Filters:
    """A copy of the filters that a streamed sweep reads fast: [group][panel][c][tap][lane]."""
    panel = low.C * TAPS * p.lanes
    packed = scratch((low.groups * p.panels * panel,), w.dtype)
    given = as_given(w, at, low, p.lanes)
    _each_chunk(low, p, w, given, packed, TAPS * p.lanes, panel, 0, 0)
    strides = (p.panels * panel, panel, p.lanes, TAPS * p.lanes, 1)
    return Filters(packed, strides, *_tap_offsets(tuple(low.taps.tolist()), p.lanes))


def transform_filters(w: np.ndarray, at: WeightStrides, low: Lowered, p: Cut) -> np.ndarray:
    """All filters transformed, as a fused sweep reads them: [group][panel][frequency][c][lane]."""
    panel, plane = p.sizes[2], p.planes[2]
    u = scratch((low.groups * p.panels * panel,), w.dtype)
    _each_chunk(low, p, w, as_given(w, at, low, p.lanes), u, p.lanes, panel, plane, filter_address(w.itemsize))
    return u


def _each_chunk(
    low: Lowered, p: Cut, w: np.ndarray, filters: Filters, out: np.ndarray, step: int, panel: int, plane: int,
    transform: int,
) -> None:  # fmt: skip
    chunks = -(-low.C // p.chunk)
    tasks = low.groups * p.panels * chunks
    members = team(tasks, 8 * out.size)
    cuts = (low.C, low.O, p.chunk, chunks, p.panels, p.lanes, step, panel, plane)
    own = scratch((members, p.packed_size), w.dtype)
    _chunks(members, tasks, p.m, *filters, cuts, own, out, transform)


@parallel_kernel
def _chunks(thread, first, last, m, w, strides, rows, cols, cuts, own, out, transform):
    """Each task transforms, or only packs (no `transform`), one chunk of channels of one panel."""
    C, O, chunk, chunks, panels, lanes, step, size, plane = cuts
    mine = own[thread]
    for task in range(first, last):
        c0, panel, group = task % chunks * chunk, task // chunks % panels, task // chunks // panels
        at = (group * panels + panel) * size + c0 * step
        count, columns = min(C - c0, chunk), min(lanes, O - panel * lanes)
        if transform:
            transform_chunk(
                m, w, strides, rows, cols, group, panel, columns, c0, count, lanes, mine, 0, out, at, plane, transform
            )
        else:
            pack_chunk(w, _first(strides, group, panel, c0), strides, count, columns, lanes, mine, 0)
            copy(out, at, mine, 0, count * step)


@kernel
def _first(strides, group, panel, c):
    return group * strides[0] + panel * strides[1] + c * strides[3]


@kernel
def transform_chunk(
    m, w, strides, rows, cols, group, panel, columns, c0, count, lanes, packed, packed_at, u, u_at, plane, transform
):  # fmt: skip
    """Transform the filters of `count` channels from c0 on, of one panel, to u[u_at:], planes of [c][lane]."""
    at, step = _first(strides, group, panel, c0), strides[3]
    source = place(w, at)
    if strides[4] != 1:
        pack_chunk(w, at, strides, count, columns, lanes, packed, packed_at)
        source, step = place(packed, packed_at), TAPS * lanes
    invoke(
        transform,
        (m, source, step, place(rows, 0), place(cols, 0), count, columns, place(u, u_at), lanes, plane),
    )


@kernel
def pack_chunk(w, source, strides, count, columns, lanes, packed, at):
    """The filters of `count` channels of one panel as [c][tap][lane]: copies or transposes of what is contiguous."""
    _, _, tap_at, c_at, o_at = strides
    if o_at == 1:
        for c in range(count):
            for tap in range(TAPS):
                copy(packed, at + (c * TAPS + tap) * lanes, w, source + c * c_at + tap * tap_at, columns)
        return
    runs, run_at, hop, length, pixel = count, c_at, TAPS * lanes, np.int64(TAPS), lanes  # a channel's taps adjoin
    if c_at == 1:  # channels do, for each tap
        runs, run_at, hop, length, pixel = np.int64(TAPS), tap_at, lanes, count, TAPS * lanes
    elif c_at == TAPS:  # all channels with all taps do
        runs, length = np.int64(1), count * TAPS
    for i in range(runs):
        pack_planar(w, source + i * run_at, o_at, 1, columns, length, packed, at + i * hop, pixel)
