"""Borders other than zeros: a padded copy of an image, and its adjoint for gradients.

Convolution kernels know zeros alone, as reads outside the image. For "edge", "reflect", "symmetric" and "wrap" x is
copied with its border first; the gradient of such a copy is folded back by `fold`, where each element of dx gathers
from all the places it was copied to. Both follow index tables of ``fastconv.borders``, one per axis.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..borders import border_index
from . import backend
from .backend import cuda
from .indexing import Strides, Triple, channel_axes, make_position, split, strides_of
from .launch import BLOCK, blocks_for, flat, launch, needs_wide, table

Pairs = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


def make_pad(T: Any, S: Any, U: Any) -> Callable[..., None]:
    """xp[n, c, d, h, w] = x[n, c, td[d], th[h], tw[w]]; one thread per element of `xp`."""
    position = make_position(U)

    def pad(
        x: Any, xp: Any, td: Any, th: Any, tw: Any, strides: Strides, size: Any, outer: Any, inner: Any, total: Any
    ) -> None:
        i = U(U(cuda.blockIdx.x) * U(BLOCK) + U(cuda.threadIdx.x))
        if i < U(total):
            n, c, d, h, w = position(i, outer, size[0], size[1], size[2], inner)
            at = U(n * U(strides.n) + c * U(strides.c) + U(td[d]) * U(strides.d))
            xp[i] = x[U(at + U(th[h]) * U(strides.h) + U(tw[w]) * U(strides.w))]

    return pad


def make_fold(T: Any, S: Any, U: Any) -> Callable[..., None]:
    """dx[n, c, d, h, w] = sum of dxp over the places d, h, w were copied to; one thread per element of dx.

    A table of n + 1 bounds and then places says for each element of an axis where its copies are.
    """
    position = make_position(U)

    def fold(
        dxp: Any, dx: Any, td: Any, th: Any, tw: Any, strides: Strides, size: Any, outer: Any, inner: Any, total: Any
    ) -> None:
        i = U(U(cuda.blockIdx.x) * U(BLOCK) + U(cuda.threadIdx.x))
        if i < U(total):
            n, c, d, h, w = position(i, outer, size[0], size[1], size[2], inner)
            acc = T(0)
            for u in range(td[d], td[U(d + U(1))]):
                a = U(n * U(strides.n) + c * U(strides.c) + U(td[U(u)]) * U(strides.d))
                for v in range(th[h], th[U(h + U(1))]):
                    b = U(a + U(th[U(v)]) * U(strides.h))
                    for k in range(tw[w], tw[U(w + U(1))]):
                        acc += dxp[U(b + U(tw[U(k)]) * U(strides.w))]
            dx[i] = acc

    return fold


def padded(x: Any, padding: Pairs, mode: str, channels_last: bool) -> tuple[Any, Triple]:
    """x, or its copy with a border that is not zeros; and the zeros that convolution kernels shall see before it."""
    if _only_zeros(padding, mode):
        return x, _before(padding)
    xp, before = unfolded(x, padding, mode, channels_last)
    N, C, size = split(x.shape, channels_last)
    wide = needs_wide(x.size, xp.size)
    tables = _tables(border_index, size, padding, mode, wide)
    _each(make_pad, x, xp, tables, strides_of(C, size, channels_last), xp.shape, channels_last, wide)
    return xp, before


def unfolded(dx: Any, padding: Pairs, mode: str, channels_last: bool) -> tuple[Any, Triple]:
    """dx, or scratch for the gradient of its copy with a border that is not zeros; and the zeros before it."""
    if _only_zeros(padding, mode):
        return dx, _before(padding)
    N, C, (D, H, W) = split(dx.shape, channels_last)
    D, H, W = (n + before + after for n, (before, after) in zip((D, H, W), padding, strict=True))
    shape = (N, D, H, W, C) if channels_last else (N, C, D, H, W)
    return backend.scratch("padded", N * C * D * H * W, dx.dtype).reshape(shape), (0, 0, 0)


def fold(dxp: Any, dx: Any, padding: Pairs, mode: str, channels_last: bool) -> None:
    """Write to `dx` the gradient of what `padded` made a copy of, unless `dxp` is `dx` itself."""
    if dxp is dx:
        return
    size = split(dx.shape, channels_last)[2]
    N, C, large = split(dxp.shape, channels_last)
    wide = needs_wide(dx.size, dxp.size)
    tables = _tables(_copies, size, padding, mode, wide)
    _each(make_fold, dxp, dx, tables, strides_of(C, large, channels_last), dx.shape, channels_last, wide)


def _each(
    factory: Callable[..., Callable[..., None]], source: Any, target: Any, tables: Any, strides: Strides,
    shape: tuple[int, ...], channels_last: bool, wide: bool,
) -> None:  # fmt: skip
    N, C, size = split(shape, channels_last)
    args = flat(source), flat(target), *tables, strides, size, *channel_axes(C, channels_last), target.size
    launch(factory, (), blocks_for(target.size), args, dtype=target.dtype, wide=wide)


def _tables(build: Callable[..., np.ndarray], size: Triple, padding: Pairs, mode: str, wide: bool) -> tuple[Any, ...]:
    return tuple(table(build, (n, *pair, mode), wide) for n, pair in zip(size, padding, strict=True))


def _copies(n: int, before: int, after: int, mode: str) -> np.ndarray:
    """Of each element of an axis the places in the padded axis: n + 1 bounds, then the places between them."""
    index = border_index(n, before, after, mode)
    bounds = n + 1 + np.concatenate([[0], np.cumsum(np.bincount(index, minlength=n))])
    return np.concatenate([bounds, np.argsort(index, kind="stable")])


def _only_zeros(padding: Pairs, mode: str) -> bool:
    return mode == "zeros" or not any(before or after for before, after in padding)


def _before(padding: Pairs) -> Triple:
    return padding[0][0], padding[1][0], padding[2][0]
