"""Activations by name, as differentiable functions of a tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..autograd import Tensor
from ..autograd import functional as F
from ..errors import InvalidArgument, shown
from . import arguments
from .configs import resolved
from .names import by_snake_case, find


def linear(x: Any) -> Any:
    """x itself."""
    return x


def relu(x: Any) -> Tensor:
    """max(x, 0)."""
    return F.relu(arguments.tensor("relu", "x", x))


def leaky_relu(x: Any, negative_slope: float = 0.2) -> Tensor:
    """x where x > 0, else ``negative_slope*x``."""
    return F.leaky_relu(
        arguments.tensor("leaky_relu", "x", x), slope=arguments.real("leaky_relu", "negative_slope", negative_slope)
    )


def sigmoid(x: Any) -> Tensor:
    """1/(1 + exp(-x))."""
    return F.sigmoid(arguments.tensor("sigmoid", "x", x))


def tanh(x: Any) -> Tensor:
    """Hyperbolic tangent."""
    return F.tanh(arguments.tensor("tanh", "x", x))


def softmax(x: Any, axis: int = -1) -> Tensor:
    """exp(x) over its sum along `axis`."""
    return F.softmax(_along("softmax", x, axis), axis=axis)


def log_softmax(x: Any, axis: int = -1) -> Tensor:
    """Logarithm of `softmax`."""
    return F.log_softmax(_along("log_softmax", x, axis), axis=axis)


def exponential(x: Any) -> Tensor:
    """exp(x)."""
    return F.exp(arguments.tensor("exponential", "x", x))


def _along(name: str, x: Any, axis: Any) -> Tensor:
    x = arguments.tensor(name, "x", x)
    arguments.check_axes(name, "axis", arguments.axis(name, "axis", axis), x.shape)
    return x


KNOWN = by_snake_case(linear, relu, leaky_relu, sigmoid, tanh, softmax, log_softmax, exponential)


def get(identifier: Any) -> Callable[..., Any]:
    """An activation from None (linear), a name, or a function of a tensor."""
    if identifier is None:
        return linear
    identifier = resolved(identifier)
    if callable(identifier):
        return arguments.function("activations.get", "identifier", identifier, ("x",))
    return find("activation", identifier, KNOWN)


def apply(activation: Callable[..., Any], x: Tensor) -> Tensor:
    """What an activation, fastconv's or a user's, makes of a tensor: another one."""
    y = arguments.result_of("activations.get", "the activation", activation, x)
    if not isinstance(y, Tensor):
        raise InvalidArgument(f"the activation {shown(activation)} returned {shown(y)}; it must return a tensor")
    return y
