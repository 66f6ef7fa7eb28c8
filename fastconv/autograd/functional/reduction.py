"""Sums, means, spreads and extremes along axes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...errors import InvalidArgument, shown
from ...spec import parse_flag, parse_real
from ..axes import axes_of
from ..operation import Saved
from ..tensor import Tensor, as_data
from ._checked import checked
from ._defined import single


def _kept(y: Any, ndim: int, axis: Any, keepdims: bool) -> Any:
    """A reduction's result, or its gradient, with the axes that went."""
    return y if keepdims or axis is None else np.expand_dims(y, axes_of(axis, ndim))


def _repeat(dy: Any, shape: tuple[int, ...], axis: Any, keepdims: bool) -> Any:
    """Give every element the gradient of what it went into."""
    return np.broadcast_to(_kept(dy, len(shape), axis, keepdims), shape)


@single
def sum(x: Any, *, axis: Any = None, keepdims: bool = False) -> Saved:
    """Sum over `axis`, or over everything."""
    keepdims = parse_flag(keepdims, "keepdims")
    return np.sum(x, axis=axis, keepdims=keepdims), (np.shape(x), axis, keepdims)


@sum.vjp
def _(dy: Any, needs: Any, shape: Any, axis: Any, keepdims: bool) -> tuple[Any, ...]:
    return (_repeat(dy, shape, axis, keepdims),)


@single
def mean(x: Any, *, axis: Any = None, keepdims: bool = False) -> Saved:
    """Mean over `axis`, or over everything."""
    keepdims = parse_flag(keepdims, "keepdims")
    return np.mean(x, axis=axis, keepdims=keepdims), (np.shape(x), axis, keepdims)


@mean.vjp
def _(dy: Any, needs: Any, shape: Any, axis: Any, keepdims: bool) -> tuple[Any, ...]:
    count = math.prod(shape) // (np.size(dy) or 1)
    return (_repeat(dy / dy.dtype.type(count), shape, axis, keepdims),)


def _spread(x: Any, axis: Any, ddof: Any, keepdims: Any) -> tuple[Any, ...]:
    """The variance, x less its mean, and by how many the squares are divided."""
    ddof, keepdims = parse_real(ddof, "ddof", "a number"), parse_flag(keepdims, "keepdims")
    x = as_data(x)
    x = x if x.dtype.kind == "f" else x.astype(np.float64)
    axes = tuple(range(x.ndim)) if axis is None else axes_of(axis, x.ndim)
    terms = math.prod(x.shape[a] for a in axes)
    if not terms - ddof > 0:
        raise InvalidArgument(f"ddof is {shown(ddof)} but each variance is of {terms} elements; there must be more")
    count = x.dtype.type(terms - ddof)
    centred = x - np.mean(x, axis=axes, keepdims=True)
    return np.sum(np.square(centred), axis=axes, keepdims=keepdims) / count, centred, count, keepdims


@single
def var(x: Any, *, axis: Any = None, ddof: float = 0, keepdims: bool = False) -> Saved:
    """Mean of the squared distances from the mean; with `ddof`, their sum over n - ddof (1: the unbiased estimate)."""
    y, centred, count, keepdims = _spread(x, axis, ddof, keepdims)
    return y, (centred, count, axis, keepdims)


@var.vjp
def _(dy: Any, needs: Any, centred: Any, count: Any, axis: Any, keepdims: bool) -> tuple[Any, ...]:
    return (_kept(dy + dy, centred.ndim, axis, keepdims) / count * centred,)


@single
def std(x: Any, *, axis: Any = None, ddof: float = 0, keepdims: bool = False) -> Saved:
    """Square root of `var`; where that is 0 the gradient is 0."""
    y, centred, count, keepdims = _spread(x, axis, ddof, keepdims)
    y = np.sqrt(y)
    return y, (y, centred, count, axis, keepdims)


@std.vjp
def _(dy: Any, needs: Any, y: Any, centred: Any, count: Any, axis: Any, keepdims: bool) -> tuple[Any, ...]:
    share = np.where(y == 0, as_data(0, like=dy), dy) / np.where(y == 0, as_data(1, like=y), y)
    return (_kept(as_data(share, like=dy), centred.ndim, axis, keepdims) / count * centred,)


@single
def max(x: Any, *, axis: Any = None, keepdims: bool = False) -> Saved:
    """Largest element along `axis`, or of all, NaN where there is one; several largest share the gradient evenly."""
    keepdims = parse_flag(keepdims, "keepdims")
    y = np.max(x, axis=axis, keepdims=keepdims)
    return y, (x, y, axis, keepdims)


@single
def min(x: Any, *, axis: Any = None, keepdims: bool = False) -> Saved:
    """Smallest element along `axis`, or of all, NaN where there is one; several smallest share the gradient evenly."""
    keepdims = parse_flag(keepdims, "keepdims")
    y = np.min(x, axis=axis, keepdims=keepdims)
    return y, (x, y, axis, keepdims)


def _to_extremes(dy: Any, needs: Any, x: Any, y: Any, axis: Any, keepdims: bool) -> tuple[Any, ...]:
    taken = (x == _kept(y, x.ndim, axis, keepdims)) | (x != x)  # only NaN differs from itself: then it is the result
    axes = tuple(range(x.ndim)) if axis is None else axes_of(axis, x.ndim)
    taken = taken.astype(dy.dtype)
    return (_kept(dy, x.ndim, axis, keepdims) * (taken / taken.sum(axis=axes, keepdims=True)),)


max.vjp(_to_extremes)
min.vjp(_to_extremes)


@checked
def argmax(x: Any, axis: int | None = None) -> Tensor:
    """Where the first largest element along `axis` is, or, counted along all axes, that of all; no gradient flows."""
    return (x if isinstance(x, Tensor) else Tensor(x)).argmax(axis)


@checked
def argmin(x: Any, axis: int | None = None) -> Tensor:
    """Where the first smallest element along `axis` is, or, counted along all axes, that of all; no gradient flows."""
    return (x if isinstance(x, Tensor) else Tensor(x)).argmin(axis)
