"""Planar filtering."""

from __future__ import annotations

import numpy as np

from ..simd.filter_tile import filter_address
from ..threads import team
from .lowering import Lowered, WeightStrides
from .pack import scratch
from .planar_blocking import Lanes, bias_order, by_channels, by_pixels, cut, weight_order
from .planar_kernels import sweep

LINE, INTEGER = 8, np.dtype(np.int64)  # integers of a cache line, or of two entries: no line has two owners
NO_BIAS = {4: np.empty(0, np.float32), 8: np.empty(0, np.float64)}


def lanes_for(low: Lowered, itemsize: int) -> Lanes | None:
    if low.C == 1 and low.x_strides[1] == 1 and low.y_strides[1] == 1 and low.groups > 1:
        return by_channels(low, itemsize)
    if low.x_strides[4] == 1:
        return by_pixels(low, itemsize)
    return None


def filter_planes(low: Lowered, lanes: Lanes, x, w, at: WeightStrides, b, y, *, relu: bool) -> None:
    if low.N == 0:
        return
    plan = cut(low, lanes, x.itemsize)
    members = team(plan.tasks, low.work)
    sweep(
        members,
        plan.tasks,
        x.reshape(-1),
        w.reshape(-1).take(weight_order(low, plan, at)),
        NO_BIAS[x.itemsize] if b is None else b.take(bias_order(low, plan)),
        y.reshape(-1),
        low.index,
        plan.numbers,
        scratch(members * plan.entries * LINE, INTEGER).reshape(members, -1),
        scratch(members * plan.own, x.dtype).reshape(members, -1),
        relu,
        filter_address(x.itemsize),
    )
