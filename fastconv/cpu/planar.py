"""Planar filtering."""

from __future__ import annotations

import numpy as np

from ..simd.filter_tile import BROADCAST, FIELDS, LANES, filter_address
from ..threads import team
from .lowering import Lowered, WeightStrides
from .pack import scratch
from .planar_blocking import Lanes, bias_order, by_channels, by_pixels, cut, weight_order
from .planar_kernels import sweep

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
    bias = NO_BIAS[x.itemsize]
    if b is not None:
        order = bias_order(low, plan)
        bias = b if order is None else b[order]
    sweep(
        members, plan.tasks, x.reshape(-1), low.x_strides, low.index, low.interior,
        w.reshape(-1).take(weight_order(low, plan, at)), bias, y.reshape(-1), (low.y_start, *low.y_strides),
        (low.C, low.O, low.groups * low.O), plan.grid, plan.edges, (*plan.tile, lanes.repeat), plan.weights, plan.band,
        (int(lanes.staged), plan.band_size, *plan.staging), low.stride, low.span, plan.template, plan.starts,
        np.empty((members, 2 * FIELDS * plan.entries), np.int64),
        scratch(members * (2 * plan.band_size + plan.staging_size), x.dtype).reshape(members, -1), relu,
        filter_address(x.itemsize),
    )  # fmt: skip
