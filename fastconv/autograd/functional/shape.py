"""Changes of shape: the same elements elsewhere, repeated, or some of them."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from ...errors import InvalidArgument, shown
from ...memory import empty
from ...ops.halves import is_half, rounded, widened
from ..axes import axes_of
from ..operation import Saved
from ..tensor import Tensor, as_data
from ._checked import checked
from ._defined import operation


def unbroadcast(dy: Any, shape: tuple[int, ...]) -> Any:
    """Sum `dy` over the axes along which an operand of this shape was repeated."""
    if dy.shape == shape:
        return dy
    new = dy.ndim - len(shape)
    total = widened(dy).sum(axis=(*range(new), *(new + a for a, n in enumerate(shape) if n == 1))).reshape(shape)
    return rounded(total, dy.dtype) if is_half(dy.dtype) else total


@operation
def reshape(x: Any, *, shape: tuple[int, ...]) -> Saved:
    """The same elements in another shape; one size may be -1."""
    return np.reshape(x, shape), (np.shape(x),)


@reshape.vjp
def _reshaped(dy: Any, needs: Any, shape: tuple[int, ...]) -> tuple[Any, ...]:
    return (np.reshape(dy, shape),)


@checked
def flatten(x: Any) -> Tensor:
    """One row per image: (N, ...) to (N, everything else)."""
    shape = np.shape(x.values if isinstance(x, Tensor) else x)
    return reshape(x, shape=(shape[0], math.prod(shape[1:])))


@operation
def squeeze(x: Any, *, axis: Any = None) -> Saved:
    """Without the axes of size 1, or without those named by `axis`, which must have size 1."""
    shape = np.shape(x)
    axes = [a for a, n in enumerate(shape) if n == 1] if axis is None else axes_of(axis, len(shape))
    if any(shape[a] != 1 for a in axes):
        raise InvalidArgument(f"axis is {shown(axis)} but the shape is {shape}; only axes of size 1 can go")
    return np.reshape(x, tuple(n for a, n in enumerate(shape) if a not in axes)), (shape,)


@operation
def unsqueeze(x: Any, *, axis: Any) -> Saved:
    """With a new axis of size 1 at each place that `axis` names, counted in the result, as ``np.expand_dims``."""
    shape = np.shape(x)
    ndim = len(shape) + (len(axis) if isinstance(axis, (tuple, list)) else 1)
    axes, sizes = axes_of(axis, ndim), iter(shape)
    return np.reshape(x, tuple(1 if a in axes else next(sizes) for a in range(ndim))), (shape,)


squeeze.vjp(_reshaped)
unsqueeze.vjp(_reshaped)


@operation
def transpose(x: Any, *, axes: tuple[int, ...] | None = None) -> Saved:
    """The axes of x in another order, reversed if none is given."""
    order = tuple(range(np.ndim(x)))[::-1] if axes is None else axes_of(axes, np.ndim(x))
    return np.transpose(x, order), (order,)


@transpose.vjp
def _(dy: Any, needs: Any, axes: tuple[int, ...]) -> tuple[Any, ...]:
    return (np.transpose(dy, np.argsort(axes)),)


@operation
def expand(x: Any, *, shape: tuple[int, ...]) -> Saved:
    """x repeated along axes of size 1, and along new ones in front, as ``np.broadcast_to``; -1 keeps a size."""
    own = np.shape(x)
    given = tuple(map(operator.index, shape if isinstance(shape, (tuple, list)) else (shape,)))
    new = len(given) - len(own)
    if any(n < -1 or (n == -1 and a < new) for a, n in enumerate(given)):
        raise InvalidArgument(f"shape is {shown(shape)}; expected sizes, or -1 where x of shape {own} keeps its own")
    return np.broadcast_to(x, tuple(own[a - new] if n == -1 else n for a, n in enumerate(given))), (own,)


@expand.vjp
def _(dy: Any, needs: Any, shape: tuple[int, ...]) -> tuple[Any, ...]:
    return (unbroadcast(dy, shape),)


@operation
def pad(x: Any, *, widths: tuple[tuple[int, int], ...], value: float = 0.0) -> Saved:
    """Add (before, after) elements of `value` along each axis."""
    x = as_data(x)
    inside = tuple(slice(before, before + n) for n, (before, _) in zip(x.shape, widths, strict=True))
    shape = tuple(n + before + after for n, (before, after) in zip(x.shape, widths, strict=True))
    y = empty(shape, x.dtype) if isinstance(x, np.ndarray) else np.empty_like(x, shape=shape)
    y.fill(value)
    y[inside] = x
    return y, (inside,)


@pad.vjp
def _(dy: Any, needs: Any, inside: tuple[slice, ...]) -> tuple[Any, ...]:
    dx = dy[inside]  # contiguous on a device anyway
    return (np.ascontiguousarray(dx) if isinstance(dx, np.ndarray) else dx,)


@operation
def concatenate(*tensors: Any, axis: int = -1) -> Saved:
    """Join along an existing axis."""
    sizes = [np.shape(t)[axis] for t in tensors]
    return np.concatenate(tensors, axis=axis), (np.cumsum(sizes)[:-1], axis)


@concatenate.vjp
def _(dy: Any, needs: Any, cuts: Any, axis: int) -> tuple[Any, ...]:
    return tuple(np.split(dy, cuts, axis=axis))


@operation
def stack(*tensors: Any, axis: int = 0) -> Saved:
    """Join tensors of one shape along a new axis."""
    y = np.stack(tensors, axis=axis)
    return y, (axis % y.ndim,)


@stack.vjp
def _(dy: Any, needs: Any, axis: int) -> tuple[Any, ...]:
    before = (slice(None),) * axis
    return tuple(dy[(*before, i)] for i in range(dy.shape[axis]))


@operation
def getitem(x: Any, *, index: Any) -> Saved:
    """x[index]: integers, slices, None, ..., and arrays of integers or booleans, as NumPy reads them."""
    return x[index], (x.shape, index)


@getitem.vjp
def _(dy: Any, needs: Any, shape: tuple[int, ...], index: Any) -> tuple[Any, ...]:
    dx = np.zeros_like(dy, shape=shape)
    if isinstance(dx, np.ndarray) and _names_none_twice(index):
        dx[index] = dy
    else:
        np.add.at(dx, index, dy)  # an element taken twice gets both gradients
    return (dx,)


def _names_none_twice(index: Any) -> bool:
    """Whether an index takes each element at most once for certain."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(
        part is None
        or part is ...
        or isinstance(part, (int, np.integer, slice))
        or getattr(part, "dtype", None) == np.bool_
        for part in parts
    )
