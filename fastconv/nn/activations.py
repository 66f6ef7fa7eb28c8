"""Activations by name, as differentiable functions of a tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..autograd import Tensor
from ..autograd import functional as F
from ..errors import InvalidArgument, shown
from . import arguments
from .basics.names import by_snake_case, find
from .configs import resolved


def linear(x: Any) -> Any:
    """x itself."""
    return x


def relu(x: Any, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Tensor:
    """x from `threshold` up, at most `max_value`; below it ``negative_slope*(x - threshold)``: by default max(x, 0)."""
    x = arguments.tensor("relu", "x", x)
    slope = arguments.real("relu", "negative_slope", negative_slope, 0)
    start = arguments.real("relu", "threshold", threshold, 0)
    most = None if max_value is None else arguments.real("relu", "max_value", max_value, 0)
    y = F.where(x > start, x, 0.0) if start else F.relu(x)
    y = y if most is None else F.clip(y, high=most)
    return y - slope * F.relu(start - x) if slope else y


def leaky_relu(x: Any, negative_slope: float = 0.2) -> Tensor:
    """x where x > 0, else ``negative_slope*x``."""
    return F.leaky_relu(
        arguments.tensor("leaky_relu", "x", x), slope=arguments.real("leaky_relu", "negative_slope", negative_slope)
    )


def relu6(x: Any) -> Tensor:
    """x brought into [0, 6]."""
    return F.clip(arguments.tensor("relu6", "x", x), low=0.0, high=6.0)


def elu(x: Any, alpha: float = 1.0) -> Tensor:
    """x where x > 0, else ``alpha*(exp(x) - 1)``."""
    return F.elu(arguments.tensor("elu", "x", x), alpha=arguments.real("elu", "alpha", alpha))


def celu(x: Any, alpha: float = 1.0) -> Tensor:
    """x where x > 0, else ``alpha*(exp(x/alpha) - 1)``."""
    alpha = arguments.real("celu", "alpha", alpha, above=0)
    return F.elu(arguments.tensor("celu", "x", x) / alpha) * alpha


def selu(x: Any) -> Tensor:
    """`elu` with the factors that keep mean 0 and variance 1 from layer to layer."""
    return F.selu(arguments.tensor("selu", "x", x))


def gelu(x: Any, approximate: bool = False) -> Tensor:
    """x*P(X <= x) for a standard normal X; `approximate`: by tanh."""
    return F.gelu(arguments.tensor("gelu", "x", x), approximate=arguments.flag("gelu", "approximate", approximate))


def silu(x: Any) -> Tensor:
    """x*sigmoid(x), also called swish."""
    return F.silu(arguments.tensor("silu", "x", x))


def mish(x: Any) -> Tensor:
    """x*tanh(softplus(x))."""
    return F.mish(arguments.tensor("mish", "x", x))


def softplus(x: Any) -> Tensor:
    """log(1 + exp(x))."""
    return F.softplus(arguments.tensor("softplus", "x", x))


def softsign(x: Any) -> Tensor:
    """x/(1 + abs(x))."""
    return F.softsign(arguments.tensor("softsign", "x", x))


def sigmoid(x: Any) -> Tensor:
    """1/(1 + exp(-x))."""
    return F.sigmoid(arguments.tensor("sigmoid", "x", x))


def log_sigmoid(x: Any) -> Tensor:
    """Logarithm of `sigmoid`, exact where that underflows."""
    return -F.softplus(-arguments.tensor("log_sigmoid", "x", x))


def hard_sigmoid(x: Any) -> Tensor:
    """x/6 + 1/2, brought into [0, 1]."""
    return F.clip(arguments.tensor("hard_sigmoid", "x", x) / 6.0 + 0.5, low=0.0, high=1.0)


def hard_silu(x: Any) -> Tensor:
    """x*hard_sigmoid(x), also called hard_swish."""
    x = arguments.tensor("hard_silu", "x", x)
    return x * hard_sigmoid(x)


def tanh(x: Any) -> Tensor:
    """Hyperbolic tangent."""
    return F.tanh(arguments.tensor("tanh", "x", x))


def hard_tanh(x: Any) -> Tensor:
    """x brought into [-1, 1]."""
    return F.clip(arguments.tensor("hard_tanh", "x", x), low=-1.0, high=1.0)


def tanh_shrink(x: Any) -> Tensor:
    """x - tanh(x)."""
    x = arguments.tensor("tanh_shrink", "x", x)
    return x - F.tanh(x)


def hard_shrink(x: Any, threshold: float = 0.5) -> Tensor:
    """x where abs(x) > `threshold`, else 0."""
    x = arguments.tensor("hard_shrink", "x", x)
    return F.where(abs(x) > arguments.real("hard_shrink", "threshold", threshold, 0), x, 0.0)


def soft_shrink(x: Any, threshold: float = 0.5) -> Tensor:
    """x moved by `threshold` towards 0, and no further than that."""
    x, width = arguments.tensor("soft_shrink", "x", x), arguments.real("soft_shrink", "threshold", threshold, 0)
    return x - F.clip(x, low=-width, high=width)


def threshold(x: Any, threshold: float, default_value: float) -> Tensor:
    """x where x > `threshold`, else `default_value`."""
    x = arguments.tensor("threshold", "x", x)
    other = arguments.real("threshold", "default_value", default_value)
    return F.where(x > arguments.real("threshold", "threshold", threshold), x, other)


def squareplus(x: Any, b: float = 4) -> Tensor:
    """(x + sqrt(x*x + b))/2."""
    x = arguments.tensor("squareplus", "x", x)
    return (x + F.sqrt(x * x + arguments.real("squareplus", "b", b, 0))) * 0.5


def sparse_plus(x: Any) -> Tensor:
    """0 below -1, x above 1, and (x + 1)**2/4 between."""
    x = arguments.tensor("sparse_plus", "x", x)
    bent = F.clip(x, low=-1.0, high=1.0) + 1.0
    return bent * bent * 0.25 + F.relu(x - 1.0)


def sparse_sigmoid(x: Any) -> Tensor:
    """(x + 1)/2, brought into [0, 1]."""
    return F.clip((arguments.tensor("sparse_sigmoid", "x", x) + 1.0) * 0.5, low=0.0, high=1.0)


def softmax(x: Any, axis: int = -1) -> Tensor:
    """exp(x) over its sum along `axis`."""
    return F.softmax(_along("softmax", x, axis), axis=axis)


def log_softmax(x: Any, axis: int = -1) -> Tensor:
    """Logarithm of `softmax`."""
    return F.log_softmax(_along("log_softmax", x, axis), axis=axis)


def glu(x: Any, axis: int = -1) -> Tensor:
    """The first half of x along `axis`, times the sigmoid of the second."""
    x = _along("glu", x, axis)
    size, before = x.shape[axis], (slice(None),) * (axis % x.ndim)
    if size % 2:
        raise InvalidArgument(f"`glu`: x has {size} elements along axis {axis}; expected an even number (x: {x.shape})")
    first, second = (x[(*before, part)] for part in (slice(size // 2), slice(size // 2, None)))
    return first * F.sigmoid(second)


def exponential(x: Any) -> Tensor:
    """exp(x)."""
    return F.exp(arguments.tensor("exponential", "x", x))


def _along(name: str, x: Any, axis: Any) -> Tensor:
    x = arguments.tensor(name, "x", x)
    arguments.check_axes(name, "axis", arguments.axis(name, "axis", axis), x.shape)
    return x


swish, hard_swish = silu, hard_silu

KNOWN = by_snake_case(
    linear, relu, leaky_relu, relu6, elu, celu, selu, gelu, silu, mish, softplus, softsign, sigmoid, log_sigmoid,
    hard_sigmoid, hard_silu, tanh, hard_tanh, tanh_shrink, hard_shrink, soft_shrink, squareplus, sparse_plus,
    sparse_sigmoid, softmax, log_softmax, glu, exponential,
) | {"swish": silu, "hard_swish": hard_silu}  # fmt: skip


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
