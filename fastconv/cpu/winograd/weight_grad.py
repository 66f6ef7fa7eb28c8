"""The weight gradient by Winograd's method, F(3x3, m x m): products of transformed inputs and output gradients.

    dw = G^T [ sum over tiles of (B^T x B) * (A dy A^T) ] G

The filter and the output have changed places (the transpose of the forward algorithm), so the matrix product of each
frequency sums over tiles. A part of the tiles (a run of blocks, or a round of them: `grad_cut`) has its
products transformed back at once, and the parts are added in order: same bits for any number of threads.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...kept import kept
from ...memory import scratch
from ...problem import ConvProblem
from ...simd.family import invoke
from ...simd.fields import fields, packed
from ...simd.jit import kernel
from ...simd.lane_math import add
from ...simd.lanes import load, place, store, zeros
from ...simd.microkernel import ACCUMULATE, ZERO
from ...simd.parallel import parallel_kernel
from ...simd.vector import clear, copy, lanes_of
from ...threads import team
from ..lowering import Lowered
from ..pack import unpack_planar
from .filters import Filters, first_weight, given_filters
from .grad_cut import GradCut, cut_weight_grad
from .phases import phases
from .products import multiply_planes, products_address
from .sides import Side, input_side, output_side, tiles_before, transform_block, transform_item
from .tiling import TAPS, TileProblem
from .transforms import weights_address


class GradJob(NamedTuple):
    """What the kernels know, beside the `Side` of inputs and that of output gradients."""

    cut: GradCut
    filters: Filters
    multiply: int  # addresses of functions
    transform_products: int


class GradPlan(NamedTuple):
    """All that the calls of one phase of a problem have in common."""

    low: Lowered
    cut: GradCut
    x: np.ndarray
    dy: np.ndarray
    job: np.ndarray


@kept
def grad_plans(problem: ConvProblem) -> tuple[GradPlan, ...]:
    """Cut a problem, phase by phase, and make the tables."""
    return tuple(_plan(problem, low) for low in phases(problem))


def _plan(problem: ConvProblem, low: Lowered) -> GradPlan:
    size, itemsize = TileProblem.of(problem, low.out), problem.itemsize
    cut = cut_weight_grad(size)
    x, dy = (side(low, size, cut.m, cut.grid) for side in (input_side, output_side))
    job = GradJob(cut, given_filters(problem, cut.lanes), products_address(itemsize), weights_address(itemsize))
    return GradPlan(low, cut, x, dy, packed(job))


def conv_weight_grad(problem: ConvProblem, x: np.ndarray, dy: np.ndarray, dw: np.ndarray) -> None:
    """Write the gradient to the weights to dw: the sum of those of its phases."""
    if problem.N == 0:
        dw[...] = 0
        return
    plans = grad_plans(problem)
    cut = plans[0].cut
    partial = scratch((sum(plan.cut.parts for plan in plans) * cut.part_size,), x.dtype)
    x, dy, done = x.reshape(-1), dy.reshape(-1), 0
    for plan in plans:
        (_phased if plan.cut.phased else _fused)(plan, x, dy, partial[done:])
        done += plan.cut.parts * cut.part_size
    chunk = max(1, 4096 // (TAPS * cut.lanes))
    tasks = problem.groups * cut.grid.all_panels * -(-cut.size.C // chunk)
    _add_partials(team(tasks, partial.size), tasks, partial, plans[0].job, chunk, dw.reshape(-1))


def _fused(plan: GradPlan, x: np.ndarray, dy: np.ndarray, partial: np.ndarray) -> None:
    low, cut, x_side, dy_side, job = plan
    members = team(cut.tasks, low.work)
    own = scratch((members, cut.scratch.end), x.dtype)
    _sum_blocks(members, cut.tasks, x, x_side, dy, dy_side, job, own, partial)


@parallel_kernel
def _sum_blocks(thread, first, last, x, x_side, dy, dy_side, numbers, own, partial):
    """Each task sums over one run of blocks of one group and writes one partial gradient of all its panels."""
    job, inputs, gradients, mine = fields(GradJob, numbers), fields(Side, x_side), fields(Side, dy_side), own[thread]
    cut, at = job.cut, job.cut.scratch
    blocks, p_size = cut.grid.item_blocks, cut.frequencies * cut.planes.p
    clear(mine, at.zeros, at.strip - at.zeros)
    for task in range(first, last):
        run, group = task % cut.parts, task // cut.parts
        block0, block1 = blocks * run // cut.parts, blocks * (run + 1) // cut.parts
        for block in range(block0, block1):
            tiles = transform_block(inputs, x, group, block, cut, mine, at.v, cut.planes.v)
            transform_block(gradients, dy, group, block, cut, mine, at.d, cut.planes.d)
            start = ZERO if block == block0 else ACCUMULATE
            for panel in range(cut.grid.all_panels):
                _multiply(job, panel, tiles, cut.size.C, mine, at.v, at.d, mine, at.p + panel * p_size, start)
        for panel in range(cut.grid.all_panels):
            _finish(job, run, group, panel, 0, cut.size.C, mine, at.p + panel * p_size, partial)


@kernel
def _multiply(job, panel, tiles, count, vd, v_at, d_at, mine, p_at, start):
    """P[f] (+)= V[f]^T @ D[f]: a row for each of `count` input channels, summed over tiles, one panel."""
    cut, planes, lanes = job.cut, job.cut.planes, job.cut.lanes
    multiply_planes(
        job.multiply, cut.frequencies, count, cut.size.O - panel * lanes, tiles, vd, v_at, planes.v, 1, cut.x_pixel,
        vd, d_at + panel * lanes, planes.d, cut.dy_pixel, mine, p_at, planes.p, lanes, start,
    )  # fmt: skip


@kernel
def _finish(job, part, group, panel, c, count, mine, p_at, partial):
    """Transform the products of `count` input channels with one panel back to a partial gradient: [c][tap][lane]."""
    cut, lanes, step = job.cut, job.cut.lanes, TAPS * job.cut.lanes
    at = (((part * cut.size.groups + group) * cut.grid.all_panels + panel) * cut.size.C + c) * step
    invoke(
        job.transform_products,
        (cut.m, place(mine, p_at), lanes, cut.planes.p, count, place(partial, at), step, 3 * lanes, lanes, lanes),
    )  # fmt: skip


def _phased(plan: GradPlan, x: np.ndarray, dy: np.ndarray, partial: np.ndarray) -> None:
    low, cut, x_side, dy_side, job = plan
    grid, sums = cut.grid, cut.tasks
    members = team(max(2 * low.groups * grid.all_items, sums), low.work)
    own, vd = scratch((members, cut.scratch.end), x.dtype), scratch((cut.planes_size,), x.dtype)
    for part in range(cut.parts):
        item0 = part * cut.round_blocks * grid.items
        item1 = min(grid.all_items, item0 + cut.round_blocks * grid.items)
        tasks = 2 * low.groups * (item1 - item0)
        _spread(min(members, tasks), tasks, x, x_side, dy, dy_side, job, item0, item1, own, vd)
        _sum_round(min(members, sums), sums, vd, job, item0, item1, own, part, partial)


@parallel_kernel
def _spread(thread, first, last, x, x_side, dy, dy_side, numbers, item0, item1, own, vd):
    """Each task transforms one item of inputs or of output gradients: [group][frequency][tile][c], inputs first."""
    job, inputs, gradients, mine = fields(GradJob, numbers), fields(Side, x_side), fields(Side, dy_side), own[thread]
    cut, planes, frequencies = job.cut, job.cut.planes, job.cut.frequencies
    clear(mine, cut.scratch.zeros, cut.scratch.strip - cut.scratch.zeros)
    for task in range(first, last):
        item, group = task // 2 % (item1 - item0) + item0, task // 2 // (item1 - item0)
        tiles = tiles_before(item, cut.grid) - tiles_before(item0, cut.grid)
        if task % 2 == 0:
            at = group * frequencies * planes.v + tiles * cut.x_pixel
            transform_item(inputs, x, group, item, cut, mine, vd, at, planes.v)
        else:
            at = frequencies * (cut.size.groups * planes.v + group * planes.d) + tiles * cut.dy_pixel
            transform_item(gradients, dy, group, item, cut, mine, vd, at, planes.d)


@parallel_kernel
def _sum_round(thread, first, last, vd, numbers, item0, item1, own, part, partial):
    """Each task sums over all tiles of a round, for a block of input channels and one panel."""
    job, mine = fields(GradJob, numbers), own[thread]
    cut, planes, at, frequencies = job.cut, job.cut.planes, job.cut.scratch, job.cut.frequencies
    panels, channel_blocks = cut.grid.all_panels, -(-cut.size.C // cut.channels)
    clear(mine, at.zeros, at.strip - at.zeros)
    tiles = tiles_before(item1, cut.grid) - tiles_before(item0, cut.grid)
    for task in range(first, last):
        c, panel = task % channel_blocks * cut.channels, task // channel_blocks % panels
        group = task // channel_blocks // panels
        count = min(cut.size.C - c, cut.channels)
        v_at = group * frequencies * planes.v + c
        d_at = frequencies * (cut.size.groups * planes.v + group * planes.d)
        _multiply(job, panel, tiles, count, vd, v_at, d_at, mine, at.p, ZERO)
        _finish(job, part, group, panel, c, count, mine, at.p, partial)


@parallel_kernel
def _add_partials(thread, first, last, partial, numbers, chunk, dw):
    """Each task adds up, in order, the parts of some input channels of one panel, and writes them where they belong."""
    job = fields(GradJob, numbers)
    cut, w, C, lanes, panels = job.cut, job.filters, job.cut.size.C, job.cut.lanes, job.cut.grid.all_panels
    chunks, step, one, runs = -(-C // chunk), TAPS * lanes, zeros(partial, 1), partial.size // cut.part_size
    for task in range(first, last):
        c, panel, group = task % chunks * chunk, task // chunks % panels, task // chunks // panels
        count, columns = min(C - c, chunk), min(lanes, cut.size.O - panel * lanes)
        at = ((group * panels + panel) * C + c) * step
        for i in range(at, at + count * step, lanes_of(partial)):
            total = load(partial, i, one, None)
            for run in range(1, runs):
                total = add(total, load(partial, run * cut.part_size + i, one, None))
            store(partial, i, total, None)
        to = first_weight(w, group, panel, c)
        if w.o == 1:
            for k in range(count):
                for tap in range(TAPS):
                    copy(dw, to + k * w.c + tap * w.tap, partial, at + (k * TAPS + tap) * lanes, columns)
        else:
            unpack_planar(partial, at, lanes, columns, count * TAPS, dw, to, w.o, 1)
