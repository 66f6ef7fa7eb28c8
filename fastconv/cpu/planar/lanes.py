"""The lanes of planar filtering, pixels of a row or channels with a filter each, and where either pays."""

from __future__ import annotations

import math
from typing import NamedTuple

from ...kept import kept
from ...simd.depth_tile import SHAPES
from ...simd.filter_tile import BROADCAST, FILTER_ROWS, LANES
from ...simd.host import host
from ..lowering import Lowered

CHANNEL_VECTORS = 4  # of a task, where channels must be transposed into lanes
WIDE = 3  # vectors in a row from which planes of depthwise problems are filtered row by row, not channel by channel
GAIN = 0.75  # how full lanes of output channels may be, compared with those of pixels, before they are the better ones


class Lanes(NamedTuple):
    """What the lanes are.

    A vector spans `unit` columns. Where channels are lanes, a block has `pixel` of them in each column, each input
    channel `repeat` times; else `pixel` is 1. `inner` tiles that read the same columns follow each other: one for each
    output channel (or each `together` channels), or for each vector of channels.
    """

    kind: int
    unit: int
    pixel: int
    repeat: int
    inner: int
    together: int
    blocks: int
    staged: bool


class OutputRow(NamedTuple):
    """What decides whether lanes of output channels would idle: channels of a group, and how a row's elements lie."""

    C: int
    O: int  # noqa: E741 - the field's name for output channels
    groups: int
    width: int
    step: int  # columns of the input between those of the output
    x_c: int  # strides of channels and columns
    x_w: int
    y_c: int
    y_w: int

    @staticmethod
    def of(low: Lowered) -> OutputRow:
        """That of a lowered problem."""
        x, y = low.x_strides, low.y_strides
        return OutputRow(low.C, low.O, low.groups, low.out[2], low.stride[2], x.c, x.w, y.c, y.w)


def serves(row: OutputRow, itemsize: int) -> str | None:
    """What the lanes are, "pixels" or "channels", where planar filtering is the better way; else None.

    Examples
    --------
    >>> image = OutputRow(C=1, O=1, groups=1, width=512, step=1, x_c=9, x_w=1, y_c=9, y_w=1)
    >>> depthwise = OutputRow(C=1, O=1, groups=64, width=56, step=1, x_c=1, x_w=64, y_c=1, y_w=64)
    >>> serves(image, 4), serves(depthwise, 4), serves(image._replace(C=64, O=64, width=56), 4)
    ('pixels', 'channels', None)
    """
    lanes = host().lanes(itemsize)
    depthwise = row.C == 1 and row.groups > 1
    if depthwise and row.x_c == row.y_c == 1 and lanes >= 2 * row.O:
        return "channels"
    if depthwise and row.O == 1 and 2 * row.groups >= lanes and (row.step > 1 or row.width < WIDE * lanes):
        return "channels"
    if row.x_w != 1 or (row.y_w != 1 and lanes < 4 * row.O):
        return None
    return "pixels" if _filled(row.O, lanes) < GAIN * _filled(row.width, lanes) else None


def _filled(count: int, lanes: int) -> float:
    """The part of the lanes of whole vectors that `count` elements fill."""
    return count / (-(-count // lanes) * lanes)


@kept
def by_pixels(low: Lowered, itemsize: int) -> Lanes:
    """Lanes along a row; x's columns must be neighbours."""
    shares_rows = low.out[1] > 1 and low.reach[1].number > 1
    together = 0 if shares_rows or low.O == 1 else even_part(low.O, FILTER_ROWS)
    inner = -(-low.O // together) if together else low.O
    staged = low.y_strides.w != 1
    return Lanes(BROADCAST, host().lanes(itemsize), 1, 1, inner, together, low.groups, staged)


@kept
def by_channels(low: Lowered, itemsize: int) -> Lanes:
    """Lanes along the channels of a depthwise problem (C = 1); channels-first ones are transposed by blocks."""
    vector, channels = host().lanes(itemsize), low.groups * low.O
    if low.groups > 1 and (low.x_strides.c != 1 or low.y_strides.c != 1):
        pixel = min(CHANNEL_VECTORS, -(-channels // vector)) * vector
        return Lanes(LANES, 1, pixel, 1, pixel // vector, 0, -(-channels // pixel), True)
    unit = vector // math.gcd(channels, vector)
    adjoin = low.stride[2] == 1 and low.y_strides.w == channels
    if (
        not adjoin
        or known_shape(low, vector) >= 0
        or low.out[2] / round_up(low.out[2], unit) <= channels / round_up(channels, vector)
    ):
        unit = 1
    return Lanes(LANES, unit, channels, low.O, -(-unit * channels // vector), 0, 1, False)


def known_shape(low: Lowered, vector: int) -> int:
    """The number in `SHAPES` of a depthwise problem with at least a vector of channels and a tile of pixels, or -1."""
    depth, *taps = low.reach
    if low.groups * low.O < vector or depth.number > 1:
        return -1
    for number, shape in enumerate(SHAPES):
        if low.stride[1:] == (shape.stride,) * 2 and all((t.number, t.step) == (shape.taps, 1) for t in taps):
            return number if low.out[1] >= shape.rows and low.out[2] >= shape.cols else -1
    return -1


def round_up(count: int, step: int) -> int:
    return -(-count // step) * step


def even_part(count: int, most: int) -> int:
    """Parts of about equal size, `most` at most: the size of the largest."""
    return -(-count // -(-count // most))
