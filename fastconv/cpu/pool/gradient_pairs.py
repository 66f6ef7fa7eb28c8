"""The average gradient of channels-first pairs and threes (`pairs`): everything in registers.

With R the sum of dy * factor over the rows of windows that hold a row of dx, columns 2j and 2j + 1 of that row are R[j]
both, for windows of 2; and R[j] and R[j] + R[j+1] for windows of 3.
"""

from __future__ import annotations

from ...simd.fields import fields
from ...simd.jit import kernel
from ...simd.lane_math import add, multiply, pair
from ...simd.lanes import address, first_lanes, inlined, load, spread, store, zero, zeros
from ...simd.parallel import parallel_kernel
from ...simd.vector import lanes_of, rolled
from .kinds import Planes, ask_lanes, claim_lanes, next_row


@parallel_kernel
def avg_grad_pairs(thread, first, last, dy, dx, covers, factors, planes, three, square):  # type: ignore[no-untyped-def]
    """A task is a row of dx; the arguments are as for `avg_grad_first`, the factors along a row all the same.

    With `square` rows lie in windows as columns do: rows 2i and 2i + 1 are made together, of rows i and i + 1 of dy.
    """
    p, (deep, high), (factors_d, factors_h, factors_w) = fields(Planes, planes), covers, factors
    D, H, W, OD, OH, OW = p.D, p.H, p.W, p.OD, p.OH, p.OW
    py, px, share = address(dy), address(dx), factors_w[0]
    d, h, plane, task = first // H % D, first % H, first // (H * D), first
    while task < last:
        rows, i = min(last - task, H - h) // 2 * 2, h // 2
        if not square or h % 2 == 1 or rows == 0 or deep[d + 1] - deep[d] != 1 or i >= OH:
            rows = 1
            _any_row(py, px, task * W, plane * OD, OH, OW, W, (deep, high), (factors_d, factors_h, share), d, h, three)
        else:
            factor, at = factors_d[deep[deep[d]]] * share, ((plane * OD + deep[deep[d]]) * OH + i) * OW
            if three and i + 1 < OH:
                rows = min(rows, 2 * (OH - 1 - i))
                for r in range(rows // 2):
                    both = factors_h[i + r] * factor, factors_h[i + r + 1] * factor
                    _two_rows(_threes, py, at + r * OW, px, (task + 2 * r) * W, OW, W, both)
            elif three:
                rows = 2
                _two_rows(_last_threes, py, at, px, task * W, OW, W, (factors_h[i] * factor, 0.0))
            else:
                rows = min(rows, 2 * (OH - i))
                for r in range(rows // 2):
                    both = factors_h[i + r] * factor, 0.0
                    _two_rows(_pairs, py, at + r * OW, px, (task + 2 * r) * W, OW, W, both)
        task += rows
        d, h = next_row(d, h + rows - 1, D, H)
        plane += 1 if d == 0 and h == 0 else 0


@inlined
def _two_rows(spreading, dy, at, dx, to, OW, W, both):  # type: ignore[no-untyped-def]
    """Rows dx[to : to + 2*W] from two rows of dy, whose factors are `both`."""
    like, twice, lanes, none = zeros(dx, 1), zeros(dx, 2), lanes_of(dx), None
    factors, whole = (spread(both[0], like), spread(both[1], like)), min(W // 2, max(0, OW - 1)) // lanes * lanes
    for c in range(0, whole, lanes):
        j = rolled(c)
        ask_lanes(like, dy, at + j)
        claim_lanes(twice, dx, to + 2 * j)
        claim_lanes(twice, dx, to + W + 2 * j)
        even, odd = spreading(dy, at + j, OW, none, none, factors)
        store(dx, to + 2 * j, even, None)
        store(dx, to + W + 2 * j, odd, None)
    for c in range(whole, (W + 1) // 2, lanes):
        j = rolled(c)
        ask_lanes(like, dy, at + j)
        claim_lanes(twice, dx, to + 2 * j)
        claim_lanes(twice, dx, to + W + 2 * j)
        masks = first_lanes(OW - j, like), first_lanes(OW - j - 1, like)
        even, odd = spreading(dy, at + j, OW, masks[0], masks[1], factors)
        store(dx, to + 2 * j, even, first_lanes(W - 2 * j, even))
        store(dx, to + W + 2 * j, odd, first_lanes(W - 2 * j, odd))


@inlined
def _pairs(dy, at, OW, mask, next_mask, factors):  # type: ignore[no-untyped-def]
    """Both rows are one row of dy, every number twice."""
    row = multiply(load(dy, at, factors[0], mask), factors[0])
    return pair(row, row), pair(row, row)


@inlined
def _threes(dy, at, OW, mask, next_mask, factors):  # type: ignore[no-untyped-def]
    """The first row lies in one row of windows, the second in that and the next; columns likewise."""
    here = multiply(load(dy, at, factors[0], mask), factors[0])
    behind = multiply(load(dy, at + 1, factors[0], next_mask), factors[0])
    below = add(here, multiply(load(dy, at + OW, factors[1], mask), factors[1]))
    beside = add(behind, multiply(load(dy, at + OW + 1, factors[1], next_mask), factors[1]))
    return pair(here, add(here, behind)), pair(below, add(below, beside))


@inlined
def _last_threes(dy, at, OW, mask, next_mask, factors):  # type: ignore[no-untyped-def]
    """Both rows lie in the last row of windows."""
    here = multiply(load(dy, at, factors[0], mask), factors[0])
    behind = multiply(load(dy, at + 1, factors[0], next_mask), factors[0])
    row = pair(here, add(here, behind))
    return row, row


@kernel
def _any_row(dy, dx, to, planes, OH, OW, W, covers, factors, d, h, three):  # type: ignore[no-untyped-def]
    """A row of dx that lies in any number of rows of windows."""
    (deep, high), like, lanes = covers, zeros(dx, 1), lanes_of(dx)
    for c in range(0, (W + 1) // 2, lanes):
        j, here, behind = rolled(c), zero(like), zero(like)
        mask, next_mask = first_lanes(OW - j, like), first_lanes(OW - j - 1, like)
        for a in range(deep[d], deep[d + 1]):
            for u in range(high[h], high[h + 1]):
                at = ((planes + deep[a]) * OH + high[u]) * OW + j
                factor = spread(factors[0][deep[a]] * factors[1][high[u]] * factors[2], like)
                here = add(here, multiply(load(dy, at, like, mask), factor))
                if three:
                    behind = add(behind, multiply(load(dy, at + 1, like, next_mask), factor))
        value = pair(here, add(here, behind) if three else here)
        store(dx, to + 2 * j, value, first_lanes(W - 2 * j, value))
