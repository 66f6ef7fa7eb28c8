"""Axes in another order: NCHW to NHWC and back, and any other transposition.

Axes that stay neighbours are merged first, so that what is left tells the cases apart. Where the last axis changes, a
block moves tiles of 32 x 32 through shared memory, with rows of 33 so that columns lie in different banks: reads and
writes are both of 32 neighbours. Where one of the two last axes is short, a tile would be mostly empty, and threads
follow that side's order instead: the other side is then read or written in as many runs as the short axis is long.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from .. import backend, halves
from ..backend import cuda
from ..launch import BLOCK, blocks_for, flat, launch, needs_wide
from ..runtime.source import unrolled

TILE = 32
PITCH = TILE + 1
SIZE = TILE * PITCH
ROWS = BLOCK // TILE  # of a tile that the threads of a block move at a time
SHORT = 12  # an axis shorter than this leaves a tile too empty


class Axis(NamedTuple):
    """Elements along an axis, and how far apart two of them lie in x and in y."""

    size: int
    x: int
    y: int


class Plane(NamedTuple):
    """The axis that is last in x, `a`, the one that is last in y, `b`, and how many tiles lie along each."""

    a: int
    b: int
    tiles_a: int
    tiles_b: int
    step_x: int  # from one b to the next in x
    step_y: int  # from one a to the next in y


def make_move(T: Any, S: Any, U: Any, rank: int) -> Callable[..., None]:
    """y[i*ys] = x[i*xs], one thread per element; axes come from the innermost to the outermost."""
    OUTERMOST = rank - 1

    def move(x: Any, y: Any, sizes: Any, xs: Any, ys: Any, total: Any) -> None:
        rest = U(U(cuda.blockIdx.x) * U(BLOCK) + U(cuda.threadIdx.x))
        if rest < U(total):
            at, to = U(0), U(0)
            for k in unrolled(OUTERMOST):
                q = U(rest // U(sizes[k]))
                i = U(rest - q * U(sizes[k]))
                at, to, rest = U(at + i * U(xs[k])), U(to + i * U(ys[k])), q
            y[U(to + rest * U(ys[OUTERMOST]))] = x[U(at + rest * U(xs[OUTERMOST]))]

    return move


def make_transpose(T: Any, S: Any, U: Any, rank: int) -> Callable[..., None]:
    """y[..., a, b] = x[..., b, a] in tiles; a block owns one tile of one plane, planes have `rank` axes."""

    def transpose(x: Any, y: Any, plane: Plane, sizes: Any, xs: Any, ys: Any) -> None:
        tile = cuda.shared.array(SIZE, T)
        t, rest = U(cuda.threadIdx.x), U(cuda.blockIdx.x)
        q = U(rest // U(plane.tiles_a))
        a0, rest = U(U(rest - q * U(plane.tiles_a)) * U(TILE)), q
        q = U(rest // U(plane.tiles_b))
        b0, rest = U(U(rest - q * U(plane.tiles_b)) * U(TILE)), q
        at, to = U(0), U(0)
        for k in unrolled(rank):
            q = U(rest // U(sizes[k]))
            i = U(rest - q * U(sizes[k]))
            at, to, rest = U(at + i * U(xs[k])), U(to + i * U(ys[k])), q
        lane, row = U(t % U(TILE)), U(t // U(TILE))
        for j in unrolled(TILE // ROWS):
            b = U(b0 + row + U(j * ROWS))
            if U(a0 + lane) < U(plane.a) and b < U(plane.b):
                tile[U(U(row + U(j * ROWS)) * U(PITCH) + lane)] = x[U(at + b * U(plane.step_x) + a0 + lane)]
        cuda.syncthreads()
        for j in unrolled(TILE // ROWS):
            a = U(a0 + row + U(j * ROWS))
            if a < U(plane.a) and U(b0 + lane) < U(plane.b):
                y[U(to + a * U(plane.step_y) + b0 + lane)] = tile[U(lane * U(PITCH) + row + U(j * ROWS))]

    return transpose


def permute(x: Any, axes: Sequence[int]) -> Any:
    """A new array whose axis k is axis ``axes[k]`` of x, as ``numpy.transpose`` copied.

    Parameters
    ----------
    x : device array
        C-contiguous, up to six axes, of any dtype that kernels know; also ``halves.Half``.
    axes : sequence of int
        Each axis of x once, none of them negative.
    """
    shape = tuple(x.shape[k] for k in axes)
    if isinstance(x, halves.Half):
        y = halves.empty(shape, x.dtype)
        permute_into(x.bits, y.bits, axes)
    else:
        y = backend.empty(shape, x.dtype)
        permute_into(x, y, axes)
    return y


def permute_into(x: Any, y: Any, axes: Sequence[int]) -> None:
    """Write x with its axes in another order, as `permute` says, to y."""
    if x.size == 0:
        return
    with backend.scope(x, y):
        merged = merge(tuple(x.shape), tuple(axes))
        arrays, options = (flat(x), flat(y)), {"dtype": x.dtype, "wide": needs_wide(x.size)}
        a, b = next(axis for axis in merged if axis.x == 1), merged[-1]
        if a is b or min(a.size, b.size) < SHORT:
            order = merged if a is b or b.size < SHORT else sorted(merged, key=lambda axis: -axis.x)
            args = *arrays, *_columns(order), x.size
            launch(make_move, (len(order),), blocks_for(x.size), args, **options)
            return
        plane = Plane(a.size, b.size, blocks_for(a.size, TILE), blocks_for(b.size, TILE), b.x, a.y)
        planes = [axis for axis in merged if axis is not a and axis is not b] or [Axis(1, 0, 0)]
        blocks = plane.tiles_a * plane.tiles_b * math.prod(axis.size for axis in planes)
        launch(make_transpose, (len(planes),), blocks, (*arrays, plane, *_columns(planes)), **options)


def _columns(axes: Sequence[Axis]) -> list[tuple[int, ...]]:
    """Sizes, strides in x and strides in y, the innermost axis first."""
    return list(zip(*reversed(axes), strict=True))


@lru_cache(maxsize=512)
def merge(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[Axis, ...]:
    """The axes of y from the outermost, without those of one element, neighbours that stay neighbours made one."""
    strides = [math.prod(shape[k + 1 :]) for k in range(len(shape))]
    merged: list[Axis] = []
    for k in reversed(axes):
        if shape[k] == 1:
            continue
        step = merged[-1].y * merged[-1].size if merged else 1
        if merged and strides[k] == merged[-1].x * merged[-1].size:
            merged[-1] = merged[-1]._replace(size=merged[-1].size * shape[k])
        else:
            merged.append(Axis(shape[k], strides[k], step))
    return tuple(reversed(merged)) or (Axis(1, 1, 1),)
