"""Filters for Winograd's method: transformed at near copy speed from either layout, forward or turned around.

The transform wants a panel's output channels side by side, ``[c][tap][lane]``. Channels-last filters lie so already; in
all other cases a chunk is first transposed in registers to scratch that stays in the cache.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...memory import scratch
from ...problem import ConvProblem
from ...simd.family import invoke
from ...simd.fields import fields, packed
from ...simd.jit import kernel
from ...simd.lanes import place
from ...simd.parallel import parallel_kernel
from ...simd.vector import copy
from ...threads import team
from ..lowering import weight_strides
from ..pack import pack_planar
from .forward_cut import ForwardCut
from .tiling import TAPS
from .transforms import filter_address


class Line(NamedTuple):
    """Offsets of the three rows of a filter, or of its columns."""

    first: int
    second: int
    third: int


class Filters(NamedTuple):
    """Where w[group, panel, tap, c, o] lies in a flat array, and where the transform finds rows and columns."""

    group: int
    panel: int
    tap: int
    c: int
    o: int
    rows: Line
    cols: Line


def given_filters(problem: ConvProblem, lanes: int) -> Filters:
    """The filters as the caller has them, in panels of so many lanes; for the gradient to the input turned around."""
    turned = problem.op == "conv_input_grad"
    at = weight_strides(problem, transposed=turned)
    read = at.tap if at.o == 1 else lanes  # else they are read where they have been packed
    return Filters(at.group, lanes * at.o, at.tap, at.c, at.o, _line(3 * read, turned), _line(read, turned))


def packed_filters(cut: ForwardCut) -> Filters:
    """The filters that are prepared for a streamed sweep, which reads them fast: [group][panel][c][tap][lane]."""
    lanes, panel = cut.lanes, cut.size.C * TAPS * cut.lanes
    return Filters(
        cut.grid.all_panels * panel, panel, lanes, TAPS * lanes, 1, _line(3 * lanes, False), _line(lanes, False)
    )


def _line(step: int, turned: bool) -> Line:
    return Line(2 * step, step, 0) if turned else Line(0, step, 2 * step)


class Preparation(NamedTuple):
    """What `_prepare_chunks` and the kernels below know; a sweep knows it too."""

    cut: ForwardCut
    filters: Filters
    transform_filters: int  # address of the function


def prepare_filters(problem: ConvProblem, cut: ForwardCut, w: np.ndarray) -> np.ndarray:
    """The filters transformed, [group][panel][frequency][c][lane], or for a streamed sweep packed: flat."""
    job = Preparation(cut, given_filters(problem, cut.lanes), filter_address(w.itemsize))
    size = cut.size.C * TAPS * cut.lanes if cut.streamed else cut.frequencies * cut.planes.u
    panels = problem.groups * cut.grid.all_panels
    out = scratch((panels * size,), w.dtype)
    tasks = panels * -(-cut.size.C // cut.chunk)
    members = team(tasks, 8 * out.size)
    own = scratch((members, cut.packed_size), w.dtype)
    _prepare_chunks(members, tasks, w.reshape(-1), packed(job), size, own, out)
    return out


@parallel_kernel
def _prepare_chunks(thread, first, last, w, numbers, size, own, out):
    """Each task transforms, or only packs, one chunk of channels of one panel, which takes `size` elements."""
    job, mine = fields(Preparation, numbers), own[thread]
    cut, panels = job.cut, job.cut.grid.all_panels
    chunks, pixel = -(-cut.size.C // cut.chunk), cut.lanes * (TAPS if cut.streamed else 1)
    for task in range(first, last):
        c, panel, group = task % chunks * cut.chunk, task // chunks % panels, task // chunks // panels
        at = (group * panels + panel) * size + c * pixel
        if cut.streamed:
            _pack_chunk(job, w, group, panel, c, mine, 0)
            copy(out, at, mine, 0, min(cut.size.C - c, cut.chunk) * pixel)
        else:
            transform_chunk(job, w, group, panel, c, mine, 0, out, at)


@kernel
def first_weight(filters, group, panel, c):
    """Where the weights of a panel of output channels and an input channel begin."""
    return group * filters.group + panel * filters.panel + c * filters.c


@kernel
def transform_chunk(job, w, group, panel, c, packed, packed_at, u, u_at):
    """Transform the filters of one panel for the chunk of channels from c on to u[u_at:], planes of [c][lane].

    Where output channels do not lie side by side, they are packed to packed[packed_at:] before.
    """
    cut, filters = job.cut, job.filters
    source, step = place(w, first_weight(filters, group, panel, c)), filters.c
    if filters.o != 1:
        _pack_chunk(job, w, group, panel, c, packed, packed_at)
        source, step = place(packed, packed_at), TAPS * cut.lanes
    invoke(
        job.transform_filters,
        (cut.m, source, step, filters.rows, filters.cols, min(cut.size.C - c, cut.chunk),
         min(cut.lanes, cut.size.O - panel * cut.lanes), place(u, u_at), cut.lanes, cut.planes.u),
    )  # fmt: skip


@kernel
def _pack_chunk(job, w, group, panel, c, packed, at):
    """The filters of a chunk of one panel as [c][tap][lane]: copies or transposes of what is contiguous."""
    cut, filters, source = job.cut, job.filters, first_weight(job.filters, group, panel, c)
    lanes, count, columns = cut.lanes, min(cut.size.C - c, cut.chunk), min(cut.lanes, cut.size.O - panel * cut.lanes)
    if filters.o == 1:
        for k in range(count):
            for tap in range(TAPS):
                copy(packed, at + (k * TAPS + tap) * lanes, w, source + k * filters.c + tap * filters.tap, columns)
        return
    runs, run_at, hop, length, pixel = count, filters.c, TAPS * lanes, np.int64(TAPS), lanes  # a channel's taps adjoin
    if filters.c == 1:  # channels do, for each tap
        runs, run_at, hop, length, pixel = np.int64(TAPS), filters.tap, lanes, count, TAPS * lanes
    elif filters.c == TAPS:  # all channels with all taps do
        runs, length = np.int64(1), count * TAPS
    for i in range(runs):
        pack_planar(w, source + i * run_at, filters.o, 1, columns, length, packed, at + i * hop, pixel)
