"""Functions of each element by itself: arithmetic, comparisons, choices, products of matrices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...autograd import functional as F
from .. import activations, arguments
from ..layers.operations import PLAIN
from ._operands import named, tensor, two


def _of_one(name: str, doc: str, function: Callable[..., Any]) -> Callable[[Any], Any]:
    def of_one(x: Any) -> Any:
        return function(tensor(name, x))

    return named(name, doc, of_one)


def _of_two(name: str, doc: str, function: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    def of_two(x1: Any, x2: Any) -> Any:
        return function(*two(name, x1, x2))

    return named(name, doc, of_two)


absolute = abs = _of_one("absolute", "Absolute value.", F.absolute)
negative = _of_one("negative", "-x.", lambda x: -x)
square = _of_one("square", "x*x.", lambda x: F.multiply(x, x))
sqrt = _of_one("sqrt", "Square root.", F.sqrt)
reciprocal = _of_one("reciprocal", "1/x.", lambda x: F.divide(1.0, x))
exp = _of_one("exp", "Exponential function.", F.exp)
log = _of_one("log", "Natural logarithm.", F.log)
sin = _of_one("sin", "Sine.", F.sin)
cos = _of_one("cos", "Cosine.", F.cos)
relu = _of_one("relu", "max(x, 0).", F.relu)
logical_not = _of_one("logical_not", "Whether x is false.", PLAIN["logical_not"])

add = _of_two("add", "x1 + x2, elementwise, as all functions of two operands here; sizes of 1 are repeated.", F.add)
subtract = _of_two("subtract", "x1 - x2.", F.subtract)
multiply = _of_two("multiply", "x1*x2.", F.multiply)
divide = _of_two("divide", "x1/x2.", F.divide)
true_divide = _of_two("true_divide", "x1/x2.", F.divide)
power = _of_two("power", "x1**x2.", F.power)
maximum = _of_two("maximum", "The larger one.", F.maximum)
minimum = _of_two("minimum", "The smaller one.", F.minimum)
matmul = _of_two("matmul", "Product of matrices: the last two axes; more in front are those of many.", F.matmul)
equal = _of_two("equal", "Whether x1 == x2.", PLAIN["equal"])
not_equal = _of_two("not_equal", "Whether x1 != x2.", PLAIN["not_equal"])
greater = _of_two("greater", "Whether x1 > x2.", PLAIN["greater"])
greater_equal = _of_two("greater_equal", "Whether x1 >= x2.", PLAIN["greater_equal"])
less = _of_two("less", "Whether x1 < x2.", PLAIN["less"])
less_equal = _of_two("less_equal", "Whether x1 <= x2.", PLAIN["less_equal"])
logical_and = _of_two("logical_and", "Whether both hold.", PLAIN["logical_and"])
logical_or = _of_two("logical_or", "Whether one holds.", PLAIN["logical_or"])


def gelu(x: Any, approximate: bool = True) -> Any:
    """x*P(X <= x) for a standard normal X; by tanh unless `approximate` is False."""
    return activations.gelu(x, approximate)


def clip(x: Any, x_min: Any, x_max: Any) -> Any:
    """x brought into [x_min, x_max]; None is no bound."""
    low, high = (
        None if v is None else arguments.real("clip", n, v, finite=False)
        for n, v in (("x_min", x_min), ("x_max", x_max))
    )
    return F.clip(tensor("clip", x), low=low, high=high)


def where(condition: Any, x1: Any, x2: Any) -> Any:
    """x1 where the condition holds, x2 elsewhere.

    Examples
    --------
    >>> where([True, False], [1.0, 2.0], 0.0).numpy()
    array([1., 0.])
    """
    condition = tensor("where", condition, "condition")
    condition = condition if condition.dtype.kind == "b" else PLAIN["not_equal"](condition, 0)
    both = all(type(x) in (int, float, bool) for x in (x1, x2))
    return F.where(condition, *((tensor("where", x1, "x1"), x2) if both else two("where", x1, x2)))


def cast(x: Any, dtype: Any) -> Any:
    """The same numbers in another dtype."""
    return F.astype(tensor("cast", x), dtype=arguments.dtype("cast", "dtype", dtype))


def convert_to_tensor(x: Any, dtype: Any = None) -> Any:
    """A tensor of an array, a number or a list."""
    x = tensor("convert_to_tensor", x)
    return x if dtype is None else cast(x, dtype)


def convert_to_numpy(x: Any) -> np.ndarray:
    """The elements of a tensor as an array."""
    return arguments.host_array("convert_to_numpy", "x", x)
