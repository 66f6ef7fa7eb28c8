"""Scores of template matching: sums over the window of every output, and what they make of a correlation.

    S1[i, j] = sum over u,v of x[i+u, j+v]        S2[i, j] = sum over u,v of x[i+u, j+v]**2

in double precision and without a subtraction: what an integral image, or a running sum, adds and takes away again
leaves its rounding errors behind, and NaN, Inf or one huge number everything. Down the columns a window is the end of
one block of rows, whole rows in between, and the beginning of the next block (van Herk, 1992); along a row, sums of
1, 2, 4, ... neighbours make up its width. So a score depends on the elements of its own window alone.

Cost: about 12 additions an output, and one division and square root. Extra memory: per thread two rows for each row of
a block. A task owns a block of rows and columns of the result; the same bits for any number of threads.
Error of S1, S2: below (KD + KH + log2 KW)*2**-53 of the sum of what they add up, absolute values taken.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ..memory import empty, scratch
from ..simd.fields import fields, packed
from ..simd.host import host
from ..simd.jit import kernel
from ..simd.lane_math import (
    add,
    beats,
    convert,
    divide,
    doubles,
    largest,
    largest_of,
    multiply,
    pick,
    root,
    smallest,
    subtract,
)
from ..simd.lanes import address, first_lanes, inlined, lane_count, load, spread, store, zero, zeros
from ..simd.parallel import parallel_kernel
from ..simd.vector import lanes_of
from ..threads import team

METHODS = ("sqdiff", "sqdiff_normed", "ccorr", "ccorr_normed", "ccoeff", "ccoeff_normed")
SQDIFF, SQDIFF_NORMED, CCORR, CCORR_NORMED, CCOEFF, CCOEFF_NORMED = range(6)

DOUBLE = np.dtype(np.float64)
LEAST_ROWS, BLOCKS = 32, 8  # rows of a block, and blocks of a plane, before blocks get smaller than a window
COLUMNS, FACTOR = 512, 2  # of a block: at least so many, and so many times a window's
PIECE = 4096  # columns of a block of `depth_moments`


class Cut(NamedTuple):
    """How planes of windows are cut: sizes of x, of the result and of a window, and of blocks of the result."""

    height: int
    width: int
    rows: int
    columns: int
    kernel_rows: int
    kernel_columns: int
    planes: int
    block_rows: int
    block_columns: int
    row_blocks: int
    column_blocks: int
    templates: int
    method: int
    pitch: int  # of rows in a thread's scratch


class Found(NamedTuple):
    """What decides whether the correlation was exact enough: largest S2, smallest denominator of a window but 0."""

    largest: float
    smallest: float


def match_scores(
    x: np.ndarray, scores: np.ndarray, window: tuple[int, ...], templates: np.ndarray, *, method: str, center: float,
    flat: float,
) -> Found:  # fmt: skip
    """Make of correlations with templates less their means the scores of a method of `METHODS`, in place.

    x is (D, H, W), less `center`; scores (templates, OD, OH, OW); each of `templates` has its mean, the sum of squares
    about it, and what its correlation has been divided by. Windows whose variance is below `flat` times S2 have none.
    """
    KD, KH, KW = window
    T, OD, OH, OW = scores.shape
    first, second = (x, np.empty(0)) if KD == 1 else depth_moments(x, KD)
    rows = min(KH, max(LEAST_ROWS, -(-OH // BLOCKS)))
    columns = min(OW, max(COLUMNS, FACTOR * KW))
    cut = Cut(
        height=x.shape[1], width=x.shape[2], rows=OH, columns=OW, kernel_rows=KH, kernel_columns=KW, planes=OD,
        block_rows=rows, block_columns=columns, row_blocks=-(-OH // rows), column_blocks=-(-OW // columns),
        templates=T, method=METHODS.index(method), pitch=_pitch(columns + KW - 1),
    )  # fmt: skip
    tasks = OD * cut.row_blocks * cut.column_blocks
    members = team(tasks, 32 * T * OD * OH * OW)
    found = np.empty((tasks, 2))
    _scores(
        members, tasks, first.reshape(-1), second.reshape(-1), scores.reshape(-1), packed(cut), templates,
        np.array([KD * KH * KW, center, flat, 0.0]), scratch((members, (2 * rows + 7) * cut.pitch), DOUBLE), found,
    )  # fmt: skip
    return Found(float(found[:, 0].max(initial=0)), float(found[:, 1].min(initial=math.inf)))


def _pitch(width: int) -> int:
    """Elements from one row of a thread's scratch to the next: whole vectors, one to spare, an odd number."""
    lanes = host().lanes(DOUBLE.itemsize)
    return (-(-width // lanes) + 1 | 1) * lanes


def match_moments(
    scores: np.ndarray, first: np.ndarray, second: np.ndarray, templates: np.ndarray, *, method: str, count: float,
    center: float, floor: float,
) -> None:  # fmt: skip
    """As `match_scores`, with S1 and S2 of `count` elements given: float64, of the shape of one template's scores.

    Windows whose variance is below `floor` have none.
    """
    T, *shape = scores.shape
    rows, columns = math.prod(shape[:-1]), shape[-1]
    members, wide = team(rows, 16 * scores.size), _pitch(columns)
    _finish(
        members, rows, first.reshape(-1), second.reshape(-1), scores.reshape(T, rows, columns),
        METHODS.index(method), templates, np.array([count, center, 0.0, floor]), wide,
        scratch((members, 5 * wide), DOUBLE), np.zeros((rows, 2)),
    )  # fmt: skip


def depth_moments(x: np.ndarray, depth: int) -> tuple[np.ndarray, np.ndarray]:
    """S1 and S2 of windows of `depth` planes of one element: float64 (D - depth + 1, H, W) each."""
    D, H, W = x.shape
    rows = D - depth + 1
    first, second = (empty((rows, H, W), DOUBLE) for _ in range(2))
    block, piece = min(depth, rows), min(PIECE, H * W)
    blocks, pieces = -(-rows // block), -(-(H * W) // piece)
    members, wide = team(blocks * pieces, 8 * x.size), _pitch(piece)
    _moments(
        members, blocks * pieces, x.reshape(-1), first.reshape(-1), second.reshape(-1), rows, H * W, depth, block,
        piece, pieces, wide, scratch((members, (2 * block + 4) * wide), DOUBLE),
    )  # fmt: skip
    return first, second


@parallel_kernel
def _moments(thread, first, last, x, y, y2, rows, pitch, depth, block, piece, pieces, wide, own):
    """A task: a block of rows of one piece of the columns."""
    p, mine = address(x), address(own[thread])
    sums = (2 * block + 2) * wide
    for task in range(first, last):
        row0, at = task // pieces * block, task % pieces * piece
        count, width = min(block, rows - row0), min(piece, pitch - at)
        _row_ends(p, p, row0 * pitch + at, pitch, count, depth, width, mine, wide, False)
        _clear(mine, sums, width)
        _clear(mine, sums + wide, width)
        for i in range(count):
            o = (row0 + i) * pitch + at
            if i:
                _add_row(p, p, o + (depth - 1) * pitch, width, mine, sums, sums, wide, False)
            _add(mine, 2 * i * wide, sums, width, address(y), o)
            _add(mine, (2 * i + 1) * wide, sums + wide, width, address(y2), o)


@parallel_kernel
def _scores(thread, first, last, x, x2, scores, numbers, templates, reals, own, found):
    """A task: a block of rows and columns of one plane, for all templates."""
    n, p, p2, mine = fields(Cut, numbers), address(x), address(x2), address(own[thread])
    wide, KW, given = n.pitch, n.kernel_columns, x2.size > 0
    sums, c, y = (2 * n.block_rows + 2) * wide, (2 * n.block_rows + 4) * wide, address(scores)
    for task in range(first, last):
        plane, block = task // (n.row_blocks * n.column_blocks), task % (n.row_blocks * n.column_blocks)
        row0, column0 = block // n.column_blocks * n.block_rows, block % n.column_blocks * n.block_columns
        rows, columns = min(n.block_rows, n.rows - row0), min(n.block_columns, n.columns - column0)
        width, start = columns + KW - 1, (plane * n.height + row0) * n.width + column0
        found[task, 0], found[task, 1] = 0.0, np.inf
        _row_ends(p, p2, start, n.width, rows, n.kernel_rows, width, mine, wide, given)
        _clear(mine, sums, width)
        _clear(mine, sums + wide, width)
        for i in range(rows):
            if i:
                at = start + (n.kernel_rows + i - 1) * n.width
                _add_row(p, p2, at, width, mine, sums, sums, wide, given)
            s1, s2 = 2 * i * wide, (2 * i + 1) * wide  # their place is free once they are read
            _add(mine, s1, sums, width, mine, c)
            _row_windows(mine, c, s1, width, KW)
            _add(mine, s2, sums + wide, width, mine, c)
            _row_windows(mine, c, s2, width, KW)
            _window_facts(n.method, mine, s1, s2, wide, columns, reals, c, found, task)
            for t in range(n.templates):
                o = ((t * n.planes + plane) * n.rows + row0 + i) * n.columns + column0
                _score(n.method, y, o, mine, c, wide, columns, reals, templates, t)


@parallel_kernel
def _finish(thread, first, last, s1, s2, scores, method, templates, reals, wide, own, found):
    """A task: one row of the result, for all templates."""
    y, mine, columns = address(scores), address(own[thread]), scores.shape[2]
    for row in range(first, last):
        _copy_row(address(s1), row * columns, mine, 3 * wide, columns)
        _copy_row(address(s2), row * columns, mine, 4 * wide, columns)
        _window_facts(method, mine, 3 * wide, 4 * wide, wide, columns, reals, 0, found, row)
        for t in range(scores.shape[0]):
            o = (t * scores.shape[1] + row) * columns
            _score(method, y, o, mine, 0, wide, columns, reals, templates, t)


@kernel
def _copy_row(x, at, p, o, width):
    """A row of float64, the last vector filled up with zeros."""
    like, lanes = zeros(p, 1), lanes_of(p)
    for j in range(0, width, lanes):
        store(p, o + j, _row_part(x, at + j, width - j, like), None)


@inlined
def _row_part(x, at, left, like):
    """The next elements of a row of which `left` are left, in float64; zeros beyond its end."""
    if left >= lane_count(like):
        return doubles(load(x, at, like, None))
    return doubles(load(x, at, like, first_lanes(left, like)))


@kernel
def _row_ends(x, x2, start, pitch, rows, window, width, p, wide, given):
    """Sums of rows i..window-1 for each i up to `rows`: S1 to place 2*i of p, S2 to 2*i + 1."""
    _clear(p, 2 * rows * wide, width)
    _clear(p, (2 * rows + 1) * wide, width)
    for i in range(window - 1, -1, -1):
        before, after = 2 * min(i + 1, rows) * wide, 2 * min(i, rows) * wide
        _add_row(x, x2, start + i * pitch, width, p, before, after, wide, given)


@kernel
def _clear(p, o, width):
    like, lanes = zeros(p, 1), lanes_of(p)
    for j in range(0, width, lanes):
        store(p, o + j, like, None)


@kernel
def _add_row(x, x2, at, width, p, before, after, wide, given):
    """p[after:] = p[before:] + a row, and `wide` behind the same of its squares, or of x2's row if that is given."""
    like, lanes = zeros(p, 1), lanes_of(p)
    for j in range(0, width, lanes):
        v = _row_part(x, at + j, width - j, like)
        w = _row_part(x2, at + j, width - j, like) if given else multiply(v, v)
        store(p, after + j, add(load(p, before + j, like, None), v), None)
        store(p, after + wide + j, add(load(p, before + wide + j, like, None), w), None)


@kernel
def _add(p, a, b, width, y, o):
    """y[o:] = p[a:] + p[b:]; y may be p, whose rows have room for whole vectors."""
    like, lanes = zeros(p, 1), lanes_of(p)
    for j in range(0, width, lanes):
        total = add(load(p, a + j, like, None), load(p, b + j, like, None))
        if j + lanes <= width:
            store(y, o + j, total, None)
        else:
            store(y, o + j, total, first_lanes(width - j, like))


@kernel
def _row_windows(p, c, s, width, window):
    """p[s+j] = p[c+j] + ... + p[c+j+window-1]; what is at c is used up."""
    like, lanes = zeros(p, 1), lanes_of(p)
    length, many, columns = 0, 1, width - window + 1
    while many <= window:  # at c are sums of `many` neighbours, at s those of `length`
        if window & many:
            for j in range(0, columns, lanes):
                total = load(p, c + length + j, like, None)
                if length:
                    total = add(load(p, s + j, like, None), total)
                store(p, s + j, total, None)
            length += many
        if 2 * many <= window:
            for j in range(0, width - 2 * many + 1, lanes):
                store(p, c + j, add(load(p, c + j, like, None), load(p, c + many + j, like, None)), None)
        many *= 2


@kernel
def _window_facts(method, p, s1, s2, wide, columns, reals, o, found, task):
    """The mean of each window, the sum of squares about it, and one by the root of what a method divides by.

    The sum of squares is 0 where it is below the error of computing it, and nothing is divided by 0. Keeps the largest
    S2, and the smallest number that is divided by.
    """
    like, lanes = zeros(p, 1), lanes_of(p)
    part, center, count = spread(1.0 / reals[0], like), spread(reals[1], like), spread(reals[0], like)
    flat, floor, one, none = spread(reals[2], like), spread(reals[3], like), spread(1.0, like), zero(like)
    far, most = spread(np.inf, like), spread(found[task, 0], like)
    least = spread(found[task, 1], like)
    for j in range(0, columns, lanes):
        first, second = load(p, s1 + j, like, None), load(p, s2 + j, like, None)
        if j + lanes > columns:  # beyond the end lies what is not to be looked at
            mask = first_lanes(columns - j, like)
            first, second = pick(mask, first, none), pick(mask, second, none)
        mean = multiply(first, part)
        var = subtract(second, multiply(first, mean))
        var = pick(beats(add(multiply(flat, second), floor), var), none, var)
        mean = add(mean, center)
        square = var
        if method != CCOEFF_NORMED:
            square = add(var, multiply(count, multiply(mean, mean)))
        divides = beats(square, none)
        store(p, o + j, mean, None)
        store(p, o + wide + j, var, None)
        store(p, o + 2 * wide + j, pick(divides, divide(one, root(square)), none), None)
        most, least = largest(most, second), smallest(least, pick(divides, square, far))
    found[task, 0], found[task, 1] = largest_of(most), -largest_of(subtract(none, least))


@kernel
def _score(method, y, o, p, c, wide, columns, reals, templates, t):
    """One row of correlations with a template less its mean becomes a row of scores."""
    like, lanes = zeros(p, 1), lanes_of(p)
    t_mean, t_squares, count = templates[t, 0], templates[t, 1], reals[0]
    whole = t_squares if method == CCOEFF_NORMED else t_squares + count * t_mean * t_mean
    norm = spread(1.0 / np.sqrt(whole) if whole > 0.0 else 0.0, like)
    scale, one, minus, none = spread(templates[t, 2], like), spread(1.0, like), spread(-1.0, like), zero(like)
    weight, center, squares = spread(count * t_mean, like), spread(t_mean, like), spread(t_squares, like)
    counts = spread(count, like)
    for j in range(0, columns, lanes):
        mean, inverse = load(p, c + j, like, None), multiply(load(p, c + 2 * wide + j, like, None), norm)
        v = multiply(_row_part(y, o + j, columns - j, like), scale)
        if method in (CCORR, CCORR_NORMED):
            v = add(v, multiply(weight, mean))
        elif method in (SQDIFF, SQDIFF_NORMED):
            off = subtract(mean, center)
            v = subtract(add(load(p, c + wide + j, like, None), squares), add(v, v))
            v = add(v, multiply(counts, multiply(off, off)))
            v = largest(v, none)
        if method == SQDIFF_NORMED:
            v = pick(beats(inverse, none), multiply(v, inverse), pick(beats(v, none), one, none))
        elif method in (CCORR_NORMED, CCOEFF_NORMED):
            v = largest(smallest(multiply(v, inverse), one), minus)  # a NaN stays
        if j + lanes <= columns:
            store(y, o + j, convert(v, y), None)
        else:
            store(y, o + j, convert(v, y), first_lanes(columns - j, like))
