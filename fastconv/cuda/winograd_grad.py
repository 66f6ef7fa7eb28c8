"""Gradients of 3x3 convolutions by Winograd's method (twin: cpu/winograd).

The input gradient is a convolution of dy with the filters turned round and their channels exchanged, as `winograd.conv`
makes it, with 2 - padding zeros around dy. The weight gradient is the transpose of the forward algorithm, F(3x3, 4x4):

    dw = G^T [ sum over tiles of (B^T x B) * (A dy A^T) ] G

Tiles of dy are taken to the 36 points; at each of them the sum is the weight gradient of a 1x1 convolution whose pixels
are the tiles, made by ``im2col`` in fixed parts: same bits on every device.
Extra memory: as for the forward direction; the weight gradient 2.25 times x and dy, and four times dw.
Error: the input gradient's is that of the forward direction with terms = 9*O/groups; the weight gradient's is below
60*terms*eps*(max |x| * max |dy|), terms = N*OH*OW. NaN and Inf spread over their tiles, in dw over all taps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..problem import ConvProblem
from . import backend, border, im2col
from .backend import cuda
from .filters import Filters, filters_of
from .halves import through_float32
from .indexing import make_pixel
from .keywords import by_keywords
from .launch import BLOCK, blocks_for, entry, flat, launch, needs_wide
from .lowering import Problem, Triple
from .pointwise import fill
from .runtime.source import inlined, unrolled
from .winograd import POINT, POINTS, TILE, A, B, M, Tiles, correlate, describe, make_item, tiles_of, to_points
from .winograd import supports as supports_forward


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


@entry
@through_float32
def conv_input_grad_plain(
    dy: Any, w: Any, dx: Any, *, stride: Triple, dilation: Triple, padding: Any, padding_mode: str, groups: int,
    channels_last: bool,
) -> None:  # fmt: skip
    """dx for filters (1, 3, 3), stride 1 everywhere and dilation 1 along H and W."""
    if dx.size == 0:
        return
    if dy.size == 0:
        return fill(dx, 0)
    target, before = border.unfolded(dx, padding, padding_mode, channels_last)
    f = filters_of(w.shape, groups, channels_last)
    turned = Filters(f.taps, f.outputs, f.channels, f.group, -f.tap, f.o, f.c)
    around = -before[0], 2 - before[1], 2 - before[2]
    correlate(dy, w, None, target, turned, (f.taps - 1) * f.tap, groups, 1, around, channels_last, None)
    border.fold(target, dx, padding, padding_mode, channels_last)


@entry
@through_float32
def conv_weight_grad_plain(
    x: Any, dy: Any, dw: Any, *, stride: Triple, dilation: Triple, padding: Any, padding_mode: str, groups: int,
    channels_last: bool,
) -> None:  # fmt: skip
    """dw for filters (1, 3, 3), stride 1 and dilation 1 along H and W."""
    if dy.size == 0:
        return fill(dw, 0)
    x, before = border.padded(x, padding, padding_mode, channels_last)
    f = filters_of(dw.shape, groups, channels_last)
    C, O = f.channels * groups, f.outputs * groups
    tiles = tiles_of(dy.shape, channels_last)
    of_x = to_points(x, dy.shape, stride[0], before, channels_last)
    of_y = backend.scratch("points of y", tiles * POINTS * O, dy.dtype)
    args = flat(dy), of_y, *describe(dy.shape, dy.shape, 1, (0, 0, 0), channels_last), tiles * O
    common: dict[str, Any] = {"dtype": dw.dtype, "wide": needs_wide(x.size, dy.size, tiles * POINTS * max(C, O))}
    launch(make_gradient_to_points, (channels_last,), blocks_for(tiles * O), args, **common)
    sums = _summed(of_x, of_y, tiles, f, groups, channels_last)
    count = dw.size // f.taps
    launch(make_to_taps, (), blocks_for(count), (sums, flat(dw), f, count, count), **common)


def _summed(of_x: Any, of_y: Any, tiles: int, f: Filters, groups: int, channels_last: bool) -> Any:
    """At each point and in each group (channels x tiles) times (tiles x outputs), as (point, group, c, o)."""
    batch, line = POINTS * groups, (1, 1, tiles)
    sums = backend.scratch("points of w", batch * f.channels * f.outputs, of_x.dtype)
    problem = Problem(1, batch * f.channels, line, batch * f.outputs, line, POINT, batch, channels_last)
    filters = Filters(1, f.channels, f.outputs, f.channels * f.outputs, 0, f.outputs, 1)
    im2col.multiply_weights(problem, of_x, of_y, sums, filters)
    return sums


conv_input_grad = by_keywords(conv_input_grad_plain)
conv_weight_grad = by_keywords(conv_weight_grad_plain)


def supports(problem: ConvProblem) -> str | None:
    """Why the method cannot serve a gradient, or None."""
    if problem.stride[0] != 1:
        return f"winograd's gradients on cuda serve stride 1 along the depth; this one is {problem.stride[0]}"
    return supports_forward(problem)
