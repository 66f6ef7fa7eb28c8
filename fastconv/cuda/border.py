"""Borders other than zeros: a padded copy of an image, and its adjoint for gradients.

Convolution kernels know zeros alone, as reads outside the image. For "edge", "reflect", "symmetric" and "wrap" x is
copied with its border first; the gradient of such a copy is folded back by `fold`, where each element of dx gathers
from all the places it was copied to. Both follow index tables of ``fastconv.borders``, one per axis.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from ..borders import border_index
from ..problem import ConvProblem, Triple
from . import backend
from .backend import cuda
from .indexing import Strides, channel_axes, make_position, strides_of
from .launch import BLOCK, blocks_for, flat, launch, needs_wide, table


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


def padded(p: ConvProblem, x: Any) -> tuple[ConvProblem, Any]:
    """The problem that convolution kernels shall solve, and x for it, copied with a border that is not zeros."""
    if not p.bordered:
        return p, x
    inside = _inside(p)
    xp = _scratch(inside, x.dtype)
    _each(make_pad, p, x, xp, border_index, strides_of(p.C, p.size, p.channels_last), inside.size)
    return inside, xp


def unfolded(p: ConvProblem, dx: Any) -> tuple[ConvProblem, Any]:
    """The problem that kernels shall solve, and where to: dx, or room for its gradient with the border."""
    return (_inside(p), _scratch(_inside(p), dx.dtype)) if p.bordered else (p, dx)


def fold(p: ConvProblem, dxp: Any, dx: Any) -> None:
    """Write to `dx` the gradient of what `padded` made a copy of, unless `dxp` is `dx` itself."""
    if dxp is not dx:
        _each(make_fold, p, dxp, dx, _copies, strides_of(p.C, p.padded, p.channels_last), p.size)


_inside = lru_cache(maxsize=256)(ConvProblem.inside)


def _scratch(p: ConvProblem, dtype: Any) -> Any:
    return backend.scratch("padded", math.prod(p.x_shape3), dtype).reshape(p.x_shape3)


def _each(
    factory: Callable[..., Callable[..., None]], p: ConvProblem, source: Any, target: Any,
    build: Callable[..., np.ndarray], strides: Strides, size: Triple,
) -> None:  # fmt: skip
    """Start a kernel with one thread for each element of `target`, whose axes have `size`, by tables of each axis."""
    wide = needs_wide(source.size, target.size)
    tables = (table(build, (axis.size, axis.before, axis.after, p.padding_mode), wide) for axis in p.axes)
    args = flat(source), flat(target), *tables, strides, size, *channel_axes(p.C, p.channels_last), target.size
    launch(factory, (), blocks_for(target.size), args, dtype=target.dtype, wide=wide)


def _copies(n: int, before: int, after: int, mode: str) -> np.ndarray:
    """Of each element of an axis the places in the padded axis: n + 1 bounds, then the places between them."""
    index = border_index(n, before, after, mode)
    bounds = n + 1 + np.concatenate([[0], np.cumsum(np.bincount(index, minlength=n))])
    return np.concatenate([bounds, np.argsort(index, kind="stable")])
