"""Activations as nodes of an ONNX file."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ...errors import Unsupported, shown
from ...onnx.writing import Writer
from .. import activations
from ..layers import Activation, Layer, PReLU
from .values import Value, array_of, axis_in_file, plain, rule, rule_of, written


class Sketch:
    """A few nodes in a row, whose names begin with a title.

    Parameters
    ----------
    writer : Writer
    title : str
    dtype : dtype
        Of constants.
    """

    def __init__(self, writer: Writer, title: str, dtype: Any) -> None:
        self.writer, self.title, self.dtype = writer, title, np.dtype(dtype)

    def __call__(self, op: str, *inputs: Any, **attributes: Any) -> str:
        """A node; numbers and arrays among its inputs become constants."""
        names = [i if isinstance(i, str) else self.constant(i) for i in inputs]
        return self.writer.add(op, self.title, *names, **attributes)

    def constant(self, value: Any, dtype: Any = None) -> str:
        """An array, or a number, of the file."""
        return self.writer.constant(f"{self.title}/constant", np.asarray(value, dtype or self.dtype))


def _relu(add: Sketch, x: str, negative_slope: float = 0.0, max_value: Any = None, threshold: float = 0.0) -> str:
    y = add("ThresholdedRelu", x, alpha=float(threshold)) if threshold else add("Relu", x)
    if max_value is not None:
        y = add("Min", y, max_value)
    if negative_slope:
        y = add("Sub", y, add("Mul", add("Relu", add("Sub", threshold, x)), negative_slope))
    return y


def _gelu(add: Sketch, x: str, approximate: bool = False) -> str:
    if approximate:
        inner = add("Add", x, add("Mul", add("Mul", add("Mul", x, x), x), 0.044715))
        return add("Mul", x, add("Sigmoid", add("Mul", inner, 2 * math.sqrt(2 / math.pi))))
    below = add("Add", add("Erf", add("Mul", x, math.sqrt(0.5))), 1.0)
    return add("Mul", add("Mul", x, 0.5), below)


def _sparse_plus(add: Sketch, x: str) -> str:
    bent = add("Add", add("Clip", x, -1.0, 1.0), 1.0)
    return add("Add", add("Mul", add("Mul", bent, bent), 0.25), add("Relu", add("Sub", x, 1.0)))


#: Activation -> function of a `Sketch`, an input and the activation's own options.
FUNCTIONS: dict[Callable[..., Any], Callable[..., str]] = {
    activations.linear: lambda add, x: x,
    activations.relu: _relu,
    activations.leaky_relu: lambda add, x, negative_slope=0.2: add("LeakyRelu", x, alpha=float(negative_slope)),
    activations.relu6: lambda add, x: add("Clip", x, 0.0, 6.0),
    activations.elu: lambda add, x, alpha=1.0: add("Elu", x, alpha=float(alpha)),
    activations.celu: lambda add, x, alpha=1.0: add("Mul", add("Elu", add("Div", x, alpha)), alpha),
    activations.selu: lambda add, x: add("Selu", x),
    activations.gelu: _gelu,
    activations.silu: lambda add, x: add("Mul", x, add("Sigmoid", x)),
    activations.mish: lambda add, x: add("Mul", x, add("Tanh", add("Softplus", x))),
    activations.softplus: lambda add, x: add("Softplus", x),
    activations.softsign: lambda add, x: add("Softsign", x),
    activations.sigmoid: lambda add, x: add("Sigmoid", x),
    activations.log_sigmoid: lambda add, x: add("Neg", add("Softplus", add("Neg", x))),
    activations.hard_sigmoid: lambda add, x: add("HardSigmoid", x, alpha=1 / 6, beta=0.5),
    activations.hard_silu: lambda add, x: add("HardSwish", x),
    activations.tanh: lambda add, x: add("Tanh", x),
    activations.hard_tanh: lambda add, x: add("Clip", x, -1.0, 1.0),
    activations.tanh_shrink: lambda add, x: add("Sub", x, add("Tanh", x)),
    activations.hard_shrink: lambda add, x, threshold=0.5: add("Shrink", x, lambd=float(threshold), bias=0.0),
    activations.soft_shrink: lambda add, x, threshold=0.5: add(
        "Shrink", x, lambd=float(threshold), bias=float(threshold)
    ),
    activations.squareplus: lambda add, x, b=4: add(
        "Mul", add("Add", x, add("Sqrt", add("Add", add("Mul", x, x), b))), 0.5
    ),
    activations.sparse_plus: _sparse_plus,
    activations.sparse_sigmoid: lambda add, x: add("HardSigmoid", x, alpha=0.5, beta=0.5),
    activations.exponential: lambda add, x: add("Exp", x),
}
_ALONG = {activations.softmax: "Softmax", activations.log_softmax: "LogSoftmax"}


@rule(Activation)
def activated(writer: Writer, layer: Any, x: Value) -> Value:
    """The activation of a layer, found by the function that it is."""
    function = layer.activation
    if isinstance(function, Layer) and rule_of(function) is not None:
        return written(writer, function, x)
    base, options = function, {}
    if isinstance(function, partial) and not function.args:
        base, options = function.func, function.keywords
    title = f"{layer.name}/{getattr(base, '__name__', 'activation')}"
    if base in _ALONG:
        axis = axis_in_file(x, options.get("axis", -1))
        return x._replace(name=writer.add(_ALONG[base], title, x.name, axis=axis))
    if base in FUNCTIONS:
        return x._replace(name=FUNCTIONS[base](Sketch(writer, title, layer.dtype), x.name, **options))
    raise Unsupported(
        f"layer {shown(layer.name)} has the activation {shown(function)}, for which ONNX has no word; it has for "
        f"{', '.join(sorted(activations.KNOWN))}"
    )


@rule(PReLU)
def _prelu(writer: Writer, layer: PReLU, x: Value) -> Value:
    alpha = writer.constant(f"{layer.name}/alpha", array_of(layer.alpha))
    return Value(writer.add("PRelu", layer.name, plain(writer, x), alpha), x.shape)
