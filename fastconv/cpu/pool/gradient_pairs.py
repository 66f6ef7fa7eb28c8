"""The average gradient of channels-first pairs and threes (`pairs`): everything in registers.

With R the sum of dy * factor over the rows of windows that hold a row of dx, columns 2j and 2j + 1 of that row are R[j]
both, for windows of 2; and R[j] and R[j] + R[j+1] for windows of 3.
"""

from __future__ import annotations

from ...simd.fields import fields
from ...simd.lane_math import add, multiply, pair
from ...simd.lanes import address, first_lanes, inlined, load, spread, store, zero, zeros
from ...simd.parallel import parallel_kernel
from ...simd.vector import lanes_of
from .kinds import Planes, next_row


@parallel_kernel
def avg_grad_pairs(thread, first, last, dy, dx, covers, factors, planes, three):  # type: ignore[no-untyped-def]
    """A task is a row of dx; the arguments are as for `avg_grad_first`, the factors along a row all the same."""
    p = fields(Planes, planes)
    D, H, W, OD, OH, OW = p.D, p.H, p.W, p.OD, p.OH, p.OW
    deep, high = covers
    factors_d, factors_h, factors_w = factors
    py, px, lanes, like, share = address(dy), address(dx), lanes_of(dx), zeros(dx, 1), factors_w[0]
    d, h, plane = first // H % D, first % H, first // (H * D)
    whole = min(W // (2 * lanes), max(0, OW - 1) // lanes) * lanes
    for task in range(first, last):
        rows = deep[d], deep[d + 1], high[h], high[h + 1]
        for j in range(0, (W + 1) // 2, lanes):
            here, behind = zero(like), zero(like)
            mask, next_mask = first_lanes(OW - j, like), first_lanes(OW - j - 1, like)
            for a in range(rows[0], rows[1]):
                for u in range(rows[2], rows[3]):
                    od, oh = deep[a], high[u]
                    at = ((plane * OD + od) * OH + oh) * OW + j
                    factor = spread(factors_d[od] * factors_h[oh] * share, like)
                    if j < whole:
                        here = _summed(here, py, at, None, factor)
                        behind = _summed(behind, py, at + 1, None, factor) if three else here
                    else:
                        here = _summed(here, py, at, mask, factor)
                        behind = _summed(behind, py, at + 1, next_mask, factor) if three else here
            value = pair(here, add(here, behind) if three else here)
            if j < whole:
                store(px, task * W + 2 * j, value, None)
            else:
                store(px, task * W + 2 * j, value, first_lanes(W - 2 * j, value))
        d, h = next_row(d, h, D, H)
        plane += 1 if d == 0 and h == 0 else 0


@inlined
def _summed(total, dy, at, mask, factor):  # type: ignore[no-untyped-def]
    return add(total, multiply(load(dy, at, total, mask), factor))
