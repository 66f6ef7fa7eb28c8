"""What direct and im2col have to do for a problem: the counts of the cost model (`fastconv.cpu.work`)."""

from __future__ import annotations

import math

from ..config import settings
from ..problem import ConvProblem
from ..simd.host import TILE_VECTORS, factors, host, tile_rows
from ..threads import team
from .blocking import WANTED_TASKS, panel_lanes
from .weight_grad import share
from .work import Rate, Work

IN_FLIGHT = 8  # independent sums that keep the multiply-add units busy

# Two threads of an AMD EPYC (Zen 4), November 2026; direct and im2col are one engine.
ENGINE = "sweep"  # what measured rates are kept under
RATES = {
    "conv": Rate(0.0045, 0.0095, 0.026, 0, 5100, 5600),
    "weight_grad": Rate(0.0045, 0.0099, 0.016, 0.017, 3300, 25000),
}


def pairs_serve(problem: ConvProblem) -> bool:
    """Whether this host multiplies arrays of bfloat16 as they are, in pairs of input channels."""
    if problem.dtype != "bfloat16" or not host().pairs:
        return False
    return problem.op == "conv" or (problem.op == "conv_input_grad" and not problem.bordered)


def panels_work(problem: ConvProblem, *, unfold: bool) -> Work:
    """Counts of one call of direct, or with `unfold` of im2col."""
    op, itemsize, channels_last, prepared = problem.op, problem.itemsize, problem.channels_last, problem.prepared
    N, C, size, out, stride = max(1, problem.N), problem.C, problem.size, problem.out, problem.stride
    groups, inner, outer, taps = problem.groups, problem.inputs, problem.outputs, problem.taps
    x, y, w = N * C * math.prod(size), N * problem.O * math.prod(out), problem.O * inner * taps
    columns, width = (inner, max(1, size[2] // stride[2])) if op == "conv_input_grad" else (outer, out[2])
    lanes, depth = host().sums(itemsize), outer if op == "conv_input_grad" else inner
    vectors = -(-columns // lanes)
    rows = math.prod(out) if unfold else width
    if op == "conv_weight_grad":  # of a tile: the channels of taps that lie side by side
        rows = inner * (problem.kernel[2] if problem.dilation[2] == 1 and not unfold else 1)
    idle = vectors * lanes / columns * max(1.0, IN_FLIGHT / (_tile(rows) * min(TILE_VECTORS, vectors)))
    step = factors(itemsize)
    idle *= -(-depth // step) * step / depth
    operations = 2 * y * inner * taps
    source = y if op == "conv_input_grad" else x
    edges_apart = op != "conv_weight_grad" and problem.padding_mode == "zeros" and problem.dilation[2] == 1
    packed = not channels_last or (taps > 1 and not edges_apart)
    moved = 2 * source * packed + 2 * math.prod(out) * N * C * taps * unfold
    if not channels_last:  # results go by way of sums
        moved += (1 + step) * (x if op == "conv_input_grad" else y)
    if op == "conv_weight_grad":
        moved += 16 * w  # partial sums
    unfolded = N * math.prod(out) * depth * taps * unfold
    padded = [n + e - 1 for n, e in zip(size, problem.extent, strict=True)]
    held = 2 * N * depth * math.prod(padded) + unfolded  # by a thread, if its budget let it hold all
    return Work(
        tile=operations * idle,
        vector=0.0,
        cached=float(itemsize * moved),
        memory=float(itemsize * (x + y + (0 if prepared else 2 * w))),
        regions=1 if prepared else 2,
        extra=_weights(op, groups, inner, outer, taps, itemsize, prepared, N * math.prod(out))
        + team(1 << 20, operations) * min(itemsize * held, 3 * settings.tile_bytes),
    )


def _tile(rows: int) -> float:
    """Mean height of the tiles that `rows` rows are cut into."""
    return rows / -(-rows // tile_rows())


def _weights(
    op: str, groups: int, inner: int, outer: int, taps: int, itemsize: int, prepared: bool, pixels: int
) -> int:
    """Bytes of packed weights, or of the weight gradient's partial copies (as `weight_grad` has them)."""
    if prepared:
        return 0
    if op == "conv_input_grad":
        inner, outer = outer, inner
    panels = -(-outer // panel_lanes(outer, itemsize))
    copy = itemsize * groups * panels * panel_lanes(outer, itemsize) * taps * inner
    if op != "conv_weight_grad":
        return copy
    return share(groups, WANTED_TASKS, panels, copy, pixels)[0] * copy
