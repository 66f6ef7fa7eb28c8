"""What direct and im2col have to do for a problem: the counts of the cost model (`fastconv.cpu.work`)."""

from __future__ import annotations

import math

from ..config import settings
from ..simd.host import TILE_VECTORS, host, tile_rows
from ..threads import team
from .lowering import Triple
from .work import Work

IN_FLIGHT = 8  # independent sums that keep the multiply-add units busy


def sweep_work(
    op: str, N: int, C: int, O: int, size: Triple, out: Triple, kernel: Triple, *, stride: Triple, dilation: Triple,
    groups: int, itemsize: int, prepared: bool, channels_last: bool, unfold: bool,
) -> Work:  # fmt: skip
    """Counts of one call of direct, or with `unfold` of im2col."""
    inner, outer, taps = C // groups, O // groups, math.prod(kernel)
    x, y, w = N * C * math.prod(size), N * O * math.prod(out), O * inner * taps
    columns, width = (inner, max(1, size[2] // stride[2])) if op == "conv_input_grad" else (outer, out[2])
    vectors = -(-columns // host().lanes(itemsize))
    rows = inner if op == "conv_weight_grad" else math.prod(out) if unfold else width
    idle = vectors * host().lanes(itemsize) / columns * max(1.0, IN_FLIGHT / (_tile(rows) * min(TILE_VECTORS, vectors)))
    operations = 2 * y * inner * taps
    source = y if op == "conv_input_grad" else x
    packed = taps > 1 or not channels_last
    moved = 2 * source * packed + 2 * math.prod(out) * N * C * taps * unfold
    if not channels_last:
        moved += 2 * (x if op == "conv_input_grad" else y)
    if op == "conv_weight_grad":
        moved += 16 * w  # partial sums
    return Work(
        tile=operations * idle,
        vector=0.0,
        cached=float(itemsize * moved),
        memory=float(itemsize * (x + y + (0 if prepared else 2 * w))),
        regions=1 if prepared else 2,
        extra=_extra(op, source // max(1, N) // groups, w, operations, itemsize, prepared),
    )


def _tile(rows: int) -> float:
    """Mean height of the tiles that `rows` rows are cut into."""
    return rows / -(-rows // tile_rows())


def _extra(op: str, image: int, w: int, operations: int, itemsize: int, prepared: bool) -> int:
    """Bytes: packed weights (or partial sums of them), and a strip with what it gives in each thread's cache."""
    members = team(1 << 20, operations)
    strip = min(2 * itemsize * image, 2 * settings.tile_bytes)
    if op == "conv_weight_grad":
        return max(itemsize * w, settings.scratch_bytes) + members * strip
    return (0 if prepared else itemsize * w) + members * strip
