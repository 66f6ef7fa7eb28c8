"""What planar filtering has to do for a problem: the counts of the cost model (`fastconv.cpu.work`)."""

from __future__ import annotations

import math
from functools import lru_cache

from ...config import settings
from ...problem import ConvProblem
from ...simd.filter_tile import FILTER_ROWS, filter_vectors
from ...simd.host import host
from ...threads import team
from ..work import Work
from .lanes import OutputRow, serves

GRADIENT = 2  # times as long as counted: the sums of a weight gradient are tiles of few rows, set up often
SETUP = 80  # cycles of a tile besides its multiply-adds, one vector's worth each: sums set up and stored


@lru_cache(maxsize=512)
def planar_work(problem: ConvProblem) -> Work | None:
    """Counts of one call of direct where it filters by planes, else None."""
    op, itemsize, channels_last, prepared = problem.op, problem.itemsize, problem.channels_last, problem.prepared
    N, C, O, size, out, stride = max(1, problem.N), problem.C, problem.O, problem.size, problem.out, problem.stride
    groups, taps = problem.groups, problem.taps
    backward = op == "conv_input_grad"
    row = _first_row(problem)
    inner, outer, width = row.C, row.O, row.width
    if op == "conv_weight_grad" and inner * outer != 1:
        return None
    lanes, served = host().lanes(itemsize), serves(row, itemsize)
    if served is None:
        return None
    length = width if served == "pixels" else groups * outer
    x, y = N * C * math.prod(size), N * O * math.prod(out)
    operations = 2 * y * inner * taps if not backward else 2 * y * outer * taps
    idle = -(-length // lanes) * lanes / length
    terms = max(1.0, taps * inner / math.prod(stride)) if backward else taps * inner
    source, result = (y, x) if backward else (x, y)
    staged = result if not channels_last and served == "channels" else 0
    members = team(1 << 20, operations)
    image = source // max(1, N) // (groups if served == "pixels" else 1)
    block = min(2 * settings.tile_bytes, 4 * itemsize * image + 64 * itemsize * lanes)
    extra = members * block * (2 if staged else 1) + (0 if prepared else itemsize * O * inner * taps)
    if op == "conv_weight_grad":
        extra += 16 * itemsize * O * taps * lanes
        operations *= GRADIENT
    return Work(
        tile=operations * idle * (1 + SETUP / (FILTER_ROWS * filter_vectors() * terms)),
        vector=0.0,
        cached=float(2 * itemsize * (source + staged)),
        memory=float(itemsize * (x + y)),
        regions=1,
        extra=int(extra),
    )


def _first_row(problem: ConvProblem) -> OutputRow:
    """A row of the lowered problem: of a gradient to the input it is one of the first phase."""
    backward, stride = problem.op == "conv_input_grad", problem.stride[2]
    C, O, size, out = problem.inputs, problem.outputs, problem.size, problem.out
    width, step, apart = out[2], stride, 1
    if backward:
        C, O, size, out = O, C, out, size
        width, step, apart = -(-out[2] // stride), 1, stride
    groups = problem.groups
    x_c, x_w = (1, C * groups) if problem.channels_last else (math.prod(size), 1)
    y_c, y_w = (1, O * groups * apart) if problem.channels_last else (math.prod(out), apart)
    return OutputRow(C, O, groups, width, step, x_c, x_w, y_c, y_w)
