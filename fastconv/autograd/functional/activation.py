"""Activations, softmax and dropout."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import InvalidArgument, shown
from ...ops import elementwise
from ...spec import parse_flag, parse_real
from ..operation import Primitive, Saved
from ._defined import defined, operation


def _activation(name: str, doc: str) -> Primitive:
    """An activation whose gradient follows from its result."""
    compute = getattr(elementwise, name)

    def forward(x: Any) -> Saved:
        y = compute(x)
        return y, (y,)

    def vjp(dy: Any, needs: Any, y: Any) -> tuple[Any, ...]:
        return (elementwise.activation_grad(dy, y, name)[0],)

    return defined(name, doc, forward, vjp)


relu = _activation("relu", "max(x, 0).")
sigmoid = _activation("sigmoid", "1/(1 + exp(-x)).")
tanh = _activation("tanh", "Hyperbolic tangent.")


@operation
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


def _from_input(name: str, doc: str) -> Primitive:
    """An activation whose gradient is computed from its input."""

    def forward(x: Any) -> Saved:
        return elementwise.activate(x, name), (x,)

    def vjp(dy: Any, needs: Any, x: Any) -> tuple[Any, ...]:
        return (elementwise.activation_grad(dy, x, name)[0],)

    return defined(name, doc, forward, vjp)


selu = _from_input("selu", "1.0507*x where x > 0, else 1.7581*(exp(x) - 1) (Klambauer et al. 2017, arXiv:1706.02515).")
silu = _from_input("silu", "x*sigmoid(x), also called swish.")
mish = _from_input("mish", "x*tanh(softplus(x)) (Misra 2019, arXiv:1908.08681).")
softplus = _from_input("softplus", "log(1 + exp(x)), without overflow.")
softsign = _from_input("softsign", "x/(1 + abs(x)).")


@operation
def elu(x: Any, *, alpha: float = 1.0) -> Saved:
    """x where x > 0, else ``alpha*(exp(x) - 1)`` (Clevert et al. 2015, arXiv:1511.07289)."""
    alpha = parse_real(alpha, "alpha", "a number")
    return elementwise.activate(x, "elu", alpha), (x, alpha)


@elu.vjp
def _(dy: Any, needs: Any, x: Any, alpha: float) -> tuple[Any, ...]:
    return (elementwise.activation_grad(dy, x, "elu", slope=alpha)[0],)


@operation
def gelu(x: Any, *, approximate: bool = False) -> Saved:
    """x*P(X <= x) for a standard normal X, or an approximation by tanh (Hendrycks & Gimpel 2016, arXiv:1606.08415)."""
    kind = "gelu_tanh" if parse_flag(approximate, "approximate") else "gelu"
    return elementwise.activate(x, kind), (x, kind)


@gelu.vjp
def _(dy: Any, needs: Any, x: Any, kind: str) -> tuple[Any, ...]:
    return (elementwise.activation_grad(dy, x, kind)[0],)


def _softmax(name: str, doc: str, logarithm: bool) -> Primitive:
    def forward(x: Any, *, axis: int = -1) -> Saved:
        y = elementwise.softmax(np.moveaxis(x, axis, -1), logarithm=logarithm)
        return np.moveaxis(y, -1, axis), (y, axis)

    def vjp(dy: Any, needs: Any, y: Any, axis: int) -> tuple[Any, ...]:
        dx = elementwise.softmax_grad(np.moveaxis(dy, axis, -1), y, logarithm=logarithm)
        return (np.moveaxis(dx, -1, axis),)

    return defined(name, doc, forward, vjp)


softmax = _softmax("softmax", "exp(x) over its sum along `axis`.", False)
log_softmax = _softmax("log_softmax", "Logarithm of `softmax`, exact where that underflows.", True)


@operation
def dropout(x: Any, *, rate: float, seed: int, first: int = 0) -> Saved:
    """Zero each element with probability `rate` and divide the others by ``1 - rate``; the mask follows from `seed`.

    Of a part of an array that begins with element `first` it is that part of the whole array's mask.
    """
    rate = parse_real(rate, "rate", "a number from 0 up to, but not including, 1")
    if not 0 <= rate < 1:
        raise InvalidArgument(f"rate is {shown(rate)}; expected a number from 0 up to, but not including, 1")
    if not isinstance(seed, (int, np.integer)):
        raise InvalidArgument(f"seed is {shown(seed)}; expected a whole number")
    if not isinstance(first, (int, np.integer)) or not 0 <= first < 2**62:
        raise InvalidArgument(f"first is {shown(first)}; expected the number of an element, from 0")
    first = int(first)
    return elementwise.dropout(x, rate, seed, first), (rate, seed, first)


@dropout.vjp
def _(dy: Any, needs: Any, rate: float, seed: int, first: int) -> tuple[Any, ...]:
    return (elementwise.dropout(dy, rate, seed, first),)
