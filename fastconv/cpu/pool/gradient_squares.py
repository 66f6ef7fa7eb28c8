"""The average gradient of channels-last pairs and threes (`pairs`) along both axes: everything in registers.

With a factor on each row of dy, pixels 2j and 2j + 1 of rows 2i and 2i + 1 of dx are all dy[i,j], for windows of 2x2;
and dy[i,j], dy[i,j] + dy[i,j+1], dy[i,j] + dy[i+1,j] and the sum of all four for windows of 3x3.
"""

from __future__ import annotations

from ...simd.fields import fields
from ...simd.jit import kernel
from ...simd.lane_math import add, multiply
from ...simd.lanes import address, first_lanes, inlined, load, spread, store, zeros
from ...simd.parallel import parallel_kernel
from ...simd.vector import lanes_of
from .kinds import Planes, ask_lanes, claim_lanes


@parallel_kernel
def avg_grad_squares(thread, first, last, dy, dx, factors, scale, planes, block, three):  # type: ignore[no-untyped-def]
    """Tasks are two rows of dx, times blocks of `block` channels; rows of dy have `factors`, times `scale`."""
    p = fields(Planes, planes)
    H, W, C, OH, OW = p.H, p.W, p.C, p.OH, p.OW
    py, px, parts, pairs = address(dy), address(dx), (C + block - 1) // block, (H + 1) // 2
    whole = max(0, min(OW - three, W // 2))
    for task in range(first, last):
        row, begin = task // parts, task % parts * block
        image, i = row // pairs, row % pairs
        width = min(C, begin + block) - begin
        at, to = (image * OH + i) * OW * C + begin, (image * H + 2 * i) * W * C + begin
        both = factors[i] * scale if i < OH else 0.0, factors[i + 1] * scale if three and i + 1 < OH else 0.0
        rows, below, columns = 1 if 2 * i + 1 == H else 2, three and i + 1 < OH, 0
        if rows == 2 and below:
            _pixels(_threes, py, at, px, to, whole, C, width, OW * C, W * C, both)
            columns = whole
        elif rows == 2 and three and i < OH:
            _pixels(_last_threes, py, at, px, to, whole, C, width, OW * C, W * C, both)
            columns = whole
        elif rows == 2 and i < OH:
            _pixels(_pairs, py, at, px, to, whole, C, width, OW * C, W * C, both)
            columns = whole
        for j in range(columns, (W + 1) // 2):
            held = i < OH and j < OW, i < OH and three and j + 1 < OW, below and j < OW, below and j + 1 < OW
            shape = rows, 1 if 2 * j + 1 == W else 2
            _any_pixels(py, at + j * C, px, to + 2 * j * C, C, width, OW * C, W * C, both, held, shape, three)


@inlined
def _pixels(spreading, dy, at, dx, to, count, C, width, hop, step, both):  # type: ignore[no-untyped-def]
    """Squares of 2x2 pixels of dx, `count` in a row, from the pixels of dy that reach them."""
    many, one, lanes = zeros(dx, 2), zeros(dx, 1), lanes_of(dx)
    mask = first_lanes(width % lanes, one)
    for _ in range(count):
        c = 0
        while c + 2 * lanes <= width:
            ask_lanes(many, dy, at + c)
            claim_lanes(many, dx, to + c)
            claim_lanes(many, dx, to + c + C)
            claim_lanes(many, dx, to + c + step)
            claim_lanes(many, dx, to + c + step + C)
            spreading(many, None, dy, at + c, dx, to + c, C, hop, step, both)
            c += 2 * lanes
        while c + lanes <= width:
            spreading(one, None, dy, at + c, dx, to + c, C, hop, step, both)
            c += lanes
        if c < width:
            spreading(one, mask, dy, at + c, dx, to + c, C, hop, step, both)
        at += C
        to += 2 * C


@inlined
def _pairs(like, mask, dy, at, dx, to, C, hop, step, both):  # type: ignore[no-untyped-def]
    here = multiply(load(dy, at, like, mask), spread(both[0], like))
    _store_square(dx, to, C, step, mask, (here, here, here, here))


@inlined
def _threes(like, mask, dy, at, dx, to, C, hop, step, both):  # type: ignore[no-untyped-def]
    upper, lower = spread(both[0], like), spread(both[1], like)
    here, beside = multiply(load(dy, at, like, mask), upper), multiply(load(dy, at + C, like, mask), upper)
    low = add(here, multiply(load(dy, at + hop, like, mask), lower))
    across = add(beside, multiply(load(dy, at + hop + C, like, mask), lower))
    _store_square(dx, to, C, step, mask, (here, add(here, beside), low, add(low, across)))


@inlined
def _last_threes(like, mask, dy, at, dx, to, C, hop, step, both):  # type: ignore[no-untyped-def]
    """Both rows lie in the last row of windows only."""
    upper = spread(both[0], like)
    here = multiply(load(dy, at, like, mask), upper)
    between = add(here, multiply(load(dy, at + C, like, mask), upper))
    _store_square(dx, to, C, step, mask, (here, between, here, between))


@inlined
def _store_square(dx, to, C, step, mask, values):  # type: ignore[no-untyped-def]
    store(dx, to, values[0], mask)
    store(dx, to + C, values[1], mask)
    store(dx, to + step, values[2], mask)
    store(dx, to + step + C, values[3], mask)


@inlined
def _held(like, count, held, dy, at, factor):  # type: ignore[no-untyped-def]
    return multiply(load(dy, at, like, first_lanes(count if held else 0, like)), factor)


@kernel
def _any_pixels(dy, at, dx, to, C, width, hop, step, both, held, shape, three):  # type: ignore[no-untyped-def]
    """At most 2x2 pixels of dx at its border, of `shape`; dy has those of four pixels that are `held`."""
    one, lanes = zeros(dx, 1), lanes_of(dx)
    upper, lower = spread(both[0], one), spread(both[1], one)
    for c in range(0, width, lanes):
        count = min(lanes, width - c)
        mask = first_lanes(count, one)
        here = _held(one, count, held[0], dy, at + c, upper)
        beside = _held(one, count, held[1], dy, at + c + C, upper)
        low = add(here, _held(one, count, held[2], dy, at + c + hop, lower))
        across = add(beside, _held(one, count, held[3], dy, at + c + hop + C, lower))
        store(dx, to + c, here, mask)
        if shape[1] == 2:
            store(dx, to + c + C, add(here, beside) if three else here, mask)
        if shape[0] == 2:
            store(dx, to + c + step, low, mask)
            if shape[1] == 2:
                store(dx, to + c + step + C, add(low, across) if three else low, mask)
