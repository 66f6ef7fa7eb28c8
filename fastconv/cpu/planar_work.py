"""What planar filtering has to do for a problem that direct hands to it: the counts of the cost model."""

from __future__ import annotations

import math

from ..config import settings
from ..simd.host import host
from ..threads import team
from .lowering import Triple
from .planar import serves
from .work import Work


def planar_work(
    op: str, N: int, C: int, O: int, size: Triple, out: Triple, kernel: Triple, *, stride: Triple, groups: int,
    itemsize: int, channels_last: bool, prepared: bool,
) -> Work | None:  # fmt: skip
    """Counts of one call; None where the lanes of direct are output channels."""
    inner, outer, step = C // groups, O // groups, stride[2]
    x_strides = (1, C) if channels_last else (math.prod(size), 1)
    y_strides = (1, O) if channels_last else (math.prod(out), 1)
    width = out[2]
    if op == "conv_input_grad":
        inner, outer, width, step = outer, inner, max(1, size[2] // step), 1
        x_strides, y_strides = y_strides, (x_strides[0], x_strides[1] * stride[2])
    elif op == "conv_weight_grad" and (inner, outer) != (1, 1):
        return None
    lanes = serves(inner, outer, groups, width, step, (*x_strides, *y_strides), itemsize)
    if lanes is None:
        return None
    vector, taps = host().lanes(itemsize), math.prod(kernel)
    count = groups * outer if lanes == "channels" else width
    operations = 2 * N * O * math.prod(out) * (C // groups) * taps
    x, y, w = N * C * math.prod(size), N * O * math.prod(out), O * (C // groups) * taps
    return Work(
        tile=0.0,
        vector=operations * (-(-count // vector) * vector) / count,
        cached=float(itemsize * 2 * (y if op == "conv_input_grad" else x)),
        memory=float(itemsize * (x + y + (0 if prepared else 2 * w))),
        regions=1,
        extra=(16 if op == "conv_weight_grad" else 1) * itemsize * w * (1 if lanes == "channels" else vector)
        + 2 * team(1 << 20, operations) * settings.tile_bytes,
    )
