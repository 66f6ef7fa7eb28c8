"""Activations, softmax and dropout."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import InvalidArgument, shown
from ...ops import elementwise
from ...spec import parse_real
from ..operation import primitive
from ._checked import checked

Saved = tuple[np.ndarray, tuple[Any, ...]]


@primitive
@checked
def relu(x: Any) -> Saved:
    """max(x, 0)."""
    y = elementwise.relu(x)
    return y, (y,)


@relu.vjp
def _(dy: Any, needs: Any, y: Any) -> tuple[Any, ...]:
    return (elementwise.activation_grad(dy, y, "relu")[0],)


@primitive
@checked
def leaky_relu(x: Any, *, slope: float = elementwise.LEAKY_SLOPE) -> Saved:
    """x where x > 0, else ``slope*x``; the slope must be positive."""
    slope = parse_real(slope, "slope", "a positive number")
    if not slope > 0:
        raise InvalidArgument(f"slope is {shown(slope)}; leaky_relu needs a positive one; for 0 use relu")
    y = elementwise.relu(x, slope)
    return y, (y, slope)


@leaky_relu.vjp
def _(dy: Any, needs: Any, y: Any, slope: float) -> tuple[Any, ...]:
    return (elementwise.activation_grad(dy, y, "leaky_relu", slope=slope)[0],)


@primitive
@checked
def sigmoid(x: Any) -> Saved:
    """1/(1 + exp(-x))."""
    y = elementwise.sigmoid(x)
    return y, (y,)


@sigmoid.vjp
def _(dy: Any, needs: Any, y: Any) -> tuple[Any, ...]:
    return (elementwise.activation_grad(dy, y, "sigmoid")[0],)


@primitive
@checked
def tanh(x: Any) -> Saved:
    """Hyperbolic tangent."""
    y = elementwise.tanh(x)
    return y, (y,)


@tanh.vjp
def _(dy: Any, needs: Any, y: Any) -> tuple[Any, ...]:
    return (elementwise.activation_grad(dy, y, "tanh")[0],)


@primitive
@checked
def softmax(x: Any, *, axis: int = -1) -> Saved:
    """exp(x) over its sum along `axis`."""
    y = elementwise.softmax(np.moveaxis(x, axis, -1))
    return np.moveaxis(y, -1, axis), (y, axis)


@softmax.vjp
def _(dy: Any, needs: Any, y: Any, axis: int) -> tuple[Any, ...]:
    return (np.moveaxis(elementwise.softmax_grad(np.moveaxis(dy, axis, -1), y), -1, axis),)


@primitive
@checked
def log_softmax(x: Any, *, axis: int = -1) -> Saved:
    """Logarithm of `softmax`, exact where that underflows."""
    y = elementwise.softmax(np.moveaxis(x, axis, -1), logarithm=True)
    return np.moveaxis(y, -1, axis), (y, axis)


@log_softmax.vjp
def _(dy: Any, needs: Any, y: Any, axis: int) -> tuple[Any, ...]:
    return (np.moveaxis(elementwise.softmax_grad(np.moveaxis(dy, axis, -1), y, logarithm=True), -1, axis),)


@primitive
@checked
def dropout(x: Any, *, rate: float, seed: int) -> Saved:
    """Zero each element with probability `rate` and divide the others by ``1 - rate``; the mask follows from `seed`."""
    rate = parse_real(rate, "rate", "a number from 0 up to, but not including, 1")
    if not 0 <= rate < 1:
        raise InvalidArgument(f"rate is {shown(rate)}; expected a number from 0 up to, but not including, 1")
    if not isinstance(seed, (int, np.integer)):
        raise InvalidArgument(f"seed is {shown(seed)}; expected a whole number")
    return elementwise.dropout(x, rate, seed), (rate, seed)


@dropout.vjp
def _(dy: Any, needs: Any, rate: float, seed: int) -> tuple[Any, ...]:
    return (elementwise.dropout(dy, rate, seed),)
