"""The lanes of planar filtering, pixels of a row or channels with a filter each, and where either pays."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ...kept import kept
from ...simd.depth_sweep import SHAPES
from ...simd.filter_tile import BROADCAST, FILTER_ROWS, LANES
from ...simd.host import host
from ..lowering import Lowered

CHANNEL_VECTORS = 4  # of a task, where channels must be transposed into lanes
WIDE = 3  # vectors in a row from which planes of depthwise problems are filtered row by row, not channel by channel
GAIN = 0.75  # how full lanes of output channels may be, compared with those of pixels, before they are the better ones


class Axis(NamedTuple):
    """Taps of one axis: `taps` of them, `step` padded elements apart."""

    taps: int
    step: int

    @classmethod
    def of(cls, offsets: np.ndarray) -> Axis:
        """The taps that lie at `offsets`, in any order and number."""
        values = np.unique(offsets)
        return cls(len(values), int(values[1] - values[0]) if len(values) > 1 else 1)


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


def serves(
    C: int, O: int, groups: int, width: int, step: int, strides: tuple[int, int, int, int], itemsize: int
) -> str | None:
    """What the lanes are, "pixels" or "channels", where planar filtering is the better way; else None.

    Parameters
    ----------
    C, O : int
        Input and output channels of a group.
    groups, width, step : int
        Groups, columns of the output, and columns of the input between them.
    strides : (int, int, int, int)
        Strides of x's channels and columns, and of y's.

    Examples
    --------
    >>> image, together, apart = (9, 1, 9, 1), (1, 64, 1, 64), (3136, 1, 3136, 1)
    >>> serves(1, 1, 1, 512, 1, image, 4), serves(1, 1, 64, 56, 1, together, 4), serves(64, 64, 1, 56, 1, apart, 4)
    ('pixels', 'channels', None)
    """
    x_c, x_w, y_c, y_w = strides
    lanes = host().lanes(itemsize)
    depthwise = C == 1 and groups > 1
    if depthwise and x_c == y_c == 1 and lanes >= 2 * O:
        return "channels"
    if depthwise and O == 1 and 2 * groups >= lanes and (step > 1 or width < WIDE * lanes):
        return "channels"
    if x_w != 1 or (y_w != 1 and lanes < 4 * O):
        return None
    return "pixels" if _filled(O, lanes) < GAIN * _filled(width, lanes) else None


def _filled(count: int, lanes: int) -> float:
    """The part of the lanes of whole vectors that `count` elements fill."""
    return count / (-(-count // lanes) * lanes)


@kept
def by_pixels(low: Lowered, itemsize: int) -> Lanes:
    """Lanes along a row; x's columns must be neighbours."""
    shares_rows = low.out[1] > 1 and Axis.of(low.offsets[:, 1]).taps > 1
    together = 0 if shares_rows or low.O == 1 else even_part(low.O, FILTER_ROWS)
    inner = -(-low.O // together) if together else low.O
    staged = low.y_strides[4] != 1
    return Lanes(BROADCAST, host().lanes(itemsize), 1, 1, inner, together, low.groups, staged)


@kept
def by_channels(low: Lowered, itemsize: int) -> Lanes:
    """Lanes along the channels of a depthwise problem (C = 1); channels-first ones are transposed by blocks."""
    vector, channels = host().lanes(itemsize), low.groups * low.O
    if low.groups > 1 and (low.x_strides[1] != 1 or low.y_strides[1] != 1):
        pixel = min(CHANNEL_VECTORS, -(-channels // vector)) * vector
        return Lanes(LANES, 1, pixel, 1, pixel // vector, 0, -(-channels // pixel), True)
    unit = vector // math.gcd(channels, vector)
    adjoin = low.stride[2] == 1 and low.y_strides[4] == channels
    if (
        not adjoin
        or known_shape(low, vector) >= 0
        or low.out[2] / round_up(low.out[2], unit) <= channels / round_up(channels, vector)
    ):
        unit = 1
    return Lanes(LANES, unit, channels, low.O, -(-unit * channels // vector), 0, 1, False)


def known_shape(low: Lowered, vector: int) -> int:
    """The number in `SHAPES` of a depthwise problem with at least a vector of channels, or -1."""
    taps = tuple(Axis.of(offsets) for offsets in low.offsets.T)
    if low.groups * low.O < vector or taps[0].taps > 1:
        return -1
    for number, shape in enumerate(SHAPES):
        if taps[1:] == (Axis(shape.taps, 1),) * 2 and low.stride[1:] == (shape.stride,) * 2:
            return number
    return -1


def round_up(count: int, step: int) -> int:
    return -(-count // step) * step


def even_part(count: int, most: int) -> int:
    """Parts of about equal size, `most` at most: the size of the largest."""
    return -(-count // -(-count // most))
