"""What Winograd's method has to do for a problem: the counts of the cost model (`fastconv.cpu.work`)."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

from llvmlite import ir

from ...problem import ConvProblem
from ...simd.host import TILE_VECTORS, host, tile_rows
from ...threads import team
from ..work import Rate, Work
from .forward_cut import cut_forward
from .grad_cut import cut_weight_grad
from .points import Role, apply, sandwich, scheme
from .sheets import sizes
from .tiling import TAPS, TileProblem

IN_FLIGHT = 8  # independent sums that keep the multiply-add units busy


# Two threads of an AMD EPYC (Zen 4), November 2026.
ENGINE = "winograd"
RATES = {
    "conv": Rate(0.00094, 0.019, 0.0079, 0.011, 1900, 18000),
    "weight_grad": Rate(0.0034, 0.0042, 0.01, 0.017, 1800, 12000),
}


def work(problem: ConvProblem) -> Work:
    """What a call has to do, for the cost model; a dilated filter may be as many problems as it has phases."""
    if problem.op == "conv_weight_grad":
        D, H, W = problem.out
        down, across = min(problem.dilation[1], H), min(problem.dilation[2], W)
        count, times = _weight_grad(TileProblem.of(problem, (D, -(-H // down), -(-W // across)))), down * across
    else:
        parts = sizes(problem)
        if not parts:
            return Work(0.0, 0.0, 0.0, 0.0, 0, 0)
        count, times = _forward(parts[0], problem.prepared), len(parts)
    each = problem.C * math.prod(problem.size) + problem.O * math.prod(problem.out)
    outside = float(problem.itemsize * max(1, problem.N) * each)
    return Work(
        count.tile * times, count.vector * times, count.cached * times, count.memory * times + outside,
        count.regions * times, count.extra,
    )  # fmt: skip


@lru_cache(maxsize=1024)
def _forward(size: TileProblem, prepared: bool) -> Work:
    """Counts of a forward sweep, without reading x and writing y."""
    cut = cut_forward(size, prepared)
    blocks, panels = cut.grid.item_blocks, cut.grid.all_panels
    tiles, filters = size.tiles(cut.m) * size.groups, size.groups * size.C * size.O
    members = team(cut.tasks, size.operations)
    chunks = -(-size.C // cut.chunk) if cut.streamed else 1
    made = blocks if cut.streamed else 0 if prepared else members  # how often filters are transformed
    v, products, u = (cut.frequencies * n for n in (tiles * cut.pixel, tiles * panels * cut.lanes, filters))
    moved = v * (1 + panels) + 2 * chunks * products + u * (blocks + made) + _edges(size, cut.m)
    return Work(
        tile=2.0 * v / cut.pixel * size.C * _whole(size) * _idle(size, cut.tiles),
        vector=float(
            tiles * cut.pixel * _operations(Role.INPUT, cut.m)
            + tiles * size.O * _operations(Role.OUTPUT, cut.m)
            + filters * made * _operations(Role.FILTER, cut.m)
        ),
        cached=float(size.itemsize * moved),
        memory=float(size.itemsize * (u if prepared and not cut.streamed else TAPS * filters)),
        regions=1,
        extra=size.itemsize * members * cut.scratch.end,
    )


@lru_cache(maxsize=1024)
def _weight_grad(size: TileProblem) -> Work:
    """Counts of a weight gradient, without reading x and dy."""
    cut = cut_weight_grad(size)
    blocks, panels = cut.grid.item_blocks, cut.grid.all_panels
    tiles, filters = size.tiles(cut.m) * size.groups, size.groups * size.C * panels * cut.lanes
    v, d = (cut.frequencies * tiles * pixel for pixel in (cut.x_pixel, cut.dy_pixel))
    products = cut.frequencies * filters * (cut.parts if cut.phased else blocks)
    partial = TAPS * filters * cut.parts
    moved = v * (1 + panels) + d * (1 + cut.channel_blocks) + 2 * products + 2 * partial + _edges(size, cut.m)
    whole = cut.planes_size if cut.phased else 0
    members = team(cut.tasks, size.operations)
    return Work(
        tile=2.0 * v / cut.x_pixel * size.C * _whole(size) * _idle(size, cut.channels),
        vector=float(
            tiles * cut.x_pixel * _operations(Role.INPUT, cut.m)
            + tiles * cut.dy_pixel * _operations(Role.GRADIENT, cut.m)
            + filters * cut.parts * _operations(Role.WEIGHTS, cut.m)
        ),
        cached=float(size.itemsize * moved),
        memory=float(size.itemsize * (filters * TAPS + (2 * (v + d) if cut.phased else 0))),
        regions=2 * cut.parts + 1 if cut.phased else 2,
        extra=size.itemsize * (whole + partial + members * cut.scratch.end),
    )


def _edges(size: TileProblem, m: int) -> int:
    """Elements moved for strips and staging, where channels do not lie together."""
    tiles = size.groups * size.tiles(m)
    strips = 0 if size.in_place else 2 * tiles * (m + 1) ** 2 * size.C
    return strips + (2 * tiles * m * m * size.O if size.staged else 0)


def _whole(size: TileProblem) -> int:
    """Lanes of the vectors that a group's output channels take."""
    lanes = host().lanes(size.itemsize)
    return -(-size.O // lanes) * lanes


def _idle(size: TileProblem, rows: int) -> float:
    """How much longer tiles take that are too small to keep the multiply-add units busy."""
    vectors = min(TILE_VECTORS, -(-size.O // host().lanes(size.itemsize)))
    return max(1.0, IN_FLIGHT / (rows / -(-rows // tile_rows()) * vectors))


class _Counter:
    """Stands in for `simd.emit.Emitter` and its builder: counts operations instead of emitting them."""

    lanes = 1
    vector = ir.VectorType(ir.FloatType(), 1)

    def __init__(self) -> None:
        self.builder = self
        self.count = 0

    def _one(self, *operands: Any) -> None:
        self.count += 1

    fadd = fsub = fmul = multiply_add = _one


@lru_cache(maxsize=16)
def _operations(role: Role, m: int) -> int:
    """Vector operations of one 2-D transform, for each vector of channels."""
    counter = _Counter()
    transform, _, size = scheme(role, m)
    if role in (Role.INPUT, Role.GRADIENT):  # of a row of tiles: neighbours share columns
        for _ in range(m + m + 2):
            list(apply(counter, transform, dict.fromkeys(range(size))))
        return counter.count
    sandwich(counter, transform, size, lambda i, j: None, lambda i, j, value: None)
    return counter.count
