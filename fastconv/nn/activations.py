"""Activations by name, as differentiable functions of a tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..autograd import Tensor
from ..autograd import functional as F
from .names import find


def linear(x: Any) -> Any:
    """x itself."""
    return x


def relu(x: Any) -> Tensor:
    """max(x, 0)."""
    return F.relu(x)


def leaky_relu(x: Any, negative_slope: float = 0.2) -> Tensor:
    """x where x > 0, else ``negative_slope*x``."""
    return F.leaky_relu(x, slope=negative_slope)


def sigmoid(x: Any) -> Tensor:
    """1/(1 + exp(-x))."""
    return F.sigmoid(x)


def tanh(x: Any) -> Tensor:
    """Hyperbolic tangent."""
    return F.tanh(x)


def softmax(x: Any, axis: int = -1) -> Tensor:
    """exp(x) over its sum along `axis`."""
    return F.softmax(x, axis=axis)


def log_softmax(x: Any, axis: int = -1) -> Tensor:
    """Logarithm of `softmax`."""
    return F.log_softmax(x, axis=axis)


def exponential(x: Any) -> Tensor:
    """exp(x)."""
    return F.exp(x)


KNOWN: dict[str, Callable[..., Any]] = {
    f.__name__: f for f in (linear, relu, leaky_relu, sigmoid, tanh, softmax, log_softmax, exponential)
}


def get(identifier: Any) -> Callable[..., Any]:
    """An activation from None (linear), a name, or a function of a tensor."""
    if identifier is None:
        return linear
    return identifier if callable(identifier) else find("activation", identifier, KNOWN)
