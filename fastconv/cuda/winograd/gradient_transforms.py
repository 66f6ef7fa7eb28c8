"""The transforms of Winograd's weight gradient: gradients to 36 points, sums at them to taps (see ``transforms``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..backend import cuda
from ..filters import Filters
from ..indexing import make_pixel
from ..launch import BLOCK
from ..runtime.source import inlined, unrolled
from .transforms import POINTS, TILE, A, B, M, Tiles, make_item


def make_evaluate_gradient(T: Any) -> Any:
    """``evaluate(v, i, step)``: four gradients of `v` from place i on, `step` apart, to their six values: A dy."""
    a, b, a2, b2, a3, b3 = T(A), T(B), T(A * A), T(B * B), T(A**3), T(B**3)

    def evaluate(v: Any, i: int, step: int) -> None:
        g0, g1, g2, g3 = v[i], v[i + step], v[i + 2 * step], v[i + 3 * step]
        even, odd = g0 + a2 * g2, a * g1 + a3 * g3
        v[i + step], v[i + 2 * step] = even + odd, even - odd
        even, odd = g0 + b2 * g2, b * g1 + b3 * g3
        v[i + 3 * step], v[i + 4 * step], v[i + 5 * step] = even + odd, even - odd, g3

    return inlined(evaluate)


def make_gather(T: Any) -> Any:
    """``gather(v, i, step)``: six sums of `v` to three taps in their first three places: G^T."""
    a, b, a2, b2 = T(A), T(B), T(A * A), T(B * B)
    first = T(1 / (A * A * B * B))
    of_a, of_b = T(1 / (2 * A * A * (A * A - B * B))), T(1 / (2 * B * B * (B * B - A * A)))

    def gather(v: Any, i: int, step: int) -> None:
        sum_a, difference_a = of_a * (v[i + step] + v[i + 2 * step]), of_a * (v[i + step] - v[i + 2 * step])
        sum_b, difference_b = of_b * (v[i + 3 * step] + v[i + 4 * step]), of_b * (v[i + 3 * step] - v[i + 4 * step])
        v[i] = first * v[i] + sum_a + sum_b
        v[i + step] = a * difference_a + b * difference_b
        v[i + 2 * step] = a2 * sum_a + b2 * sum_b + v[i + 5 * step]

    return inlined(gather)


def make_gradient_to_points(T: Any, S: Any, U: Any, channels_last: bool) -> Callable[..., None]:
    """Tiles of 4x4 gradients to points; one thread per tile and channel."""
    item, pixel, evaluate = make_item(U, channels_last), make_pixel(U), make_evaluate_gradient(T)

    def gradient_to_points(dy: Any, values: Any, tiles: Tiles, channel: Any, size: Any) -> None:
        v = cuda.local.array(POINTS, T)
        i = U(U(cuda.blockIdx.x) * U(BLOCK) + U(cuda.threadIdx.x))
        if i < U(size):
            t, o = item(i, tiles)
            n, d, h, w = pixel(t, tiles.D, tiles.TH, tiles.TW)
            at = U(n * U(tiles.n) + o * U(tiles.c) + d * U(tiles.d))
            for j in unrolled(M):
                oh = U(h * U(M) + U(j))
                for k in unrolled(M):
                    ow, value = U(w * U(M) + U(k)), T(0)
                    if oh < U(tiles.size_h) and ow < U(tiles.size_w):
                        value = dy[U(at + oh * U(tiles.h) + ow * U(tiles.w))]
                    v[j * TILE + k] = value
            for k in unrolled(M):
                evaluate(v, k, TILE)
            to = U(t * U(tiles.tile) + o * U(channel))
            for j in unrolled(TILE):
                evaluate(v, j * TILE, 1)
                for k in unrolled(TILE):
                    values[U(to + U(j * TILE + k) * U(tiles.point))] = v[j * TILE + k]

    return gradient_to_points


def make_to_taps(T: Any, S: Any, U: Any) -> Callable[..., None]:
    """dw from sums[point, g, c, o]; one thread per filter and input channel."""
    gather = make_gather(T)

    def to_taps(sums: Any, dw: Any, filters: Filters, point: Any, size: Any) -> None:
        v = cuda.local.array(POINTS, T)
        i = U(U(cuda.blockIdx.x) * U(BLOCK) + U(cuda.threadIdx.x))
        if i < U(size):
            q = U(i // U(filters.outputs))
            o = U(i - q * U(filters.outputs))
            g = U(q // U(filters.channels))
            c = U(q - g * U(filters.channels))
            for k in unrolled(POINTS):
                v[k] = sums[U(i + U(k) * U(point))]
            for k in unrolled(TILE):
                gather(v, k, TILE)
            to = U(g * U(filters.group) + c * U(filters.c) + o * U(filters.o))
            for j in unrolled(3):
                gather(v, j * TILE, 1)
                for k in unrolled(3):
                    dw[U(to + U(j * 3 + k) * U(filters.tap))] = v[j * TILE + k]

    return to_taps
