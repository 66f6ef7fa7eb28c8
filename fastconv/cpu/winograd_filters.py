"""Filters for Winograd's method: transformed at near copy speed from either layout, forward or turned around.

The transform wants a panel's output channels side by side, ``[c][tap][lane]``. Channels-last filters lie so already; in
all other cases a chunk is first transposed in registers to scratch that stays in the cache.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..simd.jit import kernel, parallel_kernel
from ..simd.vector import copy
from ..threads import team
from .lowering import Lowered, WeightStrides
from .pack import pack_planar, scratch
from .winograd_plan import CHUNK, Plan, taps_table
from .winograd_transforms import filter_address, invoke, place

TAPS = 9


class Filters(NamedTuple):
    """Where w[group, panel, tap, c, o] lies in a flat array, and the order of the taps."""

    array: np.ndarray
    strides: tuple[int, int, int, int, int]
    rows: np.ndarray
    cols: np.ndarray


def as_given(w: np.ndarray, at: WeightStrides, low: Lowered, lanes: int) -> Filters:
    """The filters as the caller has them; `low.taps` tells whether they are turned around."""
    tap = at.tap if at.o == 1 else lanes
    return Filters(w.reshape(-1), (at.group, lanes * at.o, at.tap, at.c, at.o), *taps_table(low.taps, tap))


@kernel
def transform_chunk(
    m, w, strides, rows, cols, group, panel, columns, c0, c1, lanes, packed, packed_at, u, u_at, plane, transform
):
    """Transform the filters of channels c0..c1-1 of one panel to u[u_at:], planes of [c][lane]."""
    group_at, panel_at, tap_at, c_at, o_at = strides
    source = group * group_at + panel * panel_at + c0 * c_at
    if o_at == 1:
        invoke(
            transform,
            (m, place(w, source), c_at, place(rows, 0), place(cols, 0), c1 - c0, columns, place(u, u_at), lanes, plane),
        )
        return
    pack_chunk(w, source, strides, c1 - c0, columns, lanes, packed, packed_at)
    invoke(
        transform,
        (
            m, place(packed, packed_at), TAPS * lanes, place(rows, 0), place(cols, 0), c1 - c0, columns,
            place(u, u_at), lanes, plane,
        ),
    )  # fmt: skip


@kernel
def pack_chunk(w, source, strides, channels, columns, lanes, packed, at):
    """The filters of `channels` channels of one panel as [c][tap][lane]: transposes of what is contiguous."""
    tap_at, c_at, o_at = strides[2], strides[3], strides[4]
    if o_at == 1:
        for c in range(channels):
            for tap in range(TAPS):
                copy(packed, at + (c * TAPS + tap) * lanes, w, source + c * c_at + tap * tap_at, columns)
    elif c_at == 1:
        for tap in range(TAPS):
            pack_planar(w, source + tap * tap_at, o_at, 1, columns, channels, packed, at + tap * lanes, TAPS * lanes)
    elif c_at == TAPS:
        pack_planar(w, source, o_at, 1, columns, channels * TAPS, packed, at, lanes)
    else:
        for c in range(channels):
            pack_planar(w, source + c * c_at, o_at, 1, columns, TAPS, packed, at + c * TAPS * lanes, lanes)


def packed_size(lanes: int, chunk: int, vector: int) -> int:
    """Elements of scratch for a packed chunk; the last transpose may run over."""
    return (chunk + vector) * TAPS * lanes


def transform_filters(w: np.ndarray, at: WeightStrides, low: Lowered, p: Plan) -> np.ndarray:
    """All filters transformed: flat, [group][panel][frequency][c][lane], planes `p.u_plane` apart."""
    u = scratch(low.groups * p.panels * p.u_size, w.dtype)
    filters = as_given(w, at, low, p.lanes)
    chunk = min(low.C, CHUNK)
    chunks = -(-low.C // chunk)
    tasks = low.groups * p.panels * chunks
    members = team(tasks, 8 * u.size)
    room = 0 if at.o == 1 else packed_size(p.lanes, chunk, 16)
    own = scratch(members * room, w.dtype).reshape(members, room)
    _transform_filters(
        members, tasks, p.m, filters.array, filters.strides, filters.rows, filters.cols, low.C, low.O,
        (chunk, chunks, p.panels, p.lanes, p.u_size, p.u_plane), own, u, filter_address(w.itemsize),
    )  # fmt: skip
    return u


@parallel_kernel
def _transform_filters(thread, first, last, m, w, strides, rows, cols, C, O, cuts, own, u, transform):
    """Each task transforms one chunk of channels of one panel."""
    chunk, chunks, panels, lanes, size, plane = cuts
    for task in range(first, last):
        c0, panel, group = task % chunks * chunk, task // chunks % panels, task // chunks // panels
        at = (group * panels + panel) * size + c0 * lanes
        transform_chunk(
            m, w, strides, rows, cols, group, panel, min(lanes, O - panel * lanes), c0, min(C, c0 + chunk), lanes,
            own[thread], 0, u, at, plane, transform,
        )  # fmt: skip
