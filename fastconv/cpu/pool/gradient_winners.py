"""The gradient of maxima: each element of dy is added to the element of dx that its index names.

Nobody tells the gradient of a maximum which windows there were. But where dx has twice as many rows and columns as dy,
these usually were pairs or threes, and then the four elements of rows 2i, 2i + 1 and columns 2j, 2j + 1 get what the
windows (i, j), (i, j+1), (i+1, j) and (i+1, j+1) have for them, in this order. So each element is written once, vectors
of them at a time, and nothing is cleared before; that every index lies in its window is looked at on the way, and if
not, a plane is done again by scattering. Channels-first planes are images of one channel, with lanes along rows; else
lanes are channels.
"""

from __future__ import annotations

import numpy as np

from ...simd.jit import kernel
from ...simd.lane_math import add, convert, equal, every, moved_down, pair, pick, subtract, under
from ...simd.lanes import address, first_lanes, inlined, load, numbers, peek, poke, spread, store, zero, zeros
from ...simd.parallel import parallel_kernel
from ...simd.vector import clear, lanes_of, rolled
from .kinds import ask_lanes, claim_lanes

# What windows are taken for: nothing, pairs, threes.
UNKNOWN, PAIRS, THREES = range(3)


@parallel_kernel
def max_grad(  # type: ignore[no-untyped-def]
    thread, first, last, dy, indices, dx, wrong, anew, plane, outputs, C, block, H, W
):
    """Scatter dy to the elements that won: a task is an image, or `block` channels of it, begun `anew` or added to.

    Where dx has H rows of W columns, twice as many as dy (H = 0: not so), it is tried without scattering first.
    """
    py, pi, px = address(dy), address(indices), address(dx)
    parts, kind = (C + block - 1) // block, PAIRS if H > 0 else UNKNOWN
    for task in range(first, last):
        n, begin = task // parts, task % parts * block
        o, at, end = n * outputs * C, n * plane * C, min(C, begin + block)
        while kind != UNKNOWN and not _spread(kind, py, pi, o, px, at, H, W, begin, end, C):
            kind = THREES if kind == PAIRS else UNKNOWN
        if kind == UNKNOWN:
            if anew:
                _clear_block(px, at, plane, begin, end, C)
            if C == 1:
                fine = _scatter_plane(py, pi, o, px, at, plane, outputs)
            else:
                fine = _scatter(py, pi, o, px, at, plane, outputs, begin, end, C)
            if not fine:
                wrong[0] = 1


@kernel
def _spread(kind, dy, indices, o, dx, at, H, W, begin, end, C):  # type: ignore[no-untyped-def]
    if C == 1:
        return _spread_plane(kind, dy, indices, o, dx, at, H, W)
    return _spread_channels(kind, dy, indices, o, dx, at, H, W, begin, end, C)


@kernel
def _clear_block(dx, at, plane, begin, end, C):  # type: ignore[no-untyped-def]
    """Zero channels begin..end-1 of an image."""
    rows, length = (1, plane * C) if end - begin == C else (plane, end - begin)
    for _ in range(rows):
        clear(dx, at + begin, length)
        at += C


@kernel
def _scatter(dy, indices, o, dx, at, plane, outputs, begin, end, C):  # type: ignore[no-untyped-def]
    """Add channels begin..end-1 of dy[o:] to dx[at:]; False if an index is not one of the plane."""
    fine = True
    for _ in range(outputs):
        for c in range(begin, end):
            index = peek(indices, o + c)
            if np.uint64(index) < np.uint64(plane):
                place = at + index * C + c
                poke(dx, place, peek(dx, place) + peek(dy, o + c))
            elif index != -1:
                fine = False
        o += C
    return fine


@kernel
def _scatter_plane(dy, indices, o, dx, at, plane, outputs):  # type: ignore[no-untyped-def]
    """`_scatter` for one channel."""
    fine = True
    for i in range(o, o + outputs):
        index = peek(indices, i)
        if np.uint64(index) < np.uint64(plane):
            poke(dx, at + index, peek(dx, at + index) + peek(dy, i))
        elif index != -1:
            fine = False
    return fine


@kernel
def _spread_plane(kind, dy, indices, o, dx, at, H, W):  # type: ignore[no-untyped-def]
    """Write one plane of dx, whose columns are lanes; False if an index does not lie in its window."""
    like, lanes, OW = zeros(dx, 1), lanes_of(dx), W // 2
    whole, none, home = (OW - 1) // lanes * lanes, first_lanes(0, like), numbers(0, 2, like, np.int32(0))
    tail, beside = first_lanes(OW - whole, like), first_lanes(OW - whole - 1, like)
    written = first_lanes(W - 2 * whole, zeros(dx, 2))
    if kind == THREES and whole == 0:
        return _spread_narrow(dy, indices, o, dx, at, H, W, (tail, written), home)
    edge, inner = pick(first_lanes(1, home), spread(1, home), spread(0, home)), spread(0, home)
    for i in range(H // 2):
        to, last, fine = at + 2 * i * W, 2 * i + 2 == H, True
        for c in range(0, whole, lanes):
            j = rolled(c)
            first, low = add(home, spread(2 * (i * W + j), home)), edge if j == 0 else inner
            if kind == PAIRS:
                four, found = _pairs(like, None, dy, indices, o + j, first, H * W, W)
            elif last:
                four, found = _threes(like, (None, None, none, none), dy, indices, o + j, 1, OW, first, H * W, W, low)
            else:
                four, found = _threes(like, (None, None, None, None), dy, indices, o + j, 1, OW, first, H * W, W, low)
            fine = fine and every(found)
            _store_rows(dx, to + 2 * j, W, four, None)
        first, low = add(home, spread(2 * (i * W + whole), home)), edge if whole == 0 else inner
        if kind == PAIRS:
            four, found = _pairs(like, tail, dy, indices, o + whole, first, H * W, W)
        else:
            masks = tail, beside, none if last else tail, none if last else beside
            four, found = _threes(like, masks, dy, indices, o + whole, 1, OW, first, H * W, W, low)
        _store_rows(dx, to + 2 * whole, W, four, written)
        if not (fine and every(pick(tail, found, equal(home, home)))):
            return False
        o += OW
    return True


@inlined
def _spread_narrow(dy, indices, o, dx, at, H, W, masks, home):  # type: ignore[no-untyped-def]
    """`spread_plane` of threes whose columns are one vector: each row of dy is read once."""
    like, OW, plane, (tail, written) = zeros(dx, 1), W // 2, H * W, masks
    low = pick(first_lanes(1, home), spread(1, home), spread(0, home))
    here, empty = _window(like, tail, dy, indices, o, home, plane), (zero(like), spread(-1, home), equal(home, home))
    for i in range(H // 2):
        below, first = empty, add(home, spread(2 * i * W, home))
        if 2 * i + 2 < H:
            below = _window(like, tail, dy, indices, o + (i + 1) * OW, home, plane)
        ask_lanes(like, dy, o + i * OW)
        ask_lanes(like, indices, o + i * OW)
        four, found = _shared(here, _next(here), below, _next(below), first, W, low)
        _store_rows(dx, at + 2 * i * W, W, four, written)
        if not every(pick(tail, found, equal(home, home))):
            return False
        here = below
    return True


@inlined
def _store_rows(dx, to, W, four, mask):  # type: ignore[no-untyped-def]
    upper, lower = pair(four[0], four[1]), pair(four[2], four[3])
    claim_lanes(upper, dx, to)
    claim_lanes(upper, dx, to + W)
    store(dx, to, upper, mask)
    store(dx, to + W, lower, mask)


@kernel
def _spread_channels(kind, dy, indices, o, dx, at, H, W, begin, end, C):  # type: ignore[no-untyped-def]
    """Write channels begin..end-1 of an image of dx; False if an index does not lie in its window."""
    like, lanes, OW, fine = zeros(dx, 1), lanes_of(dx), W // 2, True
    for i in range(H // 2):
        for j in range(OW):
            home = numbers(2 * (i * W + j), 0, like, np.int32(0))
            low, right, below = spread(1 if j == 0 else 0, home), j + 1 < OW, 2 * i + 2 < H
            for c in range(begin, end, lanes):
                place, count = (o + j * C + c, at + 2 * (i * W + j) * C + c), min(end - c, lanes)
                mask = first_lanes(count, like)
                masks = mask, first_lanes(count * right, like), first_lanes(count * below, like)
                if kind == PAIRS and count == lanes:
                    four, found = _pairs(like, None, dy, indices, place[0], home, H * W, W)
                elif kind == PAIRS:
                    four, found = _pairs(like, mask, dy, indices, place[0], home, H * W, W)
                elif count == lanes and right and below:
                    all_ = None, None, None, None
                    four, found = _threes(like, all_, dy, indices, place[0], C, OW * C, home, H * W, W, low)
                else:
                    some = masks[0], masks[1], masks[2], first_lanes(count * right * below, like)
                    four, found = _threes(like, some, dy, indices, place[0], C, OW * C, home, H * W, W, low)
                fine = fine and every(pick(mask, found, equal(home, home)))
                if count == lanes:
                    _store_square(like, None, dx, place[1], C, W, four)
                else:
                    _store_square(like, mask, dx, place[1], C, W, four)
            if not fine:
                return False
        o += OW * C
    return True


@inlined
def _store_square(like, mask, dx, to, C, W, four):  # type: ignore[no-untyped-def]
    claim_lanes(like, dx, to)
    claim_lanes(like, dx, to + C)
    claim_lanes(like, dx, to + W * C)
    claim_lanes(like, dx, to + W * C + C)
    store(dx, to, four[0], mask)
    store(dx, to + C, four[1], mask)
    store(dx, to + W * C, four[2], mask)
    store(dx, to + W * C + C, four[3], mask)


@inlined
def _pairs(like, mask, dy, indices, o, home, plane, W):  # type: ignore[no-untyped-def]
    """What windows of 2x2 have for their elements, the first of which are numbers `home`, and whose index is there."""
    ask_lanes(like, dy, o)
    ask_lanes(like, indices, o)
    value, places = load(dy, o, like, mask), load(indices, o, like, mask)
    place = convert(places, home)
    hits = (
        equal(place, home), equal(place, add(home, spread(1, home))), equal(place, add(home, spread(W, home))),
        equal(place, add(home, spread(W + 1, home))),
    )  # fmt: skip
    found = pick(hits[0], hits[0], pick(hits[1], hits[1], pick(hits[2], hits[2], hits[3])))
    value, none = add(value, zero(like)), zero(like)  # as if added to 0: not -0
    four = (
        pick(hits[0], value, none), pick(hits[1], value, none), pick(hits[2], value, none), pick(hits[3], value, none),
    )  # fmt: skip
    return four, pick(found, under(places, spread(plane, places)), found)


@inlined
def _threes(like, masks, dy, indices, o, step, hop, home, plane, W, low):  # type: ignore[no-untyped-def]
    """As `_pairs` for windows of 3x3; `low` is 1 where no column lies before. Lanes of `masks` have neighbours."""
    here = _window(like, masks[0], dy, indices, o, home, plane)
    right = _window(like, masks[1], dy, indices, o + step, home, plane)
    below = _window(like, masks[2], dy, indices, o + hop, home, plane)
    beyond = _window(like, masks[3], dy, indices, o + hop + step, home, plane)
    ask_lanes(like, dy, o + hop)
    ask_lanes(like, indices, o + hop)
    return _shared(here, right, below, beyond, home, W, low)


@inlined
def _window(like, mask, dy, indices, o, home, plane):  # type: ignore[no-untyped-def]
    """Values, the numbers of the elements that get them, and whether these lie in the plane."""
    places = load(indices, o, like, mask)
    return load(dy, o, like, mask), convert(places, home), under(places, spread(plane, places))


@inlined
def _next(window):  # type: ignore[no-untyped-def]
    """The windows one lane further, none behind the last."""
    return moved_down(window[0]), moved_down(window[1]), window[2]


@inlined
def _shared(here, right, below, beyond, home, W, low):  # type: ignore[no-untyped-def]
    """What four windows of 3x3 have for the elements that they share, and whether those `here` have theirs within."""
    none, second, third = zero(here[0]), add(home, spread(1, home)), add(home, spread(W, home))
    fourth = add(home, spread(W + 1, home))
    a = _added(none, here, home)
    b = _added(_added(none, here, second), right, second)
    c = _added(_added(none, here, third), below, third)
    d = _added(_added(_added(_added(none, here, fourth), right, fourth), below, fourth), beyond, fourth)
    number, rows = add(subtract(here[1], home), spread(W + 1, home)), spread(W, home)
    number = pick(under(number, rows), number, subtract(number, rows))
    number = pick(under(number, rows), number, subtract(number, rows))
    found = under(subtract(number, low), subtract(spread(3, low), low))
    return (a, b, c, d), pick(found, here[2], found)


@inlined
def _added(total, window, place):  # type: ignore[no-untyped-def]
    """`window` has values and the numbers of the elements that get them; to `total` are added those for `place`."""
    return pick(equal(window[1], place), add(total, window[0]), total)
