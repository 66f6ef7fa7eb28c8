"""Index arithmetic: where elements lie, told on the host, and from numbers to positions, as device functions."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

import numba

from ..problem import ConvProblem, Triple

L = numba.uint64  # addresses of shared memory, and of neighbours that constants part: no masking between additions


class Strides(NamedTuple):
    """Elements from one image, channel, slice, row and pixel to the next."""

    n: int
    c: int
    d: int
    h: int
    w: int


def strides_of(C: int, size: Triple, channels_last: bool) -> Strides:
    """Strides of a C-contiguous (N, C, D, H, W), or (N, D, H, W, C) with `channels_last`."""
    D, H, W = size
    if channels_last:
        return Strides(D * H * W * C, 1, H * W * C, W * C, C)
    return Strides(C * D * H * W, D * H * W, H * W, W, 1)


def strides_xy(p: ConvProblem) -> tuple[Strides, Strides]:
    """Strides of a problem's x and y."""
    return strides_of(p.C, p.size, p.channels_last), strides_of(p.O, p.out, p.channels_last)


class Shape(NamedTuple):
    """A problem for kernels: sizes of x and y, channels of a group, taps, and how windows lie over x."""

    D: int
    H: int
    W: int
    OD: int
    OH: int
    OW: int
    inputs: int
    outputs: int
    KD: int
    KH: int
    KW: int
    stride_d: int
    stride_h: int
    stride_w: int
    dilation_d: int
    dilation_h: int
    dilation_w: int
    before_d: int
    before_h: int
    before_w: int


def shape_of(p: ConvProblem) -> Shape:
    """What kernels need to know of a problem."""
    return Shape(*p.size, *p.out, p.inputs, p.outputs, *p.kernel, *p.stride, *p.dilation, *before_of(p))


def before_of(p: ConvProblem) -> Triple:
    """Zeros before each axis."""
    return triple(axis.before for axis in p.axes)


def triple(values: Iterable[int]) -> Triple:
    """Three numbers of any sequence."""
    a, b, c = values
    return a, b, c


@lru_cache(maxsize=4)
def make_position(U: Any) -> Any:
    """``position(i, outer, D, H, W, inner)`` -> (n, c, d, h, w) of element i of a C-contiguous activation.

    Channels-first arrays (N, outer, D, H, W) have inner = 1, channels-last arrays (N, D, H, W, inner) outer = 1.
    """

    def position(i: Any, outer: Any, D: Any, H: Any, W: Any, inner: Any) -> Any:
        q = U(i // U(inner))
        c = U(i - q * U(inner))
        r = U(q // U(W))
        w = U(q - r * U(W))
        q = U(r // U(H))
        h = U(r - q * U(H))
        r = U(q // U(D))
        d = U(q - r * U(D))
        n = U(r // U(outer))
        return n, U(c + r - n * U(outer)), d, h, w

    return numba.njit(position)


@lru_cache(maxsize=4)
def make_pixel(U: Any) -> Any:
    """``pixel(m, D, H, W)`` -> (n, d, h, w) of the m-th pixel of images of D x H x W pixels."""

    def pixel(m: Any, D: Any, H: Any, W: Any) -> Any:
        q = U(m // U(W))
        r = U(q // U(H))
        n = U(r // U(D))
        return n, U(r - n * U(D)), U(q - r * U(H)), U(m - q * U(W))

    return numba.njit(pixel)


def channel_axes(C: int, channels_last: bool) -> tuple[int, int]:
    """(outer, inner) of `make_position` for C channels."""
    return (1, C) if channels_last else (C, 1)
