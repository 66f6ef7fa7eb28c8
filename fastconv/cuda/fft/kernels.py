"""What surrounds Fourier transforms on CUDA: laying arrays on grids, products of spectra, taking results from grids."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ..activation import device_function
from ..backend import cuda
from ..indexing import L, make_pixel, make_position
from ..launch import BLOCK
from ..runtime.source import unrolled


class Grid(NamedTuple):
    """Points of a grid and tiles of an image along D, H, W; channels; the first tile of all images' that is there."""

    D: int
    H: int
    W: int
    tiles_d: int
    tiles_h: int
    tiles_w: int
    channels: int
    first: int


class Source(NamedTuple):
    """Where a grid's numbers come from: point j < limit of tile t is place (t*move + j - shift)/step, where whole."""

    D: int
    H: int
    W: int
    n: int
    c: int
    d: int
    h: int
    w: int
    move_d: int
    move_h: int
    move_w: int
    shift_d: int
    shift_h: int
    shift_w: int
    step_d: int
    step_h: int
    step_w: int
    limit_d: int
    limit_h: int
    limit_w: int


class Target(NamedTuple):
    """Where results go: result k < count of tile t, at point start + k*step, is place t*count + k - shift of y."""

    D: int
    H: int
    W: int
    n: int
    c: int
    d: int
    h: int
    w: int
    count_d: int
    count_h: int
    count_w: int
    shift_d: int
    shift_h: int
    shift_w: int
    step_d: int
    step_h: int
    step_w: int
    start_d: int
    start_h: int
    start_w: int


class Sums(NamedTuple):
    """r[g, row, column] = sum over terms of a[g, row, term] * b[g, column, term], for each point; strides in planes."""

    points: int
    rows: int
    columns: int
    terms: int
    a_group: int
    a_row: int
    a_term: int
    b_group: int
    b_column: int
    b_term: int
    r_group: int
    r_row: int
    r_column: int


def make_lay(T: Any, S: Any, U: Any, spaced: bool) -> Callable[..., None]:
    """An array laid on the grids of some tiles, zeros around and, if it is `spaced`, between; a thread per point."""
    position, pixel = make_position(U), make_pixel(U)

    def lay(x: Any, grid: Any, g: Grid, s: Source, total: Any) -> None:
        i = U(U(cuda.blockIdx.x) * U(BLOCK) + U(cuda.threadIdx.x))
        if i < U(total):
            b, c, jd, jh, jw = position(i, g.channels, g.D, g.H, g.W, 1)
            n, td, th, tw = pixel(U(b + U(g.first)), g.tiles_d, g.tiles_h, g.tiles_w)
            d = U(td * U(s.move_d) + jd - U(s.shift_d))
            h = U(th * U(s.move_h) + jh - U(s.shift_h))
            w = U(tw * U(s.move_w) + jw - U(s.shift_w))
            real = jd < U(s.limit_d) and jh < U(s.limit_h) and jw < U(s.limit_w)
            if spaced:
                real = real and S(d) >= 0 and S(h) >= 0 and S(w) >= 0
                d, rest_d = U(d // U(s.step_d)), U(d % U(s.step_d))
                h, rest_h = U(h // U(s.step_h)), U(h % U(s.step_h))
                w, rest_w = U(w // U(s.step_w)), U(w % U(s.step_w))
                real = real and rest_d == U(0) and rest_h == U(0) and rest_w == U(0)
            v = T(0)
            if real and d < U(s.D) and h < U(s.H) and w < U(s.W):
                v = x[U(n * U(s.n) + c * U(s.c) + d * U(s.d) + h * U(s.h) + w * U(s.w))]
            grid[i] = v

    return lay


def make_sum_products(
    T: Any, S: Any, U: Any, rows: int, columns: int, conjugate: bool, add: bool
) -> Callable[..., None]:
    """Products of spectra, see `Sums`; with `conjugate` of b's conjugates, with `add` added to what is there.

    A thread owns `rows` x `columns` results of one point; neighbours own neighbouring points.
    """
    RESULTS = rows * columns

    def sum_products(a: Any, b: Any, r: Any, s: Sums, grid: Any) -> None:
        re, im = cuda.local.array(RESULTS, T), cuda.local.array(RESULTS, T)
        ar, ai = cuda.local.array(rows, T), cuda.local.array(rows, T)
        br, bi = cuda.local.array(columns, T), cuda.local.array(columns, T)
        rest = U(cuda.blockIdx.x)
        q = U(rest // U(grid[0]))
        f = U(U(rest - q * U(grid[0])) * U(BLOCK) + U(cuda.threadIdx.x))
        rest = U(q // U(grid[1]))
        o0 = U(U(q - rest * U(grid[1])) * U(columns))
        g = U(rest // U(grid[2]))
        n0 = U(U(rest - g * U(grid[2])) * U(rows))
        if f < U(s.points):
            for i in unrolled(rows):
                for j in unrolled(columns):
                    re[i * columns + j], im[i * columns + j] = T(0), T(0)
                    if add and U(n0 + U(i)) < U(s.rows) and U(o0 + U(j)) < U(s.columns):
                        plane = U(g * U(s.r_group) + U(n0 + U(i)) * U(s.r_row) + U(o0 + U(j)) * U(s.r_column))
                        place = L(U(U(plane * U(s.points) + f) * U(2)))
                        re[i * columns + j], im[i * columns + j] = r[place], r[place + L(1)]
            for k in range(s.terms):
                for i in unrolled(rows):
                    ar[i], ai[i] = T(0), T(0)
                    if U(n0 + U(i)) < U(s.rows):
                        plane = U(g * U(s.a_group) + U(n0 + U(i)) * U(s.a_row) + U(k) * U(s.a_term))
                        place = L(U(U(plane * U(s.points) + f) * U(2)))
                        ar[i], ai[i] = a[place], a[place + L(1)]
                for j in unrolled(columns):
                    br[j], bi[j] = T(0), T(0)
                    if U(o0 + U(j)) < U(s.columns):
                        plane = U(g * U(s.b_group) + U(o0 + U(j)) * U(s.b_column) + U(k) * U(s.b_term))
                        place = L(U(U(plane * U(s.points) + f) * U(2)))
                        br[j], bi[j] = b[place], b[place + L(1)]
                    if conjugate:
                        bi[j] = -bi[j]
                for i in range(rows):
                    for j in range(columns):
                        re[i * columns + j] += ar[i] * br[j] - ai[i] * bi[j]
                        im[i * columns + j] += ar[i] * bi[j] + ai[i] * br[j]
            for i in unrolled(rows):
                for j in unrolled(columns):
                    if U(n0 + U(i)) < U(s.rows) and U(o0 + U(j)) < U(s.columns):
                        plane = U(g * U(s.r_group) + U(n0 + U(i)) * U(s.r_row) + U(o0 + U(j)) * U(s.r_column))
                        place = L(U(U(plane * U(s.points) + f) * U(2)))
                        r[place], r[place + L(1)] = re[i * columns + j], im[i * columns + j]

    return sum_products


def make_take(T: Any, S: Any, U: Any, bias: bool, activation: Any) -> Callable[..., None]:
    """Results from the grids of some tiles, with bias and activation; a thread per result, also those beyond y."""
    position, pixel = make_position(U), make_pixel(U)
    act = device_function(activation, T)

    def take(grid: Any, b: Any, y: Any, g: Grid, t: Target, total: Any) -> None:
        i = U(U(cuda.blockIdx.x) * U(BLOCK) + U(cuda.threadIdx.x))
        if i < U(total):
            tile, c, kd, kh, kw = position(i, g.channels, t.count_d, t.count_h, t.count_w, 1)
            n, td, th, tw = pixel(U(tile + U(g.first)), g.tiles_d, g.tiles_h, g.tiles_w)
            d = U(td * U(t.count_d) + kd - U(t.shift_d))
            h = U(th * U(t.count_h) + kh - U(t.shift_h))
            w = U(tw * U(t.count_w) + kw - U(t.shift_w))
            if d < U(t.D) and h < U(t.H) and w < U(t.W):
                jd, jh = U(kd * U(t.step_d) + U(t.start_d)), U(kh * U(t.step_h) + U(t.start_h))
                plane = U(U(tile * U(g.channels) + c) * U(g.D) + jd)
                v = grid[U(U(plane * U(g.H) + jh) * U(g.W) + kw * U(t.step_w) + U(t.start_w))]
                if bias:
                    v = T(v + b[c])
                if act is not None:
                    v = T(act(v))
                y[U(n * U(t.n) + c * U(t.c) + d * U(t.d) + h * U(t.h) + w * U(t.w))] = v

    return take
