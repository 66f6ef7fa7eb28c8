"""Arithmetic with broadcasting, reductions and changes of shape."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...memory import empty
from ...spec import parse_flag, parse_real
from ..operation import Saved
from ..tensor import Tensor, as_data
from ._checked import checked
from ._defined import operation


def _kind(x: Any) -> tuple[tuple[int, ...], Any]:
    return np.shape(x), getattr(x, "dtype", None)


def _unbroadcast(dy: np.ndarray, kind: tuple[tuple[int, ...], Any]) -> np.ndarray:
    """Sum `dy` over the axes along which an input was repeated."""
    shape, dtype = kind
    if dy.shape != shape:
        new = dy.ndim - len(shape)
        dy = dy.sum(axis=(*range(new), *(new + a for a, n in enumerate(shape) if n == 1))).reshape(shape)
    return dy.astype(dtype, copy=False)


@operation
def add(a: Any, b: Any) -> Saved:
    """a + b."""
    return np.add(a, b), (_kind(a), _kind(b))


@add.vjp
def _(dy: Any, needs: Any, a: Any, b: Any) -> tuple[Any, ...]:
    return tuple(_unbroadcast(dy, k) if need else None for k, need in zip((a, b), needs, strict=True))


@operation
def subtract(a: Any, b: Any) -> Saved:
    """a - b."""
    return np.subtract(a, b), (_kind(a), _kind(b))


@subtract.vjp
def _(dy: Any, needs: Any, a: Any, b: Any) -> tuple[Any, ...]:
    return _unbroadcast(dy, a) if needs[0] else None, _unbroadcast(-dy, b) if needs[1] else None


@operation
def multiply(a: Any, b: Any) -> Saved:
    """a * b."""
    return np.multiply(a, b), (a, b)


@multiply.vjp
def _(dy: Any, needs: Any, a: Any, b: Any) -> tuple[Any, ...]:
    return _unbroadcast(dy * b, _kind(a)) if needs[0] else None, _unbroadcast(dy * a, _kind(b)) if needs[1] else None


@operation
def divide(a: Any, b: Any) -> Saved:
    """a / b."""
    y = np.divide(a, b)
    return y, (y, b, _kind(a))


@divide.vjp
def _(dy: Any, needs: Any, y: Any, b: Any, a: Any) -> tuple[Any, ...]:
    da = dy / b
    return _unbroadcast(da, a) if needs[0] else None, _unbroadcast(-da * y, _kind(b)) if needs[1] else None


@operation
def power(x: Any, *, exponent: float) -> Saved:
    """x**exponent for a number `exponent`."""
    exponent = parse_real(exponent, "exponent", "a number")
    return np.power(x, exponent), (x, exponent)


@power.vjp
def _(dy: Any, needs: Any, x: Any, exponent: float) -> tuple[Any, ...]:
    return (dy * (exponent * np.power(x, exponent - 1)),)


@operation
def exp(x: Any) -> Saved:
    """Exponential function."""
    y = np.exp(x)
    return y, (y,)


@exp.vjp
def _(dy: Any, needs: Any, y: Any) -> tuple[Any, ...]:
    return (dy * y,)


@operation
def log(x: Any) -> Saved:
    """Natural logarithm."""
    return np.log(x), (x,)


@log.vjp
def _(dy: Any, needs: Any, x: Any) -> tuple[Any, ...]:
    return (dy / x,)


@operation
def absolute(x: Any) -> Saved:
    """Absolute value; the gradient at 0 is 0."""
    return np.abs(x), (x,)


@absolute.vjp
def _(dy: Any, needs: Any, x: Any) -> tuple[Any, ...]:
    return (dy * np.sign(x),)


@operation
def sum(x: Any, *, axis: Any = None, keepdims: bool = False) -> Saved:
    """Sum over `axis`, or over everything."""
    keepdims = parse_flag(keepdims, "keepdims")
    return np.sum(x, axis=axis, keepdims=keepdims), (np.shape(x), axis, keepdims)


@sum.vjp
def _(dy: Any, needs: Any, shape: Any, axis: Any, keepdims: bool) -> tuple[Any, ...]:
    return (_repeat(dy, shape, axis, keepdims),)


@operation
def mean(x: Any, *, axis: Any = None, keepdims: bool = False) -> Saved:
    """Mean over `axis`, or over everything."""
    keepdims = parse_flag(keepdims, "keepdims")
    return np.mean(x, axis=axis, keepdims=keepdims), (np.shape(x), axis, keepdims)


@mean.vjp
def _(dy: Any, needs: Any, shape: Any, axis: Any, keepdims: bool) -> tuple[Any, ...]:
    count = math.prod(shape) // max(1, np.size(dy))
    return (_repeat(dy / dy.dtype.type(count), shape, axis, keepdims),)


def _repeat(dy: np.ndarray, shape: tuple[int, ...], axis: Any, keepdims: bool) -> np.ndarray:
    """Give every summed element the gradient of its sum."""
    if axis is not None and not keepdims:
        axes = axis if isinstance(axis, tuple) else (axis,)
        dy = np.expand_dims(dy, tuple(a % len(shape) for a in axes))
    return np.broadcast_to(dy, shape)


@operation
def reshape(x: Any, *, shape: tuple[int, ...]) -> Saved:
    """The same elements in another shape; one size may be -1."""
    return np.reshape(x, shape), (np.shape(x),)


@reshape.vjp
def _(dy: Any, needs: Any, shape: tuple[int, ...]) -> tuple[Any, ...]:
    return (np.reshape(dy, shape),)


@checked
def flatten(x: Any) -> Tensor:
    """One row per image: (N, ...) to (N, everything else)."""
    shape = np.shape(x.values if isinstance(x, Tensor) else x)
    return reshape(x, shape=(shape[0], math.prod(shape[1:])))


@operation
def transpose(x: Any, *, axes: tuple[int, ...]) -> Saved:
    """The axes of x in another order."""
    return np.transpose(x, axes), (axes,)


@transpose.vjp
def _(dy: Any, needs: Any, axes: tuple[int, ...]) -> tuple[Any, ...]:
    return (np.transpose(dy, np.argsort(axes)),)


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
def getitem(x: Any, *, index: Any) -> Saved:
    """x[index]."""
    return x[index], (x.shape, index)


@getitem.vjp
def _(dy: Any, needs: Any, shape: tuple[int, ...], index: Any) -> tuple[Any, ...]:
    dx = np.zeros_like(dy, shape=shape)
    np.add.at(dx, index, dy)  # an element taken twice gets both gradients
    return (dx,)


@operation
def penalty(w: Any, *, l1: float = 0.0, l2: float = 0.0) -> Saved:
    """l1 * sum(abs(w)) + l2 * sum(w*w): what a regularizer adds to the loss."""
    l1, l2 = parse_real(l1, "l1", "a number"), parse_real(l2, "l2", "a number")
    y = w.dtype.type(0)
    if l1:
        y = y + w.dtype.type(l1) * np.abs(w).sum()
    if l2:
        y = y + w.dtype.type(l2) * np.square(w).sum()
    return as_data(y, like=w), (w, l1, l2)


@penalty.vjp
def _(dy: Any, needs: Any, w: Any, l1: float, l2: float) -> tuple[Any, ...]:
    dw = (dy * w.dtype.type(2 * l2)) * w
    return (dw + (dy * w.dtype.type(l1)) * np.sign(w) if l1 else dw,)
