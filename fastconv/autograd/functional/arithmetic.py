"""Arithmetic with broadcasting, and functions of single elements."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import InvalidArgument, shown
from ...ops.halves import cast, is_floating
from ...spec import parse_real
from ..operation import Saved
from ..tensor import as_data
from ._defined import operation, single
from .shape import unbroadcast


def _kind(x: Any) -> tuple[tuple[int, ...], Any]:
    return np.shape(x), getattr(x, "dtype", None)


def _back(dy: Any, kind: tuple[tuple[int, ...], Any]) -> Any:
    """A gradient in the shape and the dtype of the operand that was broadcast."""
    return unbroadcast(dy, kind[0]).astype(kind[1], copy=False)


@single
def add(a: Any, b: Any) -> Saved:
    """a + b."""
    return np.add(a, b), (_kind(a), _kind(b))


@add.vjp
def _(dy: Any, needs: Any, a: Any, b: Any) -> tuple[Any, ...]:
    return tuple(_back(dy, k) if need else None for k, need in zip((a, b), needs, strict=True))


@single
def subtract(a: Any, b: Any) -> Saved:
    """a - b."""
    return np.subtract(a, b), (_kind(a), _kind(b))


@subtract.vjp
def _(dy: Any, needs: Any, a: Any, b: Any) -> tuple[Any, ...]:
    return _back(dy, a) if needs[0] else None, _back(-dy, b) if needs[1] else None


@single
def multiply(a: Any, b: Any) -> Saved:
    """a * b."""
    return np.multiply(a, b), (a, b)


@multiply.vjp
def _(dy: Any, needs: Any, a: Any, b: Any) -> tuple[Any, ...]:
    return _back(dy * b, _kind(a)) if needs[0] else None, _back(dy * a, _kind(b)) if needs[1] else None


@single
def divide(a: Any, b: Any) -> Saved:
    """a / b."""
    y = np.divide(a, b)
    return y, (y, b, _kind(a))


@divide.vjp
def _(dy: Any, needs: Any, y: Any, b: Any, a: Any) -> tuple[Any, ...]:
    da = dy / b
    return _back(da, a) if needs[0] else None, _back(-da * y, _kind(b)) if needs[1] else None


@single
def power(x: Any, exponent: Any) -> Saved:
    """x**exponent, for numbers or arrays; the gradient to x is 0 for exponent 0, that to the exponent 0 for x = 0."""
    if np.ndim(exponent) == 0 and isinstance(exponent, (int, float, np.generic)):
        exponent = parse_real(exponent, "exponent", "a number")
    y = np.power(x, exponent)
    return y, (x, exponent, y)


@power.vjp
def _(dy: Any, needs: Any, x: Any, exponent: Any, y: Any) -> tuple[Any, ...]:
    dx = dexponent = None
    if needs[0] and isinstance(exponent, float):
        dx = dy * (exponent * np.power(x, exponent - 1)) if exponent else np.zeros_like(x)
    elif needs[0]:
        one_less = np.where(exponent == 0, as_data(1.0, like=y), exponent - 1)
        dx = _back(dy * exponent * np.power(x, one_less), _kind(x))
    if needs[1]:
        base = np.where(x == 0, as_data(1.0, like=y), x)  # whose logarithm is 0
        dexponent = _back(dy * y * np.log(base), _kind(exponent))
    return dx, dexponent


@single
def maximum(a: Any, b: Any) -> Saved:
    """The larger one of a and b, NaN where either is; where they are equal each gets half of the gradient."""
    return np.maximum(a, b), (a, b)


@single
def minimum(a: Any, b: Any) -> Saved:
    """The smaller one of a and b, NaN where either is; where they are equal each gets half of the gradient."""
    return np.minimum(a, b), (a, b)


def _chosen(dy: Any, needs: Any, is_a: Any, is_b: Any, a: Any, b: Any) -> tuple[Any, ...]:
    """The gradient goes to the operand that was taken."""
    none, half = as_data(0, like=dy), dy * dy.dtype.type(0.5)
    da = np.where(is_a, np.where(is_b, half, dy), none) if needs[0] else None
    db = np.where(is_b, np.where(is_a, half, dy), none) if needs[1] else None
    return None if da is None else _back(da, _kind(a)), None if db is None else _back(db, _kind(b))


@maximum.vjp
def _(dy: Any, needs: Any, a: Any, b: Any) -> tuple[Any, ...]:
    return _chosen(dy, needs, ~np.less(a, b), ~np.less(b, a), a, b)


@minimum.vjp
def _(dy: Any, needs: Any, a: Any, b: Any) -> tuple[Any, ...]:
    return _chosen(dy, needs, ~np.greater(a, b), ~np.greater(b, a), a, b)


@single
def clip(x: Any, *, low: float | None = None, high: float | None = None) -> Saved:
    """x brought into [low, high]; None is no bound. No gradient flows where x lies outside."""
    low, high = (None if v is None else parse_real(v, n, "a number") for v, n in ((low, "low"), (high, "high")))
    if low is not None and high is not None and not low <= high:
        raise InvalidArgument(f"low is {low} and high is {high}; low must not be above high")
    return x if low is high is None else np.clip(x, low, high), (x, low, high)


@clip.vjp
def _(dy: Any, needs: Any, x: Any, low: float | None, high: float | None) -> tuple[Any, ...]:
    outside = [x < low] if low is not None else []
    outside += [x > high] if high is not None else []
    for beyond in outside:
        dy = np.where(beyond, as_data(0, like=dy), dy)
    return (dy,)


@single
def where(condition: Any, a: Any, b: Any) -> Saved:
    """a where the condition holds, b elsewhere; `condition` is boolean, and all three are broadcast."""
    if getattr(condition, "dtype", np.dtype(type(condition))).kind != "b":
        raise InvalidArgument(f"condition is {shown(condition)}; expected booleans: compare, such as x > 0")
    return np.where(condition, a, b), (condition, _kind(a), _kind(b))


@where.vjp
def _(dy: Any, needs: Any, condition: Any, a: Any, b: Any) -> tuple[Any, ...]:
    none = as_data(0, like=dy)
    da = _back(np.where(condition, dy, none), a) if needs[1] else None
    return None, da, _back(np.where(condition, none, dy), b) if needs[2] else None


@single
def exp(x: Any) -> Saved:
    """Exponential function."""
    y = np.exp(x)
    return y, (y,)


@exp.vjp
def _(dy: Any, needs: Any, y: Any) -> tuple[Any, ...]:
    return (dy * y,)


@single
def log(x: Any) -> Saved:
    """Natural logarithm."""
    return np.log(x), (x,)


@log.vjp
def _(dy: Any, needs: Any, x: Any) -> tuple[Any, ...]:
    return (dy / x,)


@single
def sqrt(x: Any) -> Saved:
    """Square root; the gradient at 0 is infinite."""
    y = np.sqrt(x)
    return y, (y,)


@sqrt.vjp
def _(dy: Any, needs: Any, y: Any) -> tuple[Any, ...]:
    return (dy / (y + y),)


@single
def sin(x: Any) -> Saved:
    """Sine."""
    return np.sin(x), (x,)


@sin.vjp
def _(dy: Any, needs: Any, x: Any) -> tuple[Any, ...]:
    return (dy * np.cos(x),)


@single
def cos(x: Any) -> Saved:
    """Cosine."""
    return np.cos(x), (x,)


@cos.vjp
def _(dy: Any, needs: Any, x: Any) -> tuple[Any, ...]:
    return (dy * -np.sin(x),)


@single
def absolute(x: Any) -> Saved:
    """Absolute value; the gradient at 0 is 0."""
    return np.abs(x), (x,)


@absolute.vjp
def _(dy: Any, needs: Any, x: Any) -> tuple[Any, ...]:
    return (dy * np.sign(x),)


@operation
def astype(x: Any, *, dtype: Any) -> Saved:
    """The same numbers in another dtype; gradients flow where that is a floating-point one."""
    try:
        wanted = np.dtype(dtype)
    except TypeError:
        raise InvalidArgument(f"dtype is {shown(dtype)}; expected a dtype, such as 'float32'") from None
    if wanted.kind not in "biu" and not is_floating(wanted):
        raise InvalidArgument(f"dtype is {shown(dtype)}; expected one of real numbers")
    x = as_data(x)
    return cast(x, wanted), (x.dtype,)


@astype.vjp
def _(dy: Any, needs: Any, dtype: Any) -> tuple[Any, ...]:
    return (cast(dy, dtype),)


@single
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
