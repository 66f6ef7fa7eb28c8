"""What method "fft" will have to do for a problem, counted from its plan."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache

from ...config import settings
from ...problem import ConvProblem
from ...threads import get_num_threads
from ..work import Rate, Work
from .channels_plan import ChannelsPlan
from .plan import make_plan, size_of
from .planes_plan import PlanesPlan, strain

STRIDED = 2  # times as long as counted: phases of a stride are small tiles of their own, read and written apart
APART = 20  # bytes that an element costs beyond its own where elements of a channel are not neighbours


# Two threads of an AMD EPYC (Zen 4), November 2026.
ENGINE = "fft"
RATES = {
    "conv": Rate(0.0047, 0.0097, 8e-05, 0.008, 1200, 39000),
    "weight_grad": Rate(0.0057, 0.00039, 0, 0.016, 25000, 6200),
}


def work(problem: ConvProblem) -> Work:
    """Count what an operation does; `extra` is for the threads in use."""
    counts = _work(problem if problem.N else replace(problem, N=1), settings.scratch_bytes, get_num_threads())
    if max(problem.stride) == 1:
        return counts
    tile, vector, cached, memory = (STRIDED * count for count in counts[:4])
    return Work(tile, vector, cached, memory, counts.regions, counts.extra)


@lru_cache(maxsize=512)
def _work(problem: ConvProblem, budget: int, threads: int) -> Work:
    plan = make_plan(size_of(problem), budget, problem.prepared)
    elements = problem.N * (problem.C * math.prod(problem.size) + problem.O * math.prod(problem.out))
    moved = elements * problem.itemsize
    if isinstance(plan, ChannelsPlan):
        return _channels(plan, moved, plan.members(threads, budget))
    if problem.channels_last and max(problem.C, problem.O) > 1:
        moved += elements * APART  # a tile of one channel takes a few numbers from each line of the cache
    return _planes(plan, moved, plan.members(min(threads, plan.pairs * plan.groups), budget), problem.prepared)


def _planes(plan: PlanesPlan, moved: int, members: int, prepared: bool) -> Work:
    """Tiles of single channels: pairs of tiles there and back, products, and the spectra of the filters."""
    size, points = plan.size, plan.tile.points
    again_inner, again_outer = -(-size.targets // plan.targets), -(-size.sources // plan.sources)
    filters = size.groups * size.inner * size.outer
    signals = plan.pairs * size.groups * (size.inner * again_inner + size.outer * again_outer)
    transforms = signals + (0 if prepared else filters)
    chunks = -(-size.groups // plan.groups) * again_inner * again_outer
    point = 2 * size.itemsize
    return Work(
        tile=0.0,
        vector=points * (5 * plan.tile.levels * transforms + 8.0 * plan.pairs * filters),
        cached=points * point * (6 + strain(plan.tile, size.itemsize)) * transforms
        + points * point * 2.0 * plan.pairs * filters,
        memory=float(moved + filters * points * point * (0 if prepared else 1)),
        regions=chunks * (1 if prepared else 2),
        extra=plan.bytes(members) - (plan.held if prepared else 0),
    )


def _channels(plan: ChannelsPlan, moved: int, members: int) -> Work:
    """Tiles of blocks of channels: transforms, products on the micro-kernel, and the spectra in between."""
    size, points, lanes = plan.size, plan.tile.points, plan.lanes
    inner, outer = plan.blocks
    batches, chunks = -(-plan.tiles // plan.batch), -(-size.targets // plan.targets)
    again = chunks if size.gradient else 1
    signals = size.groups * plan.tiles * (inner * again + outer * chunks) / 2
    made = 0.0 if plan.prepared else size.groups * size.inner * outer * chunks / 2
    if not size.gradient and chunks > 1:
        made *= batches
    point = 2 * lanes * size.itemsize
    products = size.groups * plan.frequencies * size.inner * outer * chunks
    return Work(
        tile=8.0 * products * lanes * plan.tiles,
        vector=5.0 * plan.tile.levels * lanes * points * (signals + made),
        cached=points * point * 8.0 * (signals + made) + products * point * 3.0 * batches,
        memory=float(moved + points * point * 2 * signals + products * point * (batches + (0 if plan.prepared else 1))),
        regions=size.groups * (batches * (again + 2 * chunks) + (0 if plan.prepared else chunks)),
        extra=plan.bytes(members),
    )
