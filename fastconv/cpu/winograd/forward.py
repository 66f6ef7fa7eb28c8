"""The engine of Winograd's method: blocks of tiles are transformed, multiplied by frequencies, transformed back.

A task owns whole output tiles of some panels: sums run in one order whatever the number of threads.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ...kept import kept
from ...memory import scratch
from ...problem import ConvProblem
from ...simd.family import invoke
from ...simd.fields import behind, fields, packed
from ...simd.jit import kernel
from ...simd.lanes import place
from ...simd.microkernel import ACCUMULATE, ZERO
from ...simd.parallel import parallel_kernel
from ...simd.vector import clear
from ...threads import team
from ..items import locate_item
from ..lowering import Integers, Lowered
from ..pack import pack_bias, unpack_rows
from .filters import Filters, given_filters, packed_filters, transform_chunk
from .forward_cut import ForwardCut, cut_forward
from .products import multiply_planes, products_address
from .sheets import Sheet, sheets
from .sides import Side, longer, sheet_side, tiles_before, transform_block
from .transforms import NOWHERE, filter_address, output_address


class ForwardJob(NamedTuple):
    """What the kernels of a sweep know, beside the `Side` of its inputs."""

    low: Integers
    cut: ForwardCut
    filters: Filters
    transform_filters: int  # addresses of functions
    multiply: int
    transform_products: int
    image: int  # distance of images of y, or of sheets
    line: int  # of rows in staging
    col_at: int  # where behind the job the table of columns begins; that of rows, in y or in staging, begins at 0


class ForwardPlan(NamedTuple):
    """All that the calls of one sheet of a problem have in common."""

    low: Lowered
    cut: ForwardCut
    tasks: int
    transformed: bool  # filters come transformed
    side: np.ndarray
    job: np.ndarray


@kept
def forward_plans(problem: ConvProblem) -> tuple[ForwardPlan, ...]:
    """Cut a problem, sheet by sheet, and make the tables."""
    return tuple(_plan(problem, sheet) for sheet in sheets(problem))


def _plan(problem: ConvProblem, sheet: Sheet) -> ForwardPlan:
    low, size, itemsize = sheet.low, sheet.size(problem), problem.itemsize
    cut = cut_forward(size, problem.prepared)
    rows, cols, line = _targets(sheet, cut)
    job = ForwardJob(
        low=low.integers,
        cut=cut,
        filters=packed_filters(cut) if problem.prepared and cut.streamed else given_filters(problem, cut.lanes),
        transform_filters=filter_address(itemsize),
        multiply=products_address(itemsize),
        transform_products=output_address(itemsize),
        image=low.y_strides.n * sheet.images,
        line=line,
        col_at=len(rows),
    )
    side = sheet_side(sheet, size, cut.m, cut.grid)
    return ForwardPlan(low, cut, cut.tasks, problem.prepared and not cut.streamed, side, packed(job, rows, cols))


def _targets(sheet: Sheet, cut: ForwardCut) -> tuple[np.ndarray, np.ndarray, int]:
    """Where rows and columns of tiles are written, and the distance of rows in staging."""
    m, grid, (_, OH, OW) = cut.m, cut.grid, sheet.out
    if not cut.size.staged:
        return longer(sheet.rows.y, -(-OH // m) * m, NOWHERE), longer(sheet.cols.y, -(-OW // m) * m, NOWHERE), 0
    width = min(OW, grid.cols * m)  # of an image in one piece, whose rows adjoin
    cols = longer(np.arange(width) * cut.lanes, grid.cols * m, NOWHERE)
    return np.arange(grid.rows * m) * (width * cut.lanes), cols, width * cut.lanes


def sweep(plan: ForwardPlan, x: np.ndarray, w: np.ndarray, b: np.ndarray | None, y: np.ndarray, *, relu: bool) -> None:
    """Write all sheets of one kind to y; w is what `prepare_filters` made of the filters if the problem says so."""
    low, cut, tasks, transformed, side, job = plan
    if low.N == 0:
        return
    members = team(tasks, low.work)
    own, bias, w = scratch((members, cut.scratch.end), x.dtype), _bias(b, low, cut, x.dtype), w.reshape(-1)
    held = np.full((members, 2), -1)
    arguments = x.reshape(-1), side, w, bias, y.reshape(-1), job, own, held, int(relu)
    if cut.streamed:
        _streamed(members, tasks, *arguments)
    else:
        _fused(members, tasks, w if transformed else _nothing(x.dtype), *arguments)


@lru_cache(maxsize=8)
def _nothing(dtype: np.dtype) -> np.ndarray:
    return np.empty(0, dtype)


def _bias(b: np.ndarray | None, low: Lowered, cut: ForwardCut, dtype: np.dtype) -> np.ndarray:
    if b is None:
        return np.zeros(low.groups * cut.grid.all_panels * cut.lanes, dtype)
    return pack_bias(b, low.groups, low.O, cut.lanes, dtype)


@parallel_kernel
def _fused(thread, first, last, shared, x, x_side, w, bias, y, numbers, own, held, relu):
    """Each task does one block of tiles of one group with all panels, in its thread's scratch.

    `shared` holds transformed filters, or nothing: then the thread transforms those of a group when it comes to it, and
    `held` says whose they are.
    """
    job, side, mine = fields(ForwardJob, numbers), fields(Side, x_side), own[thread]
    cut, grid, at, C, lanes = job.cut, job.cut.grid, job.cut.scratch, job.cut.size.C, job.cut.lanes
    panels, blocks, u_size = grid.all_panels, grid.item_blocks, cut.frequencies * cut.planes.u
    clear(mine, at.zeros, cut.pixel)
    for task in range(first, last):
        group, block = task // blocks, task % blocks
        u, u_at = shared, group * panels * u_size
        if not shared.size:
            u, u_at = mine, at.u
            for i in range(panels * -(-C // cut.chunk) if held[thread, 0] != group else 0):
                panel, c = i % panels, i // panels * cut.chunk
                transform_chunk(job, w, group, panel, c, mine, at.packed, mine, at.u + panel * u_size + c * lanes)
            held[thread, 0] = group
        tiles = transform_block(side, x, group, block, cut, mine, at.v, cut.planes.v)
        for panel in range(panels):
            _multiply_block(job, panel, tiles, mine, at.v, C, u, u_at + panel * u_size, ZERO)
            _finish_block(job, group, panel, block, mine, bias, y, relu)


@parallel_kernel
def _streamed(thread, first, last, x, x_side, w, bias, y, numbers, own, held, relu):
    """Each task does one block of tiles with one panel, chunk by chunk of input channels; panels of a block adjoin.

    `held` says which block the thread has transformed, and how many tiles that has.
    """
    job, side, mine = fields(ForwardJob, numbers), fields(Side, x_side), own[thread]
    cut, grid, at, C = job.cut, job.cut.grid, job.cut.scratch, job.cut.size.C
    panels, blocks = grid.all_panels, grid.item_blocks
    clear(mine, at.zeros, cut.pixel)
    for task in range(first, last):
        panel, block, group = task % panels, task // panels % blocks, task // panels // blocks
        if held[thread, 0] != task // panels:
            held[thread] = task // panels, transform_block(side, x, group, block, cut, mine, at.v, cut.planes.v)
        tiles = held[thread, 1]
        for c in range(0, C, cut.chunk):
            transform_chunk(job, w, group, panel, c, mine, at.packed, mine, at.u)
            depth = min(C - c, cut.chunk)
            _multiply_block(job, panel, tiles, mine, at.v + c, depth, mine, at.u, ACCUMULATE if c else ZERO)
        _finish_block(job, group, panel, block, mine, bias, y, relu)


@kernel
def _multiply_block(job, panel, tiles, mine, v_at, depth, u, u_at, start):
    """P[f] (+)= V[f] @ U[f]: a row per tile, `depth` input channels, one panel."""
    cut, planes, lanes = job.cut, job.cut.planes, job.cut.lanes
    multiply_planes(
        job.multiply, cut.frequencies, tiles, cut.size.O - panel * lanes, depth, mine, v_at, planes.v, cut.pixel, 1,
        u, u_at, planes.u, lanes, mine, cut.scratch.p, planes.p, lanes, start,
    )  # fmt: skip


@kernel
def _finish_block(job, group, panel, block, mine, bias, y, relu):
    """Transform the products of a block with one panel back to y."""
    grid = job.cut.grid
    item0 = block * grid.items
    tile0 = tiles_before(item0, grid)
    for item in range(item0, min(grid.all_items, item0 + grid.items)):
        at = job.cut.scratch.p + (tiles_before(item, grid) - tile0) * job.cut.lanes
        _finish_item(job, group, panel, item, mine, at, bias, y, relu)


@kernel
def _finish_item(job, group, panel, item, mine, p_at, bias, y, relu):
    """Transform the products of one item with one panel, mine[p_at:], back to y, if need be by way of scratch."""
    cut, at, here, m, lanes = job.cut, job.cut.scratch, locate_item(item, job.cut.grid), job.cut.m, job.cut.lanes
    columns, tables, row, col = min(lanes, cut.size.O - panel * lanes), behind(job), 0, job.col_at
    y0 = job.low.y_start + here.image * job.image + (group * cut.size.O + panel * lanes) * job.low.y.c
    y0 += here.plane * job.low.y.d
    out, offset = place(mine, at.staging), place(bias, (group * cut.grid.all_panels + panel) * lanes)
    if not cut.size.staged:
        out, row, col = place(y, y0), here.row0 * m, col + here.col0 * m
    for r in range(here.rows):
        invoke(
            job.transform_products,
            (m, place(mine, p_at + r * here.cols * lanes), lanes, cut.planes.p, here.cols, out,
             place(tables, row + r * m), place(tables, col), columns, offset, relu),
        )  # fmt: skip
    if cut.size.staged:
        y0 += here.row0 * m * job.low.y.h + here.col0 * m * job.low.y.w
        height = min(here.rows * m, cut.size.out.h - here.row0 * m)
        width = min(here.cols * m, cut.size.out.w - here.col0 * m)
        unpack_rows(mine, at.staging, job.line, lanes, columns, height, width, y, y0, job.low.y)
