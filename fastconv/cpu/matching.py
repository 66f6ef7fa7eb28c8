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
from ..simd.jit import kernel
from ..simd.parallel import parallel_kernel
from ..threads import team

METHODS = ("sqdiff", "sqdiff_normed", "ccorr", "ccorr_normed", "ccoeff", "ccoeff_normed")
SQDIFF, SQDIFF_NORMED, CCORR, CCORR_NORMED, CCOEFF, CCOEFF_NORMED = range(6)

LEAST_ROWS, BLOCKS = 32, 8  # rows of a block, and blocks of a plane, before blocks get smaller than a window
COLUMNS = 1024  # of a block
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
    columns = min(OW, max(COLUMNS, 4 * KW))
    cut = Cut(
        x.shape[1], x.shape[2], OH, OW, KH, KW, OD, rows, columns, -(-OH // rows), -(-OW // columns), T,
        METHODS.index(method),
    )  # fmt: skip
    tasks = OD * cut.row_blocks * cut.column_blocks
    members = team(tasks, 32 * T * OD * OH * OW)
    wide = columns + KW - 1
    found = np.empty((tasks, 2))
    _scores(
        members, tasks, first.reshape(-1), second.reshape(-1), scores.reshape(-1), packed(cut), templates,
        np.array([KD * KH * KW, center, flat, 0.0]), scratch((members, 2 * rows + 9, wide), np.dtype(np.float64)), found,
    )  # fmt: skip
    return Found(float(found[:, 0].max(initial=0)), float(found[:, 1].min(initial=math.inf)))


def match_moments(
    scores: np.ndarray, first: np.ndarray, second: np.ndarray, templates: np.ndarray, *, method: str, count: float,
    center: float, floor: float,
) -> None:  # fmt: skip
    """As `match_scores`, with S1 and S2 of `count` elements given: of double precision, of one template's scores' shape.

    Windows whose variance is below `floor` have none.
    """
    T, *shape = scores.shape
    rows, columns = math.prod(shape[:-1]), shape[-1]
    _finish(
        team(rows, 16 * scores.size), rows, first.reshape(rows, columns), second.reshape(rows, columns),
        scores.reshape(T, rows, columns), METHODS.index(method), templates, np.array([count, center, 0.0, floor]),
    )  # fmt: skip


def depth_moments(x: np.ndarray, depth: int) -> tuple[np.ndarray, np.ndarray]:
    """S1 and S2 of windows of `depth` planes of one element: float64 (D - depth + 1, H, W) each."""
    D, H, W = x.shape
    rows = D - depth + 1
    first, second = (empty((rows, H, W), np.dtype(np.float64)) for _ in range(2))
    block, piece = min(depth, rows), min(PIECE, H * W)
    blocks, pieces = -(-rows // block), -(-(H * W) // piece)
    members = team(blocks * pieces, 8 * x.size)
    _moments(
        members, blocks * pieces, x.reshape(-1), first.reshape(-1), second.reshape(-1), rows, H * W, depth, block,
        piece, pieces, scratch((members, 2 * block + 4, piece), np.dtype(np.float64)),
    )  # fmt: skip
    return first, second


@parallel_kernel
def _moments(thread, first, last, x, y, y2, rows, pitch, depth, block, piece, pieces, own):
    """A task: a block of rows of one piece of the columns."""
    none = y[:0]
    for task in range(first, last):
        row0, at = task // pieces * block, task % pieces * piece
        count, width = min(block, rows - row0), min(piece, pitch - at)
        mine = own[thread]
        ends, sums = mine[: 2 * count + 2], mine[2 * block + 2 :]
        _row_ends(x, none, row0 * pitch + at, pitch, count, depth, width, ends)
        _clear(sums[0], sums[1], width)
        for i in range(count):
            o = (row0 + i) * pitch + at
            if i:
                _add_row(x, none, (row0 + depth + i - 1) * pitch + at, width, sums[0], sums[1], sums[0], sums[1])
            _add(ends[2 * i], sums[0], y[o : o + width])
            _add(ends[2 * i + 1], sums[1], y2[o : o + width])


@parallel_kernel
def _scores(thread, first, last, x, x2, scores, numbers, templates, reals, own, found):
    """A task: a block of rows and columns of one plane, for all templates."""
    n, KW = fields(Cut, numbers), fields(Cut, numbers).kernel_columns
    for task in range(first, last):
        plane, block = task // (n.row_blocks * n.column_blocks), task % (n.row_blocks * n.column_blocks)
        row0, column0 = block // n.column_blocks * n.block_rows, block % n.column_blocks * n.block_columns
        rows, columns = min(n.block_rows, n.rows - row0), min(n.block_columns, n.columns - column0)
        width, start = columns + KW - 1, (plane * n.height + row0) * n.width + column0
        mine = own[thread]
        ends, sums = mine[: 2 * rows + 2], mine[2 * n.block_rows + 2 :]
        most, least = sums[5][:columns], sums[6][:columns]
        for j in range(columns):
            most[j], least[j] = 0.0, np.inf
        _row_ends(x, x2, start, n.width, rows, n.kernel_rows, width, ends)
        _clear(sums[0], sums[1], width)
        for i in range(rows):
            if i:
                at = start + (n.kernel_rows + i - 1) * n.width
                _add_row(x, x2, at, width, sums[0], sums[1], sums[0], sums[1])
            s1, s2 = ends[2 * i], ends[2 * i + 1]  # their place is free once they are read
            for k in range(2):
                _add(ends[2 * i + k], sums[k], sums[2][:width])
                _row_windows(sums[2], sums[3], ends[2 * i + k], width, KW)
            mean, var = sums[2][:columns], sums[3][:columns]
            _moments_of(s1, s2, reals, mean, var)
            _look(n.method, s2, mean, var, reals[0], most, least)
            for t in range(n.templates):
                o = ((t * n.planes + plane) * n.rows + row0 + i) * n.columns + column0
                _score(n.method, scores[o : o + columns], mean, var, reals[0], templates[t])
        low, high = np.inf, 0.0
        for j in range(columns):
            low, high = min(low, least[j]), max(high, most[j])
        found[task, 0], found[task, 1] = high, low


@parallel_kernel
def _finish(thread, first, last, s1, s2, scores, method, templates, reals):
    """A task: one row of the result, for all templates."""
    mean, var = np.empty(s1.shape[1]), np.empty(s1.shape[1])
    for row in range(first, last):
        _moments_of(s1[row], s2[row], reals, mean, var)
        for t in range(scores.shape[0]):
            _score(method, scores[t, row], mean, var, reals[0], templates[t])


@kernel
def _row_ends(x, x2, start, pitch, rows, window, width, ends):
    """Sums of rows i..window-1 for each i up to `rows`: S1 to ends[2*i], S2 to ends[2*i + 1]."""
    total, total_2 = ends[2 * rows], ends[2 * rows + 1]
    _clear(total, total_2, width)
    for i in range(window - 1, -1, -1):
        after = min(i + 1, rows)
        to = min(i, rows)
        _add_row(
            x, x2, start + i * pitch, width, ends[2 * after], ends[2 * after + 1], ends[2 * to], ends[2 * to + 1]
        )


@kernel
def _clear(total, total_2, width):
    for j in range(width):
        total[j], total_2[j] = 0.0, 0.0


@kernel
def _add_row(x, x2, at, width, before, before_2, after, after_2):
    """after = before + a row's elements, after_2 = before_2 + their squares, or the elements of x2 if there are any."""
    a, p, p2, q, q2 = x[at : at + width], before[:width], before_2[:width], after[:width], after_2[:width]
    if x2.size:
        b = x2[at : at + width]
        for j in range(a.size):
            q[j] = p[j] + a[j]
        for j in range(b.size):
            q2[j] = p2[j] + b[j]
    else:
        for j in range(a.size):
            v = np.float64(a[j])
            q[j] = p[j] + v
            q2[j] = p2[j] + v * v


@kernel
def _add(a, b, y):
    for j in range(y.size):
        y[j] = a[j] + b[j]


@kernel
def _row_windows(c, d, s, width, window):
    """s[j] = c[j] + ... + c[j+window-1]; c and d, as long as c, are used up."""
    length, many, columns = 0, 1, width - window + 1
    while many <= window:  # c has sums of `many` neighbours, s those of `length`
        if window & many:
            a, y = c[length : length + columns], s[:columns]
            if length:
                for j in range(y.size):
                    y[j] = y[j] + a[j]
            else:
                for j in range(y.size):
                    y[j] = a[j]
            length += many
        if 2 * many <= window:
            n = width - 2 * many + 1
            a, b, y = c[:n], c[many : many + n], d[:n]
            for j in range(y.size):
                y[j] = a[j] + b[j]
            c, d = d, c
        many *= 2


@kernel
def _moments_of(s1, s2, reals, mean, var):
    """The mean of each window, and the sum of squares about it: 0 where it is below the error of computing it."""
    center, flat, floor = reals[1], reals[2], reals[3]
    part = 1.0 / reals[0]
    for j in range(mean.size):
        m = s1[j] * part
        v = s2[j] - s1[j] * m
        mean[j] = m + center
        var[j] = 0.0 if v <= flat * s2[j] + floor else v


@kernel
def _look(method, s2, mean, var, count, most, least):
    """Keep the largest S2 of each column, and the smallest denominator that a method divides by, but 0."""
    squares = 0.0 if method == CCOEFF_NORMED else count
    for j in range(mean.size):
        d = var[j] + squares * mean[j] * mean[j]
        d = np.inf if d == 0.0 else d
        least[j] = d if d < least[j] else least[j]
        most[j] = s2[j] if s2[j] > most[j] else most[j]


@kernel
def _score(method, y, mean, var, count, template):
    """One row of correlations with a template less its mean becomes a row of scores."""
    t_mean, t_squares, scale = template[0], template[1], template[2]
    whole = t_squares + count * t_mean * t_mean
    if method == CCOEFF_NORMED:
        t_norm = np.sqrt(t_squares) / scale
        for j in range(y.size):
            d = np.sqrt(var[j]) * t_norm
            v = y[j] / d
            v = 1.0 if v > 1.0 else v
            v = -1.0 if v < -1.0 else v
            y[j] = 0.0 if d == 0.0 else v
    elif method == CCOEFF:
        for j in range(y.size):
            y[j] = y[j] * scale
    elif method == CCORR:
        for j in range(y.size):
            y[j] = y[j] * scale + count * t_mean * mean[j]
    elif method == CCORR_NORMED:
        for j in range(y.size):
            d = np.sqrt((var[j] + count * mean[j] * mean[j]) * whole)
            v = (y[j] * scale + count * t_mean * mean[j]) / d
            v = 1.0 if v > 1.0 else v
            v = -1.0 if v < -1.0 else v
            y[j] = 0.0 if d == 0.0 else v
    else:
        for j in range(y.size):
            off = mean[j] - t_mean
            v = var[j] + t_squares - 2.0 * scale * y[j] + count * off * off
            y[j] = 0.0 if v < 0.0 else v
    if method == SQDIFF_NORMED:
        for j in range(y.size):
            d = np.sqrt((var[j] + count * mean[j] * mean[j]) * whole)
            v = y[j] / d
            y[j] = v if d != 0.0 else (0.0 if y[j] == 0.0 else 1.0)
