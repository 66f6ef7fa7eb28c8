"""Elements repeated, images in other sizes and places, and rows of a table."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import ops
from ...errors import InvalidArgument, shown
from ...ops import affine, resampling
from ...ops.affine import FILL_MODES
from ...ops.resampling import INTERPOLATIONS, Table
from ...spec import parse_axes, parse_flag, parse_layout, parse_real, parse_word
from ..operation import Saved
from ._defined import operation, single


def _along(x: Any, tables: tuple[tuple[int, Table], ...]) -> Any:
    for axis, table in tables:
        x = resampling.resample(x, table, axis)
    return x


def _back(dy: Any, needs: Any, tables: tuple[tuple[int, Table], ...]) -> tuple[Any, ...]:
    return (_along(dy, tuple((axis, table.transposed) for axis, table in reversed(tables))),)


@single
def repeat(x: Any, *, counts: tuple[int, ...]) -> Saved:
    """Every element so many times along each axis, beside itself; the gradient is the sum over the copies."""
    numbers = parse_axes(counts, "counts", x.ndim)
    tables = tuple((a, resampling.repeated(x.shape[a], n)) for a, n in enumerate(numbers) if n != 1)
    return _along(x, tables), (tables,)


repeat.vjp(_back)


@single
def resize(
    x: Any, *, size: Any, layout: str | None = None, interpolation: str = "bilinear", antialias: bool = False
) -> Saved:
    """Signals, images or volumes in another size; pixels are areas, whose middles are interpolated.

    `interpolation` is "nearest", "bilinear", "bicubic" (Keys, a = -1/2), "lanczos3" or "lanczos5"; with `antialias` its
    function is stretched where pixels become fewer. ``size`` is one whole number for each spatial axis, or for all.
    """
    interpolation = parse_word(interpolation, "interpolation", INTERPOLATIONS)
    antialias = parse_flag(antialias, "antialias")
    rank = x.ndim - 2
    if rank not in (1, 2, 3):
        raise InvalidArgument(f"x has shape {x.shape}; expected a batch of signals, images or volumes, with channels")
    first = 1 if parse_layout(layout, rank) else 2
    sizes = parse_axes(size, "size", rank)
    if 0 in x.shape[first : first + rank]:
        raise InvalidArgument(f"x has shape {x.shape}: there is nothing to interpolate")
    tables = tuple(
        (a, resampling.interpolated(x.shape[a], n, interpolation, antialias))
        for a, n in enumerate(sizes, first)
        if n != x.shape[a]
    )
    return _along(x, tables), (tables,)


resize.vjp(_back)


@operation
def embedding(x: Any, w: Any) -> Saved:
    """Row n of w for each whole number n in x: w[x]; the gradient to a row is summed in the order of x, on the CPU."""
    numbers = np.asarray(ops.to_host(x))
    rows = numbers.astype(np.int64)
    if np.ndim(w) != 2:
        raise InvalidArgument(f"w has shape {np.shape(w)}; expected (numbers, features)")
    wrong = (rows != numbers) | (rows < 0) | (rows >= w.shape[0])
    if wrong.any():
        raise InvalidArgument(
            f"x holds {shown(numbers[wrong][0])}; expected whole numbers from 0 to {w.shape[0] - 1}, for w has "
            f"{w.shape[0]} rows"
        )
    return resampling.rows_of(w, rows), (rows, w.shape[0], x)


@embedding.vjp
def _(dy: Any, needs: Any, rows: np.ndarray, size: int, x: Any) -> tuple[Any, ...]:
    dx = np.zeros_like(x, dtype=dy.dtype) if needs[0] else None
    return dx, resampling.rows_added(dy, rows, size) if needs[1] else None


@single
def affine_transform(
    x: Any,
    *,
    maps: Any,
    layout: str | None = None,
    interpolation: str = "bilinear",
    fill_mode: str = "constant",
    fill_value: float = 0.0,
) -> Saved:
    """Images moved, turned and scaled, each by a map of its own.

    Row n of ``maps`` (N, 6) is (a, b, c, d, e, f): the element at row i and column j of result n comes from row
    a*i + b*j + c and column d*i + e*j + f of image n, from the "nearest" element, or "bilinear" between four. What lies
    beyond an image is `fill_value` ("constant"), its last element ("nearest"), the image again ("wrap"), or its mirror
    image ("reflect"): SciPy's modes "grid-constant", "nearest", "grid-wrap" and "reflect". A GPU's images are computed
    on the CPU.
    """
    if x.ndim != 4:
        raise InvalidArgument(f"x has shape {x.shape}; expected a batch of images, with channels")
    smooth = parse_word(interpolation, "interpolation", ("nearest", "bilinear")) == "bilinear"
    mode = parse_word(fill_mode, "fill_mode", FILL_MODES)
    fill, last = parse_real(fill_value, "fill_value", "a number"), parse_layout(layout, 2)
    numbers = np.ascontiguousarray(maps, np.float64)
    if numbers.shape != (x.shape[0], 6) or not (np.abs(numbers) < 2**31).all():
        raise InvalidArgument(f"maps is {shown(maps)}; expected six finite numbers for each of {x.shape[0]} images")
    return affine.affine(x, numbers, smooth, mode, fill, last), (numbers, smooth, mode, last)


@affine_transform.vjp
def _(dy: Any, needs: Any, *numbers: Any) -> tuple[Any, ...]:
    return (affine.affine_grad(dy, *numbers),)
