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
from . import grad_plan, plan
from .plan import TAPS, Shape
from .points import Role, sandwich, scheme

IN_FLIGHT = 8  # independent sums that keep the multiply-add units busy


# Two threads of an AMD EPYC (Zen 4), November 2026.
ENGINE = "winograd"
RATES = {
    "conv": Rate(0.00094, 0.019, 0.0079, 0.011, 1900, 18000),
    "weight_grad": Rate(0.0034, 0.0042, 0.01, 0.017, 1800, 12000),
}


def work(problem: ConvProblem) -> Work:
    """What a call has to do, for the cost model; a dilated filter is as many problems as it has phases."""
    op, N, groups, itemsize = problem.op, max(1, problem.N), problem.groups, problem.itemsize
    channels_last, prepared = problem.channels_last, problem.prepared
    inner, outer, result = problem.inputs, problem.outputs, problem.out
    if op == "conv_input_grad":
        inner, outer, result = outer, inner, problem.size
    steps = [min(d, n) for d, n in zip(problem.dilation[1:], result[1:], strict=True)]
    result = (result[0], -(-result[1] // steps[0]), -(-result[2] // steps[1]))
    shape = Shape(
        N, groups, inner, outer, result, itemsize, channels_last or inner == 1, not channels_last and outer > 1
    )
    phases = math.prod(steps)
    count = _weight_grad(shape) if op == "conv_weight_grad" else _forward(shape, prepared)
    outside = float(itemsize * N * (problem.C * math.prod(problem.size) + problem.O * math.prod(problem.out)))
    return Work(
        count.tile * phases, count.vector * phases, count.cached * phases, count.memory * phases + outside,
        count.regions * phases, count.extra,
    )  # fmt: skip


@lru_cache(maxsize=1024)
def _forward(shape: Shape, prepared: bool) -> Work:
    """Counts of a forward sweep, without reading x and writing y."""
    p = plan.cut(shape, prepared)
    tiles, filters = shape.tiles(p.m) * shape.groups, shape.groups * shape.C * shape.O
    tasks = shape.groups * p.blocks * (p.panels if p.streamed else 1)
    members = team(tasks, shape.operations)
    chunks = -(-shape.C // p.chunk) if p.streamed else 1
    made = p.blocks if p.streamed else 0 if prepared else members  # how often filters are transformed
    v, products, u = (p.frequencies * n for n in (tiles * p.pixel, tiles * p.panels * p.lanes, filters))
    moved = v * (1 + p.panels) + 2 * chunks * products + u * (p.blocks + made) + _edges(shape, p.m)
    return Work(
        tile=2.0 * v / p.pixel * shape.C * _whole(shape.O, shape) * _idle(shape.O, shape, p.tiles),
        vector=float(
            tiles * p.pixel * _operations(Role.INPUT, p.m)
            + tiles * shape.O * _operations(Role.OUTPUT, p.m)
            + filters * made * _operations(Role.FILTER, p.m)
        ),
        cached=float(shape.itemsize * moved),
        memory=float(shape.itemsize * (u if prepared and not p.streamed else TAPS * filters)),
        regions=1,
        extra=shape.itemsize * members * p.places[-1],
    )


@lru_cache(maxsize=1024)
def _weight_grad(shape: Shape) -> Work:
    """Counts of a weight gradient, without reading x and dy."""
    p = grad_plan.cut(shape)
    tiles, filters = shape.tiles(p.m) * shape.groups, shape.groups * shape.C * p.panels * p.lanes
    v, d = (p.frequencies * tiles * pixel for pixel in p.pixels)
    channel_blocks = -(-shape.C // p.channels)
    products = p.frequencies * filters * (p.parts if p.phased else p.grid[4])
    partial = TAPS * filters * p.parts
    moved = v * (1 + p.panels) + d * (1 + channel_blocks) + 2 * products + 2 * partial + _edges(shape, p.m)
    whole = shape.groups * sum(p.sizes[:2]) if p.phased else 0
    members = team(shape.groups * (p.panels * channel_blocks if p.phased else p.parts), shape.operations)
    return Work(
        tile=2.0 * v / p.pixels[0] * shape.C * _whole(shape.O, shape) * _idle(shape.O, shape, p.channels),
        vector=float(
            tiles * p.pixels[0] * _operations(Role.INPUT, p.m)
            + tiles * p.pixels[1] * _operations(Role.GRADIENT, p.m)
            + filters * p.parts * _operations(Role.WEIGHTS, p.m)
        ),
        cached=float(shape.itemsize * moved),
        memory=float(shape.itemsize * (filters * TAPS + (2 * (v + d) if p.phased else 0))),
        regions=2 * p.parts + 1 if p.phased else 2,
        extra=shape.itemsize * (whole + partial + members * max(places[-1] for places in p.places)),
    )


def _edges(shape: Shape, m: int) -> int:
    """Elements moved for strips and staging, where channels do not lie together."""
    tiles = shape.groups * shape.tiles(m)
    strips = 0 if shape.in_place else 2 * tiles * (m + 1) ** 2 * shape.C
    return strips + (2 * tiles * m * m * shape.O if shape.staged else 0)


def _whole(channels: int, shape: Shape) -> int:
    """Lanes of the vectors that `channels` output channels take."""
    lanes = host().lanes(shape.itemsize)
    return -(-channels // lanes) * lanes


def _idle(channels: int, shape: Shape, rows: int) -> float:
    """How much longer tiles take that are too small to keep the multiply-add units busy."""
    vectors = min(TILE_VECTORS, -(-channels // host().lanes(shape.itemsize)))
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
    sandwich(counter, transform, size, lambda i, j: None, lambda i, j, value: None)
    return counter.count
