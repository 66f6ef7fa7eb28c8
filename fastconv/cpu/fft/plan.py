"""How method "fft" cuts a problem: the cheaper of tiles of single channels and tiles of blocks of channels.

A plan depends on the problem, the byte budget and the host's vectors, never on the number of threads.
"""

from __future__ import annotations

import math
from functools import lru_cache

from ...problem import ConvProblem
from .channels_plan import ChannelsPlan, plan_channels
from .phases import phases
from .planes_plan import PlanesPlan, plan_planes
from .tiling import Size, triple


@lru_cache(maxsize=256)
def make_plan(size: Size, budget: int, prepared: bool = False) -> PlanesPlan | ChannelsPlan:
    """The cheapest plan that keeps the budget, or the one that misses it least."""
    channels = plan_channels(size, budget, prepared) if size.inner > 1 and size.outer > 1 else None
    planes = plan_planes(size, budget, channels.cost if channels is not None else math.inf)
    if channels is None or (planes is not None and planes.rank(budget) < channels.rank(budget)):
        assert planes is not None
        return planes
    return channels


def size_of(problem: ConvProblem) -> Size:
    """What the plan of a problem depends on."""
    parts = phases(problem.kernel, problem.stride, problem.dilation)
    N, groups, itemsize, inner, outer = problem.N, problem.groups, problem.itemsize, problem.inputs, problem.outputs
    if problem.op == "conv_input_grad":
        points = triple(-(-n // s) for n, s in zip(problem.size, problem.stride, strict=True))
        return Size(N, points, parts.extent, groups, outer, inner, 1, parts.count, itemsize)
    gradient = problem.op == "conv_weight_grad"
    return Size(N, problem.out, parts.extent, groups, inner, outer, parts.count, 1, itemsize, gradient=gradient)
