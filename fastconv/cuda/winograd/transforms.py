"""Winograd's transforms on CUDA: inputs and filters to 36 points, sums at them to outputs (twin: cpu/winograd).

A thread takes one tile, or filter, of one channel through both axes of a transform in registers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ..activation import device_function
from ..backend import cuda
from ..filters import Filters
from ..indexing import make_pixel
from ..launch import BLOCK
from ..runtime.source import inlined, unrolled

M, TILE = 4, 6  # outputs and inputs of a tile along one axis
POINTS = TILE * TILE
A, B = 3 / 4, 3 / 2  # the positive points


class Tiles(NamedTuple):
    """Where tiles lie: their grid, the image's size and strides, how outputs meet inputs, strides of transformed data.

    `of` is the number of tiles, `tile`, `point` and `channel` what lies between two of each in transformed data.
    """

    D: int
    TH: int
    TW: int
    of: int
    channels: int
    size_d: int
    size_h: int
    size_w: int
    n: int
    c: int
    d: int
    h: int
    w: int
    step_d: int
    before_d: int
    before_h: int
    before_w: int
    tile: int
    point: int


def make_spread(T: Any, U: Any) -> Any:
    """``spread(v, i, step)``: six inputs of `v` from place i on, `step` apart, to their values at the points."""
    a2, b2, a, b = T(A * A), T(B * B), T(A), T(B)
    whole, middle = T(A * A * B * B), T(A * A + B * B)

    def spread(v: Any, i: int, step: int) -> None:
        d0, d1, d2 = v[i], v[i + step], v[i + 2 * step]
        d3, d4, d5 = v[i + 3 * step], v[i + 4 * step], v[i + 5 * step]
        even, odd = d4 - b2 * d2, a * (d3 - b2 * d1)
        v[i], v[i + step], v[i + 2 * step] = whole * d0 - middle * d2 + d4, even + odd, even - odd
        even, odd = d4 - a2 * d2, b * (d3 - a2 * d1)
        v[i + 3 * step], v[i + 4 * step], v[i + 5 * step] = even + odd, even - odd, whole * d1 - middle * d3 + d5

    return inlined(spread)


def make_evaluate(T: Any) -> Any:
    """``evaluate(w0, w1, w2)`` -> the values of three taps at the points, scaled."""
    a, b, a2, b2 = T(A), T(B), T(A * A), T(B * B)
    first = T(1 / (A * A * B * B))
    of_a, of_b = T(1 / (2 * A * A * (A * A - B * B))), T(1 / (2 * B * B * (B * B - A * A)))

    def evaluate(w0: Any, w1: Any, w2: Any) -> Any:
        even_a, odd_a = of_a * (w0 + a2 * w2), of_a * a * w1
        even_b, odd_b = of_b * (w0 + b2 * w2), of_b * b * w1
        return first * w0, even_a + odd_a, even_a - odd_a, even_b + odd_b, even_b - odd_b, w2

    return inlined(evaluate)


def make_combine(T: Any) -> Any:
    """``combine(v, i, step)``: six values of `v` to four outputs, in their first four places."""
    a, b, a2, b2, a3, b3 = T(A), T(B), T(A * A), T(B * B), T(A**3), T(B**3)

    def combine(v: Any, i: int, step: int) -> None:
        v0, v5 = v[i], v[i + 5 * step]
        sum_a, difference_a = v[i + step] + v[i + 2 * step], v[i + step] - v[i + 2 * step]
        sum_b, difference_b = v[i + 3 * step] + v[i + 4 * step], v[i + 3 * step] - v[i + 4 * step]
        v[i], v[i + step] = v0 + sum_a + sum_b, a * difference_a + b * difference_b
        v[i + 2 * step], v[i + 3 * step] = a2 * sum_a + b2 * sum_b, a3 * difference_a + b3 * difference_b + v5

    return inlined(combine)


def make_item(U: Any, channels_last: bool) -> Any:
    """``item(i, tiles)`` -> (tile, channel) of thread i: neighbours read neighbours."""

    def item(i: Any, tiles: Any) -> Any:
        inner = U(tiles.channels) if channels_last else U(tiles.of)
        q = U(i // inner)
        r = U(i - q * inner)
        return (q, r) if channels_last else (r, q)

    return inlined(item)


def make_to_points(T: Any, S: Any, U: Any, channels_last: bool) -> Callable[..., None]:
    """Inputs to points; one thread per tile and channel."""
    item, pixel, spread = make_item(U, channels_last), make_pixel(U), make_spread(T, U)

    def to_points(x: Any, values: Any, tiles: Tiles, channel: Any, size: Any) -> None:
        v = cuda.local.array(POINTS, T)
        i = U(U(cuda.blockIdx.x) * U(BLOCK) + U(cuda.threadIdx.x))
        if i < U(size):
            t, c = item(i, tiles)
            n, d, h, w = pixel(t, tiles.D, tiles.TH, tiles.TW)
            z = S(S(d) * tiles.step_d - tiles.before_d)
            y0, x0 = S(S(h) * M - tiles.before_h), S(S(w) * M - tiles.before_w)
            at = U(n * U(tiles.n) + c * U(tiles.c) + U(z) * U(tiles.d))
            for j in unrolled(TILE):
                row = U(at + U(y0 + j) * U(tiles.h))
                inside = U(z) < U(tiles.size_d) and U(y0 + j) < U(tiles.size_h)
                for k in unrolled(TILE):
                    value = T(0)
                    if inside and U(x0 + k) < U(tiles.size_w):
                        value = x[U(row + U(x0 + k) * U(tiles.w))]
                    v[j * TILE + k] = value
            for k in unrolled(TILE):
                spread(v, k, TILE)
            to = U(t * U(tiles.tile) + c * U(channel))
            for j in unrolled(TILE):
                spread(v, j * TILE, 1)
                for k in unrolled(TILE):
                    values[U(to + U(j * TILE + k) * U(tiles.point))] = v[j * TILE + k]

    return to_points


def make_filter(T: Any, S: Any, U: Any) -> Callable[..., None]:
    """values[point, g, c, o] from w, tap 0 from w[first] on; one thread per filter and input channel."""
    evaluate = make_evaluate(T)

    def to_values(w: Any, values: Any, filters: Filters, first: Any, point: Any, size: Any) -> None:
        v = cuda.local.array((3, TILE), T)
        i = U(U(cuda.blockIdx.x) * U(BLOCK) + U(cuda.threadIdx.x))
        if i < U(size):
            q = U(i // U(filters.outputs))
            o = U(i - q * U(filters.outputs))
            g = U(q // U(filters.channels))
            c = U(q - g * U(filters.channels))
            at = U(U(first) + g * U(filters.group) + c * U(filters.c) + o * U(filters.o))
            for k in unrolled(3):
                v[k, 0], v[k, 1], v[k, 2], v[k, 3], v[k, 4], v[k, 5] = evaluate(
                    w[U(at + U(k) * U(filters.tap))],
                    w[U(at + U(k + 3) * U(filters.tap))],
                    w[U(at + U(k + 6) * U(filters.tap))],
                )
            for j in unrolled(TILE):
                row = evaluate(v[0, j], v[1, j], v[2, j])
                for k in unrolled(TILE):
                    values[U(i + U(j * TILE + k) * U(point))] = row[k]

    return to_values


def make_from_points(T: Any, S: Any, U: Any, channels_last: bool, bias: bool, activation: Any) -> Callable[..., None]:
    """Points to outputs; one thread per tile and channel. `tiles` tells of y: what lies beyond its size is dropped."""
    item, pixel, combine = make_item(U, channels_last), make_pixel(U), make_combine(T)
    act = device_function(activation, T)

    def from_points(values: Any, b: Any, y: Any, tiles: Tiles, channel: Any, size: Any) -> None:
        v = cuda.local.array(POINTS, T)
        i = U(U(cuda.blockIdx.x) * U(BLOCK) + U(cuda.threadIdx.x))
        if i < U(size):
            t, o = item(i, tiles)
            n, d, h, w = pixel(t, tiles.D, tiles.TH, tiles.TW)
            first = U(t * U(tiles.tile) + o * U(channel))
            for k in unrolled(POINTS):
                v[k] = values[U(first + U(k) * U(tiles.point))]
            for k in unrolled(TILE):
                combine(v, k, TILE)
            at = U(n * U(tiles.n) + o * U(tiles.c) + d * U(tiles.d))
            for j in unrolled(M):
                combine(v, j * TILE, 1)
                if U(h * U(M) + U(j)) < U(tiles.size_h):
                    row = U(at + U(h * U(M) + U(j)) * U(tiles.h))
                    for k in unrolled(M):
                        if U(w * U(M) + U(k)) < U(tiles.size_w):
                            value = v[j * TILE + k]
                            if bias:
                                value = T(value + b[o])
                            if act is not None:
                                value = T(act(value))
                            y[U(row + U(w * U(M) + U(k)) * U(tiles.w))] = value

    return from_points
